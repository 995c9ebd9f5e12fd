//! Timers of keys: wake-ups in the order of time.

mod save;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::Timestamp;

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
/// Most timers are due soon after they were set, a batch of records later. Those never see the
/// heap: they are sorted together, which costs less than sifting each of them in and out.
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
    /// Set since the save before.
    later: BinaryHeap<Queued<K>>,
    /// Set before the save before.
    saved: BinaryHeap<Queued<K>>,
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
        let (later, saved) = (BinaryHeap::new(), BinaryHeap::new());
        let (fresh, due, leaving) = (Vec::new(), Vec::new(), Vec::new());
        Timers { fresh, due, later, saved, leaving, crowd: FEW }
    }

    /// How many wait, those of forgotten keys included.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.due.len() + self.later.len() + self.saved.len()
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
        self.later.retain(|queued| lives(&queued.0));
        self.saved.retain(|queued| lives(&queued.0));
        self.crowd = FEW.max(2 * self.len());
    }

    /// Takes out the first one if it is due at `now`; O(log n) each.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer<K>> {
        if !self.fresh.is_empty() {
            self.sort(now);
        }
        let later = match (self.later.peek(), self.saved.peek()) {
            (later, Some(saved)) if later.is_none_or(|later| later < saved) => &mut self.saved,
            _ => &mut self.later,
        };
        let sooner = match (self.due.last(), later.peek()) {
            (Some(due), Some(Queued(later))) => due.order() <= later.order(),
            (due, _) => due.is_some(),
        };
        if sooner {
            return if self.due.last()?.at <= now { self.due.pop() } else { None };
        }
        if later.peek()?.0.at > now {
            return None;
        }
        later.pop().map(|queued| queued.0)
    }

    /// Puts the fresh timers where they belong.
    fn sort(&mut self, now: Timestamp) {
        // While some that are due wait, a timer that was set by one of them may have to go between
        // them: the heap takes it.
        let first = self.due.is_empty();
        for timer in self.fresh.drain(..) {
            if first && timer.at <= now {
                self.due.push(timer);
            } else {
                self.later.push(Queued(timer));
            }
        }
        if first {
            self.due.sort_unstable_by_key(|timer| Reverse(timer.order()));
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
