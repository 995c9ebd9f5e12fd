//! What time it is, on whatever machine the thread is on.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::world;

/// The time on a clock that is never set back.
pub fn now() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    match world::current() {
        None => Instant::now(),
        Some(world) => *BASE.get_or_init(Instant::now) + world.elapsed(),
    }
}

/// How long ago a time of [`now`] was.
pub fn since(time: Instant) -> Duration {
    now().saturating_duration_since(time)
}

/// The time since 1970 by a clock that may be set, forth and back; zero before.
pub fn of_day() -> Duration {
    match world::current() {
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        Some(world) => world.of_day(),
    }
}
