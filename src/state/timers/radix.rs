//! Timers that are not due yet: a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan, "Faster algorithms
//! for the shortest path problem", 1990).
//!
//! Time only goes on, so that timers need no order before they are due. A bucket holds those whose
//! place in the order differs from the one that was reached in the same highest bit. When a further
//! one is reached, all buckets below the highest bit that changes are due, the one of that bit is
//! dealt out to those below, and all others stay as they are. A timer moves at most once for each
//! bit of its place, and costs no comparison with another one.

use super::pile::{Depot, Pile};
use super::{Order, Timer};

/// Timers that are later than the place in their order that was reached.
pub(super) struct Radix<K> {
    reached: Order,
    /// By the number of the highest bit that differs, from 1; none before the first timer.
    buckets: Vec<Pile<K>>,
    len: usize,
}

const BUCKETS: usize = Order::BITS as usize + 1;

/// So many timers shall be due together at most: what is sorted with them fits the cache.
const MANY: usize = if cfg!(test) { 16 } else { 1024 };

impl<K> Radix<K> {
    pub fn new() -> Self {
        Radix { reached: Order::MIN, buckets: Vec::new(), len: 0 }
    }

    /// The place that was reached.
    pub fn reached(&self) -> Order {
        self.reached
    }

    pub fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub fn in_memory(&self) -> usize {
        self.buckets.iter().map(Pile::in_memory).sum()
    }

    /// The sign is one bit more.
    #[inline(always)]
    fn bucket(&self, order: Order) -> usize {
        (Order::BITS - (order ^ self.reached).leading_zeros()) as usize
    }

    /// Adds one that is later than the place that was reached.
    #[inline]
    pub fn set(&mut self, timer: Timer<K>, depot: &mut Option<Depot<K>>) {
        debug_assert!(timer.order() > self.reached);
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, Pile::default);
        }
        let bucket = self.bucket(timer.order());
        self.buckets[bucket].push(timer, depot);
        self.len += 1;
    }

    /// A place to be reached next on the way to `end`, so that not too many timers of this and
    /// another one, which has reached the same place, are due: more than that only where they are
    /// equal.
    pub fn step(&self, other: &Self, end: Order) -> Order {
        let mut due = 0;
        for bucket in 1..BUCKETS {
            let both = [self, other].map(|radix| radix.buckets.get(bucket));
            let both = both.into_iter().flatten();
            let len: usize = both.clone().map(Pile::len).sum();
            // The last one of the buckets below: all bits below this one's are set.
            let before = self.reached | !(-1 << (bucket - 1));
            if before >= end {
                break;
            }
            if due + len > MANY {
                let least = || both.map(Pile::least).min().unwrap_or(before);
                return end.min(if due > 0 { before } else { least() });
            }
            due += len;
        }
        end
    }

    /// Takes all of another one that has reached the same place.
    pub fn append(&mut self, other: &mut Self, depot: &mut Option<Depot<K>>) {
        debug_assert!(self.reached == other.reached);
        if self.buckets.is_empty() {
            std::mem::swap(&mut self.buckets, &mut other.buckets);
        }
        for (own, others) in self.buckets.iter_mut().zip(&mut other.buckets) {
            own.append(others, depot);
        }
        self.len += std::mem::take(&mut other.len);
    }
}

impl<K: Clone> Radix<K> {
    /// Reaches a place, no earlier than before; gives all timers up to it, in no order. What moves
    /// and a save is still to show goes to `leaving`, too.
    pub fn reach(
        &mut self,
        place: Order,
        leaving: &mut Pile<K>,
        depot: &mut Option<Depot<K>>,
        mut due: impl FnMut(Timer<K>),
    ) {
        let highest = self.bucket(place);
        self.reached = place;
        if self.len == 0 {
            return;
        }
        for bucket in 0..=highest {
            // Its memory is kept for the next ones.
            let mut timers = std::mem::take(&mut self.buckets[bucket]);
            self.len -= timers.len();
            timers.drain(leaving, depot, |timer, depot| {
                if timer.order() > place { self.set(timer, depot) } else { due(timer) }
            });
            self.buckets[bucket] = timers;
        }
    }

    /// A save begins that is to show all there is now.
    pub fn begin_save(&mut self, leaving: &mut Pile<K>, depot: &mut Option<Depot<K>>) {
        self.buckets.iter_mut().for_each(|bucket| bucket.begin_save(leaving, depot));
    }

    /// Shows some `timers` of those that a save is still to show, in the bucket of that number and
    /// those behind it; gives the number of the bucket where it is to go on, if there is one.
    pub fn save_some(
        &mut self,
        mut timers: usize,
        from: usize,
        depot: &Option<Depot<K>>,
        mut show: impl FnMut(&Timer<K>),
    ) -> Option<usize> {
        for (number, bucket) in self.buckets.iter_mut().enumerate().skip(from) {
            let shown = bucket.save_some(timers, depot, &mut show);
            if shown >= timers {
                return Some(number);
            }
            timers -= shown;
        }
        None
    }

    pub fn retain(
        &mut self,
        depot: &mut Option<Depot<K>>,
        mut stays: impl FnMut(&Timer<K>) -> bool,
    ) {
        self.buckets.iter_mut().for_each(|bucket| bucket.retain(depot, &mut stays));
        self.len = self.buckets.iter().map(Pile::len).sum();
    }
}
