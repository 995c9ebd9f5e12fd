//! CSV (RFC 4180): one record, one row.
//!
//! Nested structs and tuples take the cells of their fields, with the names joined by `_`. A list,
//! bytes and a variant that holds something are one cell of JSON. No value is an empty cell; an
//! empty cell read for an option is no value.

use std::marker::PhantomData;
use std::sync::Arc;

use csv_core::ReadRecordResult;

use super::cells::read_cells;
use super::header::missing_columns;
use super::json::{Json, write_time};
use super::plan::{Kind, Plan};
use super::{FromText, Untyped};
use crate::record::{Record, Type, Visitor};
use crate::time::Timestamp;

/// Writes records as CSV rows into a buffer of its own.
///
/// ```
/// use thalweg::format::CsvText;
/// use thalweg::prelude::*;
///
/// record! { struct Person { id: u64, name: String } }
/// let mut csv = CsvText::new(b',');
/// csv.header();
/// csv.push(&Person { id: 1, name: "Lovelace, Ada".into() });
/// assert_eq!(csv.text(), b"id,name\n1,\"Lovelace, Ada\"\n");
/// ```
#[derive(Debug)]
pub struct CsvText<R> {
    out: Vec<u8>,
    delimiter: u8,
    plan: Plan,
    /// The node that the next value belongs to.
    node: usize,
    /// For each struct that is open: the node of its next field.
    open: Vec<usize>,
    /// Cells written in this row.
    cells: usize,
    /// What writes a cell of JSON, and whether it is doing so.
    json: Json,
    nested: bool,
    record: PhantomData<fn(&R)>,
}

impl<R: Record> CsvText<R> {
    /// A writer with an empty buffer and this delimiter between cells.
    pub fn new(delimiter: u8) -> CsvText<R> {
        CsvText::untyped(&R::data_type(), delimiter)
    }

    /// Appends a record as a row.
    pub fn push(&mut self, record: &R) {
        self.start_row();
        record.visit(self);
        self.end_value();
    }
}

impl CsvText<Untyped> {
    /// A writer of records of this type, with this delimiter between cells.
    pub fn of(data_type: &Type, delimiter: u8) -> Self {
        CsvText::untyped(data_type, delimiter)
    }

    /// Appends the record that is shown as a row; nothing where `show` gives none.
    pub fn show<T>(&mut self, show: impl FnOnce(&mut dyn Visitor) -> Option<T>) -> Option<T> {
        let before = self.out.len();
        self.start_row();
        let shown = show(self);
        if shown.is_some() {
            self.end_value();
        } else {
            self.out.truncate(before);
            self.json.forget(0);
            self.nested = false;
        }
        shown
    }
}

impl<R> CsvText<R> {
    fn untyped(data_type: &Type, delimiter: u8) -> Self {
        CsvText {
            out: Vec::new(),
            delimiter,
            plan: Plan::of_type(data_type),
            node: 0,
            open: Vec::new(),
            cells: 0,
            json: Json::of(data_type),
            nested: false,
            record: PhantomData,
        }
    }

    /// Appends the row of the columns' names.
    pub fn header(&mut self) {
        let names: Vec<String> = self.plan.header().map(str::to_owned).collect();
        self.start_row();
        names.iter().for_each(|name| self.cell(name.as_bytes()));
        self.end_row();
    }

    /// The rows so far.
    pub fn text(&self) -> &[u8] {
        &self.out
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    fn start_row(&mut self) {
        self.node = 0;
        self.cells = 0;
        self.open.clear();
    }

    fn end_value(&mut self) {
        if self.nested {
            self.json.close();
            self.nest();
        }
        self.end_row();
    }

    /// A row of one empty cell is quoted: a reader takes an empty line for no row.
    fn end_row(&mut self) {
        if matches!(self.out.last(), None | Some(b'\n')) {
            self.out.extend_from_slice(b"\"\"");
        }
        self.out.push(b'\n');
    }

    fn separate(&mut self) {
        if self.cells > 0 {
            self.out.push(self.delimiter);
        }
        self.cells += 1;
    }

    /// Writes a cell that can't need quotes.
    fn plain(&mut self, text: &[u8]) {
        self.separate();
        self.out.extend_from_slice(text);
    }

    fn cell(&mut self, text: &[u8]) {
        self.separate();
        let special = |&byte: &u8| matches!(byte, b'"' | b'\n' | b'\r') || byte == self.delimiter;
        let at_edge = |byte: Option<&u8>| byte.is_some_and(|byte| *byte == b' ');
        if !(text.iter().any(special) || at_edge(text.first()) || at_edge(text.last())) {
            return self.out.extend_from_slice(text);
        }
        self.out.push(b'"');
        for (i, part) in text.split(|&byte| byte == b'"').enumerate() {
            if i > 0 {
                self.out.extend_from_slice(b"\"\"");
            }
            self.out.extend_from_slice(part);
        }
        self.out.push(b'"');
    }

    /// Writes the cell of JSON if it is whole. A variant that holds nothing is its bare name.
    fn nest(&mut self) {
        if !self.json.is_whole() {
            return;
        }
        self.nested = false;
        let json = std::mem::take(&mut self.json);
        let text = json.text();
        let name = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\""));
        self.cell(name.unwrap_or(text));
        self.json = json;
        self.json.clear();
    }

    /// Gives a value to the JSON of the cell if it belongs there.
    fn nest_value(&mut self, show: impl FnOnce(&mut Json)) -> bool {
        let nested = matches!(self.plan.nodes[self.node].kind, Kind::Nested);
        if self.nested || nested {
            self.nested = true;
            show(&mut self.json);
            self.nest();
        }
        self.nested || nested
    }

    /// Ends a variant whose value, `()`, showed nothing.
    fn settle(&mut self) {
        if self.nested && self.json.is_bare() {
            self.json.close();
            self.nest();
        }
    }
}

impl<R> Visitor for CsvText<R> {
    fn null(&mut self) {
        if self.nested {
            self.json.null();
            return self.nest();
        }
        for _ in 0..self.plan.nodes[self.node].cells {
            self.plain(b"");
        }
    }

    fn bool(&mut self, x: bool) {
        if !self.nest_value(|json| json.bool(x)) {
            self.plain(if x { b"true" } else { b"false" });
        }
    }

    fn int(&mut self, x: i128) {
        if !self.nest_value(|json| json.int(x)) {
            let mut digits = itoa::Buffer::new();
            let text = match i64::try_from(x) {
                Ok(x) => digits.format(x),
                Err(_) => digits.format(x),
            };
            self.plain(text.as_bytes());
        }
    }

    fn uint(&mut self, x: u128) {
        if !self.nest_value(|json| json.uint(x)) {
            let mut digits = itoa::Buffer::new();
            let text = match u64::try_from(x) {
                Ok(x) => digits.format(x),
                Err(_) => digits.format(x),
            };
            self.plain(text.as_bytes());
        }
    }

    fn float(&mut self, x: f64) {
        if !self.nest_value(|json| json.float(x)) {
            self.plain(zmij::Buffer::new().format(x).as_bytes());
        }
    }

    fn text(&mut self, x: &str) {
        if !self.nest_value(|json| json.text(x)) {
            self.cell(x.as_bytes());
        }
    }

    fn bytes(&mut self, x: &[u8]) {
        self.nest_value(|json| json.bytes(x));
    }

    fn time(&mut self, x: Timestamp) {
        if !self.nest_value(|json| json.time(x)) {
            self.separate();
            write_time(&mut self.out, x);
        }
    }

    fn list(&mut self) {
        self.nest_value(Json::list);
    }

    fn fields(&mut self) {
        if !self.nest_value(Json::fields) {
            self.open.push(self.node + 1);
        }
    }

    fn field(&mut self, name: &'static str) {
        self.settle();
        if self.nested {
            return self.json.field(name);
        }
        if let Some(next) = self.open.last_mut() {
            self.node = *next;
            *next = self.plan.nodes[*next].next;
        }
    }

    fn variant(&mut self, name: &'static str) {
        self.nest_value(|json| json.variant(name));
    }

    fn end(&mut self) {
        self.settle();
        if self.nested {
            self.json.end();
            return self.nest();
        }
        self.open.pop();
    }
}

/// What [`CsvReader::read`] made of a row.
#[derive(Debug, PartialEq)]
pub enum Row<R> {
    /// A record.
    Record(R),
    /// Nothing: an empty line.
    Empty,
    /// The text ends within quotes: the row goes on in the next line.
    Partial,
    /// No record, and why.
    Bad(String),
}

/// Reads rows of CSV as records of type `R`.
///
/// Columns are found by the names in the header, in any order, and others are passed over; without
/// a header they are taken in the order of the fields. A time may be ISO 8601 or an integer of
/// milliseconds.
///
/// ```
/// use thalweg::format::{CsvReader, Row};
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let mut csv = CsvReader::<Bid>::new(b',');
/// csv.header("price,auction").unwrap();
/// assert_eq!(csv.read("7,1"), Row::Record(Bid { auction: 1, price: 7 }));
/// let bad = "field price: expected a whole number, 0 or more, found \"12.5\"";
/// assert_eq!(csv.read("12.5,1"), Row::Bad(bad.into()));
/// ```
#[derive(Debug)]
pub struct CsvReader<R> {
    delimiter: u8,
    plan: Arc<Plan>,
    /// For each cell of the plan, which cell of the row it is.
    columns: Vec<Option<usize>>,
    /// Cells that a row must have.
    width: usize,
    ends: Vec<usize>,
    unquoted: Vec<u8>,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for CsvReader<R> {
    fn clone(&self) -> Self {
        CsvReader {
            delimiter: self.delimiter,
            plan: Arc::clone(&self.plan),
            columns: self.columns.clone(),
            width: self.width,
            ends: Vec::new(),
            unquoted: Vec::new(),
            record: PhantomData,
        }
    }
}

impl<R: FromText> CsvReader<R> {
    /// A reader of rows without a header, with this delimiter between cells.
    pub fn new(delimiter: u8) -> CsvReader<R> {
        let plan = Arc::new(Plan::of::<R>());
        CsvReader {
            delimiter,
            columns: (0..plan.cells).map(Some).collect(),
            width: plan.cells,
            plan,
            ends: Vec::new(),
            unquoted: Vec::new(),
            record: PhantomData,
        }
    }

    /// Finds the columns by the names in the header.
    ///
    /// # Errors
    /// Which of the columns that the record needs are not there, or that none is there. A field
    /// that is an `Option` or has a default of serde's needs none.
    pub fn header(&mut self, line: &str) -> Result<(), String> {
        let text = match self.split(line) {
            Some(true) => std::str::from_utf8(&self.unquoted).map_err(|e| e.to_string())?,
            Some(false) => line,
            None => return Err("the header ends within quotes".into()),
        };
        if text.trim().is_empty() {
            let wanted = self.plan.header().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "the header is empty; put the names of the columns there ({wanted}), or read the \
                 file .without_header()"
            ));
        }
        let mut names = Vec::new();
        let mut start = 0;
        for &end in &self.ends {
            names.push(text[start..end].trim());
            start = end + usize::from(std::ptr::eq(text, line));
        }
        let place = |name| names.iter().position(|found| *found == name);
        self.columns = self.plan.header().map(place).collect();
        self.width = names.len();
        let missing = missing_columns::<R>(&self.plan, &self.columns);
        if !missing.is_empty() {
            let columns = if missing.len() == 1 { "column" } else { "columns" };
            let (missing, found) = (missing.join(", "), names.join(", "));
            return Err(format!("missing {columns} {missing}; the header has {found}"));
        }
        if self.plan.cells > 0 && self.columns.iter().all(Option::is_none) {
            let wanted: Vec<&str> = self.plan.header().collect();
            let (wanted, found) = (wanted.join(", "), names.join(", "));
            return Err(format!("no column is one of {wanted}; found {found}"));
        }
        Ok(())
    }

    /// Reads a row: one line, or several when the first ones gave [`Row::Partial`].
    pub fn read(&mut self, row: &str) -> Row<R> {
        if row.is_empty() {
            return Row::Empty;
        }
        let Some(unquoted) = self.split(row) else {
            return Row::Partial;
        };
        if self.ends.len() != self.width {
            let (found, wanted) = (self.ends.len(), self.width);
            return Row::Bad(format!("expected {wanted} cells, found {found}"));
        }
        let (text, gap) = match unquoted {
            // csv-core copies ASCII bytes and what lies between them, so this can't fail.
            true => (std::str::from_utf8(&self.unquoted).unwrap_or_default(), 0),
            false => (row, 1),
        };
        read_cells(&self.plan, &self.columns, text, &self.ends, gap)
            .map_or_else(|error| Row::Bad(error.to_string()), |record| Row::Record(record))
    }

    /// Finds where the cells end: in the row itself (false), or in `unquoted` (true) when there are
    /// quotes. None when it ends within quotes.
    fn split(&mut self, row: &str) -> Option<bool> {
        self.ends.clear();
        if memchr::memchr(b'"', row.as_bytes()).is_none() {
            self.ends.extend(memchr::memchr_iter(self.delimiter, row.as_bytes()));
            self.ends.push(row.len());
            return Some(false);
        }
        self.unquoted.resize(row.len(), 0);
        self.ends.resize(row.len() + 1, 0);
        let mut core = csv_core::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .terminator(csv_core::Terminator::Any(b'\n'))
            .build();
        let input = row.as_bytes();
        let (result, _, written, cells) =
            core.read_record(input, &mut self.unquoted, &mut self.ends);
        let (result, more) = match result {
            ReadRecordResult::InputEmpty => {
                // A line feed ends the row, except within quotes.
                let (unquoted, ends) = (&mut self.unquoted[written..], &mut self.ends[cells..]);
                let (result, _, _, more) = core.read_record(b"\n", unquoted, ends);
                (result, more)
            }
            result => (result, 0),
        };
        self.unquoted.truncate(written);
        self.ends.truncate(cells + more);
        matches!(result, ReadRecordResult::Record).then_some(true)
    }
}
