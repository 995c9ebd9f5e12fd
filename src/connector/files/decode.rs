//! What is made of the rows of a file, a connection or a request.

use std::fmt;
use std::marker::PhantomData;

use crate::error::Result;
use crate::format::{CsvReader, FromText, Row, read_json};
use crate::operator::Feed;
use crate::record::Record;

/// Makes records of the rows of a file, a connection or a request.
pub trait Decode: Clone + Send + Sync + 'static {
    /// What it makes.
    type Record: Record;

    /// How messages name the format.
    fn name(&self) -> &'static str;

    /// Whether the first line of every file, connection or request is a header.
    fn has_header(&self) -> bool {
        false
    }

    /// Takes a file's header, before any of its rows.
    ///
    /// # Errors
    /// Why no row under this header can be read.
    fn header(&mut self, line: &str) -> Result<(), String> {
        let _ = line;
        Ok(())
    }

    /// Makes records of a row, any number of them, and puts them into `feed`. A row is a line
    /// without its end, or several of them after [`Decoded::Partial`].
    ///
    /// # Errors
    /// Those of `feed`.
    fn decode(&mut self, row: &str, feed: &mut Feed<'_, Self::Record>) -> Result<Decoded>;

    /// As [`decode`](Decode::decode), of a row as it came: for formats that are not text. Unless
    /// this is implemented, a row that is not UTF-8 is bad.
    ///
    /// # Errors
    /// Those of `feed`.
    fn decode_bytes(&mut self, row: &[u8], feed: &mut Feed<'_, Self::Record>) -> Result<Decoded> {
        match std::str::from_utf8(row) {
            Ok(row) => self.decode(row, feed),
            Err(error) => {
                Ok(Decoded::Bad(format!("not UTF-8 after {} bytes", error.valid_up_to())))
            }
        }
    }
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It was read.
    Done,
    /// It goes on in the next line.
    Partial,
    /// It can't be read, and why.
    Bad(String),
}

/// Every line a record.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Decode for Lines {
    type Record = String;

    fn name(&self) -> &'static str {
        "lines"
    }

    fn decode(&mut self, row: &str, feed: &mut Feed<'_, String>) -> Result<Decoded> {
        feed.push(row)?;
        Ok(Decoded::Done)
    }
}

crate::record! {
    /// A row as it came, whatever it holds: what a source of messages gives. In a closure its
    /// `bytes` are a slice into the frame, `message.bytes.as_slice()`.
    #[derive(Eq)]
    pub struct Message {
        /// All of it.
        pub bytes: Vec<u8>,
    }
}

/// Every row a record, bytes of any kind.
#[derive(Clone, Copy, Debug)]
pub struct Messages;

impl Decode for Messages {
    type Record = Message;

    fn name(&self) -> &'static str {
        "messages"
    }

    fn decode(&mut self, row: &str, feed: &mut Feed<'_, Message>) -> Result<Decoded> {
        self.decode_bytes(row.as_bytes(), feed)
    }

    fn decode_bytes(&mut self, row: &[u8], feed: &mut Feed<'_, Message>) -> Result<Decoded> {
        let message = Message { bytes: row.to_vec() };
        message.lend(|view| feed.push(view))?;
        Ok(Decoded::Done)
    }
}

/// CSV: as a source of records of type `R`, or as a sink (`Csv<()>`) of any.
pub struct Csv<R> {
    pub(in crate::connector) delimiter: u8,
    header: bool,
    /// Made with the first header or row.
    reader: Option<CsvReader<R>>,
}

impl<R> Csv<R> {
    pub(in crate::connector) fn new() -> Csv<R> {
        Csv { delimiter: b',', header: true, reader: None }
    }

    pub(in crate::connector) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    pub(in crate::connector) fn set_header(&mut self, header: bool) {
        self.header = header;
    }
}

impl<R> fmt::Debug for Csv<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Csv({:?})", char::from(self.delimiter))
    }
}

impl<R: FromText> Clone for Csv<R> {
    fn clone(&self) -> Self {
        Csv { delimiter: self.delimiter, header: self.header, reader: self.reader.clone() }
    }
}

impl<R: FromText> Decode for Csv<R> {
    type Record = R;

    fn name(&self) -> &'static str {
        "csv"
    }

    fn has_header(&self) -> bool {
        self.header
    }

    fn header(&mut self, line: &str) -> Result<(), String> {
        let mut reader = CsvReader::new(self.delimiter);
        reader.header(line)?;
        self.reader = Some(reader);
        Ok(())
    }

    fn decode(&mut self, row: &str, feed: &mut Feed<'_, R>) -> Result<Decoded> {
        let new = || CsvReader::new(self.delimiter);
        match self.reader.get_or_insert_with(new).read(row) {
            Row::Record(record) => record.lend(|view| feed.push(view))?,
            Row::Empty => {}
            Row::Partial => return Ok(Decoded::Partial),
            Row::Bad(error) => return Ok(Decoded::Bad(error)),
        }
        Ok(Decoded::Done)
    }
}

/// JSON lines: as a source of records of type `R`, or as a sink (`Json<()>`) of any.
pub struct Json<R>(PhantomData<fn() -> R>);

impl<R> Json<R> {
    pub(in crate::connector) fn new() -> Json<R> {
        Json(PhantomData)
    }
}

impl<R> fmt::Debug for Json<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl<R> Clone for Json<R> {
    fn clone(&self) -> Self {
        Json::new()
    }
}

impl<R: FromText> Decode for Json<R> {
    type Record = R;

    fn name(&self) -> &'static str {
        "json"
    }

    fn decode(&mut self, row: &str, feed: &mut Feed<'_, R>) -> Result<Decoded> {
        if row.trim_ascii().is_empty() {
            return Ok(Decoded::Done);
        }
        match read_json::<R>(row) {
            Ok(record) => record.lend(|view| feed.push(view))?,
            Err(error) => return Ok(Decoded::Bad(error)),
        }
        Ok(Decoded::Done)
    }
}
