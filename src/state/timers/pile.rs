//! Timers in no order, many of them on disk, which can be saved where they lie.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use super::{Order, Timer};
use crate::record::Key;
use crate::state::held::Codec;
use crate::state::memory::{Room, Scratch};
use crate::state::no_memory;
use crate::time::Timestamp;

/// What is encoded of a timer besides its key: when, the hash, and the key's life.
type Rest = (Timestamp, u64, u64);

/// Where piles put the timers that they do not keep in memory.
pub(super) struct Depot<K> {
    scratch: Arc<Scratch>,
    codec: Codec<K, Rest>,
    /// Blocks that hold nothing.
    free: Vec<Room>,
    /// For encodings on their way.
    words: Vec<u64>,
}

/// Timers of a pile that are in memory at most.
const FEW: usize = if cfg!(test) { 8 } else { 1024 };
/// Bytes of a block that holds the others' encodings; more where those of so few take more.
const BLOCK: usize = if cfg!(test) { 4 << 10 } else { 256 << 10 };

impl<K: Key> Depot<K> {
    pub fn of(scratch: Arc<Scratch>) -> Self {
        let (free, words) = (Vec::new(), Vec::new());
        Depot { scratch, codec: Codec::OWN, free, words }
    }
}

impl<K> Depot<K> {
    /// A block of no timers with room for so many bytes.
    fn block(&mut self, bytes: usize) -> Block {
        let usual = if bytes <= BLOCK { self.free.pop() } else { None };
        let room = usual.map_or_else(|| self.scratch.room(bytes.max(BLOCK)), Ok);
        let room = room.unwrap_or_else(|cause| no_memory(&cause));
        Block { room, used: 0, timers: 0, unshown: false }
    }

    /// The timers of a block.
    fn read(&self, block: &Block) -> impl Iterator<Item = Timer<K>> + use<K> {
        let words = block.room[..block.used].as_chunks::<8>().0.iter();
        let words: Vec<u64> = words.map(|word| u64::from_ne_bytes(*word)).collect();
        // SAFETY: `Pile::put_away` wrote what the codec made of so many timers.
        let timers = unsafe { (self.codec.take)(&words, block.timers) };
        timers.into_iter().map(|(key, (at, hash, life))| Timer { at, hash, life, key })
    }

    #[cfg(test)]
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// A block that nobody reads again.
    fn give_back(&mut self, block: Block) {
        if block.room.len() == BLOCK {
            self.free.push(block.room);
        }
    }
}

/// Encodings of timers, one after the other.
struct Block {
    room: Room,
    /// Bytes.
    used: usize,
    timers: usize,
    /// Whether a save that has begun is still to show them.
    unshown: bool,
}

/// Timers in no order. Without a depot all of them are in memory; with one, which must always be
/// the same, only the last few.
pub(super) struct Pile<K> {
    few: Vec<Timer<K>>,
    blocks: Vec<Block>,
    /// How many are in blocks.
    away: usize,
    /// None in a block is before it.
    least_away: Order,
    /// Which of those in memory a save that has begun is still to show.
    unshown: Range<usize>,
}

impl<K> Default for Pile<K> {
    fn default() -> Self {
        let (few, blocks) = (Vec::new(), Vec::new());
        Pile { few, blocks, away: 0, least_away: Order::MAX, unshown: 0..0 }
    }
}

impl<K> Pile<K> {
    pub fn len(&self) -> usize {
        self.few.len() + self.away
    }

    #[cfg(test)]
    pub fn in_memory(&self) -> usize {
        self.few.len()
    }

    /// No timer is before it; O(n) of those in memory.
    pub fn least(&self) -> Order {
        self.few.iter().map(Timer::order).min().unwrap_or(Order::MAX).min(self.least_away)
    }

    #[inline]
    pub fn push(&mut self, timer: Timer<K>, depot: &mut Option<Depot<K>>) {
        self.few.push(timer);
        if let Some(depot) = depot {
            self.put_away(depot);
        }
    }

    /// Puts the timers in memory into a block if there are too many of them.
    fn put_away(&mut self, depot: &mut Depot<K>) {
        if self.few.len() <= FEW {
            return;
        }
        self.least_away = self.least();
        let mut words = std::mem::take(&mut depot.words);
        for Timer { at, hash, life, key } in &self.few {
            (depot.codec.put)(key, &(*at, *hash, *life), &mut words);
        }
        let bytes = words.len() * 8;
        let has_room = |block: &Block| !block.unshown && block.room.len() - block.used >= bytes;
        if !self.blocks.last().is_some_and(has_room) {
            self.blocks.push(depot.block(bytes));
        }
        if let Some(Block { room, used, timers, .. }) = self.blocks.last_mut() {
            let (to, _) = room[*used..*used + bytes].as_chunks_mut::<8>();
            to.iter_mut().zip(&words).for_each(|(to, word)| *to = word.to_ne_bytes());
            (*used, *timers) = (*used + bytes, *timers + self.few.len());
        }
        self.away += self.few.len();
        self.few.clear();
        words.clear();
        depot.words = words;
    }

    /// Takes one out.
    pub fn pop(&mut self, depot: &mut Option<Depot<K>>) -> Option<Timer<K>> {
        if self.few.is_empty()
            && let (Some(depot), Some(block)) = (depot, self.blocks.pop())
        {
            self.few.extend(depot.read(&block));
            self.away -= block.timers;
            depot.give_back(block);
        }
        self.few.pop()
    }

    /// Takes all of another one. A save that has begun is to show all of that one, and all or
    /// nothing of this one.
    pub fn append(&mut self, other: &mut Self, depot: &mut Option<Depot<K>>) {
        // Few are moved to many.
        if other.few.len() > self.few.len() {
            std::mem::swap(&mut self.few, &mut other.few);
            std::mem::swap(&mut self.unshown, &mut other.unshown);
        }
        let (first, more) = (self.few.len(), other.few.len());
        if !std::mem::take(&mut other.unshown).is_empty() {
            let from = if self.unshown.is_empty() { first } else { 0 };
            self.unshown = from..first + more;
        }
        self.few.append(&mut other.few);
        self.blocks.append(&mut other.blocks);
        self.away += std::mem::take(&mut other.away);
        let its_least = std::mem::replace(&mut other.least_away, Order::MAX);
        self.least_away = self.least_away.min(its_least);
        if let Some(depot) = depot {
            self.put_away(depot);
        }
    }
}

impl<K: Clone> Pile<K> {
    /// Takes all out, a block at a time, and keeps the memory. What a save is still to show goes to
    /// `leaving`, too.
    pub fn drain(
        &mut self,
        leaving: &mut Pile<K>,
        depot: &mut Option<Depot<K>>,
        mut show: impl FnMut(Timer<K>, &mut Option<Depot<K>>),
    ) {
        (self.away, self.least_away) = (0, Order::MAX);
        for block in self.blocks.drain(..) {
            let Some(from) = depot else { break };
            let timers = from.read(&block);
            if block.unshown {
                leaving.away += block.timers;
                leaving.blocks.push(block);
            } else {
                from.give_back(block);
            }
            timers.for_each(|timer| show(timer, depot));
        }
        for timer in &self.few[std::mem::take(&mut self.unshown)] {
            leaving.push(timer.clone(), depot);
        }
        self.few.drain(..).for_each(|timer| show(timer, depot));
    }

    /// Keeps some; not while a save is still to show any.
    pub fn retain(
        &mut self,
        depot: &mut Option<Depot<K>>,
        mut stays: impl FnMut(&Timer<K>) -> bool,
    ) {
        if self.blocks.is_empty() {
            self.few.retain(stays);
            return;
        }
        let (mut all, mut none) = (std::mem::take(self), Pile::default());
        all.drain(&mut none, depot, |timer, depot| {
            if stays(&timer) {
                self.push(timer, depot);
            }
        });
    }

    /// A save begins that is to show all there is now: where it lies, but for the few that may soon
    /// be put away, which go to `leaving`.
    pub fn begin_save(&mut self, leaving: &mut Pile<K>, depot: &mut Option<Depot<K>>) {
        self.blocks.iter_mut().for_each(|block| block.unshown = true);
        if depot.is_some() {
            self.few.iter().for_each(|timer| leaving.push(timer.clone(), depot));
        } else {
            self.unshown = 0..self.few.len();
        }
    }

    /// Shows some `timers` of those that a save is still to show, more where a block holds more;
    /// gives how many there were.
    pub fn save_some(
        &mut self,
        timers: usize,
        depot: &Option<Depot<K>>,
        mut show: impl FnMut(&Timer<K>),
    ) -> usize {
        let mut shown = 0;
        for block in self.blocks.iter_mut().filter(|block| block.unshown) {
            if shown >= timers {
                return shown;
            }
            if let Some(depot) = depot {
                depot.read(block).for_each(|timer| show(&timer));
            }
            (block.unshown, shown) = (false, shown + block.timers);
        }
        let Range { start, end } = self.unshown;
        let until = end.min(start + timers.saturating_sub(shown));
        self.few[start..until].iter().for_each(&mut show);
        self.unshown = if until < end { until..end } else { 0..0 };
        shown + (until - start)
    }
}
