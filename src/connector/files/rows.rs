//! A window that moves over a file, line by line, in bounded memory.

use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::limits::LINE_BYTES;
use crate::sys::fs::InOrder;

/// Bytes asked of the system at once: large enough that the call costs nothing per line, small
/// enough to stay in the second-level cache.
const CHUNK: usize = 256 << 10;

/// Lines of one row. A quote that opens by mistake must not swallow the file; and a row is looked
/// at once more for each of its lines, which this bounds.
const ROW_LINES: u64 = 256;

/// The window.
///
/// ```text
/// buffer: | passed | row: line, line | not looked at | free |
///                  ^ start           ^ start + row   ^ end
/// ```
pub(super) struct Rows {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the row, with the line feed at its end.
    row: usize,
    /// Bytes of its first line.
    first: usize,
    /// Lines of the row.
    lines: u64,
    ended: bool,
    /// Where `start` is in the (unpacked) file.
    offset: u64,
    /// Lines passed.
    passed: u64,
}

/// What [`Rows::extend`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The row has one more line.
    Line,
    /// The row would be longer than the limits allow.
    TooLong,
    /// The file has ended; the row is what it was.
    End,
}

/// Whether a file's name says that it is packed.
pub(super) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"))
}

impl Rows {
    /// The lines of a file from the first one that starts at or after byte `from`. What is before
    /// that in a packed file is unpacked, and its lines count as passed.
    pub fn open(path: &Path, from: u64) -> io::Result<Rows> {
        // From the byte before: if it is a line feed, a line starts at `from`.
        let before = from.saturating_sub(1);
        let packed = is_packed(path);
        let offset = if packed { 0 } else { before };
        let file = InOrder::open(path, offset)?;
        let input: Box<dyn Read + Send> =
            if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut rows = Rows::of(input);
        rows.offset = offset;
        if from == 0 {
            rows.skip_mark()?;
            return Ok(rows);
        }
        rows.skip_to(before)?;
        rows.skip_line()?;
        if !packed {
            rows.passed = 0;
        }
        Ok(rows)
    }

    fn of(input: Box<dyn Read + Send>) -> Rows {
        Rows {
            input,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            row: 0,
            first: 0,
            lines: 0,
            ended: false,
            offset: 0,
            passed: 0,
        }
    }

    /// Where the row starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Lines before the row, counted from where the window was opened.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// The row without the end of its last line.
    #[inline]
    pub fn row(&self) -> &[u8] {
        let row = &self.buffer[self.start..self.start + self.row];
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        row.strip_suffix(b"\r").unwrap_or(row)
    }

    /// The row's first line, or as much of it as there is.
    pub fn first_line(&self) -> &[u8] {
        let len = if self.first > 0 { self.first } else { self.end - self.start };
        &self.buffer[self.start..self.start + len]
    }

    /// Passes the row.
    #[inline]
    pub fn pass(&mut self) {
        self.start += self.row;
        self.offset += self.row as u64;
        self.passed += self.lines;
        (self.row, self.first, self.lines) = (0, 0, 0);
    }

    /// Passes the row's first line only.
    pub fn pass_first(&mut self) -> io::Result<()> {
        if self.first == 0 {
            return self.skip_line();
        }
        (self.row, self.lines) = (self.first, 1);
        self.pass();
        Ok(())
    }

    /// Adds the next line to the row.
    #[inline]
    pub fn extend(&mut self) -> io::Result<Found> {
        let mut looked = self.start + self.row;
        if self.lines >= ROW_LINES {
            return Ok(Found::TooLong);
        }
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[looked..self.end]) {
                return Ok(self.add(looked + at + 1));
            }
            // One more, in case a line of just the limit ends in `\r\n`.
            if self.end - self.start > LINE_BYTES + 1 {
                return Ok(Found::TooLong);
            }
            let seen = self.end - self.start;
            if !self.fill()? {
                return Ok(match seen == self.row {
                    true => Found::End,
                    false => self.add(self.end),
                });
            }
            looked = self.start + seen;
        }
    }

    #[inline]
    fn add(&mut self, end: usize) -> Found {
        let before = std::mem::replace(&mut self.row, end - self.start);
        if self.row > LINE_BYTES && self.row().len() > LINE_BYTES {
            self.row = before;
            return Found::TooLong;
        }
        self.lines += 1;
        if self.lines == 1 {
            self.first = self.row;
        }
        Found::Line
    }

    /// Reads more behind `end`; false when there is nothing more. `start` may move.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += read;
        self.ended = read == 0;
        Ok(read > 0)
    }

    /// Passes what is before a byte of the (unpacked) file, or all when it has fewer.
    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        while self.offset < offset {
            let rest = &self.buffer[self.start..self.end];
            let len = (rest.len() as u64).min(offset - self.offset);
            self.passed += memchr::memchr_iter(b'\n', &rest[..len as usize]).count() as u64;
            self.start += len as usize;
            self.offset += len;
            if self.offset < offset && !self.fill()? {
                break;
            }
        }
        Ok(())
    }

    /// Passes a line of whatever length, without keeping it.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            let found = memchr::memchr(b'\n', rest);
            let len = found.map_or(rest.len(), |at| at + 1);
            self.start += len;
            self.offset += len as u64;
            if found.is_some() || !self.fill()? {
                self.passed += 1;
                return Ok(());
            }
        }
    }

    /// Passes a byte-order mark.
    fn skip_mark(&mut self) -> io::Result<()> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        while self.end - self.start < MARK.len() && self.fill()? {}
        if self.buffer[self.start..self.end].starts_with(MARK) {
            self.start += MARK.len();
            self.offset += MARK.len() as u64;
        }
        Ok(())
    }
}

/// Line feeds in the first `bytes` of a file.
pub(super) fn count_lines(path: &Path, bytes: u64) -> io::Result<u64> {
    let mut input = InOrder::open(path, 0)?.take(bytes);
    let mut buffer = vec![0; CHUNK];
    let mut lines = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(lines),
            read => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
        }
    }
}
