//! Timers of keys: wake-ups in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A wake-up of a key.
#[derive(Clone, Debug)]
pub struct Timer<K, T> {
    /// When.
    pub at: T,
    /// The key's hash.
    pub hash: u64,
    /// Which life of the key set it: a key that is forgotten and comes again has another.
    pub life: u64,
    /// The key.
    pub key: K,
}

/// The timers of all keys of a table: a binary heap by time and, for equal times, by the key's
/// hash, so that the order in which keys came makes no difference. Equal timers of one life come
/// out one after the other.
///
/// A timer is not taken out when its key is forgotten; whoever takes it out when it is due sees
/// that the key's life is over.
///
/// ```
/// use thalweg::state::{Timer, Timers};
///
/// let mut timers = Timers::new();
/// for (at, key) in [(20, "b"), (10, "a"), (30, "c")] {
///     timers.set(Timer { at, hash: 0, life: 0, key });
/// }
/// assert_eq!(timers.pop_due(20).map(|timer| timer.key), Some("a"));
/// assert_eq!(timers.pop_due(20).map(|timer| timer.key), Some("b"));
/// assert!(timers.pop_due(20).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Timers<K, T> {
    heap: BinaryHeap<Queued<K, T>>,
}

impl<K, T: Copy + Ord> Default for Timers<K, T> {
    fn default() -> Self {
        Timers::new()
    }
}

impl<K, T: Copy + Ord> Timers<K, T> {
    /// No timers.
    pub fn new() -> Self {
        Timers { heap: BinaryHeap::new() }
    }

    /// How many wait, those of forgotten keys included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Adds one; O(log n), in time order O(1).
    pub fn set(&mut self, timer: Timer<K, T>) {
        self.heap.push(Queued(timer));
    }

    /// Takes out the first one if it is due at `now`.
    pub fn pop_due(&mut self, now: T) -> Option<Timer<K, T>> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|queued| queued.0)
    }
}

/// A timer in the order of a heap that gives the greatest first.
#[derive(Clone, Debug)]
struct Queued<K, T>(Timer<K, T>);

impl<K, T: Copy + Ord> Ord for Queued<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |timer: &Timer<K, T>| (timer.at, timer.hash, timer.life);
        order(&other.0).cmp(&order(&self.0))
    }
}

impl<K, T: Copy + Ord> PartialOrd for Queued<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K, T: Copy + Ord> PartialEq for Queued<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K, T: Copy + Ord> Eq for Queued<K, T> {}
