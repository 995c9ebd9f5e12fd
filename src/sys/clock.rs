//! What time it is, on whatever machine the thread is on.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::world;

/// When the made-up machines were switched on: 2026-01-01.
const SWITCHED_ON: Duration = Duration::from_secs(1_767_225_600);

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

/// The time since 1970; zero before.
pub fn of_day() -> Duration {
    match world::current() {
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        Some(world) => SWITCHED_ON + world.elapsed(),
    }
}
