//! The record log: records in the engine's own encoding, read without a copy.
//!
//! ```text
//! file:  | head | frame | frame | … |                      all multiples of 8 bytes
//!
//! head:  | "thalwlog" | version: u32 | schema bytes: u32 | type: u64 | layout: u64 |
//!        | schema text, padded with 0 to 8 | checksum of all that: u32 | 0: u32 |
//!
//! frame: | record bytes: u32 | records: u32 | checksum of the rest: u32 | checksum of these 12
//!          bytes and the frame's place in the file: u32 |
//!        | event time: i64, one a record |
//!        | record, each in its encoding |
//! ```
//!
//! Numbers are in the machine's own byte order, so that records can be read where they lie; a file
//! from a machine of the other order has a wrong version. `type` is [`Type::version`], `layout` is
//! [`Record::STORED`], which changes when the compiler lays a struct out in another way. Checksums
//! are CRC-32.
//!
//! A file that ends within a frame was cut off by a crash: what is whole is read, the rest is
//! counted as one bad record. Anything else that is wrong is an error.
//!
//! [`Type::version`]: crate::record::Type::version

mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::{LogSink, LogWriter};
pub use source::LogSource;

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::record::Record;

const MAGIC: &[u8; 8] = b"thalwlog";
const VERSION: u32 = 1;
/// The head up to the schema text.
const HEAD_BYTES: usize = 32;
/// A frame up to the event times.
const FRAME_HEAD_BYTES: usize = 16;
/// The ending of the files' names.
const EXTENSION: &str = "tlog";

/// Record logs as sources and as sinks.
///
/// ```
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let sink = RecordLog::write("recorded");
/// let source = RecordLog::read::<Bid>("recorded/*.tlog");
/// ```
#[derive(Debug)]
pub struct RecordLog;

impl RecordLog {
    /// A source of the records of the log files that a path or glob stands for, each a split. The
    /// records keep their event times, and are read from a mapping of the file, which must not be
    /// changed meanwhile.
    pub fn read<R: Record>(pattern: impl Into<String>) -> LogSource<R> {
        LogSource::new(pattern.into())
    }

    /// A sink into a directory, which is made if need be: shard 3 writes `part-3.tlog`, and so on.
    /// Files of an earlier run are written over. When the job has checkpoints, every record shows
    /// exactly once, as in [`FileSink`](super::FileSink).
    pub fn write(directory: impl Into<PathBuf>) -> LogSink {
        LogSink::new(directory.into())
    }
}

/// The head of a file of records of type `R`.
fn head<R: Record>() -> Result<Vec<u8>> {
    let data_type = R::data_type();
    let schema = data_type.to_string();
    let Some(layout) = R::STORED else {
        let what = "its encoding has padding or holds a fixed enum; reorder or widen the fields, \
                    or declare it `archived`";
        return Err(Error::new(
            Kind::Plan,
            format_args!("{schema} can't be kept in a log: {what}"),
        ));
    };
    let mut head = MAGIC.to_vec();
    head.extend(VERSION.to_ne_bytes());
    head.extend(small(schema.len())?.to_ne_bytes());
    head.extend(data_type.version().to_ne_bytes());
    head.extend(layout.to_ne_bytes());
    head.extend(schema.as_bytes());
    head.resize(head.len().next_multiple_of(8), 0);
    head.extend(crc32fast::hash(&head).to_ne_bytes());
    head.extend([0; 4]);
    Ok(head)
}

/// The first 16 bytes of a frame at `place` in its file.
fn frame_head(place: u64, bytes: u32, records: u32, body: u32) -> [u8; FRAME_HEAD_BYTES] {
    let mut head = [0; FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&bytes.to_ne_bytes());
    head[4..8].copy_from_slice(&records.to_ne_bytes());
    head[8..12].copy_from_slice(&body.to_ne_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&place.to_ne_bytes());
    checksum.update(&head[..12]);
    head[12..].copy_from_slice(&checksum.finalize().to_ne_bytes());
    head
}

fn small(bytes: usize) -> Result<u32> {
    let much = |_| Error::new(Kind::Limit, "4 GiB do not fit a frame of a log");
    u32::try_from(bytes).map_err(much)
}
