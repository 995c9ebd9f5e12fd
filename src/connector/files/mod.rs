//! Files of text: lines, CSV, JSON lines.

mod decode;
mod epochs;
#[cfg(test)]
mod epochs_tests;
pub(super) mod place;
mod rows;
mod sink;
mod source;
mod split;
#[cfg(test)]
mod tests;

pub use decode::{Csv, Decode, Decoded, Json, Lines, Message, Messages};
pub use sink::FileSink;
pub use source::FileSource;

pub(super) use epochs::Holder;
pub(crate) use epochs::publish;
pub(super) use sink::Parts;
pub(super) use source::matching;

use crate::format::FromText;

/// Files as sources and as sinks.
///
/// Sources take a path or a glob (`bids/*.jsonl`, `logs/**/*.gz`); a file whose name ends in `.gz`
/// is unpacked as it is read. Wildcards pass by what is hidden (`.name`). Sinks take a directory,
/// in which each shard writes a file.
///
/// ```
/// use thalweg::connector::Files;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let bids = Files::csv::<Bid>("bids/*.csv").delimiter(b';').splits_per_file(4);
/// let words = Files::lines("text.gz");
/// let out = Files::to_json("out");
/// ```
#[derive(Debug)]
pub struct Files;

impl Files {
    /// A source of lines, without their ends.
    pub fn lines(pattern: impl Into<String>) -> FileSource<Lines> {
        FileSource::new(pattern.into(), Lines)
    }

    /// A source of rows of CSV with a header; see [`CsvReader`](crate::format::CsvReader).
    pub fn csv<R: FromText>(pattern: impl Into<String>) -> FileSource<Csv<R>> {
        FileSource::new(pattern.into(), Csv::new())
    }

    /// A source of JSON lines; see [`read_json`](crate::format::read_json).
    pub fn json<R: FromText>(pattern: impl Into<String>) -> FileSource<Json<R>> {
        FileSource::new(pattern.into(), Json::new())
    }

    /// A source of rows in a format of your own.
    pub fn with<D: Decode>(pattern: impl Into<String>, decode: D) -> FileSource<D> {
        FileSource::new(pattern.into(), decode)
    }

    /// A sink of lines: of records that have a `Display`, text and numbers.
    pub fn to_lines(directory: impl Into<std::path::PathBuf>) -> FileSink<Lines> {
        FileSink::new(directory.into(), Lines)
    }

    /// A sink of CSV files with a header.
    pub fn to_csv(directory: impl Into<std::path::PathBuf>) -> FileSink<Csv<()>> {
        FileSink::new(directory.into(), Csv::new())
    }

    /// A sink of JSON lines.
    pub fn to_json(directory: impl Into<std::path::PathBuf>) -> FileSink<Json<()>> {
        FileSink::new(directory.into(), Json::new())
    }
}
