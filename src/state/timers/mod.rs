//! Timers of keys: wake-ups in the order of time.

mod radix;
mod save;
#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::Timestamp;
use radix::Radix;

/// A wake-up of a key.
#[derive(Clone, Debug)]
pub struct Timer<K> {
    /// When.
    pub at: Timestamp,
    /// The key's hash.
    pub hash: u64,
    /// Which life of the key set it: a key that is forgotten and comes again has another.
    pub life: u64,
    /// The key.
    pub key: K,
}

/// The timers of all keys of a table, in the order of time and, for equal times, of the key's hash,
/// so that the order in which keys came makes no difference. Equal timers of one life come out one
/// after the other.
///
/// Those that are due together are sorted together, which costs less than sifting each of them in
/// and out of a heap; before, they have no order.
///
/// A timer is not taken out when its key is forgotten: whoever takes it out when it is due sees
/// that the key's life is over, and [`prune`](Timers::prune) forgets those that no one waits for.
///
/// ```
/// use thalweg::state::{Timer, Timers};
/// use thalweg::time::Timestamp;
///
/// let ms = Timestamp::from_millis;
/// let mut timers = Timers::new();
/// for (at, key) in [(ms(20), "b"), (ms(10), "a"), (ms(30), "c")] {
///     timers.set(Timer { at, hash: 0, life: 0, key });
/// }
/// assert_eq!(timers.pop_due(ms(20)).map(|timer| timer.key), Some("a"));
/// assert_eq!(timers.pop_due(ms(20)).map(|timer| timer.key), Some("b"));
/// assert!(timers.pop_due(ms(20)).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Timers<K> {
    /// Set since the last look, in no order.
    fresh: Vec<Timer<K>>,
    /// Due at the last look, the last one first.
    due: Vec<Timer<K>>,
    /// Due as well, but set while others were.
    soon: BinaryHeap<Queued<K>>,
    /// Set since the save before.
    later: Radix<K>,
    /// Set before the save before; it has reached the same time.
    saved: Radix<K>,
    /// What a save that has begun still has to show.
    leaving: Vec<Timer<K>>,
    /// How many are looked through for those that no one waits for.
    crowd: usize,
}

/// Timers that take so little memory that none is looked for among them.
const FEW: usize = 1024;

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers::new()
    }
}

impl<K> Timers<K> {
    /// No timers.
    pub fn new() -> Self {
        let (later, saved) = (Radix::new(), Radix::new());
        let (fresh, due, leaving) = (Vec::new(), Vec::new(), Vec::new());
        Timers { fresh, due, soon: BinaryHeap::new(), later, saved, leaving, crowd: FEW }
    }

    /// How many wait, those of forgotten keys included.
    pub fn len(&self) -> usize {
        let due = self.due.len() + self.soon.len();
        self.fresh.len() + due + self.later.len() + self.saved.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one; O(1).
    pub fn set(&mut self, timer: Timer<K>) {
        self.fresh.push(timer);
    }

    /// Forgets the timers whose key's life is over, once there are twice as many timers as it left
    /// the last time; O(1) for each one that was set.
    pub fn prune(&mut self, lives: impl Fn(&Timer<K>) -> bool) {
        if self.len() < self.crowd {
            return;
        }
        self.fresh.retain(&lives);
        self.due.retain(&lives);
        self.soon.retain(|queued| lives(&queued.0));
        self.later.retain(&lives);
        self.saved.retain(&lives);
        self.crowd = FEW.max(2 * self.len());
    }

    /// Takes out the first one if it is due at `now`, which only grows; O(log n) each.
    #[inline]
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer<K>> {
        if !self.fresh.is_empty() || now > self.later.reached() {
            self.look(now);
        }
        let sooner = match (self.due.last(), self.soon.peek()) {
            (Some(due), Some(Queued(soon))) => due.order() <= soon.order(),
            (due, _) => due.is_some(),
        };
        if sooner {
            return if self.due.last()?.at <= now { self.due.pop() } else { None };
        }
        if self.soon.peek()?.0.at > now {
            return None;
        }
        self.soon.pop().map(|queued| queued.0)
    }

    /// Puts the fresh timers where they belong, and finds those that are due.
    #[inline(never)]
    fn look(&mut self, now: Timestamp) {
        let Timers { fresh, due, soon, later, saved, .. } = self;
        // While some that are due wait, a timer that was set by one of them may have to go between
        // them: the heap takes it.
        let first = due.is_empty() && soon.is_empty();
        let mut put = |timer| if first { due.push(timer) } else { soon.push(Queued(timer)) };
        let now = now.max(later.reached());
        later.reach(now, &mut put);
        saved.reach(now, &mut put);
        for timer in fresh.drain(..) {
            if timer.at > now { later.set(timer) } else { put(timer) }
        }
        if first {
            due.sort_unstable_by_key(|timer| Reverse(timer.order()));
        }
    }
}

impl<K> Timer<K> {
    /// Time and hash are compared as one number: without a branch for each.
    #[inline(always)]
    fn order(&self) -> (i128, u64) {
        let at_and_hash = i128::from(self.at.micros()) << 64 | i128::from(self.hash);
        (at_and_hash, self.life)
    }
}

/// A timer in the order of a heap that gives the greatest first.
#[derive(Clone, Debug)]
struct Queued<K>(Timer<K>);

impl<K> Ord for Queued<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.order().cmp(&self.0.order())
    }
}

impl<K> PartialOrd for Queued<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> PartialEq for Queued<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K> Eq for Queued<K> {}
