//! Timers of keys: wake-ups in the order of time.

mod pile;
mod radix;
mod save;
#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Backend;
use crate::record::Key;
use crate::time::Timestamp;
use pile::{Depot, Pile};
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
/// Those that are due at about the same time are sorted together, which costs less than sifting
/// each of them in and out of a heap; before, they have no order, and may be [on disk](Timers::of).
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
pub struct Timers<K> {
    /// Set since the last look, in no order.
    fresh: Vec<Timer<K>>,
    /// Due at the last look, the last one first.
    due: Vec<Timer<K>>,
    /// Set when what was reached was later already.
    soon: BinaryHeap<Queued<K>>,
    /// Set since the save before.
    later: Radix<K>,
    /// Set before the save before; it has reached the same place.
    saved: Radix<K>,
    /// What a save that has begun still has to show, and is not there any more.
    leaving: Pile<K>,
    /// The bucket of `saved` from which on it has to show what is there; none when it was all.
    showing: Option<usize>,
    /// Where most are that wait, unless that is memory.
    depot: Option<Depot<K>>,
    /// How many are looked through for those that no one waits for.
    crowd: usize,
}

/// Timers that take so little memory that none is looked for among them.
const FEW: usize = 1024;
/// Timers that may be fresh.
const FRESH_MAX: usize = if cfg!(test) { 16 } else { 4096 };

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers::new()
    }
}

impl<K: Key> Timers<K> {
    /// No timers. On disk, all that wait will be there but for a few thousand.
    pub fn of(backend: &Backend) -> Self {
        let depot = match backend {
            Backend::Memory | Backend::Pages => None,
            Backend::Disk(scratch) => Some(Depot::of(scratch.clone())),
        };
        Timers { depot, ..Timers::new() }
    }
}

impl<K> Timers<K> {
    /// No timers; in memory.
    pub fn new() -> Self {
        let (later, saved, leaving) = (Radix::new(), Radix::new(), Pile::default());
        let (fresh, due, soon) = (Vec::new(), Vec::new(), BinaryHeap::new());
        let (showing, depot) = (None, None);
        Timers { fresh, due, soon, later, saved, leaving, showing, depot, crowd: FEW }
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

    /// How many bytes they take, without what keys point to.
    pub fn bytes(&self) -> usize {
        self.len() * size_of::<Timer<K>>()
    }

    /// Whether a save has begun of which not all was shown.
    pub fn is_saving(&self) -> bool {
        self.leaving.len() > 0 || self.showing.is_some()
    }
}

impl<K: Clone> Timers<K> {
    /// Adds one; O(1).
    ///
    /// # Panics
    /// When the disk has no room.
    #[inline]
    pub fn set(&mut self, timer: Timer<K>) {
        if self.fresh.len() == FRESH_MAX {
            self.sort_out();
        }
        self.fresh.push(timer);
    }

    /// Forgets the timers whose key's life is over, once there are twice as many timers as it left
    /// the last time, and no save is under way; O(1) for each one that was set.
    pub fn prune(&mut self, mut lives: impl FnMut(&Timer<K>) -> bool) {
        if self.len() < self.crowd || self.is_saving() {
            return;
        }
        self.fresh.retain(&mut lives);
        self.due.retain(&mut lives);
        self.soon.retain(|queued| lives(&queued.0));
        self.later.retain(&mut self.depot, &mut lives);
        self.saved.retain(&mut self.depot, &mut lives);
        self.crowd = FEW.max(2 * self.len());
    }

    /// Takes out the first one if it is due at `now`, which only grows; O(log n) each.
    ///
    /// # Panics
    /// When the disk has no room for those that are dealt out anew.
    #[inline(always)]
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer<K>> {
        if self.due.is_empty() && self.soon.is_empty() {
            if !self.fresh.is_empty() || self.later.reached() < last_at(now) {
                self.look(now);
            }
        } else if !self.fresh.is_empty() {
            self.sort_out();
        }
        match (self.due.last(), self.soon.peek()) {
            (Some(due), Some(Queued(soon))) if soon.full_order() >= due.full_order() => {
                self.due.pop()
            }
            (_, Some(_)) => self.soon.pop().map(|queued| queued.0),
            (_, None) => self.due.pop(),
        }
    }

    /// Puts the fresh timers where they belong.
    #[inline(never)]
    fn sort_out(&mut self) {
        let Timers { fresh, soon, later, depot, .. } = self;
        for timer in fresh.drain(..) {
            if timer.order() > later.reached() {
                later.set(timer, depot);
            } else {
                soon.push(Queued(timer));
            }
        }
    }

    /// Finds the next ones that are due, where none is known to be.
    #[inline(never)]
    fn look(&mut self, now: Timestamp) {
        let Timers { fresh, due, later, saved, leaving, depot, .. } = self;
        while due.is_empty() && (!fresh.is_empty() || later.reached() < last_at(now)) {
            let end = last_at(now).max(later.reached());
            let place = later.step(saved, end);
            later.reach(place, leaving, depot, |timer| due.push(timer));
            saved.reach(place, leaving, depot, |timer| due.push(timer));
            for timer in fresh.drain(..) {
                if timer.order() > place { later.set(timer, depot) } else { due.push(timer) }
            }
        }
        due.sort_unstable_by_key(|timer| Reverse(timer.full_order()));
    }
}

/// A timer's place in the order of all: its time, then its key's hash. One number is compared
/// without a branch for each of them.
type Order = i128;

#[inline(always)]
fn place(at: Timestamp, hash: u64) -> Order {
    Order::from(at.micros()) << u64::BITS | Order::from(hash)
}

/// The last place of a time.
#[inline(always)]
fn last_at(at: Timestamp) -> Order {
    place(at, u64::MAX)
}

/// The time of a place.
fn at(place: Order) -> Timestamp {
    Timestamp::from_micros((place >> u64::BITS) as i64)
}

impl<K> Timer<K> {
    #[inline(always)]
    fn order(&self) -> Order {
        place(self.at, self.hash)
    }

    #[inline(always)]
    fn full_order(&self) -> (Order, u64) {
        (self.order(), self.life)
    }
}

/// A timer in the order of a heap that gives the greatest first.
#[derive(Clone, Debug)]
struct Queued<K>(Timer<K>);

impl<K> Ord for Queued<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.full_order().cmp(&self.0.full_order())
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
