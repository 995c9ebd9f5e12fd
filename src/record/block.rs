//! Blocks: where records are gathered; batches: how operators are given them.
#![allow(unsafe_code)]

use std::any::TypeId;
use std::marker::PhantomData;

use super::Record;
use super::stored::check_all;
use crate::limits::{FRAME_BYTES, FRAME_RECORDS};
use crate::time::Timestamp;

/// An aligned run of records of one type with their event times, filled by one operator.
///
/// ```text
/// bytes: | record | record | record | …       each a multiple of 8 bytes
/// times: | time   | time   | time   | …       8 bytes each
/// ```
#[derive(Debug)]
pub struct Block {
    record: TypeId,
    bytes: Vec<u64>,
    times: Vec<Timestamp>,
    used: usize,
    /// Records after which a block of fixed-size records is full.
    records_max: usize,
}

impl Block {
    /// An empty block for records of type `R`; its memory is taken when the first record comes.
    pub fn new<R: Record>() -> Block {
        let size = R::SIZE.unwrap_or(8).max(8);
        let records_max = (FRAME_BYTES / size).clamp(1, FRAME_RECORDS);
        let (bytes, times) = (Vec::new(), Vec::new());
        Block { record: TypeId::of::<R>(), bytes, times, used: 0, records_max }
    }

    /// Appends a record; true when the block is now full and wants to leave. A full block takes
    /// more records all the same, it grows.
    ///
    /// # Panics
    /// When the block was made for another type.
    #[inline(always)]
    pub fn push<R: Record>(&mut self, at: Timestamp, view: R::View<'_>) -> bool {
        assert!(self.record == TypeId::of::<R>(), "a block holds records of one type");
        let size = R::size(view);
        if self.used + size > self.bytes.len() * 8 || self.times.len() == self.times.capacity() {
            self.grow(size);
        }
        // SAFETY: 1. `used` is a multiple of 8 and the words are aligned to 8. 2. there is room
        // for `size` bytes.
        unsafe { R::write(view, self.bytes.as_mut_ptr().cast::<u8>().add(self.used)) };
        self.used += size;
        self.times.push(at);
        self.times.len() >= self.records_max || (R::SIZE.is_none() && self.used >= FRAME_BYTES)
    }

    /// Whether the block wants to leave.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.times.len() >= self.records_max || self.used >= FRAME_BYTES
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, size: usize) {
        let words = (self.used + size).max(FRAME_BYTES).div_ceil(8);
        if words > self.bytes.len() {
            self.bytes.resize(words.max(self.bytes.len() * 5 / 4), 0);
        }
        if self.times.len() == self.times.capacity() {
            self.times.reserve_exact(self.records_max.max(self.times.len() / 4));
        }
    }

    /// How many records there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Bytes of the records, without their times.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.used
    }

    /// Bytes of memory that the block holds.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() * size_of::<u64>()
            + self.times.capacity() * size_of::<Timestamp>()
            + size_of::<Block>()
    }

    /// Gives back the memory that no record uses: for blocks that are kept.
    pub fn shrink(&mut self) {
        self.bytes.truncate(self.used.div_ceil(8));
        self.bytes.shrink_to_fit();
        self.times.shrink_to_fit();
    }

    /// Forgets the records, keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.used = 0;
        self.times.clear();
    }

    /// The records' encodings and their event times, for keeping outside the process; none when
    /// the type can't be kept ([`Record::STORED`]) or the block holds another.
    pub fn stored<R: Record>(&self) -> Option<(&[u8], &[Timestamp])> {
        if R::STORED.is_none() || self.record != TypeId::of::<R>() {
            return None;
        }
        // SAFETY: 1. the words were zeroed when they were taken. 2. since then only `R::write` has
        // written there, which for a type that is `STORED` writes no padding.
        let bytes = unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.used) };
        Some((bytes, &self.times))
    }

    /// The records, to be read.
    #[inline]
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            record: self.record,
            first: self.bytes.as_ptr().cast(),
            len: self.times.len(),
            times: Some(&self.times),
            split: 0,
            borrowed: PhantomData,
        }
    }
}

/// Records of one type that an operator is given: a whole frame, or a slice that a source lends.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    record: TypeId,
    first: *const u8,
    len: usize,
    times: Option<&'a [Timestamp]>,
    split: u32,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// Lends records where they lie; they have no event time yet. None when the type's records
    /// are padded in a stream but not in a slice (its size is no multiple of 8).
    pub fn lend<R>(records: &'a [R]) -> Option<Batch<'a>>
    where
        R: super::Plain,
    {
        (R::SIZE == Some(size_of::<R>())).then_some(Batch {
            record: TypeId::of::<R>(),
            first: records.as_ptr().cast(),
            len: records.len(),
            times: None,
            split: 0,
            borrowed: PhantomData,
        })
    }

    /// Records that were kept outside the process: `bytes` has their encodings and `times` their
    /// event times, as [`Block::stored`] gave them. None when either is not aligned to 8 or the
    /// bytes are not just as many valid records of this type.
    pub fn restored<R: Record>(bytes: &'a [u8], times: &'a [u8]) -> Option<Batch<'a>> {
        let aligned = |bytes: &[u8]| bytes.as_ptr().addr().is_multiple_of(8);
        let len = times.len() / 8;
        if R::STORED.is_none() || !aligned(bytes) || !aligned(times) || times.len() != len * 8 {
            return None;
        }
        if check_all::<R>(bytes, len)?.len() != bytes.len() {
            return None;
        }
        // SAFETY: 1. aligned and of `len` times 8 bytes, seen above. 2. a time is an `i64`, for
        // which all bytes are valid.
        let times = unsafe { std::slice::from_raw_parts(times.as_ptr().cast::<Timestamp>(), len) };
        Some(Batch {
            record: TypeId::of::<R>(),
            first: bytes.as_ptr(),
            len,
            times: Some(times),
            split: 0,
            borrowed: PhantomData,
        })
    }

    /// The same records, said to come from this split of the source or this upstream shard.
    #[must_use]
    pub fn from_split(mut self, split: u32) -> Batch<'a> {
        self.split = split;
        self
    }

    /// Which split, or upstream shard, the records come from.
    #[inline]
    pub fn split(&self) -> u32 {
        self.split
    }

    /// How many records there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The records in order, each with its event time ([`Timestamp::MIN`] when it has none yet).
    ///
    /// # Panics
    /// When the records are of another type.
    #[inline(always)]
    pub fn records<R: Record>(&self) -> Records<'a, R> {
        assert!(self.record == TypeId::of::<R>(), "an edge carries records of one type");
        let (time, step) = match self.times {
            Some(times) => (times.as_ptr(), 1),
            None => (&raw const NO_TIME, 0),
        };
        Records { next: self.first, left: self.len, time, step, records: PhantomData }
    }

    /// The records in order, each twice, for a loop that does two things with every record and
    /// knows its type by two names.
    ///
    /// # Panics
    /// When the records are of another type than `A` or `B`.
    #[inline(always)]
    pub fn records_twice<A: Record, B: Record>(&self) -> RecordsTwice<'a, A, B> {
        assert!(self.record == TypeId::of::<B>(), "an edge carries records of one type");
        RecordsTwice { records: self.records::<A>(), same: PhantomData }
    }
}

/// The records of a [`Batch`] with two views of each; see [`Batch::records_twice`].
pub struct RecordsTwice<'a, A, B> {
    records: Records<'a, A>,
    same: PhantomData<&'a [B]>,
}

impl<'a, A: Record, B: Record> Iterator for RecordsTwice<'a, A, B> {
    type Item = (Timestamp, A::View<'a>, B::View<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.records.next;
        let (time, view) = self.records.next()?;
        // SAFETY: `A` and `B` are one type, see `records_twice`, and `next` has just read its
        // record at this address.
        let (same, _) = unsafe { B::read(at) };
        Some((time, view, same))
    }
}

/// The event time of all records that have none.
static NO_TIME: Timestamp = Timestamp::MIN;

/// The records of a [`Batch`], read in place one after the other, with their event times.
pub struct Records<'a, R> {
    next: *const u8,
    left: usize,
    time: *const Timestamp,
    /// 1, or 0 when all records share one time: no branch in the loop, and one loop for both, so
    /// that a chain is inlined into it.
    step: usize,
    records: PhantomData<&'a [R]>,
}

impl<'a, R: Record> Iterator for Records<'a, R> {
    type Item = (Timestamp, R::View<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<(Timestamp, R::View<'a>)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: a block's and a slice's memory is not at address 0, see 1. below. Without this
        // the loop asks for every record whether its address is the niche of `None`.
        unsafe { std::hint::assert_unchecked(!self.next.is_null()) };
        // SAFETY: 1. a batch is made from a block or a slice of `len` records of this type, which
        // it borrows for `'a`. 2. at most `len` of them are read, one after the other. 3. there
        // are as many times, or the step is 0 and there is one.
        let (time, (view, size)) = unsafe { (*self.time, R::read(self.next)) };
        self.next = self.next.wrapping_add(size);
        self.time = self.time.wrapping_add(self.step);
        Some((time, view))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R: Record> ExactSizeIterator for Records<'_, R> {}
