//! Two threads, each on a core of its own, that start together.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

fn pin(nth: usize) {
    if let Some(core) = core_affinity::get_core_ids().and_then(|ids| ids.get(nth).copied()) {
        core_affinity::set_for_current(core);
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
