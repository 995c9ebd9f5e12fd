//! Timers that are not due yet: a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan, "Faster algorithms
//! for the shortest path problem", 1990).
//!
//! Time only goes on, so that timers need no order before they are due. A bucket holds those whose
//! time differs from the time that was reached in the same highest bit. When time goes on, all
//! buckets below the highest bit that changes are due, the one of that bit is dealt out to those
//! below, and all others stay as they are. A timer moves at most once for each bit of the time
//! that it waits, and costs no comparison with another one.

use super::Timer;
use crate::time::Timestamp;

/// Timers that are later than a time that was reached.
#[derive(Clone, Debug)]
pub(super) struct Radix<K> {
    reached: Timestamp,
    /// By the number of the highest bit that differs, from 1; none before the first timer.
    buckets: Vec<Vec<Timer<K>>>,
    len: usize,
}

const BUCKETS: usize = i64::BITS as usize + 1;

impl<K> Radix<K> {
    pub fn new() -> Self {
        Radix { reached: Timestamp::MIN, buckets: Vec::new(), len: 0 }
    }

    /// The time that was reached.
    pub fn reached(&self) -> Timestamp {
        self.reached
    }

    pub fn len(&self) -> usize {
        self.len
    }

    fn bucket(&self, at: Timestamp) -> usize {
        // The sign is one bit more.
        let differs = (at.micros() ^ self.reached.micros()) as u64;
        (u64::BITS - differs.leading_zeros()) as usize
    }

    /// Adds one that is later than the time that was reached.
    pub fn set(&mut self, timer: Timer<K>) {
        debug_assert!(timer.at > self.reached);
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, Vec::new);
        }
        let bucket = self.bucket(timer.at);
        self.buckets[bucket].push(timer);
        self.len += 1;
    }

    /// Reaches a time, no earlier than before; gives all timers of it and before, in no order.
    pub fn reach(&mut self, now: Timestamp, mut due: impl FnMut(Timer<K>)) {
        let highest = self.bucket(now);
        self.reached = now;
        if self.len == 0 {
            return;
        }
        for bucket in 0..=highest {
            // Its memory is kept for the next ones.
            let mut timers = std::mem::take(&mut self.buckets[bucket]);
            for timer in timers.drain(..) {
                self.len -= 1;
                if timer.at > now { self.set(timer) } else { due(timer) }
            }
            self.buckets[bucket] = timers;
        }
    }

    /// Takes all of another one that has reached the same time.
    pub fn append(&mut self, other: &mut Self) {
        debug_assert!(self.reached == other.reached);
        if self.buckets.is_empty() {
            std::mem::swap(&mut self.buckets, &mut other.buckets);
        }
        for (own, others) in self.buckets.iter_mut().zip(&mut other.buckets) {
            own.append(others);
        }
        self.len += std::mem::take(&mut other.len);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Timer<K>> {
        self.buckets.iter().flatten()
    }

    pub fn retain(&mut self, stays: impl Fn(&Timer<K>) -> bool) {
        self.buckets.iter_mut().for_each(|bucket| bucket.retain(&stays));
        self.len = self.buckets.iter().map(Vec::len).sum();
    }
}
