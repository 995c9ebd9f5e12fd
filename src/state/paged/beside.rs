//! Entries that are on no page: all of a table while they are few and have no memory of their own,
//! in one hash map, which is faster than pages as long as it is in a cache, and is saved as a
//! whole; and those that found no room on their page.
#![allow(unsafe_code)]

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::AbsentEntry;

use super::PagedTable;
use crate::key;
use crate::record::Key;
use crate::state::{Backend, Scratch};

/// What so many bytes hold is few. Where a table takes more its entries go on pages, all at once,
/// and a save copies as much at once: both take a few milliseconds at most.
pub(super) const MOST: usize = if cfg!(test) { 1 << 15 } else { 4 << 20 };

/// The entries of a table that are on no page.
pub(super) struct Beside<K, V> {
    map: HashTable<(K, V)>,
    /// How many bytes they may take while there are no pages.
    most: usize,
    /// Of tables on disk: what is in memory all the same is counted there.
    scratch: Option<Arc<Scratch>>,
    /// What was counted.
    counted: usize,
}

impl<K, V> Beside<K, V> {
    pub fn of(backend: &Backend) -> Self {
        let (most, scratch) = match backend {
            // Nobody knows how much there would be to copy at once.
            _ if std::mem::needs_drop::<(K, V)>() => (0, None),
            Backend::Memory => (MOST, None),
            Backend::Disk(scratch) => (MOST, Some(scratch.clone())),
            Backend::Pages => (0, None),
        };
        Beside { map: HashTable::new(), most, scratch, counted: 0 }
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.map.allocation_size()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.map.iter()
    }

    /// Places where entries may be.
    pub fn places(&self) -> usize {
        self.map.num_buckets()
    }

    /// The entry at a place, if there is one.
    pub fn at(&self, place: usize) -> Option<&(K, V)> {
        self.map.get_bucket(place)
    }

    #[inline(always)]
    pub fn find(&self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&(K, V)> {
        self.map.find(hash, |(key, _)| is(key))
    }

    #[inline(always)]
    pub fn find_mut(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&mut (K, V)> {
        self.map.find_mut(hash, |(key, _)| is(key))
    }

    /// Gives `act` the value of a key that has one; key and value are taken out when it says that
    /// they do not stay.
    #[inline(always)]
    pub fn change(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        act: impl FnOnce(&mut V) -> bool,
    ) -> Option<(K, V)> {
        match self.map.find_entry(hash, |(key, _)| is(key)) {
            Ok(mut entry) => {
                let stays = act(&mut entry.get_mut().1);
                if stays { None } else { Some(entry.remove().0) }
            }
            Err(AbsentEntry { .. }) => None,
        }
    }

    pub fn remove(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<(K, V)> {
        Some(self.map.find_entry(hash, |(key, _)| is(key)).ok()?.remove().0)
    }

    pub fn retain(&mut self, mut stays: impl FnMut(&K) -> bool) {
        self.map.retain(|(key, _)| stays(key));
    }

    /// Drops all, and keeps the memory.
    pub fn reset(&mut self) {
        self.map.clear();
    }

    /// Takes all out.
    pub fn drain(&mut self) -> HashTable<(K, V)> {
        let all = std::mem::take(&mut self.map);
        self.count();
        all
    }

    /// Says what is in memory.
    fn count(&mut self) {
        if let Some(scratch) = &self.scratch {
            let now = self.bytes();
            scratch.small_takes(now, std::mem::replace(&mut self.counted, now));
        }
    }

    /// Whether so many entries may be here.
    pub fn may_hold(&self, entries: usize) -> bool {
        if entries <= self.map.capacity() {
            return true;
        }
        // What the map would take: seven eighths of its places are filled at most, and where many
        // that were removed stand in the way it grows with fewer entries in it.
        let full = self.map.num_buckets() / 8 * 7;
        if entries <= full / 2 {
            return true;
        }
        if entries > self.most {
            return false;
        }
        let places = (entries.max(full + 1) * 8).div_ceil(7).next_power_of_two().max(4);
        let bytes = places * (size_of::<(K, V)>() + 1);
        let scratch = self.scratch.as_ref();
        bytes <= self.most && scratch.is_none_or(|scratch| scratch.has_room(bytes, self.counted))
    }
}

impl<K: Key, V> Beside<K, V> {
    /// Puts an entry of a key that is not there.
    pub fn insert(&mut self, hash: u64, entry: (K, V)) -> &mut (K, V) {
        self.reserve(1);
        self.map.insert_unique(hash, entry, |(key, _)| key::hash(key)).into_mut()
    }

    /// Makes room for more entries.
    pub fn reserve(&mut self, more: usize) {
        if self.map.capacity() - self.map.len() < more {
            self.map.reserve(more, |(key, _)| key::hash(key));
            self.count();
        }
    }
}

impl<K, V> Drop for Beside<K, V> {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            scratch.small_takes(0, self.counted);
        }
    }
}

impl<K, V> PagedTable<K, V> {
    /// The entry of a key, if it is in a table of few that may be changed; or the table.
    #[inline(always)]
    pub(super) fn at_hand(
        &mut self,
        hash: u64,
        is: impl FnMut(&K) -> bool,
    ) -> Result<&mut (K, V), &mut Self> {
        if self.open
            && let Some(entry) = self.beside.find_mut(hash, is)
        {
            let entry: *mut (K, V) = entry;
            // SAFETY: the entry is borrowed as long as the table is, which is given away in the
            // other case only. (The compiler takes it as borrowed in both.)
            return Ok(unsafe { &mut *entry });
        }
        Err(self)
    }
}
