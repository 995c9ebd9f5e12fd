//! Writing logs.

use std::path::PathBuf;

use super::{EXTENSION, frame_head, head, small};
use crate::connector::files::{Holder, Parts, place};
use crate::connector::text::Target;
use crate::error::{Error, Kind, Result};
use crate::operator::{Guarantee, Publish, Sink, Writer};
use crate::record::{Block, Record};
use crate::time::Timestamp;

/// A sink into log files; made by [`RecordLog::write`](super::RecordLog::write).
#[derive(Debug)]
pub struct LogSink {
    directory: PathBuf,
    holder: Holder,
}

impl LogSink {
    pub(super) fn new(directory: PathBuf) -> LogSink {
        LogSink { directory, holder: Holder::default() }
    }
}

impl<R: Record> Sink<R> for LogSink {
    type Writer = LogWriter<R>;

    fn name(&self) -> String {
        format!("log in {}", self.directory.display())
    }

    fn check(&self, shards: usize, resumes: Option<u64>) -> Result {
        head::<R>()?;
        place::check(&self.directory, shards, EXTENSION, resumes)
    }

    fn place(&self) -> Option<PathBuf> {
        Some(place::all_files(&self.directory, EXTENSION))
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<LogWriter<R>> {
        let head = head::<R>()?;
        let file = Parts::open(&self.directory, (shard, shards), EXTENSION, &head)?;
        Ok(LogWriter { place: head.len() as u64, ..LogWriter::new(file) })
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn resume(&mut self, shard: usize, shards: usize, epoch: u64) -> Result<LogWriter<R>> {
        head::<R>()?;
        let (seat, holder) = ((shard, shards), &mut self.holder);
        Parts::resume(&self.directory, seat, EXTENSION, epoch, holder).map(LogWriter::new)
    }
}

/// Writes the log of one shard.
#[derive(Debug)]
pub struct LogWriter<R> {
    file: Parts,
    /// Bytes of the file so far; none when the next frame is the first of a file.
    place: u64,
    block: Block<R>,
    frame: Vec<u8>,
}

impl<R: Record> LogWriter<R> {
    fn new(file: Parts) -> LogWriter<R> {
        LogWriter { file, place: 0, block: Block::new(), frame: Vec::new() }
    }

    fn begin(&mut self) -> Result {
        let head = head::<R>()?;
        self.file.write(&head)?;
        self.place = head.len() as u64;
        Ok(())
    }

    fn write_frame(&mut self) -> Result {
        if self.block.is_empty() {
            return Ok(());
        }
        if self.place == 0 {
            self.begin()?;
        }
        let Some((records, times)) = self.block.stored() else {
            return Err(Error::new(
                Kind::Internal,
                "a log was opened for a type that can't be kept",
            ));
        };
        let frame = &mut self.frame;
        frame.clear();
        frame.extend([0; super::FRAME_HEAD_BYTES]);
        times.iter().for_each(|at| frame.extend(at.micros().to_ne_bytes()));
        frame.extend(records);
        let body = crc32fast::hash(&frame[super::FRAME_HEAD_BYTES..]);
        let head = frame_head(self.place, small(records.len())?, small(times.len())?, body);
        frame[..super::FRAME_HEAD_BYTES].copy_from_slice(&head);
        self.file.write(frame)?;
        self.place += frame.len() as u64;
        self.block.clear();
        Ok(())
    }
}

impl<R: Record> Writer<R> for LogWriter<R> {
    fn write(&mut self, at: Timestamp, record: R::View<'_>) -> Result {
        if self.block.push(at, record) {
            return self.write_frame();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.write_frame()
    }

    fn finish(&mut self) -> Result {
        self.write_frame()?;
        self.file.finish()
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        self.write_frame()?;
        let files = self.file.prepare(epoch)?;
        if !files.is_empty() {
            self.place = 0;
        }
        Ok(files)
    }
}
