//! The clock that processing time goes by.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::sys::clock;
use crate::time::{Timestamp, span};

/// The clock that processing time goes by, the same one on all shards of a job. It follows the
/// machine's when that is set forward. When that is set back it goes on from where it is, at the
/// same pace: a clock that stood still until its time came again would keep windows open for so
/// long, and one of each shard's own might be ahead of the others for so long.
#[derive(Clone, Debug)]
pub struct Steady {
    began: Instant,
    /// What the time was when it began, in microseconds, as far as is known by now; only grows.
    began_us: Arc<AtomicI64>,
}

/// By so much the machine's clock may be ahead before it is followed, so that shards do not write
/// to one line of memory all the time.
const AHEAD_US: i64 = 1_000;

impl Default for Steady {
    fn default() -> Self {
        let at = Timestamp::now().micros();
        Steady { began: clock::now(), began_us: Arc::new(AtomicI64::new(at)) }
    }
}

impl Steady {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        // In this order: what passes between the two must not put the clock ahead.
        let machine = Timestamp::now().micros();
        let passed = span(clock::since(self.began));
        let (is, may_be) = (self.began_us.load(Relaxed), machine.saturating_sub(passed));
        let began = if may_be > is.saturating_add(AHEAD_US) { self.not_before(may_be) } else { is };
        Timestamp::from_micros(began.saturating_add(passed))
    }

    /// Goes on from a time that it has shown to an earlier run, if it is not as far yet.
    pub fn go_on_from(&self, at: Timestamp) {
        self.not_before(at.micros().saturating_sub(span(clock::since(self.began))));
    }

    fn not_before(&self, began_us: i64) -> i64 {
        self.began_us.fetch_max(began_us, Relaxed).max(began_us)
    }
}
