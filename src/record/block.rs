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
/// times: | time   | time   | time   | …       8 bytes each; none while all have the same
/// marks: | mark   | mark   | mark   | …       likewise
/// ```
#[derive(Debug)]
pub struct Block<R> {
    record: PhantomData<fn() -> R>,
    /// Zeroed words; for records of a fixed size at least `room` of them fit.
    bytes: Vec<u64>,
    /// Bytes of the records; kept up only when their size is not fixed.
    used: usize,
    /// Bytes of each record when their size is fixed, else 0.
    size: usize,
    len: usize,
    /// Records after which more memory is looked for.
    room: usize,
    /// The time of all records, as long as `times` is empty.
    time: Timestamp,
    /// Empty, or `room` long: the records' times, then what will be written over.
    times: Vec<Timestamp>,
    /// The mark of all records, as long as `marks` is empty.
    mark: Timestamp,
    /// Empty, or the mark of each record.
    marks: Vec<Timestamp>,
    /// Records after which a block of fixed-size records is full.
    records_max: usize,
}

impl<R: Record> Default for Block<R> {
    fn default() -> Self {
        Block::new()
    }
}

impl<R: Record> Block<R> {
    /// An empty block; its memory is taken when the first record comes.
    pub fn new() -> Block<R> {
        let size = R::SIZE.unwrap_or(8).max(8);
        Block {
            record: PhantomData,
            bytes: Vec::new(),
            used: 0,
            size: R::SIZE.unwrap_or(0),
            len: 0,
            room: 0,
            time: Timestamp::MIN,
            times: Vec::new(),
            mark: NO_TIME,
            marks: Vec::new(),
            records_max: (FRAME_BYTES / size).clamp(1, FRAME_RECORDS),
        }
    }

    /// Appends a record; true when the block is now full and wants to leave. A full block takes
    /// more records all the same, it grows.
    #[inline(always)]
    pub fn push(&mut self, at: Timestamp, view: R::View<'_>) -> bool {
        let (size, len) = (R::size(view), self.len);
        let fits = R::SIZE.is_some() || self.used + size <= self.bytes.len() * 8;
        if len == self.room || !fits {
            self.grow(size);
        }
        match self.times.get_mut(len) {
            Some(time) => *time = at,
            None if at == self.time => {}
            None => self.tell_apart(at),
        }
        let from = R::SIZE.map_or(self.used, |size| len * size);
        // SAFETY: 1. the offset lies in the words: there is room for `size` bytes from there on,
        // as seen above; when the size is fixed, for `room` records, of which there are fewer.
        let to = unsafe { self.bytes.as_mut_ptr().cast::<u8>().add(from) };
        // SAFETY: 1. the words are aligned to 8, and all sizes are multiples of it. 2. there is
        // room for `size` bytes.
        unsafe { R::write(view, to) };
        self.len = len + 1;
        if R::SIZE.is_some() {
            return len + 1 >= self.records_max;
        }
        self.used += size;
        len + 1 >= self.records_max || self.used >= FRAME_BYTES
    }

    /// As [`push`](Block::push), a record with the watermark that held for it where it came from
    /// ([`Batch::marked`]). All records of a block have one, or none has.
    #[inline(always)]
    pub fn push_marked(&mut self, at: Timestamp, mark: Timestamp, view: R::View<'_>) -> bool {
        if !self.marks.is_empty() {
            self.marks.push(mark);
        } else if mark == self.mark || self.len == 0 {
            self.mark = mark;
        } else {
            self.tell_marks_apart(mark);
        }
        self.push(at, view)
    }

    /// From the record on that comes next the marks are not all the same.
    #[cold]
    #[inline(never)]
    fn tell_marks_apart(&mut self, mark: Timestamp) {
        self.marks.reserve(self.room);
        self.marks.resize(self.len, self.mark);
        self.marks.push(mark);
    }

    /// Whether the block wants to leave.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len >= self.records_max || self.bytes() >= FRAME_BYTES
    }

    /// Makes room for one more record of this size, and for as many as fill the block.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, size: usize) {
        let fixed = R::SIZE.is_some();
        if self.len == self.room {
            self.room = self.records_max.max(self.len + self.len / 4 + 1);
            if !self.times.is_empty() {
                self.times.resize(self.room, self.time);
            }
        }
        let needed = if fixed { self.room * size } else { (self.used + size).max(FRAME_BYTES) };
        let words = needed.div_ceil(8);
        if words > self.bytes.len() {
            let more = if fixed { 0 } else { self.bytes.len() * 5 / 4 };
            self.bytes.resize(words.max(more), 0);
        }
    }

    /// From the record on that comes next the times are not all the same.
    #[cold]
    #[inline(never)]
    fn tell_apart(&mut self, at: Timestamp) {
        if self.len == 0 {
            self.time = at;
            return;
        }
        self.spread();
        self.times[self.len] = at;
    }

    /// Writes out the time that all records have.
    fn spread(&mut self) {
        if self.times.is_empty() {
            self.times.resize(self.room, self.time);
        }
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

    /// Bytes of the records, without their times.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.used + self.len * self.size
    }

    /// Bytes of memory that the block holds.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() * size_of::<u64>()
            + (self.times.capacity() + self.marks.capacity()) * size_of::<Timestamp>()
            + size_of::<Self>()
    }

    /// Gives back the memory that no record uses: for blocks that are kept.
    pub fn shrink(&mut self) {
        self.room = self.len;
        self.bytes.truncate(self.bytes().div_ceil(8));
        self.bytes.shrink_to_fit();
        self.times.truncate(self.len);
        self.times.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Forgets the records, keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.used = 0;
        self.len = 0;
        self.times.clear();
        self.mark = NO_TIME;
        self.marks.clear();
    }

    /// The records' encodings and their event times, for keeping outside the process; none when
    /// the type can't be kept ([`Record::STORED`]).
    pub fn stored(&mut self) -> Option<(&[u8], &[Timestamp])> {
        self.spread();
        let (bytes, len) = (self.stored_bytes()?, self.len);
        Some((bytes, &self.times[..len]))
    }

    /// The records' encodings alone, when none has an event time; none also when the type can't be
    /// kept.
    pub fn stored_untimed(&self) -> Option<&[u8]> {
        let untimed = self.times.is_empty() && self.time == NO_TIME;
        self.stored_bytes().filter(|_| untimed)
    }

    fn stored_bytes(&self) -> Option<&[u8]> {
        R::STORED?;
        let used = self.bytes();
        // SAFETY: 1. `used` bytes lie within the words, which are borrowed as long as the slice.
        // 2. the words were zeroed when they were taken, and since then only `R::write` has written
        // there, which for a type that is `STORED` writes no padding.
        Some(unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), used) })
    }

    /// The records, to be read.
    #[inline]
    pub fn batch(&self) -> Batch<'_> {
        let each = self.times.get(..self.len).filter(|times| !times.is_empty());
        let marks = self.marks.get(..self.len).filter(|marks| !marks.is_empty());
        Batch {
            record: TypeId::of::<R>(),
            first: self.bytes.as_ptr().cast(),
            len: self.len,
            times: each.map_or(Times::Same(&self.time), Times::Each),
            marks: marks.map_or(Times::Same(&self.mark), Times::Each),
            split: 0,
            borrowed: PhantomData,
        }
    }
}

/// The event times of a batch's records.
#[derive(Clone, Copy, Debug)]
enum Times<'a> {
    Same(&'a Timestamp),
    /// As many as there are records.
    Each(&'a [Timestamp]),
}

/// Records of one type that an operator is given: a whole frame, or a slice that a source lends.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    record: TypeId,
    first: *const u8,
    len: usize,
    times: Times<'a>,
    marks: Times<'a>,
    split: u32,
    borrowed: PhantomData<&'a [u8]>,
}

impl Times<'_> {
    /// Where the first one is, and how far it is to the next.
    #[inline(always)]
    fn walk(&self) -> (*const Timestamp, usize) {
        match self {
            Times::Each(times) => (times.as_ptr(), 1),
            Times::Same(time) => (&raw const **time, 0),
        }
    }
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
            times: Times::Same(&NO_TIME),
            marks: Times::Same(&NO_TIME),
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
            times: Times::Each(times),
            marks: Times::Same(&NO_TIME),
            split: 0,
            borrowed: PhantomData,
        })
    }

    /// As [`restored`](Batch::restored), `len` records that had no event time.
    pub fn restored_untimed<R: Record>(bytes: &'a [u8], len: usize) -> Option<Batch<'a>> {
        let aligned = bytes.as_ptr().addr().is_multiple_of(8);
        if R::STORED.is_none() || !aligned || check_all::<R>(bytes, len)?.len() != bytes.len() {
            return None;
        }
        Some(Batch {
            record: TypeId::of::<R>(),
            first: bytes.as_ptr(),
            len,
            times: Times::Same(&NO_TIME),
            marks: Times::Same(&NO_TIME),
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
        let (time, step) = self.times.walk();
        Records { next: self.first, left: self.len, time, step, records: PhantomData }
    }

    /// As [`records`](Batch::records), each with its event time and then with its *mark*: the
    /// watermark that held for it where it came from ([`Timestamp::MIN`] when none was noted).
    ///
    /// # Panics
    /// When the records are of another type.
    #[inline(always)]
    pub fn marked<R: Record>(&self) -> Marked<'a, R> {
        let (mark, step) = self.marks.walk();
        Marked { records: self.records::<R>(), mark, step }
    }

    /// The records in order, each twice, for a loop that does two things with every record and
    /// knows its type by two names.
    ///
    /// # Panics
    /// When the records are of another type than `A` or `B`.
    #[inline(always)]
    pub fn records_twice<A: Record, B: Record>(&self) -> RecordsTwice<'a, A, B> {
        assert!(self.record == TypeId::of::<B>(), "an edge carries records of one type");
        RecordsTwice { records: self.marked::<A>(), same: PhantomData }
    }
}

/// The records of a [`Batch`] with two views of each; see [`Batch::records_twice`].
pub struct RecordsTwice<'a, A, B> {
    records: Marked<'a, A>,
    same: PhantomData<&'a [B]>,
}

impl<'a, A: Record, B: Record> Iterator for RecordsTwice<'a, A, B> {
    type Item = (Timestamp, Timestamp, A::View<'a>, B::View<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.records.records.next;
        let (time, mark, view) = self.records.next()?;
        // SAFETY: `A` and `B` are one type, see `records_twice`, and `next` has just read its
        // record at this address.
        let (same, _) = unsafe { B::read(at) };
        Some((time, mark, view, same))
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

/// The records of a [`Batch`] with their event times and marks; see [`Batch::marked`].
pub struct Marked<'a, R> {
    records: Records<'a, R>,
    mark: *const Timestamp,
    /// As that of [`Records`].
    step: usize,
}

impl<'a, R: Record> Iterator for Marked<'a, R> {
    type Item = (Timestamp, Timestamp, R::View<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (time, view) = self.records.next()?;
        // SAFETY: as for the records' times: there was one more record, so there is its mark.
        let mark = unsafe { *self.mark };
        self.mark = self.mark.wrapping_add(self.step);
        Some((time, mark, view))
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Block};
    use crate::time::Timestamp;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(us)
    }

    fn filled(times: impl IntoIterator<Item = i64>) -> Block<u64> {
        let mut block = Block::new();
        for (number, us) in times.into_iter().enumerate() {
            block.push(at(us), number as u64);
        }
        block
    }

    fn times(batch: Batch<'_>) -> Vec<i64> {
        let records = batch.records::<u64>().enumerate();
        records
            .map(|(number, (at, record))| {
                assert_eq!(record, number as u64);
                at.micros()
            })
            .collect()
    }

    #[test]
    fn each_record_keeps_its_time() {
        for expected in [vec![], vec![7], vec![7; 5], vec![7, 7, 7, 8], vec![1, 2, 1], vec![7, 8]] {
            assert_eq!(times(filled(expected.clone()).batch()), expected);
        }
        // Also beyond what fills the block.
        let expected: Vec<_> = (0..10_000).map(|us| us / 6000).collect();
        assert_eq!(times(filled(expected.clone()).batch()), expected);
    }

    #[test]
    fn a_block_that_is_used_again_forgets_the_old_times() {
        for (first, second) in [(vec![1, 1], vec![2, 2]), (vec![1, 2], vec![2, 2, 3])] {
            let mut block = filled(first);
            block.clear();
            assert_eq!((block.len(), block.bytes()), (0, 0));
            for (number, us) in second.iter().enumerate() {
                block.push(at(*us), number as u64);
            }
            assert_eq!(times(block.batch()), second);
        }
    }

    #[test]
    fn a_block_that_was_shrunk_takes_more() {
        for mut expected in [vec![4, 4], vec![4, 5]] {
            let mut block = filled(expected.clone());
            block.shrink();
            assert_eq!(times(block.batch()), expected);
            block.push(at(6), 2);
            expected.push(6);
            assert_eq!(times(block.batch()), expected);
        }
    }

    #[test]
    fn what_is_stored_comes_back_with_its_times() {
        for expected in [vec![9, 9, 9], vec![9, 8]] {
            let mut block = filled(expected.clone());
            let (records, at) = block.stored().expect("numbers can be kept");
            let words: Vec<_> = at.iter().map(|at| at.micros()).collect();
            assert_eq!(words, expected);
            let numbers: Vec<_> = (0..expected.len() as u64).flat_map(u64::to_ne_bytes).collect();
            assert_eq!(records, numbers);
        }
    }
}
