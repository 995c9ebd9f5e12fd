//! Writing logs.

use std::path::PathBuf;
use std::time::Duration;

use super::EXTENSION;
use super::compress::Compression;
use super::frame::{Records, SPAN_MAX};
use super::head::Head;
use super::segment::Segment;
use super::segments;
use super::tail::Tail;
use crate::connector::files::{Holder, Parts, place};
use crate::connector::text::Target;
use crate::error::{Error, Kind, Result};
use crate::operator::{Guarantee, Publish, Sink, Writer};
use crate::record::{Block, Record};
use crate::sys::{clock, fs};
use crate::time::{Timestamp, span};

/// A sink into log files; made by [`RecordLog::write`](super::RecordLog::write).
#[derive(Debug)]
pub struct LogSink {
    directory: PathBuf,
    holder: Holder,
    compression: Compression,
    roll: Roll,
}

/// When a file is ended and the next one begun.
#[derive(Clone, Copy, Debug, Default)]
struct Roll {
    bytes: Option<u64>,
    micros: Option<i64>,
}

impl LogSink {
    pub(super) fn new(directory: PathBuf) -> LogSink {
        LogSink {
            directory,
            holder: Holder::default(),
            compression: Compression::None,
            roll: Roll::default(),
        }
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
    pub fn compressed(self) -> LogSink {
        self.compression(Compression::Lz4)
    }

    /// Compresses each frame as it says; see [`compressed`](LogSink::compressed).
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> LogSink {
        self.compression = compression;
        self
    }

    /// Ends a file as soon as it has so many bytes (without its index) and goes on with the next
    /// one: `part-3.tlog`, `part-3.1.tlog`, `part-3.2.tlog`, …, which are read as one split, in
    /// that order. In a job with checkpoints it is these that end files, and nothing else.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let sink = RecordLog::write("recorded").segments_of(1 << 30).segments_every(1.hours());
    /// ```
    #[must_use]
    pub fn segments_of(mut self, bytes: u64) -> LogSink {
        self.roll.bytes = Some(bytes);
        self
    }

    /// As [`segments_of`](LogSink::segments_of), with the first record that arrives as long after
    /// the file's first one, or later.
    #[must_use]
    pub fn segments_every(mut self, time: Duration) -> LogSink {
        self.roll.micros = Some(span(time));
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
        place::check(&self.directory, shards, EXTENSION, resumes)?;
        match segments::later(&self.directory)?.into_iter().find(|(shard, _)| *shard >= shards) {
            None => Ok(()),
            Some((_, path)) => {
                let path = path.display();
                let what = format!("{path} is of an earlier run on more shards; remove it first");
                Err(Error::new(Kind::Io, what))
            }
        }
    }

    fn place(&self) -> Option<PathBuf> {
        Some(place::all_files(&self.directory, EXTENSION))
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<LogWriter<R>> {
        let mut tail = Tail::new(&Head::of::<R>()?, self.compression);
        let seat = (shard, shards);
        let file = Parts::open(&self.directory, seat, EXTENSION, tail.head())?;
        tail.begun();
        // They would be taken for what comes behind this file.
        for (of, path) in segments::later(&self.directory)? {
            if of == shard {
                let failed = |cause| Error::io(format_args!("removing {}", path.display()), &cause);
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        let segments =
            Segments { directory: self.directory.clone(), seat, roll: self.roll, number: 0 };
        Ok(LogWriter::new(file, tail, Some(segments)))
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn resume(&mut self, shard: usize, shards: usize, epoch: u64) -> Result<LogWriter<R>> {
        let mut tail = Tail::new(&Head::of::<R>()?, self.compression);
        let (seat, holder) = ((shard, shards), &mut self.holder);
        let files = Parts::resume(&self.directory, seat, EXTENSION, epoch, holder)?;
        if let Some(last) = segments::last(&self.directory, shard)? {
            tail.follows(Segment::open(&last)?.latest()?);
        }
        Ok(LogWriter::new(files, tail, None))
    }
}

/// The files of one shard in a job without checkpoints.
#[derive(Debug)]
struct Segments {
    directory: PathBuf,
    seat: (usize, usize),
    roll: Roll,
    /// Of the file that is written, from 0.
    number: u64,
}

/// Writes the log of one shard.
#[derive(Debug)]
pub struct LogWriter<R> {
    file: Parts,
    tail: Tail,
    segments: Option<Segments>,
    /// When the file's first record arrived.
    began: Option<i64>,
    block: Block<R>,
    /// When the records of the block arrived: one for all as long as that is so.
    arrivals: Vec<i64>,
    /// When what comes now arrives; not known when something may have been waited for.
    now: Option<i64>,
}

impl<R: Record> LogWriter<R> {
    fn new(file: Parts, tail: Tail, segments: Option<Segments>) -> LogWriter<R> {
        let block = Block::new();
        LogWriter { file, tail, segments, began: None, block, arrivals: Vec::new(), now: None }
    }

    /// Goes on with the next file if it is time; before a frame whose first record arrived then.
    fn roll(&mut self, arrival: i64) -> Result {
        let Some(Segments { directory, seat, roll, number }) = &mut self.segments else {
            return Ok(());
        };
        let began = *self.began.get_or_insert(arrival);
        let full = roll.bytes.is_some_and(|bytes| self.tail.place() >= bytes);
        let old = roll.micros.is_some_and(|micros| arrival.saturating_sub(began) >= micros);
        if self.tail.written() == 0 || !(full || old) {
            return Ok(());
        }
        let file = &mut self.file;
        self.tail.end(|bytes| file.write(bytes))?;
        self.file.finish()?;
        *number += 1;
        let extension = format!("{number}.{EXTENSION}");
        self.file = Parts::open(directory, *seat, &extension, self.tail.head())?;
        self.tail.begun();
        self.began = Some(arrival);
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
        self.roll(self.arrivals.first().copied().unwrap_or_default())?;
        let Some((encoded, times)) = self.block.stored() else {
            let what = "a log was opened for a type that can't be kept";
            return Err(Error::new(Kind::Internal, what));
        };
        let records = Records { times, arrivals: &self.arrivals, encoded };
        let file = &mut self.file;
        self.tail.put(&records, |bytes| file.write(bytes))?;
        self.block.clear();
        self.arrivals.clear();
        self.now = None;
        Ok(())
    }

    /// Ends the file, if it has any frame.
    fn write_index(&mut self) -> Result {
        self.write_frame()?;
        let file = &mut self.file;
        self.tail.end(|bytes| file.write(bytes))
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
        self.file.prepare(epoch)
    }
}
