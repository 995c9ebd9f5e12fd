//! One page of a table: entries, and what is known of each slot.
//!
//! ```text
//! | entries: 2 | used: 2 | depth: 1 | removed: 1 | packed: 1 | weight: 1 | hash: 8 |
//! | tags: a byte a slot |
//! | slots of key and value |
//! ```
//!
//! A search looks at a [`Group`] of 16 tags at once and goes on with the next group only from one
//! that is full (as F14 does: Bronson and Shi, "Open-sourcing F14 for faster, more memory-efficient
//! hash tables", 2019).
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::group::{CHANGED, FREE, GROUP, Group, REMOVED, is_taken, settled, tag};
use crate::state::memory::ALIGN;

/// What begins a page.
#[repr(C, align(16))]
struct Head {
    /// Slots that are taken.
    entries: u16,
    /// Slots that are not free: searches go on behind them.
    used: u16,
    /// Bits of the hash that all entries share.
    depth: u8,
    /// Whether an entry was taken out since the page was saved.
    removed: bool,
    /// Whether there are tags, and no entries in the slots.
    packed: bool,
    /// What the entries take, encoded, as a short float: 2 bits of fraction.
    weight: u8,
    /// A hash whose entry is here if there is one.
    hash: u64,
}

const HEAD: usize = size_of::<Head>();
/// Pages have at most so many bytes, unless their entries are larger than some 140.
const BYTES: usize = 4608;
/// So many slots every page has, however large they are.
const SLOTS_MIN: usize = 32;

/// A page that somebody owns, borrowed.
pub struct Page<'a, K, V> {
    at: NonNull<u8>,
    borrowed: PhantomData<&'a mut (K, V)>,
}

/// A slot of a page that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// Slots of a page, one after the other.
pub struct Slots<'a, K, V> {
    page: Page<'a, K, V>,
    /// Whether all that are taken, or only those that have changed.
    all: bool,
    /// The first slot of the group that is looked at, and which of it are left, a bit each.
    first: usize,
    left: u32,
    /// The first slot of the next group.
    next: usize,
}

impl<'a, K: 'a, V: 'a> Iterator for Slots<'a, K, V> {
    type Item = Slot;
    #[inline]
    fn next(&mut self) -> Option<Slot> {
        while self.left == 0 {
            if self.next == Page::<K, V>::SLOTS {
                return None;
            }
            let group = self.page.group(self.next);
            self.left = if self.all { group.taken() } else { group.changed() };
            (self.first, self.next) = (self.next, self.next + GROUP);
        }
        let slot = self.first + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(Slot(slot))
    }
}

/// A slot of a page where something may be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess(u16);

impl<'a, K: 'a, V: 'a> Page<'a, K, V> {
    const SLOT: usize = size_of::<(K, V)>();
    /// Slots of a page: a power of two, so that a part of a hash names one.
    pub const SLOTS: usize = {
        let slots = (BYTES - HEAD) / (Self::SLOT + 1);
        let slots = if slots.is_power_of_two() { slots } else { slots.next_power_of_two() / 2 };
        assert!(align_of::<(K, V)>() <= ALIGN);
        // Few where a page is packed and unpacked as a whole.
        let few = std::mem::needs_drop::<(K, V)>() || slots < SLOTS_MIN;
        if few { SLOTS_MIN } else { slots }
    };
    /// Slots that may be used before searches get long.
    pub const FULL: usize = Self::SLOTS - Self::SLOTS / 8;
    const SLOTS_AT: usize = (HEAD + Self::SLOTS).next_multiple_of(align_of::<(K, V)>());
    /// The size of a page.
    pub const BYTES: usize = (Self::SLOTS_AT + Self::SLOTS * Self::SLOT).next_multiple_of(ALIGN);

    /// The page at an address.
    ///
    /// # Safety
    /// 1. There are [`BYTES`](Self::BYTES) bytes, aligned to [`ALIGN`], that were zero before
    ///    pages of this type were the only ones to write there.
    /// 2. Nobody else uses them for `'a`; but several pages may be made for one address one after
    ///    the other.
    #[inline(always)]
    pub unsafe fn at(at: NonNull<u8>) -> Self {
        Page { at, borrowed: PhantomData }
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: 1. by `at` there are so many bytes, aligned. 2. all bytes of a head were zero or
        // written as one, and zeroes are a head.
        unsafe { self.at.cast::<Head>().as_ref() }
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut Head {
        // SAFETY: as for `head`, and this page is borrowed alone.
        unsafe { self.at.cast::<Head>().as_mut() }
    }

    /// How many entries there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.head().entries)
    }

    /// Whether there is no room for one more.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        usize::from(self.head().used) >= Self::FULL
    }

    /// Bits of the hash that all entries share.
    pub fn depth(&self) -> u32 {
        u32::from(self.head().depth)
    }

    /// Sets the number of bits.
    pub fn set_depth(&mut self, depth: u32) {
        self.head_mut().depth = depth as u8;
    }

    /// Where it is.
    pub fn address(&self) -> NonNull<u8> {
        self.at
    }

    /// A hash whose entry is here if there is one.
    pub fn hash(&self) -> u64 {
        self.head().hash
    }

    /// Sets that hash.
    pub fn set_hash(&mut self, hash: u64) {
        self.head_mut().hash = hash;
    }

    /// Whether an entry was taken out since the page was saved.
    pub fn has_lost(&self) -> bool {
        self.head().removed
    }

    /// Sets whether an entry was taken out.
    pub fn set_lost(&mut self, lost: bool) {
        self.head_mut().removed = lost;
    }

    /// Whether its entries are elsewhere: nothing may be done then but to ask for the tags and to
    /// [unpack](Self::unpack) it.
    #[inline(always)]
    pub fn is_packed(&self) -> bool {
        self.head().packed
    }

    /// Where the slots are, which hold anything while the page is packed.
    pub fn area(&self) -> NonNull<[u8]> {
        // SAFETY: the slots are within the page.
        let first = unsafe { self.at.add(Self::SLOTS_AT) };
        NonNull::slice_from_raw_parts(first, Self::SLOTS * Self::SLOT)
    }

    /// Bytes that the entries take, encoded, when that was asked last: at most a fifth too few.
    pub fn weight(&self) -> usize {
        let weight = usize::from(self.head().weight);
        if weight < 4 { weight } else { (4 + weight % 4) << (weight / 4 - 1) }
    }

    /// Sets what the entries take.
    pub fn set_weight(&mut self, bytes: usize) {
        let above = (usize::BITS - bytes.leading_zeros()).saturating_sub(3);
        let weight = if bytes < 4 { bytes } else { 4 * above as usize + (bytes >> above) };
        self.head_mut().weight = weight as u8;
    }

    /// Gives all entries, in the order of their slots, to another place; tags stay as they are.
    pub fn pack(&mut self) -> Vec<(K, V)> {
        debug_assert!(!self.is_packed());
        // SAFETY: the slot is taken, and holds nothing from here on.
        let take = |Slot(slot)| unsafe { self.pointer(slot).read() };
        let entries = self.slots().map(take).collect();
        self.head_mut().packed = true;
        entries
    }

    /// Puts the entries back, in the order of their slots.
    pub fn unpack(&mut self, entries: Vec<(K, V)>) {
        debug_assert!(self.is_packed());
        assert_eq!(entries.len(), self.len(), "a page gets back what it had");
        for (Slot(slot), entry) in self.slots().zip(entries) {
            // SAFETY: the slot is within the page and holds no entry that would have to be dropped.
            unsafe { self.pointer(slot).write(entry) };
        }
        self.head_mut().packed = false;
    }

    /// The first slot of the group where a search begins.
    #[inline(always)]
    fn home(hash: u64) -> usize {
        (hash >> 52) as usize & (Self::SLOTS - GROUP)
    }

    /// The first slot of the group where a search goes on.
    #[inline(always)]
    fn next(group: usize) -> usize {
        (group + GROUP) & (Self::SLOTS - GROUP)
    }

    /// The tags of the group with this first slot.
    #[inline(always)]
    fn group(&self, first: usize) -> Group {
        debug_assert!(first < Self::SLOTS && first.is_multiple_of(GROUP));
        // SAFETY: the tags are within the page, and both it and its head are aligned.
        unsafe { Group::read(self.at.as_ptr().add(HEAD + first)) }
    }

    #[inline(always)]
    fn tag_at(&self, slot: usize) -> u8 {
        debug_assert!(slot < Self::SLOTS);
        // SAFETY: the slot has a tag, within the page.
        unsafe { self.at.add(HEAD + slot).read() }
    }

    #[inline(always)]
    fn set_tag(&mut self, slot: usize, tag: u8) {
        debug_assert!(slot < Self::SLOTS);
        // SAFETY: the slot has a tag, within the page.
        unsafe { self.at.add(HEAD + slot).write(tag) };
    }

    #[inline(always)]
    fn pointer(&self, slot: usize) -> NonNull<(K, V)> {
        debug_assert!(slot < Self::SLOTS);
        // SAFETY: the slot is within the page.
        unsafe { self.at.add(Self::SLOTS_AT).cast::<(K, V)>().add(slot) }
    }

    /// A key and its value.
    #[inline(always)]
    pub fn get(&self, Slot(slot): Slot) -> &'a (K, V) {
        debug_assert!(is_taken(self.tag_at(slot)) && !self.is_packed());
        // SAFETY: 1. a `Slot` is made for slots that are taken, and those are written. 2. the page
        // is borrowed for 'a.
        unsafe { self.pointer(slot).as_ref() }
    }

    /// A key and its value, to be changed; it must be marked as changed.
    #[inline(always)]
    pub fn get_mut(&mut self, Slot(slot): Slot) -> &'a mut (K, V) {
        debug_assert!(self.tag_at(slot) & CHANGED != 0);
        // SAFETY: as for `get`, and this page is borrowed alone.
        unsafe { self.pointer(slot).as_mut() }
    }

    /// The slot of the entry that has this hash and for which `is` holds.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let (mut at, tag) = (Self::home(hash), tag(hash));
        loop {
            let group = self.group(at);
            let mut same = group.same(tag);
            while same != 0 {
                let slot = Slot(at + same.trailing_zeros() as usize);
                if is(&self.get(slot).0) {
                    return Some(slot);
                }
                same &= same - 1;
            }
            // Some are always free, so this ends.
            if group.free() != 0 {
                return None;
            }
            at = Self::next(at);
        }
    }

    /// The slot of the entry that has this hash and for which `is` holds, which is then marked as
    /// changed.
    #[inline(always)]
    pub fn find_to_change(&mut self, hash: u64, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let slot = self.find(hash, is)?;
        if self.tag_at(slot.0) & CHANGED == 0 {
            self.set_tag(slot.0, tag(hash));
        }
        Some(slot)
    }

    /// Puts an entry that is not there; there must be room.
    #[inline]
    pub fn put(&mut self, hash: u64, entry: (K, V), changed: bool) -> Slot {
        debug_assert!(!self.is_full());
        let mut at = Self::home(hash);
        let slot = loop {
            let open = !self.group(at).taken() & 0xffff;
            if open != 0 {
                break at + open.trailing_zeros() as usize;
            }
            at = Self::next(at);
        };
        let fresh = self.tag_at(slot) == FREE;
        let tag = tag(hash);
        self.set_tag(slot, if changed { tag } else { settled(tag) });
        // SAFETY: the slot is within the page and holds no entry that would have to be dropped.
        unsafe { self.pointer(slot).write(entry) };
        let head = self.head_mut();
        head.entries += 1;
        head.used += u16::from(fresh);
        Slot(slot)
    }

    /// Takes an entry out.
    pub fn take(&mut self, Slot(slot): Slot) -> (K, V) {
        debug_assert!(is_taken(self.tag_at(slot)));
        // SAFETY: the slot is taken, and is not any more from here on.
        let entry = unsafe { self.pointer(slot).read() };
        // A search has gone past this group only if nothing in it was free.
        let free = self.group(slot & !(GROUP - 1)).free() != 0;
        self.set_tag(slot, if free { FREE } else { REMOVED });
        let head = self.head_mut();
        head.entries -= 1;
        head.used -= u16::from(free);
        head.removed = true;
        entry
    }

    /// All slots that are taken.
    #[inline(always)]
    pub fn slots(&self) -> Slots<'a, K, V> {
        self.those(true)
    }

    /// The slots of entries that have changed since the page was saved.
    #[inline(always)]
    pub fn changed(&self) -> Slots<'a, K, V> {
        self.those(false)
    }

    #[inline(always)]
    fn those(&self, all: bool) -> Slots<'a, K, V> {
        Slots { page: Page { at: self.at, borrowed: PhantomData }, all, first: 0, left: 0, next: 0 }
    }

    /// Nothing has changed since the page was saved.
    pub fn settle(&mut self) {
        for slot in 0..Self::SLOTS {
            self.set_tag(slot, settled(self.tag_at(slot)));
        }
        self.head_mut().removed = false;
    }

    /// Takes all entries out, each with the mark of whether it has changed, and is empty then.
    pub fn empty(&mut self) -> Vec<((K, V), bool)> {
        let slots: Vec<Slot> = self.slots().collect();
        let take = |slot: Slot| {
            // SAFETY: the slot is taken, and all are free from here on.
            (unsafe { self.pointer(slot.0).read() }, self.tag_at(slot.0) & CHANGED != 0)
        };
        let all = slots.into_iter().map(take).collect();
        // SAFETY: the tags are within the page.
        unsafe { self.at.add(HEAD).write_bytes(FREE, Self::SLOTS) };
        let head = self.head_mut();
        (head.entries, head.used) = (0, 0);
        all
    }

    /// Drops all entries, and nothing is known of what was here.
    pub fn reset(&mut self) {
        if std::mem::needs_drop::<(K, V)>() && !self.is_packed() {
            drop(self.empty());
        }
        // SAFETY: the tags are within the page.
        unsafe { self.at.add(HEAD).write_bytes(FREE, Self::SLOTS) };
        let head = self.head_mut();
        (head.entries, head.used, head.removed, head.packed) = (0, 0, false, false);
    }

    /// Brings the tags where the search for a hash begins into the cache.
    #[inline(always)]
    pub fn prefetch_tags(&self, hash: u64) {
        // SAFETY: the address is within the page.
        prefetch(unsafe { self.at.add(HEAD + Self::home(hash)) });
    }

    /// Where the entry of a hash may lie, which is brought into the cache.
    #[inline(always)]
    pub fn guess(&self, hash: u64) -> Guess {
        let home = Self::home(hash);
        let same = self.group(home).same(tag(hash)) | 1 << (GROUP - 1);
        let slot = home + same.trailing_zeros() as usize;
        prefetch(self.pointer(slot).cast());
        Guess(slot as u16)
    }

    /// The entry of a hash for which `is` holds, to be changed, if it lies where it was guessed and
    /// is marked as changed.
    #[inline(always)]
    pub fn confirm(
        &mut self,
        Guess(slot): Guess,
        hash: u64,
        is: impl FnOnce(&K) -> bool,
    ) -> Option<&'a mut (K, V)> {
        let slot = usize::from(slot);
        if self.tag_at(slot) != tag(hash) || !is(&self.get(Slot(slot)).0) {
            return None;
        }
        Some(self.get_mut(Slot(slot)))
    }
}

#[inline(always)]
fn prefetch(at: NonNull<u8>) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.as_ptr().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
