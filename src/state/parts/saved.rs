//! Parts as they were saved, read back a frame at a time.

use rkyv::util::AlignedVec;

use super::{Owner, PartHead, UNTIMED};
use crate::error::{Error, Kind, Result};
use crate::limits::FRAME_RECORDS;
use crate::record::{Batch, Record, pad};
use crate::time::Timestamp;

/// Sections that one shard has saved, wherever they lie.
pub trait Sections: std::fmt::Debug + Send + Sync {
    /// Bytes of all sections.
    fn len(&self) -> u64;

    /// Brings `len` bytes of the sections, from byte `at` on, into a window, with others around
    /// them as it likes.
    ///
    /// # Errors
    /// When they can't be read, or are not there.
    fn read(&self, at: u64, len: usize, window: &mut Window) -> Result;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Some bytes of sections.
#[derive(Debug, Default)]
pub struct Window {
    /// Which byte of the sections the first one is, a multiple of 8.
    pub first: u64,
    /// The bytes.
    pub bytes: AlignedVec<8>,
}

impl Window {
    /// Those from byte `at` of the sections on, `len` of them, if they are in the window.
    fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.first)?).ok()?;
        self.bytes.get(from..)?.get(..len)
    }
}

/// Sections in memory.
#[derive(Debug)]
struct InMemory(AlignedVec<8>);

impl Sections for InMemory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: u64, len: usize, window: &mut Window) -> Result {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.0.get(from..).and_then(|rest| rest.get(..len)).ok_or_else(damaged)?;
        window.first = at;
        window.bytes.clear();
        window.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn damaged() -> Error {
    Error::new(Kind::Data, "the sections of the state are damaged")
}

/// Where something is looked for in sections.
struct Cursor<'a> {
    sections: &'a dyn Sections,
    window: Window,
}

impl Cursor<'_> {
    /// So many bytes from byte `at` on.
    fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        if self.window.get(at, len).is_none() {
            // No more memory is asked for than there can be bytes.
            if at.checked_add(len as u64).is_none_or(|end| end > self.sections.len()) {
                return Err(damaged());
            }
            self.sections.read(at, len, &mut self.window)?;
        }
        self.window.get(at, len).ok_or_else(damaged)
    }

    fn number(&mut self, at: u64) -> Result<u64> {
        let word = self.bytes(at, 8)?.first_chunk().ok_or_else(damaged)?;
        Ok(u64::from_ne_bytes(*word))
    }
}

/// The sections that one shard has saved: what there is, and where.
#[derive(Debug)]
pub struct Saved {
    sections: Box<dyn Sections>,
    parts: Vec<(PartHead, Vec<Frame>)>,
}

/// A frame's place.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where its times begin, if it has any.
    at: u64,
    timed: bool,
    records: usize,
    bytes: usize,
}

impl Frame {
    fn times(&self) -> usize {
        if self.timed { self.records * 8 } else { 0 }
    }
}

impl Saved {
    /// Reads sections in memory.
    ///
    /// # Errors
    /// When they are no such thing.
    pub fn read(sections: &[u8]) -> Result<Saved> {
        let mut bytes = AlignedVec::with_capacity(sections.len());
        bytes.extend_from_slice(sections);
        Saved::of(Box::new(InMemory(bytes)))
    }

    /// Sees what sections there are. Records are read when they are asked for.
    ///
    /// # Errors
    /// When they can't be read or are no such thing; their checksum should have been looked at
    /// before.
    pub fn of(sections: Box<dyn Sections>) -> Result<Saved> {
        let (mut at, mut parts) = (0, Vec::new());
        let mut cursor = Cursor { sections: &*sections, window: Window::default() };
        while at < cursor.sections.len() {
            let (part, next) = section(&mut cursor, at)?;
            parts.push(part);
            at = next;
        }
        Ok(Saved { sections, parts })
    }

    /// What there is, with the number of records, and of bytes.
    pub fn parts(&self) -> impl Iterator<Item = (&PartHead, usize, usize)> {
        let sum = |frames: &[Frame], of: fn(&Frame) -> usize| frames.iter().map(of).sum();
        self.parts.iter().map(move |(head, frames)| {
            (head, sum(frames, |frame| frame.records), sum(frames, |frame| frame.bytes))
        })
    }

    /// For how many records of a part there should be room: no more than there are bytes.
    pub(in crate::state) fn records(&self, of: Option<&Owner>, part: &str) -> usize {
        let its =
            |head: &PartHead| head.part == part && of.is_none_or(|owner| head.step == *owner.step);
        let parts = self.parts().filter(|(head, ..)| its(head));
        parts.map(|(_, records, bytes)| records.min(bytes)).sum()
    }

    /// Whether an operator has a part.
    pub(in crate::state) fn has(&self, of: Option<&Owner>, part: &str) -> bool {
        let mut heads = self.parts.iter().map(|(head, _)| head);
        heads.any(|head| head.part == part && of.is_none_or(|owner| head.step == *owner.step))
    }

    /// Whether an operator has a part with records of this schema.
    pub(super) fn is(&self, of: Option<&Owner>, part: &str, schema: &str) -> bool {
        let is = |head: &PartHead| head.part == part && head.schema == schema;
        let mut heads = self.parts.iter().map(|(head, _)| head);
        heads.any(|head| is(head) && of.is_none_or(|owner| head.step == *owner.step))
    }

    /// Shows the records of a part of every operator that has one, each with the operator's name.
    ///
    /// # Errors
    /// When they were saved as another type, or are damaged.
    pub fn each_of<R: Record>(
        &self,
        part: &str,
        mut show: impl FnMut(&str, R::View<'_>),
    ) -> Result {
        self.each::<R>(None, part, &mut |step, _, record| show(step, record))
    }

    /// Shows the records of a part.
    pub(in crate::state) fn each<R: Record>(
        &self,
        of: Option<&Owner>,
        part: &str,
        show: &mut impl FnMut(&str, Timestamp, R::View<'_>),
    ) -> Result {
        let own = R::data_type().to_string();
        let wanted =
            |head: &PartHead| head.part == part && of.is_none_or(|owner| head.step == *owner.step);
        let mut cursor = Cursor { sections: &*self.sections, window: Window::default() };
        for (head, frames) in self.parts.iter().filter(|(head, _)| wanted(head)) {
            let step = &head.step;
            if head.schema != own || Some(head.layout) != R::STORED {
                let was = &head.schema;
                let what = format!(
                    "{part} was saved as {was} and is {own} now; change the record back, or \
                     start anew in another directory"
                );
                return Err(Error::new(Kind::Data, what).within(step));
            }
            if let Some(owner) = of.filter(|owner| !head.is_as_asked(owner) && !frames.is_empty()) {
                let (was, is) = (&head.asked, &owner.asked);
                let what = format!(
                    "{part} was saved when it was asked for ({was}), and now for ({is}); ask for \
                     the same again, or start anew in another directory"
                );
                return Err(Error::new(Kind::Data, what).within(step));
            }
            for frame in frames {
                let Frame { at, records, .. } = *frame;
                let bytes = cursor.bytes(at, frame.times() + frame.bytes);
                let bytes = bytes.map_err(|error| error.within(step))?;
                let damaged = || Error::new(Kind::Data, "records are damaged").within(step);
                let (times, encodings) = bytes.split_at(frame.times());
                let batch = if frame.timed {
                    Batch::restored::<R>(encodings, times)
                } else {
                    Batch::restored_untimed::<R>(encodings, records)
                };
                batch.ok_or_else(damaged)?.records::<R>().for_each(|(at, record)| {
                    show(step, at, record);
                });
            }
        }
        Ok(())
    }
}

/// The section at a place, and where the next one is.
fn section(cursor: &mut Cursor<'_>, mut at: u64) -> Result<((PartHead, Vec<Frame>), u64)> {
    let len = usize::try_from(cursor.number(at)?).map_err(|_| damaged())?;
    at += 8;
    let head = serde_json::from_slice(cursor.bytes(at, len)?).map_err(|_| damaged())?;
    at += pad(len) as u64;
    let mut frames = Vec::new();
    loop {
        let (count, bytes) = (cursor.number(at)?, cursor.number(at + 8)?);
        at += 16;
        let (timed, records) = (count & UNTIMED == 0, (count & !UNTIMED) as usize);
        if records == 0 {
            return Ok(((head, frames), at));
        }
        let bytes = usize::try_from(bytes).map_err(|_| damaged())?;
        let frame = Frame { at, timed, records, bytes };
        let end = (frame.times() as u64).checked_add(bytes as u64);
        let end = end.and_then(|len| at.checked_add(len));
        if records > FRAME_RECORDS || end.is_none_or(|end| end > cursor.sections.len()) {
            return Err(damaged());
        }
        at = end.unwrap_or(at);
        frames.push(frame);
    }
}
