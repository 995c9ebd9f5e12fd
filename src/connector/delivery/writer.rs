//! Writes the records of one shard into blocks of text.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::{Block, Desk};
use crate::connector::text::Encoder;
use crate::error::{Error, Kind, Result};
use crate::limits::SOCKET_BLOCK_BYTES;
use crate::operator::{Progress, Publish, Writer};
use crate::record::Record;
use crate::ring::Ringer;
use crate::time::Timestamp;

/// How records lie in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::connector) enum Layout {
    /// As they are written, one behind the other.
    #[default]
    Text,
    /// With four bytes before each that say how long it is, the highest first, and without the line
    /// feed.
    Prefixed,
    /// Apart from each other, each no longer than a datagram.
    Datagrams,
}

impl Layout {
    /// Adds a record that was written, with a line feed at its end.
    fn lay(self, text: &[u8], to: &mut Vec<u8>) -> Result {
        let bare = text.strip_suffix(b"\n").unwrap_or(text);
        match self {
            Layout::Text => to.extend_from_slice(text),
            Layout::Prefixed => {
                let most = u32::MAX as usize;
                let refuse = |_| too_long(bare.len(), most, "its length fits four bytes");
                let len = u32::try_from(bare.len()).map_err(refuse)?;
                to.extend_from_slice(&len.to_be_bytes());
                to.extend_from_slice(bare);
            }
            Layout::Datagrams if bare.len() > DATAGRAM => {
                return Err(too_long(bare.len(), DATAGRAM, "it fits a datagram"));
            }
            Layout::Datagrams => to.extend_from_slice(bare),
        }
        Ok(())
    }

    /// A header by itself; nothing where there is none.
    ///
    /// # Errors
    /// That it is too long.
    pub(in crate::connector) fn laid(self, header: &[u8]) -> Result<Vec<u8>> {
        let mut laid = Vec::new();
        if !header.is_empty() {
            self.lay(header, &mut laid)?;
        }
        Ok(laid)
    }
}

/// Bytes of a datagram that IPv4 can carry.
const DATAGRAM: usize = 65_507;

/// What sinks of sockets and HTTP write with on one shard.
pub struct BlockWriter<R, E> {
    number: usize,
    encoder: E,
    layout: Layout,
    /// What the records of `layout`s other than text lie in.
    block: Block,
    /// None when the stream has ended and all is in the queue.
    queue: Option<Sender<Block>>,
    /// Blocks that found the queue full, in order.
    waiting: VecDeque<Block>,
    desk: Arc<Desk>,
    /// Blocks so far.
    made: u64,
    /// How many of them belong to the checkpoint that is being made.
    before: u64,
    finished: bool,
    /// How many records a block may have.
    records_max: u64,
    record: PhantomData<fn(&R)>,
}

impl<R, E> fmt::Debug for BlockWriter<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockWriter").field("made", &self.made).finish_non_exhaustive()
    }
}

impl<R: Record, E: Encoder<R>> BlockWriter<R, E> {
    pub(super) fn new(
        number: usize,
        encoder: E,
        layout: Layout,
        (queue, desk): (Sender<Block>, Arc<Desk>),
    ) -> Self {
        BlockWriter {
            number,
            encoder,
            layout,
            block: Block::of(number),
            queue: Some(queue),
            waiting: VecDeque::new(),
            desk,
            made: 0,
            before: 0,
            finished: false,
            records_max: u64::MAX,
            record: PhantomData,
        }
    }

    /// Has so many records in a block at most.
    pub(in crate::connector) fn with_records_max(mut self, records: u64) -> Self {
        self.records_max = records.max(1);
        self
    }

    /// Moves the record that was just written into the block.
    fn lay(&mut self) -> Result {
        self.layout.lay(self.encoder.text(), &mut self.block.bytes)?;
        self.block.ends.push(self.block.bytes.len());
        self.encoder.clear();
        Ok(())
    }

    /// Hands on what there is, or keeps it until there is room.
    fn send(&mut self) {
        if self.block.records == 0 {
            return;
        }
        if self.layout == Layout::Text {
            self.block.bytes.extend_from_slice(self.encoder.text());
            self.encoder.clear();
        }
        let block = mem::replace(&mut self.block, Block::of(self.number));
        self.made += 1;
        self.desk.slips[self.number].under_way.fetch_add(block.records, Relaxed);
        self.desk.ahead.fetch_add(block.bytes.len() as u64, Relaxed);
        self.waiting.push_back(block);
        self.push_waiting();
    }

    /// Moves blocks into the queue while there is room; how many.
    fn push_waiting(&mut self) -> usize {
        let before = self.waiting.len();
        while let (Some(block), Some(queue)) = (self.waiting.pop_front(), &self.queue) {
            let bytes = block.bytes.len() as u64;
            // A thread that has ended takes nothing: `poll` says why.
            if let Err(TrySendError::Full(block) | TrySendError::Closed(block)) =
                queue.try_send(block)
            {
                self.waiting.push_front(block);
                break;
            }
            self.desk.ahead.fetch_sub(bytes, Relaxed);
        }
        if self.finished && self.waiting.is_empty() {
            self.queue = None;
        }
        before - self.waiting.len()
    }
}

impl<R, E> Drop for BlockWriter<R, E> {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

fn too_long(bytes: usize, most: usize, so: &str) -> Error {
    let what = format!("a record of {bytes} bytes may have {most}, so that {so}; make it shorter");
    Error::new(Kind::Data, what)
}

impl<R: Record, E: Encoder<R>> Writer<R> for BlockWriter<R, E> {
    fn open(&mut self, bell: Ringer) {
        self.desk.slips[self.number].cord.hang(&bell);
    }

    fn ready(&mut self) -> bool {
        let has_room = |queue: &Sender<Block>| queue.capacity() > 0;
        let room = self.waiting.is_empty() && self.queue.as_ref().is_some_and(has_room);
        self.finished || room || self.desk.looks_ahead()
    }

    fn poll(&mut self) -> Result<Progress> {
        let bell = self.desk.slips[self.number].cord.bell();
        if bell.is_some_and(Ringer::is_stopped) {
            self.desk.stop();
        }
        let ended = self.desk.has_ended()?;
        if self.push_waiting() > 0 {
            return Ok(Progress::Busy);
        }
        let done = self.waiting.is_empty() && (!self.finished || ended);
        Ok(if done { Progress::Done } else { Progress::Parked })
    }

    #[inline]
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        self.encoder.push(record);
        self.block.records += 1;
        let bytes = match self.layout {
            Layout::Text => self.encoder.text().len(),
            Layout::Prefixed | Layout::Datagrams => {
                self.lay()?;
                self.block.bytes.len()
            }
        };
        if bytes >= SOCKET_BLOCK_BYTES || self.block.records >= self.records_max {
            self.send();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.send();
        Ok(())
    }

    fn finish(&mut self) -> Result {
        self.send();
        self.finished = true;
        self.desk.finish(self.number);
        self.push_waiting();
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<Publish>> {
        self.send();
        self.before = self.made;
        Ok(Vec::new())
    }

    fn is_prepared(&mut self) -> Result<bool> {
        let ended = self.desk.has_ended()?;
        Ok(ended || self.desk.delivered(self.number) >= self.before)
    }
}
