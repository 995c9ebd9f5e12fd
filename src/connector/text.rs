//! What sinks of text have in common: a format, a buffer, somewhere to write it.

use std::fmt;
use std::io::Write;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::format::{CsvText, JsonText};
use crate::operator::{Publish, Writer};
use crate::record::Record;
use crate::time::Timestamp;

use super::files::{Csv, Json, Lines};

/// Bytes of text that are gathered before they are written: enough to make a system call cheap.
const GATHERED: usize = 64 << 10;

/// A format that records of type `R` can be written in.
pub trait Encode<R: Record>: Send + 'static {
    /// What turns the records of one shard into text.
    type Encoder: Encoder<R>;

    /// The ending of such files' names.
    fn extension(&self) -> &'static str;

    /// Makes what turns the records of one shard into text.
    fn encoder(&self) -> Self::Encoder;
}

/// Turns records into text, in a buffer of its own.
pub trait Encoder<R: Record>: Send + 'static {
    /// Appends what comes before the first record.
    fn header(&mut self) {}
    /// Appends a record.
    fn push(&mut self, record: R::View<'_>);
    /// The text so far.
    fn text(&self) -> &[u8];
    /// Forgets the text.
    fn clear(&mut self);
}

impl<R: Record> Encode<R> for Csv<()> {
    type Encoder = CsvText<R>;

    fn extension(&self) -> &'static str {
        "csv"
    }
    fn encoder(&self) -> CsvText<R> {
        CsvText::new(self.delimiter)
    }
}

impl<R: Record> Encoder<R> for CsvText<R> {
    fn header(&mut self) {
        CsvText::header(self);
    }
    fn push(&mut self, record: R::View<'_>) {
        CsvText::push(self, &R::own(record));
    }
    fn text(&self) -> &[u8] {
        CsvText::text(self)
    }
    fn clear(&mut self) {
        CsvText::clear(self);
    }
}

impl<R: Record> Encode<R> for Json<()> {
    type Encoder = JsonText<R>;

    fn extension(&self) -> &'static str {
        "jsonl"
    }
    fn encoder(&self) -> JsonText<R> {
        JsonText::new()
    }
}

impl<R: Record> Encoder<R> for JsonText<R> {
    fn push(&mut self, record: R::View<'_>) {
        JsonText::push(self, &R::own(record));
    }
    fn text(&self) -> &[u8] {
        JsonText::text(self)
    }
    fn clear(&mut self) {
        JsonText::clear(self);
    }
}

impl<R: Record> Encode<R> for Lines
where
    for<'a> R::View<'a>: fmt::Display,
{
    type Encoder = LineText;

    fn extension(&self) -> &'static str {
        "txt"
    }
    fn encoder(&self) -> LineText {
        LineText::default()
    }
}

/// Writes records as they print, each on a line.
#[derive(Debug, Default)]
pub struct LineText(Vec<u8>);

impl<R: Record> Encoder<R> for LineText
where
    for<'a> R::View<'a>: fmt::Display,
{
    fn push(&mut self, record: R::View<'_>) {
        writeln!(self.0, "{record}").expect("text can be written to memory");
    }
    fn text(&self) -> &[u8] {
        &self.0
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Where a [`TextWriter`] writes.
pub trait Target: Send + 'static {
    /// Writes all of it.
    ///
    /// # Errors
    /// What the operating system says.
    fn write(&mut self, text: &[u8]) -> Result;

    /// Makes sure that all of it stays.
    ///
    /// # Errors
    /// What the operating system says.
    fn finish(&mut self) -> Result {
        Ok(())
    }

    /// Ends what belongs to an epoch: what comes next goes to a new file. As
    /// [`Writer::prepare`].
    ///
    /// # Errors
    /// What the operating system says.
    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        let _ = epoch;
        Ok(Vec::new())
    }
}

/// Writes the records of one shard as text.
#[derive(Debug)]
pub struct TextWriter<R, E, T> {
    encoder: E,
    target: T,
    /// The next record is the first of a file.
    begins: bool,
    record: PhantomData<fn(&R)>,
}

impl<R: Record, E: Encoder<R>, T: Target> TextWriter<R, E, T> {
    pub(super) fn new(encoder: E, target: T) -> Self {
        TextWriter { encoder, target, begins: false, record: PhantomData }
    }

    /// Begins every file with the header.
    pub(super) fn with_headers(encoder: E, target: T) -> Self {
        TextWriter { begins: true, ..TextWriter::new(encoder, target) }
    }

    fn write_out(&mut self) -> Result {
        if !self.encoder.text().is_empty() {
            self.target.write(self.encoder.text())?;
            self.encoder.clear();
        }
        Ok(())
    }
}

impl<R: Record, E: Encoder<R>, T: Target> Writer<R> for TextWriter<R, E, T> {
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        if self.begins {
            self.begins = false;
            self.encoder.header();
        }
        self.encoder.push(record);
        if self.encoder.text().len() >= GATHERED {
            return self.write_out();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.write_out()
    }

    fn finish(&mut self) -> Result {
        self.write_out()?;
        self.target.finish()
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        self.write_out()?;
        let files = self.target.prepare(epoch)?;
        self.begins |= !files.is_empty();
        Ok(files)
    }
}

/// An error of writing to `what`.
pub(super) fn failed(what: impl fmt::Display, cause: &std::io::Error) -> Error {
    Error::io(format_args!("writing {what}"), cause)
}
