//! The record log: records in the engine's own encoding, read without a copy.
//!
//! ```text
//! file:  | head | frame | frame | … | index |              all multiples of 8 bytes
//!
//! head:  | "thalwlog" | version: u32 | JSON bytes: u32 | JSON, padded with blanks to 8 |
//!        | checksum of all that: u32 | 0: u32 |
//!
//! frame: | body as it is kept: u32 | records: u32 | bytes of the body: u32 | flags: u32 |
//!        | records before it in the file: u64 | least event time: i64 | greatest: i64 |
//!        | arrival of the first record: i64 | the latest: i64 | checksum of the body: u32 |
//!        | checksum of these 60 bytes and the frame's place in the file: u32 |
//!        | body, padded to 8 |
//!
//! body:  | event time: i64, one a record | arrival behind the first one's: u32, one a record,
//!          padded to 8; nothing with flag 2 | record, each in its encoding |
//!
//! index: a frame with flag 4 and no records, whose body is
//!        | place of a frame: u64 | records before it: u64 | greatest event time before the next
//!          entry: i64 | latest arrival before it: i64 | … behind it | the index's place: u64 |
//!        | "tlogends" |
//! ```
//!
//! Flag 1: the body is kept as an LZ4 block; flag 8: as a frame of zstd; of no more than
//! [`PACKED_BYTES`](crate::limits::PACKED_BYTES) before that. Times are microseconds
//! since 1970; a record's arrival is when it came to the sink. An index has the first frame and
//! then one for every 64 KiB of the file; its times count the files before this one in its split,
//! too. A file that is still being written, or that a crash has cut off, has none.
//!
//! The JSON says the records' type in words, `layout` ([`Record::STORED`]), which changes when the
//! compiler lays a struct out in another way (not there where the writer did not know the type),
//! and `shape` ([`Shape`](crate::record::Shape)), by which a program that does not know the type
//! shows the records, and a job whose type lies in another way makes them anew.
//!
//! Numbers are in the machine's own byte order, so that records can be read where they lie; a file
//! from a machine of the other order has a wrong version. Checksums are CRC-32.
//!
//! A file that ends within a frame was cut off by a crash: what is whole is read, the rest is
//! counted as one bad record. Anything else that is wrong is an error.

mod compress;
mod frame;
mod head;
mod index;
mod mend;
mod recorder;
mod segment;
mod segments;
#[cfg(test)]
mod segments_tests;
#[cfg(test)]
mod shape_tests;
mod sink;
mod source;
mod tail;
#[cfg(test)]
mod tests;

pub use compress::Compression;
pub use head::Head;
pub use mend::{Mended, mend};
pub use recorder::Recorder;
pub use segment::{Frame, Segment};
pub use segments::{none_missing, splits};
pub use sink::{LogSink, LogWriter};
pub use source::LogSource;

use std::path::PathBuf;

use crate::record::Record;

/// The ending of the files' names.
const EXTENSION: &str = "tlog";
/// Bytes of a file between two frames of its index.
const STEP: u64 = 64 << 10;

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
    /// A source of the records of the log files that a path or glob stands for. The files of one
    /// shard are a split and read in their order, any other file is a split by itself. The records
    /// keep their event times, and are read from a mapping of the file, which must not be changed
    /// meanwhile, though it may grow. Where they lie in another way than the job's type does, each
    /// is made anew; names and types of the fields must be the same, in whatever order.
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
