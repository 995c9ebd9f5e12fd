//! Timers in no order, many of them on disk.
#![allow(unsafe_code)]

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
        Block { room: room.unwrap_or_else(|cause| no_memory(&cause)), used: 0, timers: 0 }
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
}

impl<K> Default for Pile<K> {
    fn default() -> Self {
        Pile { few: Vec::new(), blocks: Vec::new(), away: 0, least_away: Order::MAX }
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
        if self.blocks.last().is_none_or(|block| block.room.len() - block.used < bytes) {
            self.blocks.push(depot.block(bytes));
        }
        if let Some(Block { room, used, timers }) = self.blocks.last_mut() {
            let (to, _) = room[*used..*used + bytes].as_chunks_mut::<8>();
            to.iter_mut().zip(&words).for_each(|(to, word)| *to = word.to_ne_bytes());
            (*used, *timers) = (*used + bytes, *timers + self.few.len());
        }
        self.away += self.few.len();
        self.few.clear();
        words.clear();
        depot.words = words;
    }

    /// Takes all out, a block at a time, and keeps the memory.
    pub fn drain(
        &mut self,
        depot: &mut Option<Depot<K>>,
        mut show: impl FnMut(Timer<K>, &mut Option<Depot<K>>),
    ) {
        (self.away, self.least_away) = (0, Order::MAX);
        for block in self.blocks.drain(..) {
            let Some(from) = depot else { break };
            let timers = from.read(&block);
            from.give_back(block);
            timers.for_each(|timer| show(timer, depot));
        }
        self.few.drain(..).for_each(|timer| show(timer, depot));
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

    /// Takes all of another one.
    pub fn append(&mut self, other: &mut Self, depot: &mut Option<Depot<K>>) {
        self.few.append(&mut other.few);
        self.blocks.append(&mut other.blocks);
        self.away += std::mem::take(&mut other.away);
        let its_least = std::mem::replace(&mut other.least_away, Order::MAX);
        self.least_away = self.least_away.min(its_least);
        if let Some(depot) = depot {
            self.put_away(depot);
        }
    }

    pub fn retain(
        &mut self,
        depot: &mut Option<Depot<K>>,
        mut stays: impl FnMut(&Timer<K>) -> bool,
    ) {
        if self.blocks.is_empty() {
            self.few.retain(stays);
            return;
        }
        let mut all = std::mem::take(self);
        all.drain(depot, |timer, depot| {
            if stays(&timer) {
                self.push(timer, depot);
            }
        });
    }
}

impl<K: Clone> Pile<K> {
    /// Takes copies of all of another one.
    pub fn copy(&mut self, other: &Self, depot: &mut Option<Depot<K>>) {
        for block in &other.blocks {
            let Some(depot) = depot else { break };
            let mut copy = depot.block(block.used);
            copy.room[..block.used].copy_from_slice(&block.room[..block.used]);
            (copy.used, copy.timers) = (block.used, block.timers);
            self.blocks.push(copy);
        }
        self.away += other.away;
        self.least_away = self.least_away.min(other.least_away);
        other.few.iter().for_each(|timer| self.push(timer.clone(), depot));
    }
}
