//! Records as they are sent.

use anyhow::{bail, ensure};
use thalweg::format::{CsvText, JsonText, Untyped};
use thalweg::record::{Shape, Type};

use super::args::{Change, Form, Framing, Sending};
use super::changed::{Changed, Hashed, Own};

/// Writes records of one type.
pub struct Rows {
    shape: Shape,
    text: Text,
    framing: Framing,
    key: Option<String>,
    copies: u32,
}

enum Text {
    Json(JsonText<Untyped>),
    Csv(CsvText<Untyped>),
    Raw,
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
            Form::Raw => Text::Raw,
        };
        let copies = change.key_clone.get();
        if sending.format == Form::Raw {
            ensure!(
                sending.framing != Framing::Lines,
                "raw records may hold line breaks; use --framing length, or none"
            );
            ensure!(
                copies == 1 && !change.shift_to_now,
                "raw records go as they lie; --key-clone and --shift-to-now need JSON or CSV"
            );
        }
        if let Some(key) = &change.key {
            check_key(&data_type, key)?;
        }
        let (framing, key) = (sending.framing, change.key.clone());
        Ok(Rows { shape: shape.clone(), text, framing, key, copies })
    }

    /// The names of the columns, where a file begins with them.
    pub fn header(&mut self) -> Option<Vec<u8>> {
        let Text::Csv(csv) = &mut self.text else { return None };
        csv.clear();
        csv.header();
        Some(csv.text().to_vec())
    }

    /// Appends the record at the start of `bytes`; gives how many of these it takes, or none where
    /// they are no record.
    pub fn push(&mut self, bytes: &[u8], changes: Changes, to: &mut Vec<u8>) -> Option<usize> {
        let Rows { shape, text, framing, key, copies } = self;
        let copies = (*copies > 1).then_some((*copies, changes.copy));
        let shape = &*shape;
        let show = |visitor: &mut dyn thalweg::record::Visitor| {
            if changes.shift == 0 && copies.is_none() {
                return shape.show(bytes, visitor);
            }
            let own = Own::new(key.as_deref());
            let mut changed = Changed { to: visitor, own, shift: changes.shift, copies };
            shape.show(bytes, &mut changed)
        };
        let (size, text) = match text {
            Text::Json(json) => {
                json.clear();
                (json.show(show)?, json.text())
            }
            Text::Csv(csv) => {
                csv.clear();
                (csv.show(show)?, csv.text())
            }
            Text::Raw => {
                let size = super::tape::size(shape, bytes)?;
                (size, &bytes[..size])
            }
        };
        let plain = text.strip_suffix(b"\n").unwrap_or(text);
        match framing {
            Framing::Lines => to.extend_from_slice(text),
            Framing::None => to.extend_from_slice(plain),
            Framing::Length => {
                to.extend_from_slice(&u32::try_from(plain.len()).ok()?.to_be_bytes());
                to.extend_from_slice(plain);
            }
        }
        Some(size)
    }

    /// A number for the key of the record at the start of `bytes`, the same for the same key.
    pub fn hash(&self, bytes: &[u8]) -> Option<u64> {
        let own = Own::new(self.key.as_deref());
        let mut hashed = Hashed { own, hash: 0 };
        self.shape.show(bytes, &mut hashed)?;
        Some(hashed.hash)
    }
}

/// Whether records have a column of a name that can be a key.
fn check_key(data_type: &Type, key: &str) -> anyhow::Result<()> {
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
    ensure!(
        matches!(of, Type::Int(_) | Type::Uint(_) | Type::Text),
        "column {key} is {}; a key is a whole number or text",
        column.data_type
    );
    Ok(())
}
