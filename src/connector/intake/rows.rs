//! Rows cut from bytes as they come, in bounded memory, and decoded.

use std::fmt::Display;
use std::mem;

use super::{Answer, Limits, Traffic};
use crate::connector::{Decode, Decoded};
use crate::error::Result;
use crate::operator::Feed;

/// Lines of one row of CSV: a quote that opens by mistake must not swallow what follows.
const ROW_LINES: u32 = 256;

/// Bytes of the memory for rows that is kept when there is none in it.
const KEPT: usize = 4 << 10;

/// How many bytes say how long a row is.
const PREFIX: usize = 4;

const OPEN_QUOTE: &str = "the row has a quote that does not end";

/// Where a row ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::connector) enum Framing {
    /// At a line feed.
    #[default]
    Lines,
    /// After as many bytes as four before it say, the first one the highest.
    Prefixed,
}

/// What is passed over before the next row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// The rest of a line.
    Line,
    /// So many bytes.
    Bytes(usize),
    /// All that comes.
    Rest,
}

/// The rows of one connection, datagram or request.
pub(super) struct Rows<D> {
    decode: D,
    framing: Framing,
    limits: Limits,
    traffic: Traffic,
    /// What is kept of a row that is not whole.
    carry: Vec<u8>,
    /// How many bytes of it count against the limit of all connections.
    kept: usize,
    /// Lines of CSV in it that are whole.
    lines: u32,
    skip: Skip,
    /// Rows so far; in lines, where lines end them.
    passed: u64,
    wants_header: bool,
    /// Whether the first bad row ends it.
    strict: bool,
    answer: Answer,
}

impl<D: Decode> Rows<D> {
    pub fn new(decode: D, framing: Framing, limits: Limits, traffic: Traffic) -> Rows<D> {
        let wants_header = decode.has_header();
        Rows {
            decode,
            framing,
            limits,
            traffic,
            carry: Vec::new(),
            kept: 0,
            lines: 0,
            skip: Skip::Nothing,
            passed: 0,
            wants_header,
            strict: false,
            answer: Answer::default(),
        }
    }

    /// Ends at the first bad row.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// What became of the rows.
    pub fn answer(&self) -> Answer {
        self.answer.clone()
    }

    /// Whether nothing more can be read.
    pub fn is_over(&self) -> bool {
        self.skip == Skip::Rest
    }

    /// Decodes what is whole of these bytes while there is room, and a step is left for each row,
    /// good or not; gives how many bytes are done with.
    ///
    /// # Errors
    /// Those of `feed`.
    pub fn take(
        &mut self,
        origin: &dyn Display,
        bytes: &[u8],
        feed: &mut Feed<'_, D::Record>,
        steps: &mut usize,
    ) -> Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() && feed.room() > 0 && *steps > 0 {
            *steps -= 1;
            match (self.skip, self.framing) {
                (Skip::Rest, _) => return Ok(bytes.len()),
                (Skip::Bytes(left), _) => {
                    let passed = left.min(rest.len());
                    rest = &rest[passed..];
                    let left = left - passed;
                    self.skip = if left == 0 { Skip::Nothing } else { Skip::Bytes(left) };
                }
                (Skip::Line, _) => {
                    let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(bytes.len()) };
                    rest = &rest[end + 1..];
                    self.skip = Skip::Nothing;
                }
                (Skip::Nothing, Framing::Lines) => self.line(origin, &mut rest, feed)?,
                (Skip::Nothing, Framing::Prefixed) => self.frame(origin, &mut rest, feed)?,
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Nothing more comes; `whole` unless the peer was lost. What it ended in the middle of is a
    /// row that lacks its line feed, or a bad one.
    ///
    /// # Errors
    /// Those of `feed`.
    pub fn end(
        &mut self,
        origin: &dyn Display,
        whole: bool,
        feed: &mut Feed<'_, D::Record>,
    ) -> Result<()> {
        let carry = self.take_carry();
        if carry.is_empty() || self.is_over() {
            return Ok(());
        }
        if self.framing == Framing::Lines && carry.ends_with(b"\n") {
            self.lines -= 1;
        } else {
            self.passed += 1;
        }
        if !whole {
            return self.bad(origin, "the connection was lost within the row", &carry, feed);
        }
        if self.framing == Framing::Prefixed {
            return self.bad(origin, "the connection ended within the row", &carry, feed);
        }
        if self.row(origin, &carry, feed)? {
            return self.bad(origin, OPEN_QUOTE, &carry, feed);
        }
        Ok(())
    }

    /// Reads to the next line feed, or to the end.
    #[inline]
    fn line(
        &mut self,
        origin: &dyn Display,
        rest: &mut &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            let part = mem::take(rest);
            if let Err(error) = self.keep(part) {
                self.skip = Skip::Line;
                return self.refuse(origin, &error, part, feed);
            }
            return Ok(());
        };
        let line = &rest[..end];
        *rest = &rest[end + 1..];
        if self.carry.is_empty() && line.len() <= self.limits.row_bytes {
            self.passed += 1;
            if self.row(origin, line, feed)? {
                return self.go_on(origin, line, feed);
            }
            return Ok(());
        }
        if let Err(error) = self.keep(line) {
            return self.refuse(origin, &error, line, feed);
        }
        self.passed += 1;
        let carry = self.take_carry();
        match self.row(origin, &carry, feed)? {
            true => self.go_on(origin, &carry, feed),
            false => {
                self.lines = 0;
                self.reuse(carry);
                Ok(())
            }
        }
    }

    /// Keeps a row of CSV that goes on in the next line.
    fn go_on(
        &mut self,
        origin: &dyn Display,
        row: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        let kept = match self.lines + 1 < ROW_LINES {
            true => self.keep(row).and_then(|()| self.keep(b"\n")),
            false => Err(OPEN_QUOTE.into()),
        };
        if let Err(error) = kept {
            self.clear_carry();
            let reported = self.bad(origin, &error, row, feed);
            self.lines = 0;
            return reported;
        }
        self.lines += 1;
        Ok(())
    }

    /// Reads the next bytes of a frame, all of it if it is there.
    fn frame(
        &mut self,
        origin: &dyn Display,
        rest: &mut &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        if self.carry.len() < PREFIX {
            let (part, after) = rest.split_at(rest.len().min(PREFIX - self.carry.len()));
            *rest = after;
            // So few bytes count against no limit but that of connections.
            self.carry.extend_from_slice(part);
            if self.carry.len() < PREFIX {
                return Ok(());
            }
        }
        let prefix = *self.carry.first_chunk().expect("the prefix is whole");
        let len = u32::from_be_bytes(prefix) as usize;
        let has = self.carry.len() - PREFIX;
        let (part, after) = rest.split_at(rest.len().min(len - has));
        let whole = has + part.len() == len;
        if len > self.limits.row_bytes {
            self.skip = Skip::Bytes(len);
            self.clear_carry();
            let error = self.too_long();
            return self.refuse(origin, &error, rest, feed);
        }
        *rest = after;
        if has == 0 && whole {
            self.clear_carry();
            return self.whole_frame(origin, part, feed);
        }
        if let Err(error) = self.keep(part) {
            self.skip = if whole { Skip::Nothing } else { Skip::Bytes(len - has - part.len()) };
            return self.refuse(origin, &error, part, feed);
        }
        if whole {
            let carry = self.take_carry();
            self.whole_frame(origin, &carry[PREFIX..], feed)?;
            self.reuse(carry);
        }
        Ok(())
    }

    fn whole_frame(
        &mut self,
        origin: &dyn Display,
        row: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        self.passed += 1;
        if self.row(origin, row, feed)? {
            return self.bad(origin, OPEN_QUOTE, row, feed);
        }
        Ok(())
    }

    /// Decodes a row; true when it goes on in the next line.
    #[inline]
    fn row(
        &mut self,
        origin: &dyn Display,
        row: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result<bool> {
        let mut text = row;
        if self.framing == Framing::Lines {
            text = text.strip_suffix(b"\r").unwrap_or(text);
            if self.passed == 1 {
                text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            }
        }
        if text.len() > self.limits.row_bytes {
            let error = self.too_long();
            self.bad(origin, &error, text, feed)?;
            return Ok(false);
        }
        if self.wants_header {
            self.header(origin, text, feed)?;
            return Ok(false);
        }
        let room = feed.room();
        match self.decode.decode_bytes(text, feed)? {
            Decoded::Done => self.answer.records += (room - feed.room()) as u64,
            Decoded::Partial => return Ok(true),
            Decoded::Bad(error) => self.bad(origin, &error, text, feed)?,
        }
        Ok(false)
    }

    fn header(
        &mut self,
        origin: &dyn Display,
        row: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        self.wants_header = false;
        let text = std::str::from_utf8(row).map_err(|_| "the header is not UTF-8".to_owned());
        if let Err(error) = text.and_then(|text| self.decode.header(text)) {
            self.skip = Skip::Rest;
            let error = format!("{error}; nothing that follows can be read");
            self.bad(origin, &error, row, feed)?;
        }
        Ok(())
    }

    /// Keeps bytes of a row that is not whole, or says why not.
    fn keep(&mut self, part: &[u8]) -> Result<(), String> {
        // One more, in case a line of just the limit ends in `\r\n`; the prefix of a frame.
        let most = self.limits.row_bytes.saturating_add(PREFIX);
        if self.carry.len() + part.len() > most {
            return Err(self.too_long());
        }
        if !self.traffic.keep(part.len(), self.limits.partial_bytes) {
            let most = self.limits.partial_bytes >> 10;
            return Err(format!(
                "the row is not whole, and such rows take more than {most} KiB already; allow \
                 more by partial_bytes_max"
            ));
        }
        self.kept += part.len();
        self.carry.extend_from_slice(part);
        Ok(())
    }

    fn too_long(&self) -> String {
        format!("the row is longer than {} bytes", self.limits.row_bytes)
    }

    /// Reports the row in hand, which can't be kept, and forgets it.
    #[cold]
    fn refuse(
        &mut self,
        origin: &dyn Display,
        error: &str,
        part: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        let carry = self.take_carry();
        self.passed += 1;
        let shown = if carry.is_empty() { part } else { &carry };
        let reported = self.bad(origin, error, shown, feed);
        self.lines = 0;
        reported
    }

    #[cold]
    fn bad(
        &mut self,
        origin: &dyn Display,
        error: &str,
        row: &[u8],
        feed: &mut Feed<'_, D::Record>,
    ) -> Result {
        self.answer.bad += 1;
        // A row of several lines is found by its first one.
        let line = self.passed - u64::from(self.lines);
        self.answer.first_bad.get_or_insert_with(|| (line, error.to_owned()));
        if self.strict {
            self.skip = Skip::Rest;
        }
        let shown = String::from_utf8_lossy(&row[..row.len().min(2048)]);
        feed.bad(&origin.to_string(), line, error, &shown)
    }

    fn take_carry(&mut self) -> Vec<u8> {
        self.traffic.drop_kept(mem::take(&mut self.kept));
        mem::take(&mut self.carry)
    }

    fn clear_carry(&mut self) {
        self.traffic.drop_kept(mem::take(&mut self.kept));
        self.carry.clear();
    }

    /// Keeps the memory of a row that was decoded, unless it is much.
    fn reuse(&mut self, mut carry: Vec<u8>) {
        if carry.capacity() <= KEPT && self.carry.is_empty() {
            carry.clear();
            self.carry = carry;
        }
    }
}

impl<D> Drop for Rows<D> {
    fn drop(&mut self) {
        self.traffic.drop_kept(self.kept);
    }
}
