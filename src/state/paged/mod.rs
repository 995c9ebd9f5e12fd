//! Keyed tables that a checkpoint saves while they are used, and only what has changed.

mod ahead;
mod beside;
mod copies;
mod directory;
mod group;
#[cfg(test)]
mod heavy_tests;
mod packed;
mod page;
mod save;
#[cfg(test)]
mod tests;

pub use directory::Prefix;
pub use save::Change;

use std::convert::Infallible;

use beside::Beside;
use copies::Copies;
use directory::{At, Directory};
use page::Page;
use save::Save;

use super::held::Codec;
use super::{Backend, Held, no_memory};
use crate::key;
use crate::record::Key;

/// A value for each key: for state that lives long and grows large. While entries are few, and have
/// no memory of their own, they are in one hash map, otherwise on pages of memory.
///
/// It does what [`Table`](super::Table) does, and besides it can be saved without a stop.
/// [`begin_save`](Self::begin_save) takes no time; [`save_some`](Self::save_some) then shows the
/// entries as they were at that moment, a few pages at a time, while the table goes on changing: a
/// page that is about to be changed is copied before, if it has not been shown yet. Unless all
/// is asked for, only what has changed since the save before is shown; all of few entries.
///
/// Pages do not go away when entries do: a table takes the memory of the most entries that it had.
/// Only when all are taken out at once, by [`drain`](Self::drain), it begins anew.
///
/// ```
/// use thalweg::key::hash;
/// use thalweg::state::{Change, PagedTable};
///
/// let mut words: PagedTable<String, u64> = PagedTable::default();
/// let add = |words: &mut PagedTable<String, u64>, word: &str| {
///     *words.entry(hash(word), |key| key == word, || (word.to_owned(), 0)) += 1;
/// };
/// ["a", "b", "a"].map(|word| add(&mut words, word));
/// words.begin_save(true);
/// add(&mut words, "b");
/// let mut saved = Vec::new();
/// while !words.save_some(1, |change| match change {
///     Change::Put(word, count) => saved.push((word.clone(), *count)),
///     Change::Cleared(_) => {}
/// }) {}
/// saved.sort();
/// assert_eq!(saved, [("a".into(), 2), ("b".into(), 1)]);
/// assert_eq!(words.get(hash("b"), |key| key == "b"), Some(&2));
/// ```
pub struct PagedTable<K, V> {
    pages: Directory<K, V>,
    /// All entries, while there are no pages; or those that found no room: their hashes begin like
    /// those of too many others.
    beside: Beside<K, V>,
    /// Whether it is small, and all may be changed: it is known that something has changed, and
    /// nothing is still to be shown as it is.
    open: bool,
    /// The only entry when the type of the key has only one value.
    single: Option<(K, V)>,
    len: usize,
    backend: Backend,
    /// Whether anything has changed since the save before.
    changed: bool,
    /// Whether all that there was has gone since the save before; or anything, of a table without
    /// pages, whose save shows all that is left.
    lost: bool,
    save: Option<Save>,
    /// Copies of what has changed before it was shown.
    copied: Copies<K, V>,
}

impl<K, V> Default for PagedTable<K, V> {
    fn default() -> Self {
        PagedTable::with(Backend::Memory, None)
    }
}

impl<K: Key, V: Held> PagedTable<K, V> {
    /// An empty table; takes no memory until the first entry. On disk, text and lists that are not
    /// in use are there, too.
    pub fn of(backend: Backend) -> Self {
        PagedTable::with(backend, Some(Codec::OWN))
    }
}

impl<K, V> PagedTable<K, V> {
    fn with(backend: Backend, codec: Option<Codec<K, V>>) -> Self {
        PagedTable {
            pages: Directory::new(backend.clone(), codec),
            beside: Beside::of(&backend),
            open: false,
            single: None,
            len: 0,
            backend,
            changed: false,
            lost: false,
            save: None,
            copied: Copies::default(),
        }
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes its entries take, and the room for more, without what they point to.
    pub fn bytes(&self) -> usize {
        let single = size_of_val(&self.single) * usize::from(self.single.is_some());
        self.pages.pages() * Page::<K, V>::BYTES + self.beside.bytes() + single
    }

    /// All keys and values, in no particular order. Text and lists that are on disk come into
    /// memory, all of them: to look at one entry after the other, see [`for_each`](Self::for_each).
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let all = self.pages.iter().chain(self.beside.iter()).chain(&self.single);
        all.map(|(key, value)| (key, value))
    }

    /// Shows all keys and values, in no particular order; text and lists that are on disk stay
    /// there.
    ///
    /// # Errors
    /// What `show` fails with, which ends it.
    pub fn try_for_each<E>(&self, mut show: impl FnMut(&K, &V) -> Result<(), E>) -> Result<(), E> {
        self.pages.try_for_each(|(key, value)| show(key, value))?;
        self.beside.iter().chain(&self.single).try_for_each(|(key, value)| show(key, value))
    }

    /// As [`try_for_each`](Self::try_for_each), where nothing fails.
    pub fn for_each(&self, mut show: impl FnMut(&K, &V)) {
        let Ok(()) = self.try_for_each(|key, value| {
            show(key, value);
            Ok::<(), Infallible>(())
        });
    }
}

impl<K: Key, V> PagedTable<K, V> {
    /// Looks after text and lists whose table is on disk: those that have grown too much and are
    /// not used go there. To be called now and then, as at a watermark; most calls do it anyway.
    pub fn tend(&mut self) {
        self.pages.weigh();
        self.relieve();
    }

    /// What those calls do that put entries: for loops of calls that only read.
    pub(crate) fn relieve(&mut self) {
        self.pages.relieve();
    }
}

impl<K: Key, V: Clone> PagedTable<K, V> {
    /// Whether there are no pages, and all entries are in the map beside them.
    #[inline(always)]
    fn is_small(&self) -> bool {
        !K::SINGLE && self.pages.pages() == 0
    }

    /// The value of the key that has this hash and for which `is` holds.
    #[inline(always)]
    pub fn get(&self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&V> {
        if K::SINGLE {
            return self.single.as_ref().map(|(_, value)| value);
        }
        if self.is_small() {
            return self.beside.find(hash, is).map(|(_, value)| value);
        }
        let found = self.pages.get(hash, &mut is).map(|(_, value)| value);
        if found.is_none() && !self.beside.is_empty() {
            return self.beside.find(hash, is).map(|(_, value)| value);
        }
        found
    }

    /// The value to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&mut V> {
        if K::SINGLE {
            return self.single.as_mut().map(|(_, value)| value);
        }
        match self.at_hand(hash, &mut is) {
            Ok((_, value)) => Some(value),
            Err(table) => table.find(hash, is).map(|(_, value)| value),
        }
    }

    /// The entry to be changed.
    #[inline(never)]
    fn find(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&mut (K, V)> {
        if self.is_small() {
            if !self.open && self.beside.find(hash, &mut is).is_some() {
                self.open_small();
            }
            return self.beside.find_mut(hash, is);
        }
        let at = self.open(hash)?;
        match self.pages.find(at, hash, &mut is) {
            Some(slot) => Some(self.pages.found(at, slot)),
            None if self.beside.is_empty() => None,
            None => self.beside.find_mut(hash, is),
        }
    }

    /// The page of a hash, if there is one; it may be changed.
    #[inline(always)]
    fn open(&mut self, hash: u64) -> Option<At> {
        let at = self.pages.at(hash)?;
        if at.is_open() { Some(at) } else { self.make_open(hash) }
    }

    /// The value, which `make` makes together with the key when there is none.
    ///
    /// # Panics
    /// When the system gives no memory for a page.
    #[inline(always)]
    pub fn entry(
        &mut self,
        hash: u64,
        is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> &mut V {
        self.entry_pair(hash, is, make).1
    }

    /// The key as it is kept, and its value; `make` makes both when there is none.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    #[inline(always)]
    pub fn entry_pair(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> (&K, &mut V) {
        if K::SINGLE {
            self.len = 1;
            let (key, value) = self.single.get_or_insert_with(make);
            return (key, value);
        }
        let (key, value) = match self.at_hand(hash, &mut is) {
            Ok(entry) => entry,
            Err(table) => table.entry_not_at_hand(hash, is, make),
        };
        (key, value)
    }

    /// The entry of a key of a table that has pages, or that is not open, or that has none of it.
    #[inline(always)]
    fn entry_not_at_hand(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> &mut (K, V) {
        if let Some(at) = self.open(hash)
            && let Some(slot) = self.pages.find(at, hash, &mut is)
        {
            return self.pages.found(at, slot);
        }
        self.add(hash, is, make)
    }

    /// The entry of a key that is on no page.
    #[inline(never)]
    fn add(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> &mut (K, V) {
        let was_open = self.open;
        if self.is_small() && !was_open {
            self.open_small();
        }
        // In one that was open it would have been at hand.
        if !was_open && !self.beside.is_empty() && self.beside.find(hash, &mut is).is_some() {
            return self.beside.find_mut(hash, is).expect("it is there");
        }
        self.len += 1;
        if self.is_small() {
            if self.beside.may_hold(self.len) {
                return self.beside.insert(hash, make());
            }
            self.spread();
        }
        if !self.make_room(hash) {
            return self.beside.insert(hash, make());
        }
        self.changed = true;
        let mut page = self.pages.page(self.pages.at(hash).expect("it has room"));
        let slot = page.put(hash, make(), true);
        page.get_mut(slot)
    }

    /// Puts all entries of a small table on pages, where they are marked as changed.
    fn spread(&mut self) {
        let all = self.beside.drain();
        self.begin_pages(Self::bits(all.len()));
        for entry in all {
            let hash = key::hash(&entry.0);
            if self.make_room(hash) {
                self.pages.page(self.pages.at(hash).expect("it has room")).put(hash, entry, true);
            } else {
                self.beside.insert(hash, entry);
            }
        }
    }

    /// From now on entries are on pages.
    fn begin_pages(&mut self, bits: u32) {
        debug_assert!(self.is_small() && self.beside.is_empty());
        self.pages.begin(bits).unwrap_or_else(|cause| no_memory(&cause));
        self.open = false;
    }

    /// Bits of a hash that tell apart the pages of so many entries.
    fn bits(entries: usize) -> u32 {
        usize::BITS - (entries / (Page::<K, V>::SLOTS / 16 * 13)).leading_zeros()
    }

    /// Sees to it that the page of a hash may be changed and has room; false where it can't have.
    fn make_room(&mut self, hash: u64) -> bool {
        self.pages.relieve();
        while let Some(at) = self.open(hash) {
            let page = self.pages.page(at);
            if !page.is_full() {
                return true;
            }
            if page.len() > Page::<K, V>::FULL / 2 && !self.pages.can_split(hash) {
                break;
            }
            self.pages.make_room(at, hash).unwrap_or_else(|cause| no_memory(&cause));
        }
        false
    }

    /// Makes room for so many entries, if there is none yet: they come without a page being split,
    /// as a rule.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    pub fn reserve(&mut self, entries: usize) {
        if K::SINGLE || !self.is_small() {
            return;
        }
        if self.beside.may_hold(entries) {
            // Entries move, so what is to be shown of them is copied.
            if self.save.is_some() {
                self.open_small();
            }
            self.beside.reserve(entries.saturating_sub(self.len));
        } else if self.beside.is_empty() && Self::bits(entries) > 0 {
            self.begin_pages(Self::bits(entries));
        }
    }

    /// Puts the value of a key, instead of the one that it has.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    pub fn put(&mut self, hash: u64, key: K, value: V) {
        match self.get_mut(hash, |other| *other == key) {
            Some(kept) => *kept = value,
            None => self.insert_new(hash, key, value),
        }
    }

    /// Puts the value of a key that has none.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    pub fn insert_new(&mut self, hash: u64, key: K, value: V) {
        if K::SINGLE {
            (self.len, self.single) = (1, Some((key, value)));
        } else {
            self.add(hash, |_| false, || (key, value));
        }
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<(K, V)> {
        let taken = if K::SINGLE {
            self.lost |= self.single.is_some();
            self.single.take()
        } else if self.is_small() {
            if !self.open {
                self.find(hash, &mut is)?;
            }
            let taken = self.beside.remove(hash, is);
            self.lost |= taken.is_some();
            taken
        } else {
            self.open(hash);
            let taken = self.pages.take(hash, &mut is);
            taken.or_else(|| self.remove_beside(hash, is))
        };
        self.len -= usize::from(taken.is_some());
        taken
    }

    /// Gives `act` the value of a key that has one; key and value are taken out when it says that
    /// they do not stay. One lookup instead of two.
    #[inline(always)]
    pub fn change(
        &mut self,
        hash: u64,
        is: impl FnMut(&K) -> bool,
        act: impl FnOnce(&mut V) -> bool,
    ) {
        if self.open {
            let gone = self.beside.change(hash, is, act);
            self.len -= usize::from(gone.is_some());
            self.lost |= gone.is_some();
        } else {
            self.change_not_at_hand(hash, is, act);
        }
    }

    /// As [`change`](Self::change), for a table that has pages or is not open.
    #[inline(never)]
    fn change_not_at_hand(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        act: impl FnOnce(&mut V) -> bool,
    ) {
        let at = if K::SINGLE { None } else { self.open(hash) };
        let slot = at.and_then(|at| Some((at, self.pages.find(at, hash, &mut is)?)));
        if let Some((at, slot)) = slot {
            if !act(&mut self.pages.found(at, slot).1) {
                drop(self.pages.page(at).take(slot));
                self.len -= 1;
            }
        } else if let Some(value) = self.get_mut(hash, &mut is)
            && !act(value)
        {
            self.remove(hash, is);
        }
    }

    /// Takes an entry out that is beside the pages.
    fn remove_beside(&mut self, hash: u64, is: impl FnMut(&K) -> bool) -> Option<(K, V)> {
        let taken = self.beside.remove(hash, is)?;
        // Saved with its page, whose hashes begin as this one does.
        if let Some(at) = self.pages.at(hash) {
            self.pages.page(at).set_lost(true);
        }
        Some(taken)
    }
}
