//! Lists that only grow, many in one area to which all that comes is appended.
//!
//! ```text
//! chunk: | value | value | …
//! value: | the one before in its list: 8 | event time: 8 | encoding of the record |
//! ```
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Held;
use super::memory::{Backend, Memory};
use crate::record::Record;
use crate::time::Timestamp;

/// Records with their event times, encoded as in a frame and read where they lie. They are never
/// moved: each page of memory is touched once, when its first value comes, and text takes no memory
/// of its own. On disk they are in the file of the [`Backend`].
///
/// ```
/// use thalweg::state::{Backend, List, Lists};
/// use thalweg::time::Timestamp;
///
/// let mut lists: Lists<String> = Lists::of(Backend::Memory);
/// let (mut odd, mut even) = (List::default(), List::default());
/// for n in 0..5 {
///     let list = if n % 2 == 1 { &mut odd } else { &mut even };
///     lists.push(list, Timestamp::from_micros(n), &n.to_string());
/// }
/// assert!(lists.iter(even).map(|(_, text)| text).eq(["4", "2", "0"]));
/// assert_eq!(lists.iter(odd).count(), 2);
/// ```
///
/// They are saved while they grow: [`begin_save`](Lists::begin_save) takes no time, and
/// [`save_some`](Lists::save_some) then shows the values that were there at that moment and were
/// not shown before, in the order in which they came.
#[derive(Debug)]
pub struct Lists<R> {
    area: Area<R>,
    backend: Backend,
    /// What was shown, and up to where the save goes that has begun.
    shown: Place,
    until: Place,
    /// What was forgotten while it was being saved: the values, and what of them is to be shown.
    leaving: Option<(Area<R>, Place, Place)>,
    /// Whether all was forgotten since the save before.
    cleared: bool,
}

/// One list of a [`Lists`]; empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The place of the newest value, as one number; 0 when there is none.
    newest: u64,
}

impl List {
    /// Whether it holds no value.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.newest == 0
    }
}

impl Held for List {
    type As = u64;
    fn lend_as<T>(&self, look: impl FnOnce(u64) -> T) -> T {
        look(self.newest)
    }
    fn own_as(newest: u64) -> Self {
        List { newest }
    }
}

/// Where a value is, or the next one will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    chunk: u32,
    offset: u32,
}

impl Place {
    /// Never 0.
    #[inline(always)]
    fn number(self) -> u64 {
        u64::from(self.chunk + 1) << 32 | u64::from(self.offset)
    }

    #[inline(always)]
    fn of(number: u64) -> Option<Place> {
        let chunk = (number >> 32).checked_sub(1)?;
        Some(Place { chunk: chunk as u32, offset: number as u32 })
    }
}

/// Values one after the other.
#[derive(Debug)]
struct Area<R> {
    chunks: Vec<Chunk>,
    memory: Memory,
    values: usize,
    records: PhantomData<fn() -> R>,
}

#[derive(Debug)]
struct Chunk {
    first: NonNull<u8>,
    used: usize,
    size: usize,
}

/// The first chunk, and what chunks grow to; a record that is larger has one of its own.
const CHUNK_MIN: usize = 4 << 10;
const CHUNK_MAX: usize = 256 << 10;
/// What is before a record.
const HEAD: usize = 16;

// SAFETY: the chunks are the area's own, and hold encodings of records, which may be sent.
unsafe impl<R: Record> Send for Area<R> {}

impl<R: Record> Area<R> {
    fn of(backend: Backend) -> Self {
        let memory = Memory::of(backend);
        Area { chunks: Vec::new(), memory, values: 0, records: PhantomData }
    }

    /// Behind the last value.
    fn end(&self) -> Place {
        let last = self.chunks.len().saturating_sub(1);
        let used = self.chunks.get(last).map_or(0, |chunk| chunk.used);
        Place { chunk: last as u32, offset: used as u32 }
    }

    #[inline(always)]
    fn push(&mut self, before: u64, at: Timestamp, view: R::View<'_>) -> Place {
        let size = HEAD + R::size(view);
        if self.chunks.last().is_none_or(|chunk| chunk.size - chunk.used < size) {
            self.grow(size);
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        let place = Place { chunk: last as u32, offset: chunk.used as u32 };
        // SAFETY: 1. chunks begin at a multiple of 8, and all sizes are multiples of it. 2. there
        // is room for so many bytes, which nobody has been given yet.
        unsafe {
            let value = chunk.first.as_ptr().add(chunk.used);
            value.cast::<u64>().write(before);
            value.cast::<Timestamp>().add(1).write(at);
            R::write(view, value.add(HEAD));
        }
        chunk.used += size;
        self.values += 1;
        place
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, size: usize) {
        let usual = CHUNK_MAX.min(CHUNK_MIN << self.chunks.len().min(16));
        let size = usual.max(size);
        let first = self.memory.take(size).unwrap_or_else(|cause| super::no_memory(&cause));
        self.chunks.push(Chunk { first, used: 0, size });
        let few = self.chunks.len() < u32::MAX as usize && size <= u32::MAX as usize;
        assert!(few, "lists hold fewer than 2^32 chunks of less than 4 GiB");
    }

    /// The value at a place: the one before in its list, its time and record, its size.
    #[inline(always)]
    fn read(&self, Place { chunk, offset }: Place) -> (u64, Timestamp, R::View<'_>, usize) {
        let chunk = &self.chunks[chunk as usize];
        debug_assert!((offset as usize) < chunk.used);
        // SAFETY: 1. places are made by `push`, which wrote a value there, aligned. 2. values are
        // never written again, and stay as long as the area, which is borrowed.
        unsafe {
            let value = chunk.first.as_ptr().add(offset as usize);
            let (view, size) = R::read(value.add(HEAD));
            let (before, at) =
                (value.cast::<u64>().read(), value.cast::<Timestamp>().add(1).read());
            (before, at, view, HEAD + size)
        }
    }

    /// The value at a place or, where a chunk ends there, the first one of the next; and the place
    /// behind it. None at `until`.
    fn next(&self, mut from: Place, until: Place) -> Option<(Timestamp, R::View<'_>, Place)> {
        // A chunk that is left is full.
        if from != until && from.offset as usize == self.chunks[from.chunk as usize].used {
            from = Place { chunk: from.chunk + 1, offset: 0 };
        }
        if from == until {
            return None;
        }
        let (_, at, view, size) = self.read(from);
        Some((at, view, Place { offset: from.offset + size as u32, ..from }))
    }

    /// Shows some values from a place on, and gives where it has come to.
    fn show(
        &self,
        mut from: Place,
        until: Place,
        values: usize,
        mut show: impl FnMut(Timestamp, R::View<'_>),
    ) -> Place {
        for _ in 0..values {
            let Some((at, view, behind)) = self.next(from, until) else { return until };
            show(at, view);
            from = behind;
        }
        from
    }
}

impl<R: Record> Lists<R> {
    /// No lists; what they hold will be where the backend says.
    pub fn of(backend: Backend) -> Self {
        let (shown, until) = (Place::default(), Place::default());
        let area = Area::of(backend.clone());
        Lists { area, backend, shown, until, leaving: None, cleared: false }
    }

    /// Puts a record before the others of a list.
    ///
    /// # Panics
    /// When the system gives no memory, and for a record of 4 GiB.
    #[inline(always)]
    pub fn push(&mut self, list: &mut List, at: Timestamp, record: R::View<'_>) {
        list.newest = self.area.push(list.newest, at, record).number();
    }

    /// The records of a list, newest first.
    #[inline(always)]
    pub fn iter(&self, list: List) -> impl Iterator<Item = (Timestamp, R::View<'_>)> {
        let mut next = list.newest;
        std::iter::from_fn(move || {
            let (before, at, view, _) = self.area.read(Place::of(next)?);
            next = before;
            Some((at, view))
        })
    }

    /// The records of all lists, in the order in which they came.
    pub fn all(&self) -> impl Iterator<Item = (Timestamp, R::View<'_>)> {
        let (mut next, end) = (Place::default(), self.area.end());
        std::iter::from_fn(move || {
            let (at, view, behind) = self.area.next(next, end)?;
            next = behind;
            Some((at, view))
        })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.area.values
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes their area takes, and the room for more.
    pub fn bytes(&self) -> usize {
        let leaving = self.leaving.as_ref().map_or(0, |(area, ..)| area.memory.bytes());
        self.area.memory.bytes() + leaving
    }

    /// Forgets all lists; those handed out must not be used any more. What a save that has begun
    /// still has to show stays until then.
    pub fn clear(&mut self) {
        let area = std::mem::replace(&mut self.area, Area::of(self.backend.clone()));
        if self.shown != self.until {
            self.leaving = Some((area, self.shown, self.until));
        }
        (self.shown, self.until, self.cleared) = (Place::default(), Place::default(), true);
    }

    /// Begins to save the records that are there now: all, or those that were not shown before. The
    /// save before must have come to its end. True when all records of saves before are forgotten.
    pub fn begin_save(&mut self, full: bool) -> bool {
        debug_assert!(!self.is_saving(), "one save at a time");
        if full {
            self.shown = Place::default();
        }
        self.until = self.area.end();
        std::mem::take(&mut self.cleared) && !full
    }

    /// Whether a save has begun of which not all was shown.
    pub fn is_saving(&self) -> bool {
        self.leaving.is_some() || self.shown != self.until
    }

    /// Shows some `records` of the save that was begun; true when that was all of it.
    pub fn save_some(&mut self, records: usize, show: impl FnMut(Timestamp, R::View<'_>)) -> bool {
        if let Some((area, shown, until)) = &mut self.leaving {
            *shown = area.show(*shown, *until, records, show);
            let done = shown == until;
            self.leaving.take_if(|_| done);
            return done;
        }
        self.shown = self.area.show(self.shown, self.until, records, show);
        self.shown == self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_shown_once_and_read_newest_first() {
        let mut lists: Lists<String> = Lists::of(Backend::Memory);
        let (mut few, mut many) = (List::default(), List::default());
        let text = |n: i64| "x".repeat(if n % 1_000 == 7 { 700_000 } else { n as usize % 50 });
        let mut seen = Vec::new();
        for n in 0..20_000 {
            let list = if n % 100 == 0 { &mut few } else { &mut many };
            lists.push(list, Timestamp::from_micros(n), &text(n));
            if n % 3_000 == 0 {
                assert!(!lists.begin_save(false));
            }
            lists.save_some(3, |at, shown| {
                assert_eq!(shown, text(at.micros()));
                seen.push(at.micros());
            });
            if n % 3_000 == 2_999 {
                while !lists.save_some(100, |at, _| seen.push(at.micros())) {}
            }
        }
        lists.begin_save(false);
        while !lists.save_some(1_000, |at, _| seen.push(at.micros())) {}
        assert!(seen.iter().copied().eq(0..20_000), "each once, as they came");
        let times: Vec<i64> = lists.iter(few).map(|(at, _)| at.micros()).collect();
        assert!(times.iter().rev().copied().eq((0..20_000).step_by(100)));
        assert_eq!(lists.iter(many).count(), 19_800);
        assert!(lists.all().map(|(at, _)| at.micros()).eq(0..20_000));

        assert!(!lists.begin_save(true));
        lists.save_some(1, |_, _| ());
        lists.clear();
        lists.push(&mut few, Timestamp::from_micros(1), "new");
        let mut left = 0;
        while !lists.save_some(100, |_, _| left += 1) {}
        assert_eq!((left, lists.len()), (19_999, 1));
        assert!(lists.begin_save(false), "what was shown before is gone");
        let mut new = Vec::new();
        while !lists.save_some(1, |_, text| new.push(text.to_owned())) {}
        assert_eq!(new, ["new"]);
    }
}
