//! Where in a log file the frames of a time are.

use super::STEP;
use super::frame::{FrameHead, glance, put_index};
use crate::error::Result;

/// What is behind an index, after its place.
const ENDS: &[u8; 8] = b"tlogends";
/// Bytes of an entry.
const ENTRY: usize = 32;

/// A frame of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    place: u64,
    /// Records before it.
    before: u64,
    /// Up to its end: later entries have none that are less.
    latest: Latest,
}

/// The greatest event time and the latest arrival of a split up to some place: of a file and of
/// those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latest {
    pub event: i64,
    pub arrival: i64,
}

impl Latest {
    /// Before any record.
    pub const NONE: Latest = Latest { event: i64::MIN, arrival: i64::MIN };

    fn and(self, head: &FrameHead) -> Latest {
        let Latest { event, arrival } = self;
        Latest { event: event.max(head.greatest), arrival: arrival.max(head.to) }
    }
}

/// Some frames of a file, in their order.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    /// Of the files before.
    before: Latest,
}

impl Index {
    /// Bytes behind the index.
    pub const TRAILER: usize = 16;

    /// Of a file behind others that have these times.
    pub fn behind(before: Latest) -> Index {
        Index { entries: Vec::new(), before }
    }

    /// Notes a frame, those before it having been noted.
    pub fn note(&mut self, place: u64, head: &FrameHead) {
        let latest = self.latest().and(head);
        match self.entries.last_mut() {
            // What is asked for may be in any frame from the entry's up to the next.
            Some(last) if place - last.place < STEP => last.latest = latest,
            _ => self.entries.push(Entry { place, before: head.before, latest }),
        }
    }

    /// Up to the end of the file.
    pub fn latest(&self) -> Latest {
        self.entries.last().map_or(self.before, |last| last.latest)
    }

    /// Forgets the last entry; gives its place and how many records are before it.
    pub fn take_back(&mut self) -> Option<(u64, u64)> {
        self.entries.pop().map(|last| (last.place, last.before))
    }

    /// Puts it into `out`, for a place of a file behind so many records.
    pub fn put(&self, place: u64, before: u64, out: &mut Vec<u8>) -> Result {
        let mut body = Vec::with_capacity(self.entries.len() * ENTRY);
        for Entry { place, before, latest } in &self.entries {
            body.extend(place.to_ne_bytes());
            body.extend(before.to_ne_bytes());
            body.extend(latest.event.to_ne_bytes());
            body.extend(latest.arrival.to_ne_bytes());
        }
        put_index(&body, place, before, out)?;
        out.extend(place.to_ne_bytes());
        out.extend(ENDS);
        Ok(())
    }

    /// Where the index of a file is; none where it has none.
    pub fn place(file: &[u8]) -> Option<usize> {
        let (rest, trailer) = file.split_last_chunk::<{ Index::TRAILER }>()?;
        let (place, ends) = trailer.split_first_chunk::<8>()?;
        let place = usize::try_from(u64::from_ne_bytes(*place)).ok()?;
        let head = glance(rest, place).filter(|head| ends == ENDS && head.is_index())?;
        (place + head.len() == rest.len()).then_some(place)
    }

    /// Reads the body of an index.
    pub fn read(body: &[u8]) -> Index {
        let long = |bytes: &[u8], at: usize| {
            i64::from_ne_bytes(*bytes[at..].first_chunk().unwrap_or(&[0; 8]))
        };
        let entry = |bytes: &[u8]| Entry {
            place: long(bytes, 0).cast_unsigned(),
            before: long(bytes, 8).cast_unsigned(),
            latest: Latest { event: long(bytes, 16), arrival: long(bytes, 24) },
        };
        let entries = body.chunks_exact(ENTRY).map(entry).collect();
        Index { entries, before: Latest::NONE }
    }

    /// The last entry before which no record has an event time of `at` or later.
    pub fn at_event(&self, at: i64) -> Option<u64> {
        self.first(|entry| entry.latest.event < at)
    }

    /// The last entry before which no record arrived at `at` or later.
    pub fn at_arrival(&self, at: i64) -> Option<u64> {
        self.first(|entry| entry.latest.arrival < at)
    }

    /// The last entry before which there are no more than `number` records.
    pub fn at_record(&self, number: u64) -> Option<u64> {
        let behind = self.entries.partition_point(|entry| entry.before <= number);
        self.entries.get(behind.saturating_sub(1)).map(|entry| entry.place)
    }

    fn first(&self, is_before: impl Fn(&Entry) -> bool) -> Option<u64> {
        let first = self.entries.partition_point(is_before);
        self.entries.get(first).map(|entry| entry.place)
    }
}
