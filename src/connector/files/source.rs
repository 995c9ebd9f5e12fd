//! From a path or glob to the pieces that are read.

use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::decode::{Csv, Decode};
use super::rows::{Found, Rows, is_packed};
use super::split::FileSplit;
use crate::error::{Error, Kind, Result};
use crate::format::FromText;
use crate::operator::{OnBadRecord, Source, Split};
use crate::sys::fs::{self, Readable};

/// A source of the rows of files; made by [`Files`](super::Files).
#[derive(Debug)]
pub struct FileSource<D> {
    pattern: String,
    decode: D,
    splits_per_file: u64,
    policy: OnBadRecord,
}

impl<D: Decode> FileSource<D> {
    pub(super) fn new(pattern: String, decode: D) -> FileSource<D> {
        FileSource { pattern, decode, splits_per_file: 1, policy: OnBadRecord::Fail }
    }

    /// What is done about rows that can't be read; without it the first one ends the job.
    #[must_use]
    pub fn on_bad_record(mut self, policy: OnBadRecord) -> Self {
        self.policy = policy;
        self
    }

    /// Reads every file in this many pieces, cut at line ends, so that several shards read it. A
    /// packed file stays whole. CSV whose cells hold line feeds must not be cut.
    #[must_use]
    pub fn splits_per_file(mut self, splits: usize) -> Self {
        self.splits_per_file = splits.max(1) as u64;
        self
    }

    /// The file's size and what reads its rows, which knows the header.
    fn look_at(&self, path: &Path) -> Result<(u64, D)> {
        let shown = path.display();
        let failed = |cause| Error::io(format_args!("reading {shown}"), &cause);
        let mut rows = Rows::open(path, 0).map_err(failed)?;
        let mut decode = self.decode.clone();
        if decode.has_header() {
            let bad = |error: String| {
                Error::new(Kind::Data, error).within(format_args!("{shown} line 1"))
            };
            match rows.extend().map_err(failed)? {
                Found::Line => {}
                Found::End => return Ok((0, decode)),
                Found::TooLong => return Err(bad("the header is too long".into())),
            }
            let line = std::str::from_utf8(rows.row()).map_err(|e| bad(e.to_string()))?;
            decode.header(line).map_err(bad)?;
        }
        let size = Readable::open(path).map_err(failed)?.len();
        Ok((size, decode))
    }
}

impl<R: FromText> FileSource<Csv<R>> {
    /// What stands between cells; a comma unless set.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.decode.set_delimiter(delimiter);
        self
    }

    /// The files have no header: cells are taken in the order of the record's fields.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.decode.set_header(false);
        self
    }
}

/// The files that a pattern stands for, in the order of their names.
pub(in crate::connector) fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    if fs::is_file(Path::new(pattern)) || !pattern.contains(['*', '?', '[']) {
        return Ok(vec![pattern.into()]);
    }
    let bad = |error| Error::new(Kind::Plan, format_args!("pattern {pattern}: {error}"));
    let mut files = Vec::new();
    // What sinks have not published yet is hidden.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    for path in fs::glob(pattern, options).map_err(bad)? {
        let path = path.map_err(|error| {
            let path = error.path().display().to_string();
            Error::io(format_args!("reading {path}"), error.error())
        })?;
        if fs::is_file(&path) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let what = format_args!("no file matches {pattern}; check the path and its wildcards");
        return Err(Error::new(Kind::Io, what));
    }
    Ok(files)
}

impl<D: Decode> Source for FileSource<D> {
    type Record = D::Record;

    fn name(&self) -> String {
        format!("{} {}", self.decode.name(), self.pattern)
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<D::Record>>>> {
        let mut splits: Vec<Box<dyn Split<D::Record>>> = Vec::new();
        for path in matching(&self.pattern)? {
            let (size, decode) = self.look_at(&path)?;
            if is_packed(&path) {
                splits.push(Box::new(FileSplit::new(path, 0, u64::MAX, decode)));
                continue;
            }
            let pieces = self.splits_per_file.min(size.max(1));
            let cut = |i| (u128::from(size) * u128::from(i) / u128::from(pieces)) as u64;
            for i in 0..pieces {
                let to = if i + 1 == pieces { u64::MAX } else { cut(i + 1) };
                splits.push(Box::new(FileSplit::new(path.clone(), cut(i), to, decode.clone())));
            }
        }
        Ok(splits)
    }

    fn on_bad_record(&self) -> OnBadRecord {
        self.policy
    }
}
