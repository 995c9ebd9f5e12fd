//! Writing logs.

use std::path::PathBuf;

use super::EXTENSION;
use super::frame::{Records, SPAN_MAX};
use super::head::Head;
use super::index::Index;
use crate::connector::files::{Holder, Parts, place};
use crate::connector::text::Target;
use crate::error::{Error, Kind, Result};
use crate::operator::{Guarantee, Publish, Sink, Writer};
use crate::record::{Block, Record};
use crate::sys::clock;
use crate::time::Timestamp;

/// A sink into log files; made by [`RecordLog::write`](super::RecordLog::write).
#[derive(Debug)]
pub struct LogSink {
    directory: PathBuf,
    holder: Holder,
    packs: bool,
}

impl LogSink {
    pub(super) fn new(directory: PathBuf) -> LogSink {
        LogSink { directory, holder: Holder::default(), packs: false }
    }

    /// Compresses each frame with LZ4, where that makes it shorter: less on the disk, more work for
    /// the core. Such frames are not read where they lie but unpacked first.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let sink = RecordLog::write("recorded").compressed();
    /// ```
    #[must_use]
    pub fn compressed(mut self) -> LogSink {
        self.packs = true;
        self
    }
}

impl<R: Record> Sink<R> for LogSink {
    type Writer = LogWriter<R>;

    fn name(&self) -> String {
        format!("log in {}", self.directory.display())
    }

    fn check(&self, shards: usize, resumes: Option<u64>) -> Result {
        Head::of::<R>()?;
        place::check(&self.directory, shards, EXTENSION, resumes)
    }

    fn place(&self) -> Option<PathBuf> {
        Some(place::all_files(&self.directory, EXTENSION))
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<LogWriter<R>> {
        let head = Head::of::<R>()?.bytes();
        let file = Parts::open(&self.directory, (shard, shards), EXTENSION, &head)?;
        let place = head.len() as u64;
        Ok(LogWriter { place, ..LogWriter::new(file, head, self.packs) })
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn resume(&mut self, shard: usize, shards: usize, epoch: u64) -> Result<LogWriter<R>> {
        let head = Head::of::<R>()?.bytes();
        let (seat, holder) = ((shard, shards), &mut self.holder);
        let files = Parts::resume(&self.directory, seat, EXTENSION, epoch, holder)?;
        Ok(LogWriter::new(files, head, self.packs))
    }
}

/// Writes the log of one shard.
#[derive(Debug)]
pub struct LogWriter<R> {
    file: Parts,
    /// What each file begins with.
    head: Vec<u8>,
    packs: bool,
    /// Bytes of the file so far; none when the next frame is the first of a file.
    place: u64,
    /// Records of the file so far.
    written: u64,
    index: Index,
    block: Block<R>,
    /// When the records of the block arrived: one for all as long as that is so.
    arrivals: Vec<i64>,
    /// When what comes now arrives; not known when something may have been waited for.
    now: Option<i64>,
    frame: Vec<u8>,
}

impl<R: Record> LogWriter<R> {
    fn new(file: Parts, head: Vec<u8>, packs: bool) -> LogWriter<R> {
        LogWriter {
            file,
            head,
            packs,
            place: 0,
            written: 0,
            index: Index::default(),
            block: Block::new(),
            arrivals: Vec::new(),
            now: None,
            frame: Vec::new(),
        }
    }

    fn begin(&mut self) -> Result {
        self.file.write(&self.head)?;
        (self.place, self.written) = (self.head.len() as u64, 0);
        Ok(())
    }

    /// Notes when a record has arrived that is to be put into the block; true where it can't be in
    /// one frame with those that are there.
    fn arrives(&mut self) -> bool {
        let now = *self.now.get_or_insert_with(micros_of_day);
        let Some(first) = self.arrivals.first().copied() else {
            self.arrivals.push(now);
            return false;
        };
        if !(0..=SPAN_MAX).contains(&(now - first)) {
            return true;
        }
        if self.arrivals.len() > 1 {
            self.arrivals.push(now);
        } else if now != first {
            self.arrivals.resize(self.block.len(), first);
            self.arrivals.push(now);
        }
        false
    }

    fn write_frame(&mut self) -> Result {
        if self.block.is_empty() {
            return Ok(());
        }
        if self.place == 0 {
            self.begin()?;
        }
        let Some((encoded, times)) = self.block.stored() else {
            let what = "a log was opened for a type that can't be kept";
            return Err(Error::new(Kind::Internal, what));
        };
        let records = Records { times, arrivals: &self.arrivals, encoded };
        let head = records.put(self.place, self.written, self.packs, &mut self.frame)?;
        self.file.write(&self.frame)?;
        self.index.note(self.place, &head);
        self.place += self.frame.len() as u64;
        self.written += u64::from(head.records);
        self.block.clear();
        self.arrivals.clear();
        self.now = None;
        Ok(())
    }

    /// Ends the file, if it has any frame.
    fn write_index(&mut self) -> Result {
        self.write_frame()?;
        if self.written > 0 {
            let index = std::mem::take(&mut self.index);
            index.put(self.place, self.written, &mut self.frame)?;
            self.file.write(&self.frame)?;
            self.written = 0;
        }
        Ok(())
    }
}

fn micros_of_day() -> i64 {
    i64::try_from(clock::of_day().as_micros()).unwrap_or(i64::MAX)
}

impl<R: Record> Writer<R> for LogWriter<R> {
    fn write(&mut self, at: Timestamp, record: R::View<'_>) -> Result {
        if self.arrives() {
            self.write_frame()?;
            self.arrives();
        }
        if self.block.push(at, record) {
            return self.write_frame();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.now = None;
        self.write_frame()
    }

    fn finish(&mut self) -> Result {
        self.write_index()?;
        self.file.finish()
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        self.write_index()?;
        let files = self.file.prepare(epoch)?;
        if !files.is_empty() {
            self.place = 0;
        }
        Ok(files)
    }
}
