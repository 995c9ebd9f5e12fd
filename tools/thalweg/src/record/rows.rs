//! Rows of text, line by line.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::str;
use std::sync::Arc;

use anyhow::Context;
use thalweg::limits::LINE_BYTES;
use thalweg::record::Value;
use thalweg::time::Timestamp;

use super::wide;
use crate::args::Text;

/// What comes of a line.
#[derive(Debug, PartialEq)]
pub enum Came {
    /// A row.
    Row(Row),
    /// Text that is none.
    Bad(Bad),
    /// The input can't be read on: why.
    Failed(String),
}

/// A row, and when it came.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Its fields.
    pub value: Value,
    /// When it was read.
    pub arrival: Timestamp,
    /// Where it is from, and its line there.
    pub place: (Arc<str>, u64),
}

/// Text that is no row.
#[derive(Debug, PartialEq)]
pub struct Bad {
    /// Where it is from, and its line there.
    pub place: (Arc<str>, u64),
    /// What is wrong.
    pub what: String,
}

/// How text is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// By the first line where it is not said: JSON begins with a brace.
    pub format: Option<Text>,
    /// What stands between the cells of CSV.
    pub delimiter: u8,
    /// The names of the columns of CSV without a header.
    pub names: Option<Vec<String>>,
    /// The columns that the header of CSV must have.
    pub wanted: Vec<String>,
}

/// Makes rows of the lines of one input.
#[derive(Debug)]
pub struct Rows {
    how: Reading,
    origin: Arc<str>,
    line: u64,
    /// The lines of a row of CSV whose quotes are still open.
    open: String,
}

impl Rows {
    /// Of an input that messages call so.
    #[must_use]
    pub fn new(how: Reading, origin: String) -> Rows {
        Rows { how, origin: origin.into(), line: 0, open: String::new() }
    }

    fn bad(&self, what: impl Into<String>) -> Came {
        Came::Bad(Bad { place: (self.origin.clone(), self.line), what: what.into() })
    }

    /// Takes a line, without its end; nothing comes of a header, an empty line, and one within
    /// quotes.
    pub fn line(&mut self, line: &[u8]) -> Option<Came> {
        self.line += 1;
        let Ok(line) = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) else {
            return Some(self.bad("it is no UTF-8"));
        };
        let line = if self.line == 1 { line.trim_start_matches('\u{feff}') } else { line };
        if self.open.is_empty() && line.trim().is_empty() {
            return None;
        }
        let guess = || if line.starts_with('{') { Text::Json } else { Text::Csv };
        match *self.how.format.get_or_insert_with(guess) {
            Text::Json => Some(match serde_json::from_str(line) {
                Ok(value) if wide::may_be_rounded(&value) => {
                    self.row(wide::read(line).unwrap_or(value))
                }
                Ok(value) => self.row(value),
                Err(error) => self.bad(format!("it is no JSON: {error}")),
            }),
            Text::Csv => self.cells(line),
        }
    }

    fn row(&self, value: Value) -> Came {
        let place = (self.origin.clone(), self.line);
        Came::Row(Row { value, arrival: Timestamp::now(), place })
    }

    fn cells(&mut self, line: &str) -> Option<Came> {
        let quotes = self.open.matches('"').count() + line.matches('"').count();
        if quotes == 0 {
            let cells = line.split(char::from(self.how.delimiter)).map(str::to_owned).collect();
            return self.cells_of(cells);
        }
        self.open += line;
        if !quotes.is_multiple_of(2) && self.open.len() < LINE_BYTES {
            self.open.push('\n');
            return None;
        }
        let text = std::mem::take(&mut self.open);
        let mut csv = csv::ReaderBuilder::new();
        let csv = csv.has_headers(false).delimiter(self.how.delimiter);
        match csv.from_reader(text.as_bytes()).records().next() {
            Some(Ok(cells)) if quotes.is_multiple_of(2) => {
                self.cells_of(cells.iter().map(str::to_owned).collect())
            }
            _ => Some(self.bad("its quotes do not close")),
        }
    }

    fn cells_of(&mut self, cells: Vec<String>) -> Option<Came> {
        let Some(names) = &self.how.names else {
            let names: Vec<String> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
            if let Some(what) = self.unfit(&names) {
                let (origin, line) = (&self.origin, self.line);
                return Some(Came::Failed(format!("{origin} line {line}: {what}")));
            }
            self.how.names = Some(names);
            return None;
        };
        if cells.len() != names.len() {
            let (wanted, found) = (names.len(), cells.len());
            return Some(self.bad(format!("expected {wanted} cells, found {found}")));
        }
        let names = names.iter().map(|name| Cow::Owned(name.clone()));
        Some(self.row(Value::Fields(names.zip(cells.into_iter().map(Value::Cell)).collect())))
    }

    /// Whether a line is the header of CSV once more.
    pub fn repeats_header(&self, line: &[u8]) -> bool {
        let Some(names) = &self.how.names else { return false };
        let line = str::from_utf8(line).unwrap_or_default().trim_end_matches('\r');
        let cells = line.split(char::from(self.how.delimiter));
        self.how.format == Some(Text::Csv) && cells.map(str::trim).eq(names)
    }

    /// What is wrong with a header, if something is.
    fn unfit(&self, names: &[String]) -> Option<String> {
        let all = || format!("it has {}", names.join(", "));
        if names.iter().any(|name| name.contains(char::is_control)) {
            return Some("the header is no text; is it CSV?".to_owned());
        }
        let is_bad = |(i, name): (usize, &String)| name.is_empty() || names[..i].contains(name);
        if names.iter().enumerate().any(is_bad) {
            let what = "the header needs a name for each column, each another one";
            return Some(format!("{what}; {}", all()));
        }
        let lacks = self.how.wanted.iter().find(|wanted| !names.contains(wanted))?;
        Some(format!("the header has no column {lacks}, which the schema wants; {}", all()))
    }

    /// The input has ended.
    pub fn end(&mut self) -> Option<Came> {
        let open = std::mem::take(&mut self.open);
        (!open.is_empty()).then(|| self.bad("it ends within quotes"))
    }

    /// Reads all lines; `take` says whether it wants more.
    ///
    /// # Errors
    ///
    /// If the input can't be read.
    pub fn read(
        &mut self,
        input: impl Read,
        mut take: impl FnMut(Came) -> bool,
    ) -> anyhow::Result<()> {
        let mut input = BufReader::with_capacity(64 << 10, input);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut some = (&mut input).take(LINE_BYTES as u64);
            let reading = || format!("reading {} behind line {}", self.origin, self.line);
            some.read_until(b'\n', &mut line).with_context(reading)?;
            let came = match line.last() {
                None => {
                    if let Some(came) = self.end() {
                        take(came);
                    }
                    return Ok(());
                }
                Some(b'\n') => self.line(&line[..line.len() - 1]),
                Some(_) if line.len() == LINE_BYTES => {
                    input.skip_until(b'\n').with_context(reading)?;
                    self.line += 1;
                    Some(self.bad(format!("it is longer than {LINE_BYTES} bytes")))
                }
                Some(_) => self.line(&line),
            };
            if came.is_some_and(|came| !take(came)) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], delimiter: u8) -> Vec<Came> {
        let how = Reading { format: None, delimiter, names: None, wanted: Vec::new() };
        let mut all = Vec::new();
        let mut rows = Rows::new(how, "x".to_owned());
        rows.read(text, |came| {
            all.push(came);
            true
        })
        .expect("memory is read");
        all
    }

    fn cells(came: &Came) -> Vec<(&str, &str)> {
        let Came::Row(Row { value: Value::Fields(fields), .. }) = came else {
            panic!("no row: {came:?}")
        };
        let cell = |(name, value): &'_ (Cow<'static, str>, Value)| match value {
            Value::Cell(cell) => (name.to_string(), cell.clone()),
            other => panic!("no cell: {other:?}"),
        };
        let all: Vec<(String, String)> = fields.iter().map(cell).collect();
        all.into_iter().map(|(name, cell)| (&*name.leak(), &*cell.leak())).collect()
    }

    fn what(came: &Came) -> (u64, &str) {
        match came {
            Came::Bad(Bad { place, what }) => (place.1, what),
            other => panic!("not bad: {other:?}"),
        }
    }

    #[test]
    fn csv_is_read_as_another_reader_reads_it() {
        let text = "\u{feff}a;b\r\n1;\"x;\"\"y\"\"\nz\"\n\n ; \n\"\";2";
        let all = read(text.as_bytes(), b';');
        let mut other =
            csv::ReaderBuilder::new().delimiter(b';').from_reader(&text.as_bytes()[3..]);
        let expected: Vec<csv::StringRecord> =
            other.records().map(|row| row.expect("CSV")).collect();
        assert_eq!(all.len(), expected.len());
        for (came, row) in all.iter().zip(&expected) {
            assert_eq!(cells(came), [("a", &row[0]), ("b", &row[1])]);
        }
    }

    #[test]
    fn what_is_no_row_is_told_by_its_line() {
        let all = read(b"a,b\n1\n\xff,2\n3,4\n\"5,6\n", b',');
        assert_eq!(what(&all[0]), (2, "expected 2 cells, found 1"));
        assert_eq!(what(&all[1]), (3, "it is no UTF-8"));
        assert_eq!(cells(&all[2]), [("a", "3"), ("b", "4")]);
        assert_eq!(what(&all[3]), (5, "it ends within quotes"));
        let all = read(b"{\"a\":1}\n{\"a\":\n[2]\n", b',');
        assert!(matches!(&all[0], Came::Row(_)) && what(&all[1]).1.contains("it is no JSON"));
        assert!(matches!(&read(b"a,a\n", b',')[0], Came::Failed(what) if what.contains("a, a")));
        let long = [b"a\n", "x".repeat(LINE_BYTES + 5).as_bytes(), b"\nshort\n"].concat();
        let all = read(&long, b',');
        assert!(what(&all[0]).1.contains("longer than"));
        assert_eq!(cells(&all[1]), [("a", "short")]);
        let open = [b"a\n\"", "x\n".repeat(LINE_BYTES / 2 + 5).as_bytes()].concat();
        assert!(what(&read(&open, b',')[0]).1.contains("quotes"));
    }
}
