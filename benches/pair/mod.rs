//! Two threads, each on a core of its own, that start together.

use std::sync::{Barrier, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;

/// Asked for once: a thread that is pinned is told its own core only.
static CORES: LazyLock<Vec<CoreId>> =
    LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());

fn pin(nth: usize) {
    if let Some(core) = CORES.get(nth) {
        core_affinity::set_for_current(*core);
    }
}

/// Runs both at the same time and says how long the slower one took, and what both gave.
pub fn together<A: Send, B: Send>(
    here: impl FnOnce() -> A + Send,
    there: impl FnOnce() -> B + Send,
) -> (Duration, A, B) {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let other = scope.spawn(|| timed(1, &start, there));
        let (time, a) = timed(0, &start, here);
        let (other, b) = other.join().expect("neither side panics");
        (time.max(other), a, b)
    })
}

fn timed<T>(core: usize, start: &Barrier, work: impl FnOnce() -> T) -> (Duration, T) {
    pin(core);
    start.wait();
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}
