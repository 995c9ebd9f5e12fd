//! Extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979): the first bits of a hash name a
//! page, and a page that is full splits in two, so that nothing is ever rehashed at once.
//!
//! Each entry of the directory holds a page's address and, in the lowest bits, what a table goes
//! by: a *mark*, which is the directory's own one if the page has been saved since the last
//! barrier; whether the page has *rested*, which is unchanged, since it was saved; and whether it
//! is *aside*: packed, or not used since it was looked at.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::packed::Packing;
use super::page::{Page, Slot};
use crate::key;
use crate::state::held::Codec;
use crate::state::memory::{Backend, Memory};

/// The bits of a hash that key groups go by, and those above them, come last: here the ones below
/// count.
const SKIP: u32 = 24;
/// No directory has more bits.
const BITS_MAX: u32 = 28;
/// A directory may have so many entries for each page: more only where keys were made to collide.
const ENTRIES_PER_PAGE: usize = 64;
/// So many pages are looked at when one is wanted: each call packs what two calls unpack.
const LOOKS: usize = 4;
/// A page whose entries take so many bytes is not packed as it is, unless it has only one.
const HEAVY: usize = if cfg!(test) { 1 << 10 } else { 16 << 10 };

/// Where the pages of the hashes are.
pub struct Directory<K, V> {
    /// Pages' addresses with marks; none, or a power of two of at least two.
    entries: Vec<*mut u8>,
    /// The mark of pages that have been saved since the last barrier: 0, or `MARK`.
    mark: usize,
    /// Bits of the hash that are no part of the prefix, of 64.
    shift: u32,
    bits_max: u32,
    pages: usize,
    memory: Memory,
    /// Of tables whose pages are packed. Who only reads unpacks what is packed, too.
    packing: Option<Box<RefCell<Packing<K, V>>>>,
    owns: PhantomData<(K, V)>,
}

const MARK: usize = 1;
const RESTED: usize = 2;
const ASIDE: usize = 4;
const ALL: usize = MARK | RESTED | ASIDE;

/// A page of a directory.
#[derive(Clone, Copy)]
pub struct At {
    /// The address; with `MARK` if it has not been saved since the last barrier, `RESTED`, `ASIDE`.
    page: *mut u8,
}

impl At {
    /// Whether it may be changed: it has been saved since the last barrier, is known to have
    /// changed since then, and is not aside.
    #[inline(always)]
    pub fn is_open(self) -> bool {
        self.page.addr() & ALL == 0
    }

    /// Whether it has been saved since the last barrier.
    pub fn is_saved(self) -> bool {
        self.page.addr() & MARK == 0
    }

    /// Whether it has not changed since it was saved.
    pub fn has_rested(self) -> bool {
        self.page.addr() & RESTED != 0
    }
}

// SAFETY: pages and blocks are the directory's own, and hold keys and values that may be sent.
unsafe impl<K: Send, V: Send> Send for Directory<K, V> {}

/// Hashes that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first bits, those after `bits` being 0.
    pub first: u64,
    /// How many bits.
    pub bits: u32,
}

impl Prefix {
    /// All hashes.
    pub const ALL: Prefix = Prefix { first: 0, bits: 0 };

    /// As it was kept in a file, whatever that holds.
    pub fn kept(first: u64, bits: u32) -> Prefix {
        Prefix { first, bits: bits.min(u64::BITS) }
    }

    pub(super) fn of(hash: u64, bits: u32) -> Prefix {
        let first = if bits == 0 { 0 } else { hash << SKIP >> (64 - bits) << (64 - bits) };
        Prefix { first, bits }
    }

    /// Whether a hash begins so.
    pub fn holds(self, hash: u64) -> bool {
        Prefix::of(hash, self.bits) == self
    }

    /// Those that follow in order; none behind the last ones.
    pub fn next(self) -> Option<u64> {
        if self.bits == 0 {
            return None;
        }
        self.first.checked_add(1 << (64 - self.bits))
    }

    /// The first hash of those that begin with these bits.
    pub fn hash_at(first: u64) -> u64 {
        first >> SKIP
    }
}

impl<K, V> Directory<K, V> {
    /// Without a page. With a codec, pages on disk that hold text or lists are packed.
    pub fn new(backend: Backend, codec: Option<Codec<K, V>>) -> Self {
        let packing = match (&backend, codec) {
            (Backend::Disk(scratch), Some(codec))
                if std::mem::needs_drop::<(K, V)>() && align_of::<(K, V)>() >= 8 =>
            {
                Some(Packing::new(codec, scratch.clone()))
            }
            _ => None,
        };
        Self::empty(Memory::of(backend), packing)
    }

    fn empty(memory: Memory, packing: Option<Packing<K, V>>) -> Self {
        let (entries, bits_max, owns) = (Vec::new(), BITS_MAX, PhantomData);
        let packing = packing.map(|packing| Box::new(RefCell::new(packing)));
        Directory { entries, mark: 0, shift: 63, bits_max, pages: 0, memory, packing, owns }
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Lets it have no more bits than this.
    #[cfg(test)]
    pub fn limit(&mut self, bits: u32) {
        self.bits_max = bits;
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        (hash << SKIP >> self.shift) as usize
    }

    fn bits(&self) -> u32 {
        64 - self.shift
    }

    #[inline(always)]
    fn open<'a>(entry: *mut u8) -> Page<'a, K, V> {
        let at = entry.map_addr(|address| address & !ALL);
        // SAFETY: 1. `add` takes the memory of every page from `memory`, which gives as much,
        // aligned, zero and never twice. 2. what this is called for borrows the directory, shared
        // for those that only read and alone for all others.
        unsafe { Page::at(NonNull::new_unchecked(at)) }
    }

    /// The page there, to be read.
    #[inline(always)]
    pub fn look(&self, At { page }: At) -> Page<'_, K, V> {
        Self::open(page)
    }

    /// The page there, which may be changed.
    #[inline(always)]
    fn opened<'a>(at: At) -> Page<'a, K, V> {
        debug_assert!(at.is_open());
        // SAFETY: as for `open`; what is open has no marks, so this is the address.
        unsafe { Page::at(NonNull::new_unchecked(at.page)) }
    }

    /// The key and value that have this hash and for which `is` holds.
    #[inline(always)]
    pub fn get(&self, hash: u64, is: impl FnMut(&K) -> bool) -> Option<&(K, V)> {
        let entry = *self.entries.get(self.place(hash))?;
        let page = if entry.addr() & ASIDE == 0 { Self::open(entry) } else { self.unpacked(entry) };
        page.find(hash, is).map(|slot| page.get(slot))
    }

    /// Where the page of a hash is.
    #[inline(always)]
    pub fn at(&self, hash: u64) -> Option<At> {
        let entry = self.entries.get(self.place(hash))?;
        Some(At { page: entry.map_addr(|address| address ^ self.mark) })
    }

    /// The page there, which is one of this directory.
    #[inline(always)]
    pub fn page(&mut self, At { page }: At) -> Page<'_, K, V> {
        Self::open(page)
    }

    /// Where on a page that may be changed the entry is that has this hash and for which `is`
    /// holds; it is marked as changed.
    #[inline(always)]
    pub fn find(&mut self, at: At, hash: u64, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        Self::opened(at).find_to_change(hash, is)
    }

    /// The entry that was [found](Self::find) there.
    #[inline(always)]
    pub fn found(&mut self, at: At, slot: Slot) -> &mut (K, V) {
        Self::opened(at).get_mut(slot)
    }

    /// Takes a key and its value out.
    pub fn take(&mut self, hash: u64, is: impl FnMut(&K) -> bool) -> Option<(K, V)> {
        let mut page = self.page(self.at(hash)?);
        page.find(hash, is).map(|slot| page.take(slot))
    }

    /// What the hashes of the page of a hash have in common.
    pub fn prefix(&self, hash: u64) -> Prefix {
        let bits = self.entries.get(self.place(hash)).map_or(0, |entry| Self::open(*entry).depth());
        Prefix::of(hash, bits)
    }

    /// From here on no page has been saved.
    pub fn barrier(&mut self) {
        self.mark ^= MARK;
    }

    /// The page of a hash has been saved, and rests from now on.
    pub fn rests(&mut self, hash: u64) {
        self.set_marks(hash, ASIDE, self.mark | RESTED);
    }

    /// The page of a hash, which is not packed, has been saved and is about to change.
    pub fn opens(&mut self, hash: u64) {
        self.set_marks(hash, 0, self.mark);
    }

    /// Of the marks of a page, keeps some and sets some.
    fn set_marks(&mut self, hash: u64, keep: usize, set: usize) {
        let range = self.range(self.prefix(hash));
        for entry in &mut self.entries[range] {
            *entry = entry.map_addr(|address| (address & (!ALL | keep)) | set);
        }
    }

    /// Where in the directory the hashes of a prefix are.
    fn range(&self, prefix: Prefix) -> std::ops::Range<usize> {
        let first = (prefix.first >> self.shift) as usize;
        first..first + (1 << (self.bits() - prefix.bits))
    }

    /// All keys and values; no page is packed then.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.distinct().flat_map(|entry| {
            let page = self.unpacked(entry);
            page.slots().map(move |slot| page.get(slot))
        })
    }

    /// Shows all keys and values; pages that are packed stay so.
    pub fn try_for_each<E>(&self, mut show: impl FnMut(&(K, V)) -> Result<(), E>) -> Result<(), E> {
        self.distinct().try_for_each(|entry| {
            let page = Self::open(entry);
            match &self.packing {
                Some(packing) if page.is_packed() => {
                    // SAFETY: as for `unpacked`.
                    let copies = unsafe { packing.borrow().take(page.area(), page.len()) };
                    copies.0.iter().try_for_each(&mut show)
                }
                _ => page.slots().try_for_each(|slot| show(page.get(slot))),
            }
        })
    }

    /// Takes all keys and values out; no page is left.
    pub fn drain(&mut self, backend: Backend) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let packing = self.packing.as_ref().map(|packing| packing.borrow().again());
        let gone = std::mem::replace(self, Directory::empty(Memory::of(backend), packing));
        let entries: Vec<*mut u8> = gone.distinct().collect();
        entries.into_iter().flat_map(move |entry| {
            // What the pages lie in goes with the closure.
            gone.unpacked(entry).empty().into_iter().map(|(entry, _)| entry)
        })
    }

    /// Drops all keys and values and keeps the pages.
    pub fn reset(&mut self) {
        let pages: Vec<*mut u8> = self.distinct().collect();
        for entry in pages {
            let mut page = Self::open(entry);
            if let Some(packing) = self.packing.as_mut().filter(|_| page.is_packed()) {
                // SAFETY: as for `unpacked`.
                unsafe { packing.get_mut().free(page.area()) };
                packing.get_mut().is_loose(page.address());
            }
            page.set_weight(0);
            page.reset();
        }
        if let Some(packing) = &mut self.packing {
            packing.get_mut().holds_nothing();
        }
    }

    /// The page of an entry, which is unpacked if it is packed.
    fn unpacked(&self, entry: *mut u8) -> Page<'_, K, V> {
        let mut page = Self::open(entry);
        if page.is_packed()
            && let Some(packing) = &self.packing
        {
            let mut packing = packing.borrow_mut();
            // SAFETY: what is packed was put there by `relieve`.
            let (entries, bytes) = unsafe { packing.take(page.area(), page.len()) };
            // SAFETY: likewise.
            unsafe { packing.free(page.area()) };
            page.unpack(entries);
            packing.is_loose(page.address());
            Self::takes(&mut packing, &mut page, bytes);
        }
        page
    }

    /// Unpacks the page of a hash, if it is packed.
    pub fn unpack(&mut self, hash: u64) {
        if let Some(entry) = self.entries.get(self.place(hash)) {
            self.unpacked(*entry);
        }
    }

    /// The entries of a page were found to take so many bytes, encoded.
    fn takes(packing: &mut Packing<K, V>, page: &mut Page<'_, K, V>, bytes: usize) {
        let before = page.weight();
        page.set_weight(bytes);
        packing.takes(page.weight(), before);
    }

    /// How many pages are not packed.
    #[cfg(test)]
    pub fn loose(&self) -> usize {
        self.packing.as_ref().map_or(self.pages, |packing| packing.borrow().loose())
    }

    /// What the entries of all pages that are not packed take.
    #[cfg(test)]
    pub fn loose_bytes(&self) -> usize {
        let pages = self.distinct().map(Self::open).filter(|page| !page.is_packed());
        let packing = self.packing.as_ref().map(|packing| packing.borrow());
        let weigh = |page: Page<'_, K, V>| {
            packing.as_ref().map_or(0, |own| own.weigh(page.slots().map(|slot| page.get(slot))))
        };
        pages.map(weigh).sum()
    }

    /// Bytes of memory for pages and blocks.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Looks at one page, so that values which grow are known.
    pub fn weigh(&mut self) {
        let Some(packing) = &mut self.packing else { return };
        let packing = packing.get_mut();
        let Some(address) = packing.first() else { return };
        let mut page = Self::open(address.as_ptr());
        let bytes = packing.weigh(page.slots().map(|slot| page.get(slot)));
        Self::takes(packing, &mut page, bytes);
        packing.pass();
    }

    /// The entry of each page.
    fn distinct(&self) -> impl Iterator<Item = *mut u8> {
        let mut last = 0;
        self.entries.iter().copied().filter(move |entry| {
            let address = entry.addr() & !ALL;
            std::mem::replace(&mut last, address) != address
        })
    }

    /// Begins with pages for so many bits of a hash.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn begin(&mut self, bits: u32) -> std::io::Result<()> {
        debug_assert!(self.entries.is_empty());
        let bits = bits.min(self.bits_max);
        let pages = (0..1_usize << bits).map(|_| self.add()).collect::<Result<Vec<_>, _>>()?;
        for (first, page) in (0_u64..).zip(&pages) {
            let mut page = Self::open(*page);
            page.set_depth(bits);
            page.set_hash(Prefix::hash_at(first.checked_shl(u64::BITS - bits).unwrap_or(0)));
        }
        // At least one bit is looked at.
        let each = if bits == 0 { 2 } else { 1 };
        self.entries = pages.into_iter().flat_map(|page| (0..each).map(move |_| page)).collect();
        self.shift = 64 - bits.max(1);
        Ok(())
    }

    /// A page that may be changed.
    fn add(&mut self) -> std::io::Result<*mut u8> {
        let page = self.memory.take(Page::<K, V>::BYTES)?;
        self.pages += 1;
        if let Some(packing) = &mut self.packing {
            packing.get_mut().is_loose(page);
        }
        Ok(page.as_ptr().map_addr(|address| address | self.mark))
    }

    /// Whether the page of a hash may be split: not when far too many hashes begin alike.
    pub fn can_split(&self, hash: u64) -> bool {
        self.prefix(hash).bits < self.bits()
            || (self.bits() < self.bits_max
                && self.entries.len() < ENTRIES_PER_PAGE * (self.pages + ENTRIES_PER_PAGE))
    }
}

impl<K: crate::record::Key, V> Directory<K, V> {
    /// Makes room in the page of a hash, which may be changed: by splitting it, or by putting its
    /// entries anew when most of what is used is of entries that were taken out.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn make_room(&mut self, at: At, hash: u64) -> std::io::Result<()> {
        if self.page(at).len() <= Page::<K, V>::FULL / 2 {
            self.deal(at, None);
            return Ok(());
        }
        self.split(at, hash)
    }

    /// Splits the page of a hash in two, both with its marks.
    fn split(&mut self, at: At, hash: u64) -> std::io::Result<()> {
        let Prefix { bits, .. } = self.prefix(hash);
        let marks = self.entries[self.place(hash)].addr() & ALL;
        let other = self.add()?.map_addr(|address| (address & !ALL) | marks);
        if bits == self.bits() {
            self.entries = self.entries.iter().flat_map(|page| [*page; 2]).collect();
            self.shift -= 1;
        }
        let half = Prefix::of(hash, bits + 1).first | 1 << (63 - bits);
        let range = self.range(Prefix { first: half, bits: bits + 1 });
        Self::open(other).set_hash(Prefix::hash_at(half));
        self.deal(at, Some((other, bits)));
        self.entries[range].fill(other);
        Ok(())
    }

    /// Packs pages that were not used for a while, if those that are not packed hold too much. One
    /// that is heavy is split instead: it would be packed and unpacked as a whole for each of its
    /// entries.
    pub fn relieve(&mut self) {
        if self.packing.as_mut().is_some_and(|packing| packing.get_mut().is_due()) {
            self.weigh();
        }
        for _ in 0..LOOKS {
            let Some(packing) = &mut self.packing else { return };
            let packing = packing.get_mut();
            let Some(address) = packing.next() else { return };
            let mut page = Self::open(address.as_ptr());
            let hash = page.hash();
            let entry = self.entries[(hash << SKIP >> self.shift) as usize];
            if entry.addr() & ASIDE == 0 {
                packing.pass();
                self.set_marks(hash, ALL, ASIDE);
                continue;
            }
            let words = packing.encode(page.weight(), page.slots().map(|slot| page.get(slot)));
            if words.len() * 8 > HEAVY && page.len() > 1 && self.can_split(hash) {
                // Where there is no memory it is packed as it is.
                if self.split(At { page: entry }, hash).is_ok() {
                    continue;
                }
            }
            let Some(packing) = &mut self.packing else { return };
            let packing = packing.get_mut();
            if packing.reserve(&words, page.area().len(), &mut self.memory).is_err() {
                // The next page that the table needs will say so.
                return packing.pass();
            }
            packing.is_packed();
            Self::takes(packing, &mut page, 0);
            let entries = page.pack();
            // SAFETY: 1. the slots are of at least 32 entries with something allocated, aligned to
            // 8; they hold nothing. 2. the page and the blocks are of `self.memory`.
            unsafe { packing.put(&words, page.area()) };
            // Only now, when all is in order: to drop what users made may panic.
            drop(entries);
        }
    }

    /// Puts the entries of a page anew: those whose bit number `bits` is set into the other one.
    fn deal(&mut self, at: At, split: Option<(*mut u8, u32)>) {
        let mut page = Self::open(at.page);
        let (lost, all) = (page.has_lost(), page.empty());
        let mut other = split.map(|(other, bits)| (Self::open(other), bits));
        if let Some((other, bits)) = &mut other {
            page.set_depth(*bits + 1);
            other.set_depth(*bits + 1);
            other.set_lost(lost);
            if let Some(packing) = &mut self.packing {
                let half = page.weight() / 2;
                Self::takes(packing.get_mut(), &mut page, half);
                Self::takes(packing.get_mut(), other, half);
            }
        }
        for (entry, changed) in all {
            let hash = key::hash(&entry.0);
            match &mut other {
                Some((other, bits)) if hash << SKIP << *bits >> 63 == 1 => {
                    other.put(hash, entry, changed);
                }
                _ => {
                    page.put(hash, entry, changed);
                }
            }
        }
    }
}

impl<K, V> Drop for Directory<K, V> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<(K, V)>() {
            let pages: Vec<*mut u8> = self.distinct().collect();
            pages.into_iter().map(Self::open).filter(|page| !page.is_packed()).for_each(
                |mut page| {
                    drop(page.empty());
                },
            );
        }
    }
}
