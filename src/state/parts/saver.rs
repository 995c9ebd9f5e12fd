//! Parts on their way to a checkpoint.

use std::sync::Arc;

use super::{Owner, PartHead, UNTIMED};
use crate::error::{Error, Kind, Result};
use crate::record::{Block, Record};
use crate::time::Timestamp;

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
