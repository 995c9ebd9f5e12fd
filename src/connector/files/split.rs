//! A file, or a piece of one, being read.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;

use super::decode::{Decode, Decoded};
use super::rows::{Found, Rows, count_lines, is_packed};
use super::sink::is_part;
use crate::error::{Error, Kind, Result};
use crate::limits::{LINE_BYTES, SOURCE_RECORDS};
use crate::operator::{Feed, Progress, Split};
use crate::sys::fs::hold;

/// The rows of `path` that start at `from` or later and before `to`.
pub(super) struct FileSplit<D> {
    path: PathBuf,
    /// Keeps a sink, of this job perhaps, from writing over the file before it is read.
    #[expect(dead_code, reason = "it is the lock that counts")]
    held: Option<File>,
    from: u64,
    to: u64,
    decode: D,
    /// Where reading begins: at `from`, or where an earlier run left off.
    start: u64,
    rows: Option<Rows>,
    /// Lines of the file before `start`; counted when a message must name a line.
    lines_before: Option<u64>,
}

impl<D: Decode> FileSplit<D> {
    pub fn new(path: PathBuf, from: u64, to: u64, decode: D) -> FileSplit<D> {
        let held = if is_part(&path) { hold(&path) } else { None };
        FileSplit { path, held, from, to, decode, start: from, rows: None, lines_before: None }
    }

    fn open(&mut self) -> Result<Rows> {
        let failed = |cause| Error::io(format_args!("reading {}", self.path.display()), &cause);
        let mut rows = Rows::open(&self.path, self.from).map_err(failed)?;
        if self.from == 0 && self.decode.has_header() {
            rows.extend().map_err(failed)?;
            rows.pass();
        }
        Ok(rows)
    }

    fn read(&mut self, rows: &mut Rows, feed: &mut Feed<'_, D::Record>) -> Result<Progress> {
        for _ in 0..SOURCE_RECORDS {
            if !self.step(rows, feed)? {
                return Ok(Progress::Done);
            }
            if feed.room() == 0 {
                break;
            }
        }
        Ok(Progress::Busy)
    }

    /// Reads one row; false when there is none.
    fn step(&mut self, rows: &mut Rows, feed: &mut Feed<'_, D::Record>) -> Result<bool> {
        if rows.offset() >= self.to {
            return Ok(false);
        }
        match self.extend(rows)? {
            Found::Line => {}
            Found::End => return Ok(false),
            Found::TooLong => {
                let error = format!("the line is longer than {} KiB", LINE_BYTES >> 10);
                self.bad(rows, feed, &error)?;
                self.pass_first(rows)?;
                return Ok(true);
            }
        }
        loop {
            match self.decode.decode_bytes(rows.row(), feed)? {
                Decoded::Done => {}
                Decoded::Bad(error) => self.bad(rows, feed, &error)?,
                Decoded::Partial if self.extend(rows)? == Found::Line => continue,
                Decoded::Partial => {
                    self.bad(rows, feed, "the row has a quote that does not end")?;
                    self.pass_first(rows)?;
                    return Ok(true);
                }
            }
            rows.pass();
            return Ok(true);
        }
    }

    fn extend(&self, rows: &mut Rows) -> Result<Found> {
        rows.extend().map_err(|cause| self.failed(&cause))
    }

    fn pass_first(&self, rows: &mut Rows) -> Result {
        rows.pass_first().map_err(|cause| self.failed(&cause))
    }

    fn failed(&self, cause: &std::io::Error) -> Error {
        Error::io(format_args!("reading {}", self.path.display()), cause)
    }

    #[cold]
    fn bad(&mut self, rows: &Rows, feed: &mut Feed<'_, D::Record>, error: &str) -> Result {
        let before = match self.lines_before {
            Some(lines) => lines,
            None => self.count_before()?,
        };
        self.lines_before = Some(before);
        let line = rows.first_line();
        let shown = String::from_utf8_lossy(&line[..line.len().min(2048)]);
        let shown: Cow<'_, str> = shown.trim_end_matches(['\r', '\n']).into();
        let origin = self.path.display().to_string();
        feed.bad(&origin, before + rows.passed() + 1, error, &shown)
    }

    /// The line that reaches over `start` belongs to the piece before. Of a packed file all lines
    /// that were unpacked count as passed.
    fn count_before(&self) -> Result<u64> {
        if self.start == 0 || is_packed(&self.path) {
            return Ok(0);
        }
        let failed = |cause| self.failed(&cause);
        let first = Rows::open(&self.path, self.start).map_err(failed)?;
        count_lines(&self.path, first.offset()).map_err(failed)
    }
}

impl<D: Decode> Split<D::Record> for FileSplit<D> {
    fn poll(&mut self, feed: &mut Feed<'_, D::Record>) -> Result<Progress> {
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.open()?,
        };
        let progress = self.read(&mut rows, feed);
        self.rows = Some(rows);
        progress
    }

    /// In bytes of the (unpacked) file; where reading began until a row has been passed.
    fn offset(&self) -> u64 {
        let passed = self.rows.as_ref().filter(|rows| rows.passed() > 0);
        passed.map_or(self.start, Rows::offset)
    }

    fn name(&self) -> String {
        let path = self.path.display();
        match (self.from, self.to) {
            (0, u64::MAX) => path.to_string(),
            (from, u64::MAX) => format!("{path} from byte {from}"),
            (from, to) => format!("{path} from byte {from} to {to}"),
        }
    }

    fn seek(&mut self, offset: u64) -> Result {
        if offset == self.from {
            return Ok(());
        }
        let rows = Rows::open(&self.path, offset).map_err(|cause| self.failed(&cause))?;
        let (path, found) = (self.path.display(), rows.offset());
        let changed = if found < offset {
            format!("{path} was read up to byte {offset} and is shorter now")
        } else if found > offset {
            format!("{path} was read up to byte {offset}, where no line starts now")
        } else {
            (self.start, self.rows) = (offset, Some(rows));
            return Ok(());
        };
        let what = format!("{changed}; bring back the file as it was, or begin the job anew");
        Err(Error::new(Kind::Data, what))
    }
}
