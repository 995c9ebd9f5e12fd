//! JSON: one record, one line.
//!
//! Written as serde would read it: structs are objects, tuples and lists arrays, a variant that
//! holds nothing its name (`"Red"`), one that holds something `{"Rgb":[1,2,3]}`, a time its ISO
//! 8601 text, no value and numbers that JSON doesn't have (NaN, infinities) `null`.

use std::io::Write;
use std::marker::PhantomData;

use jiff::fmt::temporal::DateTimePrinter;
use serde::de::DeserializeOwned;

use super::Untyped;
use super::wording::reword;
use crate::record::{Record, Schema, Type, Visitor};
use crate::time::Timestamp;

/// Writes records as JSON lines into a buffer of its own.
///
/// ```
/// use thalweg::format::JsonText;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: f64 } }
/// let mut json = JsonText::new();
/// json.push(&Bid { auction: 1, price: 0.5 });
/// assert_eq!(json.text(), b"{\"auction\":1,\"price\":0.5}\n");
/// ```
#[derive(Debug)]
pub struct JsonText<R> {
    json: Json,
    record: PhantomData<fn(&R)>,
}

impl<R: Record> JsonText<R> {
    /// A writer with an empty buffer.
    pub fn new() -> JsonText<R> {
        JsonText::untyped(&R::data_type())
    }

    /// Appends a record and a line feed.
    pub fn push(&mut self, record: &R) {
        record.visit(&mut self.json);
        self.json.end_line();
    }
}

impl JsonText<Untyped> {
    /// A writer of records of this type.
    pub fn of(data_type: &Type) -> Self {
        JsonText::untyped(data_type)
    }

    /// Appends the record that is shown, and a line feed; nothing where `show` gives none.
    pub fn show<T>(&mut self, show: impl FnOnce(&mut dyn Visitor) -> Option<T>) -> Option<T> {
        let before = self.json.out.len();
        let shown = show(&mut self.json);
        if shown.is_some() {
            self.json.end_line();
        } else {
            self.json.forget(before);
        }
        shown
    }
}

impl<R> JsonText<R> {
    fn untyped(data_type: &Type) -> Self {
        JsonText { json: Json::of(data_type), record: PhantomData }
    }

    /// The lines so far.
    pub fn text(&self) -> &[u8] {
        &self.json.out
    }

    /// Forgets the lines, keeps the memory.
    pub fn clear(&mut self) {
        self.json.out.clear();
    }
}

impl<R: Record> Default for JsonText<R> {
    fn default() -> Self {
        JsonText::new()
    }
}

/// Writes values, one after the other.
#[derive(Debug, Default)]
pub(super) struct Json {
    out: Vec<u8>,
    open: Vec<Open>,
    /// A field or a variant was named and its value has not come yet.
    awaits: bool,
    /// Variants that hold an option: their `null` must not be taken for "holds nothing".
    optional: Vec<&'static str>,
}

#[derive(Debug)]
enum Open {
    /// A list; whether it is still empty.
    List(bool),
    /// A struct or tuple of which no field was seen.
    Unknown,
    /// A struct.
    Object,
    /// A tuple: its fields' names are numbers.
    Tuple,
    /// A variant, and where its text starts.
    Variant(&'static str, usize),
}

impl Json {
    pub fn of(data_type: &Type) -> Json {
        let mut text = Json::default();
        optional_variants(data_type, &mut text.optional);
        text
    }

    pub fn text(&self) -> &[u8] {
        &self.out
    }

    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// Ends a line of one value.
    fn end_line(&mut self) {
        self.close();
        self.out.push(b'\n');
    }

    /// Takes back what has been shown behind so many bytes.
    pub fn forget(&mut self, behind: usize) {
        self.out.truncate(behind);
        self.open.clear();
        self.awaits = false;
    }

    /// Ends a value that showed nothing: `()`.
    pub fn close(&mut self) {
        if self.awaits || self.out.is_empty() || self.out.ends_with(b"\n") {
            self.null();
        }
    }

    /// Whether the values shown so far are whole.
    pub fn is_whole(&self) -> bool {
        self.open.is_empty() && !self.awaits
    }

    /// Whether only a variant's value is missing, which `()` doesn't show.
    pub fn is_bare(&self) -> bool {
        let variant = |open: &Open| matches!(open, Open::Variant(..));
        self.awaits && self.open.iter().all(variant)
    }

    fn start(&mut self) {
        if let Some(Open::List(empty)) = self.open.last_mut() {
            if !*empty {
                self.out.push(b',');
            }
            *empty = false;
        }
        self.awaits = false;
    }

    fn done(&mut self) {
        self.awaits = false;
        while let Some(Open::Variant(..)) = self.open.last() {
            self.open.pop();
            self.out.push(b'}');
        }
    }

    fn plain(&mut self, text: &str) {
        self.start();
        self.out.extend_from_slice(text.as_bytes());
        self.done();
    }

    fn key(&mut self, name: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn optional_variants(data_type: &Type, names: &mut Vec<&'static str>) {
    let mut all = |schema: &Schema| {
        for column in &schema.columns {
            optional_variants(&column.data_type, names);
        }
    };
    match data_type {
        Type::Struct(schema) => all(schema),
        Type::Enum(schema) => {
            all(schema);
            let holds = |data_type: &Type| matches!(data_type, Type::Option(_));
            let columns = schema.columns.iter();
            names.extend(columns.filter(|c| holds(&c.data_type)).map(|c| c.name));
        }
        Type::List(inner) | Type::Option(inner) => optional_variants(inner, names),
        Type::Unit | Type::Bool | Type::Int(_) | Type::Uint(_) | Type::Float(_) => {}
        Type::Text | Type::Bytes | Type::Time => {}
    }
}

impl Visitor for Json {
    fn null(&mut self) {
        if let (true, Some(&Open::Variant(name, at))) = (self.awaits, self.open.last())
            && !self.optional.contains(&name)
        {
            self.open.pop();
            self.out.truncate(at);
            self.out.push(b'"');
            self.out.extend_from_slice(bare(name).as_bytes());
            self.out.push(b'"');
            return self.done();
        }
        self.plain("null");
    }

    fn bool(&mut self, x: bool) {
        self.plain(if x { "true" } else { "false" });
    }

    fn int(&mut self, x: i128) {
        let mut digits = itoa::Buffer::new();
        let text = match i64::try_from(x) {
            Ok(x) => digits.format(x),
            Err(_) => digits.format(x),
        };
        self.plain(text);
    }

    fn uint(&mut self, x: u128) {
        let mut digits = itoa::Buffer::new();
        let text = match u64::try_from(x) {
            Ok(x) => digits.format(x),
            Err(_) => digits.format(x),
        };
        self.plain(text);
    }

    fn float(&mut self, x: f64) {
        if !x.is_finite() {
            return self.plain("null");
        }
        self.plain(zmij::Buffer::new().format_finite(x));
    }

    fn text(&mut self, x: &str) {
        self.start();
        write_text(&mut self.out, x);
        self.done();
    }

    fn bytes(&mut self, x: &[u8]) {
        self.list();
        for &byte in x {
            self.uint(byte.into());
        }
        self.end();
    }

    fn time(&mut self, x: Timestamp) {
        self.start();
        self.out.push(b'"');
        write_time(&mut self.out, x);
        self.out.push(b'"');
        self.done();
    }

    fn list(&mut self) {
        self.start();
        self.out.push(b'[');
        self.open.push(Open::List(true));
    }

    fn fields(&mut self) {
        self.start();
        self.open.push(Open::Unknown);
    }

    fn field(&mut self, name: &'static str) {
        if self.awaits {
            self.null();
        }
        let first = matches!(self.open.last(), Some(Open::Unknown));
        if first {
            self.open.pop();
            let tuple = name.starts_with(|c: char| c.is_ascii_digit());
            self.open.push(if tuple { Open::Tuple } else { Open::Object });
        }
        let tuple = matches!(self.open.last(), Some(Open::Tuple));
        self.out.push(match (first, tuple) {
            (false, _) => b',',
            (true, false) => b'{',
            (true, true) => b'[',
        });
        if !tuple {
            self.key(bare(name));
        }
        self.awaits = true;
    }

    fn variant(&mut self, name: &'static str) {
        self.start();
        self.open.push(Open::Variant(name, self.out.len()));
        self.out.push(b'{');
        self.key(bare(name));
        self.awaits = true;
    }

    fn end(&mut self) {
        if self.awaits {
            self.null();
        }
        self.out.extend_from_slice(match self.open.pop() {
            Some(Open::List(_) | Open::Tuple) => b"]",
            Some(Open::Object) => b"}",
            Some(Open::Unknown | Open::Variant(..)) | None => b"{}",
        });
        self.done();
    }
}

/// A field's name as serde says it: `r#type` is `type`.
pub(super) fn bare(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text can be written to memory");
}

/// Writes a time as it prints, without the way through a formatter, which costs as much again.
pub(super) fn write_time(out: &mut Vec<u8>, at: Timestamp) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new();
    let written = match jiff::Timestamp::from_microsecond(at.micros()) {
        Ok(time) => PRINTER.print_timestamp(&time, &mut *out).is_ok(),
        Err(_) => write!(out, "{at}").is_ok(),
    };
    debug_assert!(written, "a time can be written to memory");
}

/// Reads a record from one JSON value.
///
/// # Errors
/// What is wrong, naming the field: `field price: expected a whole number, 0 or more, found
/// floating point 12.5 (column 24)`.
///
/// ```
/// use thalweg::format::read_json;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let bid: Bid = read_json(r#"{"auction": 1, "price": 7}"#).unwrap();
/// assert_eq!(bid.price, 7);
/// assert!(read_json::<Bid>(r#"{"auction": 1}"#).unwrap_err().contains("price"));
/// ```
pub fn read_json<R: DeserializeOwned>(line: &str) -> Result<R, String> {
    serde_json::from_str(line).map_err(|error| explain::<R>(line, &error))
}

/// Reads the line again, this time noting the path: that is too slow to do for every line.
#[cold]
fn explain<R: DeserializeOwned>(line: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or_default();
    let column = error.column();
    if !error.is_data() {
        return format!("not JSON: {message} (column {column})");
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let path = match serde_path_to_error::deserialize::<_, R>(&mut json) {
        Err(error) => error.path().to_string(),
        Ok(_) => ".".into(),
    };
    let message = reword(message);
    if path == "." {
        return format!("{message} (column {column})");
    }
    format!("field {path}: {message} (column {column})")
}
