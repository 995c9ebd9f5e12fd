//! One page of a table: entries, and what is known of each slot.
//!
//! ```text
//! | entries: 2 | used: 2 | depth: 1 | removed: 1 | 0: 2 | tags: a byte a slot | the first 16 again |
//! | slots of key and value |
//! tag: 0 free | 1 was removed | 1 d h h h h h h: taken, d: changed since it was saved, h: hash
//! ```
//!
//! A search looks at 16 tags at once (as hashbrown does) from any slot on, and goes round the page.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

/// What begins a page.
#[repr(C)]
struct Head {
    /// Slots that are taken.
    entries: u16,
    /// Slots that are not free: searches go on behind them.
    used: u16,
    /// Bits of the hash that all entries share.
    depth: u8,
    /// Whether an entry was taken out since the page was saved.
    removed: bool,
    _zero: u16,
}

const TAKEN: u8 = 0x80;
const CHANGED: u8 = 0x40;
const FREE: u8 = 0;
const REMOVED: u8 = 1;

const HEAD: usize = size_of::<Head>();
const GROUP: usize = 16;
/// No page is smaller, and all begin at a multiple of it.
pub const PAGE_MIN: usize = 4096;
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

impl<'a, K: 'a, V: 'a> Page<'a, K, V> {
    const ALIGN: usize = align_of::<(K, V)>();
    const SLOT: usize = size_of::<(K, V)>();
    /// The size of a page: 4096 bytes, or more where an entry is larger than some 100.
    pub const BYTES: usize = {
        let least = HEAD + GROUP + Self::ALIGN + SLOTS_MIN * (Self::SLOT + 1);
        let bytes = least.next_power_of_two();
        if bytes > PAGE_MIN { bytes } else { PAGE_MIN }
    };
    /// Slots of a page.
    pub const SLOTS: usize = {
        let slots = (Self::BYTES - HEAD - GROUP - Self::ALIGN) / (Self::SLOT + 1);
        assert!(Self::ALIGN <= PAGE_MIN && slots >= GROUP && slots < u16::MAX as usize);
        slots
    };
    /// Slots that may be used before searches get long.
    pub const FULL: usize = Self::SLOTS - Self::SLOTS / 8;
    const SLOTS_AT: usize = (HEAD + Self::SLOTS + GROUP).next_multiple_of(Self::ALIGN);

    /// The page at an address.
    ///
    /// # Safety
    /// 1. There are [`BYTES`](Self::BYTES) bytes, aligned to [`PAGE_MIN`], that were zero before
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

    /// Whether an entry was taken out since the page was saved.
    pub fn has_lost(&self) -> bool {
        self.head().removed
    }

    /// Sets whether an entry was taken out.
    pub fn set_lost(&mut self, lost: bool) {
        self.head_mut().removed = lost;
    }

    #[inline(always)]
    fn home(hash: u64) -> usize {
        ((hash >> 48) as usize * Self::SLOTS) >> 16
    }

    #[inline(always)]
    fn tag(hash: u64) -> u8 {
        hash as u8 | TAKEN | CHANGED
    }

    #[inline(always)]
    fn round(slot: usize) -> usize {
        if slot >= Self::SLOTS { slot - Self::SLOTS } else { slot }
    }

    #[inline(always)]
    fn group(&self, from: usize) -> Group {
        debug_assert!(from < Self::SLOTS);
        // SAFETY: there are 16 more tags than slots, all within the page.
        unsafe { Group::read(self.at.as_ptr().add(HEAD + from)) }
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
        // SAFETY: the slot has a tag, and the first 16 have it twice, within the page.
        unsafe {
            self.at.add(HEAD + slot).write(tag);
            if slot < GROUP {
                self.at.add(HEAD + Self::SLOTS + slot).write(tag);
            }
        }
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
        debug_assert!(self.tag_at(slot) & TAKEN != 0);
        // SAFETY: 1. a `Slot` is made for slots that are taken, and those are written. 2. the page
        // is borrowed for 'a.
        unsafe { self.pointer(slot).as_ref() }
    }

    /// A key and its value, to be changed; it is marked as changed.
    #[inline(always)]
    pub fn change(&mut self, Slot(slot): Slot) -> &'a mut (K, V) {
        let tag = self.tag_at(slot);
        debug_assert!(tag & TAKEN != 0);
        if tag & CHANGED == 0 {
            // SAFETY: the slot has a tag. Its second one is for searches, which ignore the mark.
            unsafe { self.at.add(HEAD + slot).write(tag | CHANGED) };
        }
        // SAFETY: as for `get`, and this page is borrowed alone.
        unsafe { self.pointer(slot).as_mut() }
    }

    /// The slot of the entry that has this hash and for which `is` holds.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let (mut from, tag) = (Self::home(hash), Self::tag(hash));
        loop {
            let group = self.group(from);
            let mut same = group.same(tag);
            while same != 0 {
                let slot = Slot(Self::round(from + same.trailing_zeros() as usize));
                if is(&self.get(slot).0) {
                    return Some(slot);
                }
                same &= same - 1;
            }
            // Some are always free, so this ends.
            if group.free() != 0 {
                return None;
            }
            from = Self::round(from + GROUP);
        }
    }

    /// Puts an entry that is not there; there must be room.
    #[inline]
    pub fn put(&mut self, hash: u64, entry: (K, V), changed: bool) -> Slot {
        debug_assert!(!self.is_full());
        let mut from = Self::home(hash);
        let slot = loop {
            let open = !self.group(from).taken() & 0xffff;
            if open != 0 {
                break Self::round(from + open.trailing_zeros() as usize);
            }
            from = Self::round(from + GROUP);
        };
        let fresh = self.tag_at(slot) == FREE;
        let tag = Self::tag(hash);
        self.set_tag(slot, if changed { tag } else { tag & !CHANGED });
        // SAFETY: the slot is within the page and holds no entry that would have to be dropped.
        unsafe { self.pointer(slot).write(entry) };
        let head = self.head_mut();
        head.entries += 1;
        head.used += u16::from(fresh);
        Slot(slot)
    }

    /// Takes an entry out.
    pub fn take(&mut self, Slot(slot): Slot) -> (K, V) {
        debug_assert!(self.tag_at(slot) & TAKEN != 0);
        // SAFETY: the slot is taken, and is not any more from here on.
        let entry = unsafe { self.pointer(slot).read() };
        // A search that began at one of the 16 slots up to this one may have gone past it: only if
        // there was no free slot among its 16.
        let before = self.group(Self::round(slot + Self::SLOTS - GROUP)).free();
        let behind = self.group(slot).free();
        let run = (before as u16).leading_zeros() + behind.trailing_zeros().min(GROUP as u32);
        let free = (run as usize) < GROUP;
        self.set_tag(slot, if free { FREE } else { REMOVED });
        let head = self.head_mut();
        head.entries -= 1;
        head.used -= u16::from(free);
        head.removed = true;
        entry
    }

    /// All slots that are taken.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<'a, K, V> {
        self.those(Group::taken)
    }

    /// The slots of entries that have changed since the page was saved.
    pub fn changed(&self) -> impl Iterator<Item = Slot> + use<'a, K, V> {
        self.those(Group::changed)
    }

    fn those(&self, of: fn(Group) -> u32) -> impl Iterator<Item = Slot> + use<'a, K, V> {
        let page: Page<'a, K, V> = Page { at: self.at, borrowed: PhantomData };
        (0..Self::SLOTS).step_by(GROUP).flat_map(move |from| {
            let mut taken = of(page.group(from));
            if Self::SLOTS - from < GROUP {
                taken &= (1 << (Self::SLOTS - from)) - 1;
            }
            std::iter::from_fn(move || {
                let next = (taken != 0).then(|| Slot(from + taken.trailing_zeros() as usize));
                taken &= taken.wrapping_sub(1);
                next
            })
        })
    }

    /// Nothing has changed since the page was saved.
    pub fn settle(&mut self) {
        for slot in 0..Self::SLOTS {
            let tag = self.tag_at(slot);
            // SAFETY: the slot has a tag, within the page.
            unsafe { self.at.add(HEAD + slot).write(tag & !CHANGED) };
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
        unsafe { self.at.add(HEAD).write_bytes(FREE, Self::SLOTS + GROUP) };
        let head = self.head_mut();
        (head.entries, head.used) = (0, 0);
        all
    }

    /// Drops all entries, and nothing is known of what was here.
    pub fn reset(&mut self) {
        if std::mem::needs_drop::<(K, V)>() {
            drop(self.empty());
        }
        // SAFETY: the tags are within the page.
        unsafe { self.at.add(HEAD).write_bytes(FREE, Self::SLOTS + GROUP) };
        let head = self.head_mut();
        (head.entries, head.used, head.removed) = (0, 0, false);
    }

    /// Brings the tags where the search for a hash begins into the cache.
    #[inline(always)]
    pub fn prefetch_tags(&self, hash: u64) {
        // SAFETY: the address is within the page.
        prefetch(unsafe { self.at.add(HEAD + Self::home(hash)) });
    }

    /// Brings the slot where the entry of a hash may lie into the cache.
    #[inline(always)]
    pub fn prefetch_slot(&self, hash: u64) {
        let home = Self::home(hash);
        let same = self.group(home).same(Self::tag(hash)) | 1 << (GROUP - 1);
        let slot = Self::round(home + same.trailing_zeros() as usize);
        prefetch(self.pointer(slot).cast());
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

/// 16 tags.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Group(std::arch::x86_64::__m128i);

#[cfg(target_arch = "x86_64")]
impl Group {
    /// # Safety
    /// There are 16 bytes.
    #[inline(always)]
    unsafe fn read(at: *const u8) -> Group {
        // SAFETY: by the caller; any alignment will do, and SSE2 is part of x86_64.
        Group(unsafe { std::arch::x86_64::_mm_loadu_si128(at.cast()) })
    }

    /// Those with a tag, whether they have changed or not; a bit each.
    #[inline(always)]
    fn same(self, tag: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
        // SAFETY: SSE2 is part of x86_64.
        unsafe {
            let marked = _mm_or_si128(self.0, _mm_set1_epi8(CHANGED as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(marked, _mm_set1_epi8(tag as i8))) as u32
        }
    }

    /// Those that are taken.
    #[inline(always)]
    fn taken(self) -> u32 {
        // SAFETY: SSE2 is part of x86_64.
        unsafe { std::arch::x86_64::_mm_movemask_epi8(self.0) as u32 }
    }

    /// Those that are taken and have changed.
    #[inline(always)]
    fn changed(self) -> u32 {
        use std::arch::x86_64::{_mm_movemask_epi8, _mm_slli_epi16};
        // The mark becomes the highest bit; only what is taken has one.
        // SAFETY: SSE2 is part of x86_64.
        unsafe { _mm_movemask_epi8(_mm_slli_epi16::<1>(self.0)) as u32 }
    }

    /// Those that were never used.
    #[inline(always)]
    fn free(self) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_setzero_si128};
        // SAFETY: SSE2 is part of x86_64.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_setzero_si128())) as u32 }
    }
}

/// 16 tags.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
struct Group([u8; GROUP]);

#[cfg(not(target_arch = "x86_64"))]
impl Group {
    /// # Safety
    /// There are 16 bytes.
    #[inline(always)]
    unsafe fn read(at: *const u8) -> Group {
        // SAFETY: by the caller; bytes need no alignment.
        Group(unsafe { at.cast::<[u8; GROUP]>().read() })
    }

    #[inline(always)]
    fn bits(self, is: impl Fn(u8) -> bool) -> u32 {
        let bit = |(at, tag): (usize, &u8)| u32::from(is(*tag)) << at;
        self.0.iter().enumerate().map(bit).sum()
    }

    fn same(self, tag: u8) -> u32 {
        self.bits(|own| own | CHANGED == tag)
    }

    fn taken(self) -> u32 {
        self.bits(|own| own & TAKEN != 0)
    }

    fn changed(self) -> u32 {
        self.bits(|own| own & CHANGED != 0)
    }

    fn free(self) -> u32 {
        self.bits(|own| own == FREE)
    }
}
