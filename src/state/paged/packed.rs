//! Packed pages: what their entries have allocated lies where the pages lie.
//!
//! Of a table on disk that holds text or lists, pages that have not been used for a while are
//! *packed* as soon as the others hold too much: the entries' encodings, as records, take the room
//! of the slots and as many *blocks* as they need besides; tags stay. A page that is used again is
//! *unpacked*. Nothing is told apart on the way to a page that is in use: a packed one is not open.
//!
//! ```text
//! page:  | head | tags | bytes: 8 | block: 8 | encodings in the order of the slots … |
//! block:                          | block: 8 | more of them … |
//! ```
//!
//! Which page is packed next is decided by the second chance that it had, as the clock algorithm
//! does (Corbató, "A paging experiment with the Multics system", 1968): those that are unpacked
//! stand in a queue, and the first one is packed if nobody has used it since it was there before.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::state::held::Codec;
use crate::state::memory::{Memory, Scratch};

/// What a table that packs its pages goes by.
pub struct Packing<K, V> {
    codec: Codec<K, V>,
    scratch: Arc<Scratch>,
    /// The pages that are not packed, in the order in which they are looked at.
    loose: VecDeque<NonNull<u8>>,
    /// What their entries take, encoded, as each page was found when it was looked at last.
    held: usize,
    /// What the scratch file knows of that.
    told: usize,
    /// How often somebody has asked whether it is time to look at a page.
    asked: usize,
    /// Blocks that hold nothing.
    free: Vec<NonNull<u8>>,
}

/// The address of the next block.
const LINK: usize = size_of::<*mut u8>();
/// What is before the bytes on a page.
const HEAD: usize = size_of::<u64>() + LINK;
/// A block, with its link.
const BLOCK: usize = 1 << 10;
/// Once in so many times that it might be looked at, a page is.
const ASKED: usize = 8;

impl<K, V> Packing<K, V> {
    pub fn new(codec: Codec<K, V>, scratch: Arc<Scratch>) -> Self {
        Packing {
            codec,
            scratch,
            loose: VecDeque::new(),
            held: 0,
            told: 0,
            asked: 0,
            free: Vec::new(),
        }
    }

    /// The same for another table.
    pub fn again(&self) -> Self {
        Packing::new(self.codec, self.scratch.clone())
    }

    /// A page is not packed.
    pub fn is_loose(&mut self, page: NonNull<u8>) {
        self.loose.push_back(page);
    }

    /// The entries of a page take so much now, and took so much when it was looked at before.
    pub fn takes(&mut self, now: usize, before: usize) {
        self.held = self.held + now - before;
    }

    /// The page that is to be looked at, if those that are not packed hold more than they shall,
    /// here and in other tables.
    pub fn next(&mut self) -> Option<NonNull<u8>> {
        self.tell();
        if self.scratch.is_over(self.held) { self.first() } else { None }
    }

    /// The page whose turn it is.
    pub fn first(&self) -> Option<NonNull<u8>> {
        self.loose.front().copied()
    }

    /// The first page was looked at and stays as it is.
    pub fn pass(&mut self) {
        self.loose.rotate_left(usize::from(!self.loose.is_empty()));
    }

    /// The first page is packed.
    pub fn is_packed(&mut self) {
        self.loose.pop_front();
    }

    /// Whether it is time to look at what a page takes: once in a while.
    pub fn is_due(&mut self) -> bool {
        self.asked += 1;
        self.asked.is_multiple_of(ASKED)
    }

    /// All pages are empty.
    pub fn holds_nothing(&mut self) {
        self.held = 0;
        self.tell();
    }

    fn tell(&mut self) {
        self.scratch.takes(self.held, std::mem::replace(&mut self.told, self.held));
    }

    /// How many pages are not packed.
    #[cfg(test)]
    pub fn loose(&self) -> usize {
        self.loose.len()
    }

    /// What entries take, encoded.
    pub fn weigh<'e>(&self, entries: impl Iterator<Item = &'e (K, V)>) -> usize
    where
        (K, V): 'e,
    {
        entries.map(|(key, value)| (self.codec.size)(key, value)).sum()
    }

    /// The encodings of entries, which take about so many bytes.
    pub fn encode<'e>(&self, bytes: usize, entries: impl Iterator<Item = &'e (K, V)>) -> Vec<u64>
    where
        (K, V): 'e,
    {
        let mut words = Vec::with_capacity(bytes / 8);
        entries.for_each(|(key, value)| (self.codec.put)(key, value, &mut words));
        words
    }

    /// Sees to it that there are blocks for what has no room in an area of so many bytes.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn reserve(&mut self, words: &[u64], area: usize, memory: &mut Memory) -> io::Result<()> {
        let blocks = (words.len() * 8).saturating_sub(area - HEAD).div_ceil(BLOCK - LINK);
        while self.free.len() < blocks {
            self.free.push(memory.take(BLOCK)?);
        }
        Ok(())
    }

    /// Puts encodings into an area and blocks that were [reserved](Self::reserve).
    ///
    /// # Safety
    /// 1. The area is of more than 16 bytes, aligned to 8, and nobody else uses it. 2. It and the
    ///    memory of the blocks stay until nothing is [taken](Self::take) out any more.
    pub unsafe fn put(&mut self, words: &[u64], area: NonNull<[u8]>) {
        let (mut from, mut left) = (words.as_ptr().cast::<u8>(), words.len() * 8);
        // SAFETY: the area begins with this number.
        let mut to = unsafe {
            area.cast::<u64>().write(left as u64);
            area.cast::<u8>().add(size_of::<u64>())
        };
        let mut room = area.len() - HEAD;
        loop {
            let bytes = left.min(room);
            left -= bytes;
            let block = if left > 0 { self.free.pop() } else { None };
            debug_assert_eq!(block.is_some(), left > 0, "blocks are reserved");
            // SAFETY: 1. so many bytes are left of the words. 2. behind the link there is so much
            // room, in the area or in a block, and nobody else uses either.
            unsafe {
                to.cast::<Option<NonNull<u8>>>().write(block);
                from.copy_to_nonoverlapping(to.add(LINK).as_ptr(), bytes);
                from = from.add(bytes);
            }
            let Some(block) = block else { return };
            (to, room) = (block, BLOCK - LINK);
        }
    }

    /// Makes the entries anew that were put into an area; says how many bytes they took.
    ///
    /// # Safety
    /// Encodings of just so many were [put](Self::put) there, and were not [freed](Self::free).
    pub unsafe fn take(&self, area: NonNull<[u8]>, entries: usize) -> (Vec<(K, V)>, usize) {
        // SAFETY: `put` wrote this number first.
        let mut words = vec![0_u64; unsafe { area.cast::<u64>().read() } as usize / 8];
        let mut to = words.as_mut_ptr().cast::<u8>();
        // SAFETY: by the caller; all parts together are as long as the number says.
        unsafe {
            Self::walk(area, |from, bytes| {
                from.as_ptr().copy_to_nonoverlapping(to, bytes);
                to = to.add(bytes);
            });
        }
        // SAFETY: these are the words that `put` made of so many entries.
        (unsafe { (self.codec.take)(&words, entries) }, words.len() * 8)
    }

    /// Frees the blocks of an area.
    ///
    /// # Safety
    /// As for [`take`](Self::take).
    pub unsafe fn free(&mut self, area: NonNull<[u8]>) {
        let mut blocks = Vec::new();
        // SAFETY: by the caller.
        unsafe { Self::walk(area, |part, _| blocks.push(part)) };
        // The first part is the area's.
        let block = |part: &NonNull<u8>| part.as_ptr().wrapping_sub(LINK);
        self.free.extend(blocks.iter().skip(1).map(block).filter_map(NonNull::new));
    }

    /// Shows where the parts of what was put into an area are, and how long they are.
    ///
    /// # Safety
    /// As for [`take`](Self::take).
    unsafe fn walk(area: NonNull<[u8]>, mut show: impl FnMut(NonNull<u8>, usize)) {
        // SAFETY: `put` wrote this number first; behind it is the link.
        let (mut left, mut from) = unsafe {
            (area.cast::<u64>().read() as usize, area.cast::<u8>().add(size_of::<u64>()))
        };
        let mut room = area.len() - HEAD;
        loop {
            let bytes = left.min(room);
            left -= bytes;
            // SAFETY: `put` wrote the link and so many bytes behind it.
            let (block, part) =
                unsafe { (from.cast::<Option<NonNull<u8>>>().read(), from.add(LINK)) };
            show(part, bytes);
            let Some(block) = block else { return };
            (from, room) = (block, BLOCK - LINK);
        }
    }
}

impl<K, V> Drop for Packing<K, V> {
    fn drop(&mut self) {
        self.holds_nothing();
    }
}
