//! Records as they are sent.

use anyhow::{bail, ensure};
use thalweg::format::{CsvText, JsonText, Untyped};
use thalweg::record::{Shape, Type, Value};

use super::args::{Change, Form, Framing, Sending};
use super::changed::{Changed, Copy, Hashed, Own, Range};
use super::tape::size;

/// Writes records of one type.
pub struct Rows {
    shape: Shape,
    text: Text,
    framing: Framing,
    key: Option<String>,
    /// What the key may be, where it is a number.
    range: Option<Range>,
    copies: u32,
}

enum Text {
    Json(JsonText<Untyped>),
    Csv(CsvText<Untyped>),
    /// As they lie; with room for what is changed.
    Raw(Vec<u8>),
}

/// Why a record is not sent.
#[derive(Debug)]
pub enum Wrong {
    /// The bytes are none.
    NoRecord,
    /// It can't be changed as is asked for.
    Change(String),
}

/// What becomes of the records of a pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Times go forward by so many microseconds.
    pub shift: i64,
    /// Which of several copies it is, from 0.
    pub copy: u32,
}

impl Rows {
    /// Of records that lie so.
    ///
    /// # Errors
    /// When they can't be written in the way that is asked for.
    pub fn new(shape: &Shape, sending: &Sending, change: &Change) -> anyhow::Result<Rows> {
        let data_type = shape.data_type();
        let text = match sending.format {
            Form::Json => Text::Json(JsonText::of(&data_type)),
            Form::Csv => Text::Csv(CsvText::of(&data_type, b',')),
            Form::Raw => Text::Raw(Vec::new()),
        };
        ensure!(
            sending.format != Form::Raw || sending.framing != Framing::Lines,
            "raw records may hold line breaks; use --framing length, or none"
        );
        let (framing, key, copies) = (sending.framing, change.key.clone(), change.key_clone.get());
        let range = key.as_ref().map(|key| range_of_key(&data_type, key)).transpose()?.flatten();
        if let Some(Range { column, most, .. }) = &range {
            ensure!(u128::from(copies - 1) <= *most, "{copies} copies are too many for {column}");
        }
        Ok(Rows { shape: shape.clone(), text, framing, key, range, copies })
    }

    /// The names of the columns, where there are such, as they come before the first record: in a
    /// datagram they end with a line break whatever the framing is.
    pub fn header(&mut self, in_datagrams: bool) -> Vec<u8> {
        let mut header = Vec::new();
        let Text::Csv(csv) = &mut self.text else { return header };
        csv.clear();
        csv.header();
        let framing = if in_datagrams { Framing::Lines } else { self.framing };
        // So many columns that it had no length would not be named.
        framed(framing, csv.text(), &mut header).ok();
        header
    }

    /// Appends the record at the start of `bytes`; gives how many of these it takes.
    ///
    /// # Errors
    /// When they are no record, or there is none that is changed in this way.
    pub fn push(
        &mut self,
        bytes: &[u8],
        changes: Changes,
        to: &mut Vec<u8>,
    ) -> Result<usize, Wrong> {
        let Rows { shape, text, framing, key, range, copies } = self;
        let of = *copies;
        let copy = Copy { of, number: changes.copy, range: range.as_ref() };
        let copies = (of > 1).then_some(copy);
        let (shape, is_same) = (&*shape, changes.shift == 0 && copies.is_none());
        let mut wrong = None;
        let show = |visitor: &mut dyn thalweg::record::Visitor| {
            if is_same {
                return shape.show(bytes, visitor);
            }
            let own = Own::new(key.as_deref());
            let shift = changes.shift;
            let mut changed = Changed { to: visitor, own, shift, copies, wrong: None };
            let size = shape.show(bytes, &mut changed);
            wrong = changed.wrong.take();
            size
        };
        let (size, text) = match text {
            Text::Json(json) => {
                json.clear();
                (json.show(show).ok_or(Wrong::NoRecord)?, json.text())
            }
            Text::Csv(csv) => {
                csv.clear();
                (csv.show(show).ok_or(Wrong::NoRecord)?, csv.text())
            }
            Text::Raw(_) if is_same => {
                let size = size(shape, bytes).ok_or(Wrong::NoRecord)?;
                (size, &bytes[..size])
            }
            Text::Raw(raw) => {
                let (value, size) = Value::shown(show).ok_or(Wrong::NoRecord)?;
                raw.clear();
                shape.write(&value, raw).map_err(|misfit| Wrong::Change(misfit.to_string()))?;
                (size, &raw[..])
            }
        };
        if let Some(what) = wrong {
            return Err(Wrong::Change(what));
        }
        framed(*framing, text, to)?;
        Ok(size)
    }

    /// A number for the key of the record at the start of `bytes`, the same for the same key.
    pub fn hash(&self, bytes: &[u8]) -> Option<u64> {
        let own = Own::new(self.key.as_deref());
        let mut hashed = Hashed { own, hash: 0 };
        self.shape.show(bytes, &mut hashed)?;
        Some(hashed.hash)
    }
}

/// Appends a record's text, which may end with a line break, as it is told apart.
fn framed(framing: Framing, text: &[u8], to: &mut Vec<u8>) -> Result<(), Wrong> {
    let plain = text.strip_suffix(b"\n").unwrap_or(text);
    match framing {
        Framing::Lines => to.extend_from_slice(text),
        Framing::None => to.extend_from_slice(plain),
        Framing::Length => {
            let much = |_| Wrong::Change("4 GiB are too long for --framing length".into());
            to.extend_from_slice(&u32::try_from(plain.len()).map_err(much)?.to_be_bytes());
            to.extend_from_slice(plain);
        }
    }
    Ok(())
}

/// What the key may be, if it is a number.
fn range_of_key(data_type: &Type, key: &str) -> anyhow::Result<Option<Range>> {
    let Type::Struct(schema) = data_type else {
        bail!("--key names a column, and the records are {data_type}: they have none")
    };
    let Some(column) = schema.columns.iter().find(|column| column.name == key) else {
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name).collect();
        bail!("there is no column {key}; there are {}", names.join(", "))
    };
    let of = match &column.data_type {
        Type::Option(inner) => inner,
        other => other,
    };
    let (least, most) = match of {
        Type::Int(bits @ 8..=128) => (i128::MIN >> (128 - bits), u128::MAX >> (129 - bits)),
        Type::Uint(bits @ 8..=128) => (0, u128::MAX >> (128 - bits)),
        Type::Text => return Ok(None),
        _ => bail!("column {key} is {}; a key is a whole number or text", column.data_type),
    };
    Ok(Some(Range { column: format!("column {key}, which is {of}"), least, most }))
}
