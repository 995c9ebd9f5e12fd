//! What operators remember, on its way to a checkpoint and back.
//!
//! An operator's state is kept as records: named *parts*, each a list of records of one type, with
//! the schema of that type. So a checkpoint does not depend on how tables lie in memory, can be
//! read by a person, and can be dealt out anew to another number of shards: each takes the records
//! whose keys it owns.
//!
//! ```text
//! section:  | head bytes: 8 | head: JSON, padded to 8 | frame | frame | … | end: 16 zero bytes |
//! frame:    | records: 8 | bytes: 8 | times: 8 a record | encodings, `bytes` in all |
//! ```
//!
//! The highest bit of a frame's `records` is set when none of them has a time: there are no times.

use std::sync::Arc;

use rkyv::util::AlignedVec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::key;
use crate::limits::FRAME_RECORDS;
use crate::record::{Batch, Block, Record, pad};
use crate::time::Timestamp;

/// Whose state is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The step, by a name that is its own among the job's.
    pub step: Arc<str>,
    /// What was asked of it, in words.
    pub asked: Arc<str>,
    /// Which of the step's input ports the operator's port 0 is.
    pub input: usize,
}

/// The bit of a frame's number of records which says that none has a time.
const UNTIMED: u64 = 1 << 63;

/// What stands before the records of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHead {
    /// The operator, by a name that is its own among the job's.
    pub step: String,
    /// What was asked of it: state of windows of one length is of no use to those of another.
    pub asked: String,
    /// What of it.
    pub part: String,
    /// The records' type in words.
    pub schema: String,
    /// How they lie in memory ([`Record::STORED`]).
    pub layout: u64,
}

/// Takes the state of a shard's operators, one after the other.
#[derive(Debug, Default)]
pub struct Saver {
    epoch: u64,
    full: bool,
    owner: Option<Owner>,
    bytes: Vec<u8>,
}

impl Saver {
    /// Nothing yet.
    pub fn new() -> Saver {
        Saver::default()
    }

    /// The epoch that is saved; 0 when it is only to be seen whether all could be.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether all of a table is saved, not only what has changed since the epoch before.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Sets whether all of a table is saved.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// What follows is of this operator.
    pub fn enter(&mut self, epoch: u64, owner: &Owner) {
        self.epoch = epoch;
        self.owner = Some(owner.clone());
    }

    /// The step's input port that is the operator's own port `port`.
    pub fn input(&self, port: usize) -> usize {
        self.owner.as_ref().map_or(0, |owner| owner.input) + port
    }

    /// Saves a part: all records that `fill` puts.
    ///
    /// # Errors
    /// When the records can't be kept outside the process, because some of their bytes are
    /// padding.
    pub fn part<R: Record>(
        &mut self,
        part: impl Into<String>,
        fill: impl FnOnce(&mut Part<'_, R>),
    ) -> Result {
        let (schema, part) = (R::data_type().to_string(), part.into());
        let Some(layout) = R::STORED else {
            let what = format!(
                "{part} can't be kept in a checkpoint: between the fields of {schema} there is \
                 padding; use 8-byte fields, or order them by size"
            );
            return Err(Error::new(Kind::Plan, what));
        };
        let owner = self.owner.as_ref();
        let text = |of: fn(&Owner) -> &Arc<str>| owner.map_or(String::new(), |o| of(o).to_string());
        let (step, asked) = (text(|owner| &owner.step), text(|owner| &owner.asked));
        let head = PartHead { step, asked, part, schema, layout };
        let head = serde_json::to_vec(&head)
            .map_err(|error| Error::new(Kind::Internal, format!("a part's head: {error}")))?;
        self.bytes.extend((head.len() as u64).to_ne_bytes());
        self.bytes.extend(&head);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let mut part = Part { block: Block::new(), to: &mut self.bytes };
        fill(&mut part);
        part.write();
        self.bytes.extend([0; 16]);
        Ok(())
    }

    /// Bytes of the sections so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no sections.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The sections of all parts, which are forgotten here.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The next sections go into this memory, which is empty.
    pub fn write_into(&mut self, room: Vec<u8>) {
        debug_assert!(room.is_empty() && self.bytes.is_empty());
        self.bytes = room;
    }
}

/// A part that is being saved.
pub struct Part<'a, R: Record> {
    block: Block<R>,
    to: &'a mut Vec<u8>,
}

impl<R: Record> Part<'_, R> {
    /// Puts one record.
    pub fn put(&mut self, record: R::View<'_>) {
        self.put_at(Timestamp::MIN, record);
    }

    /// Puts one record that has a time.
    pub fn put_at(&mut self, at: Timestamp, record: R::View<'_>) {
        if self.block.push(at, record) {
            self.write();
        }
    }

    fn write(&mut self) {
        let records = self.block.len() as u64;
        if records == 0 {
            return;
        }
        if let Some(bytes) = self.block.stored_untimed() {
            self.to.extend((records | UNTIMED).to_ne_bytes());
            self.to.extend((bytes.len() as u64).to_ne_bytes());
            self.to.extend(bytes);
        } else if let Some((bytes, times)) = self.block.stored() {
            self.to.extend(records.to_ne_bytes());
            self.to.extend((bytes.len() as u64).to_ne_bytes());
            times.iter().for_each(|at| self.to.extend(at.micros().to_ne_bytes()));
            self.to.extend(bytes);
        }
        self.block.clear();
    }
}

/// The sections that one shard has saved, read back.
#[derive(Debug)]
pub struct Saved {
    bytes: AlignedVec<8>,
    parts: Vec<(PartHead, Vec<Frame>)>,
}

/// A frame's place.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where its times begin, if it has any.
    at: usize,
    timed: bool,
    records: usize,
    bytes: usize,
}

impl Saved {
    /// Reads sections.
    ///
    /// # Errors
    /// When they are no such thing; their checksum should have been looked at before.
    pub fn read(sections: &[u8]) -> Result<Saved> {
        let mut bytes = AlignedVec::with_capacity(sections.len());
        bytes.extend_from_slice(sections);
        Saved::of(bytes, 0)
    }

    /// Reads the sections that begin at byte `from`, a multiple of 8.
    ///
    /// # Errors
    /// As [`read`](Saved::read).
    pub fn of(bytes: AlignedVec<8>, from: usize) -> Result<Saved> {
        let (mut saved, mut at) = (Saved { bytes, parts: Vec::new() }, from);
        while at < saved.bytes.len() {
            let damaged = || Error::new(Kind::Data, "the sections of the state are damaged");
            at = saved.section(at).ok_or_else(damaged)?;
        }
        Ok(saved)
    }

    fn number(&self, at: usize) -> Option<usize> {
        let word = self.bytes.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_ne_bytes(*word)).ok()
    }

    /// Notes the section at a place; gives where the next one is.
    fn section(&mut self, mut at: usize) -> Option<usize> {
        let len = self.number(at)?;
        at += 8;
        let head = serde_json::from_slice(self.bytes.get(at..at.checked_add(len)?)?).ok()?;
        at += pad(len);
        let mut frames = Vec::new();
        loop {
            let (records, bytes) = (self.number(at)?, self.number(at + 8)?);
            at += 16;
            let (timed, records) = (records & UNTIMED as usize == 0, records & !(UNTIMED as usize));
            if records == 0 {
                break;
            }
            if records > FRAME_RECORDS {
                return None;
            }
            let times = if timed { records * 8 } else { 0 };
            let end = at.checked_add(times)?.checked_add(bytes)?;
            self.bytes.get(at..end)?;
            frames.push(Frame { at, timed, records, bytes });
            at = end;
        }
        self.parts.push((head, frames));
        Some(at)
    }

    /// What there is, with the number of records, and of bytes.
    pub fn parts(&self) -> impl Iterator<Item = (&PartHead, usize, usize)> {
        let sum = |frames: &[Frame], of: fn(&Frame) -> usize| frames.iter().map(of).sum();
        self.parts.iter().map(move |(head, frames)| {
            (head, sum(frames, |frame| frame.records), sum(frames, |frame| frame.bytes))
        })
    }

    /// For how many records of a part there should be room: no more than there are bytes.
    pub(super) fn records(&self, of: Option<&Owner>, part: &str) -> usize {
        let its =
            |head: &PartHead| head.part == part && of.is_none_or(|owner| head.step == *owner.step);
        let parts = self.parts().filter(|(head, ..)| its(head));
        parts.map(|(_, records, bytes)| records.min(bytes)).sum()
    }

    /// Whether an operator has a part.
    pub(super) fn has(&self, of: Option<&Owner>, part: &str) -> bool {
        let mut heads = self.parts.iter().map(|(head, _)| head);
        heads.any(|head| head.part == part && of.is_none_or(|owner| head.step == *owner.step))
    }

    /// Whether an operator has a part with records of this schema.
    fn is(&self, of: Option<&Owner>, part: &str, schema: &str) -> bool {
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
    pub(super) fn each<R: Record>(
        &self,
        of: Option<&Owner>,
        part: &str,
        show: &mut impl FnMut(&str, Timestamp, R::View<'_>),
    ) -> Result {
        let own = R::data_type().to_string();
        let wanted =
            |head: &PartHead| head.part == part && of.is_none_or(|owner| head.step == *owner.step);
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
            if let Some(owner) = of.filter(|owner| head.asked != *owner.asked && !frames.is_empty())
            {
                let (was, is) = (&head.asked, &owner.asked);
                let what = format!(
                    "{part} was saved when it was asked for ({was}), and now for ({is}); ask for \
                     the same again, or start anew in another directory"
                );
                return Err(Error::new(Kind::Data, what).within(step));
            }
            for frame in frames {
                let damaged = || Error::new(Kind::Data, "records are damaged").within(step);
                let batch = self.batch::<R>(*frame).ok_or_else(damaged)?;
                batch.records::<R>().for_each(|(at, record)| show(step, at, record));
            }
        }
        Ok(())
    }

    fn batch<R: Record>(&self, frame: Frame) -> Option<Batch<'_>> {
        let Frame { at, timed, records, bytes } = frame;
        if !timed {
            return Batch::restored_untimed::<R>(self.bytes.get(at..at + bytes)?, records);
        }
        let times = self.bytes.get(at..at + records * 8)?;
        let encodings = self.bytes.get(at + records * 8..)?.get(..bytes)?;
        Batch::restored::<R>(encodings, times)
    }
}

/// What all shards have saved, to be taken up by one.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'a> {
    /// In the order of the shards that saved it: the files of each, oldest first.
    saved: &'a [Vec<Saved>],
    /// The one shard of which files are read by themselves, if it is one.
    only: Option<usize>,
    owner: Option<&'a Owner>,
    shard: usize,
    shards: usize,
}

impl<'a> Loader<'a> {
    /// For one of so many shards.
    pub fn new(saved: &'a [Vec<Saved>], shard: usize, shards: usize) -> Loader<'a> {
        Loader { saved, only: None, owner: None, shard, shards }
    }

    /// What is loaded is of this operator, as in [`Saver::enter`].
    #[must_use]
    pub fn entered<'b>(&self, owner: &'b Owner) -> Loader<'b>
    where
        'a: 'b,
    {
        Loader { owner: Some(owner), ..*self }
    }

    /// Only what this shard has saved, of tables.
    #[must_use]
    pub fn of(&self, shard: usize) -> Self {
        Loader { only: Some(shard), ..*self }
    }

    /// As [`Saver::input`].
    pub fn input(&self, port: usize) -> usize {
        self.owner.map_or(0, |owner| owner.input) + port
    }

    /// How many shards saved it.
    pub fn were(&self) -> usize {
        self.saved.len()
    }

    /// How many shards load it.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// This shard's number.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Whether this shard owns the key of a hash.
    pub fn owns(&self, hash: u64) -> bool {
        key::owner(key::group(hash), self.shards) == self.shard
    }

    /// The files of each shard that saved any, oldest first.
    pub(super) fn files(&self) -> impl Iterator<Item = &'a [Saved]> {
        self.saved.iter().map(Vec::as_slice)
    }

    /// The files that are read of what may be this shard's, oldest first, with the shard that saved
    /// them: what is dealt out to as many shards as before is where it was.
    pub(super) fn own_files(&self) -> impl Iterator<Item = (usize, &'a [Saved])> {
        let (own, only, same) = (self.shard, self.only, self.were() == self.shards);
        let counts = move |shard| only.unwrap_or(shard) == shard && (!same || shard == own);
        self.files().enumerate().filter(move |(shard, _)| counts(*shard))
    }

    pub(super) fn owner(&self) -> Option<&'a Owner> {
        self.owner
    }

    /// Whether any shard has saved a part as records of this type.
    pub fn is<R: Record>(&self, part: &str) -> bool {
        let schema = R::data_type().to_string();
        let mut files = self.saved.iter().flatten();
        files.any(|saved| saved.is(self.owner, part, &schema))
    }

    /// Shows all records of a part, those of all shards: who shows them, at what time.
    ///
    /// # Errors
    /// When they were saved as another type, or are damaged.
    pub fn part<R: Record>(
        &self,
        part: &str,
        mut show: impl FnMut(usize, Timestamp, R::View<'_>),
    ) -> Result {
        let newest = |(shard, files): (usize, &'a Vec<Saved>)| Some((shard, files.last()?));
        for (shard, saved) in self.saved.iter().enumerate().filter_map(newest) {
            saved.each::<R>(self.owner, part, &mut |_, at, record| show(shard, at, record))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(step: &str, asked: &str, input: usize) -> Owner {
        Owner { step: step.into(), asked: asked.into(), input }
    }

    fn saved() -> Vec<u8> {
        let mut saver = Saver::new();
        saver.enter(1, &owner("count", "", 0));
        let words = ["a", "bb", ""];
        let of = |n: u64| (words[n as usize % 3], n);
        saver
            .part::<(String, u64)>("totals", |to| (0..10_000).for_each(|n| to.put(of(n))))
            .unwrap();
        saver.part::<u64>("none", |_| {}).unwrap();
        saver.enter(1, &owner("other", "", 1));
        saver.part::<u64>("totals", |to| to.put_at(Timestamp::MAX, 7)).unwrap();
        saver.take()
    }

    #[test]
    fn what_is_saved_is_loaded_part_by_part() {
        let all = [vec![Saved::read(&saved()).unwrap()], vec![Saved::read(&[]).unwrap()]];
        let counts: Vec<_> = all[0][0].parts().map(|(_, records, _)| records).collect();
        assert_eq!(counts, [10_000, 0, 1]);
        let (count, other) = (owner("count", "", 0), owner("other", "", 1));
        let loader = Loader::new(&all, 0, 1).entered(&count);
        let mut next = 0;
        let mut show = |shard, at, (word, n): (&str, u64)| {
            assert_eq!(
                (shard, at, word.len(), n),
                (0, Timestamp::MIN, [1, 2, 0][next % 3], next as u64)
            );
            next += 1;
        };
        loader.part::<(String, u64)>("totals", &mut show).unwrap();
        assert_eq!(next, 10_000);
        let mut got = Vec::new();
        let other = loader.entered(&other);
        other.part::<u64>("totals", |_, at, n| got.push((at, n))).unwrap();
        assert_eq!(got, [(Timestamp::MAX, 7)]);
        let error = loader.part::<(u64, u64)>("totals", |_, _, _| ()).unwrap_err().to_string();
        assert!(error.contains("0: text") && error.contains("0: u64"), "{error}");
        let changed = owner("count", "tumbling 1s", 0);
        let error = loader.entered(&changed).part::<(String, u64)>("totals", |_, _, _| ());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("totals was saved when it was asked for (), and now for"),
            "{error}"
        );
    }

    #[test]
    fn damaged_sections_are_refused() {
        let whole = saved();
        for cut in [1, 8, 9, 100, whole.len() - 16, whole.len() - 1] {
            assert!(Saved::read(&whole[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_frame_of_more_records_than_there_can_be_is_refused() {
        let mut saver = Saver::new();
        saver.enter(1, &owner("count", "", 0));
        saver.part::<u64>("none", |_| {}).unwrap();
        let none = saver.take();
        let end = [0_u64; 2];
        // Records of no bytes: nothing else bounds their number.
        let of = |records: u64| {
            let mut bytes = none[..none.len() - size_of_val(&end)].to_vec();
            [records | UNTIMED, 0, 0, 0].iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
            Saved::read(&bytes)
        };
        assert!(of(FRAME_RECORDS as u64).is_ok());
        assert!(of(FRAME_RECORDS as u64 + 1).is_err());
        assert!(of(1 << 40).is_err());
    }
}
