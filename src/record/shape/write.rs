//! Making a record of a value, as a shape says.

use std::fmt;

use super::super::pad;
use super::names::bare;
use super::pack;
use super::read::DEPTH_MAX;
use super::value::Name;
use super::{Place, Shape, Value};
use crate::time::Timestamp;

/// Why a value is no record of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The names of the fields that lead to it, joined by dots; empty for the record itself.
    path: String,
    what: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.what),
            path => write!(f, "field {path}: {}", self.what),
        }
    }
}

impl std::error::Error for Misfit {}

impl Misfit {
    #[cold]
    pub(super) fn new(what: impl Into<String>) -> Misfit {
        Misfit { path: String::new(), what: what.into() }
    }

    /// That a shape wants something else.
    #[cold]
    pub(super) fn of(shape: &Shape, found: &Value) -> Misfit {
        Misfit::new(format!("expected {}, found {}", wanted(shape), found.in_words()))
    }

    #[cold]
    pub(super) fn within(mut self, name: &str) -> Misfit {
        let joint = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{}{joint}{}", bare(name), self.path);
        self
    }
}

/// Shapes of files may say anything.
pub(super) fn impossible() -> Misfit {
    Misfit::new("nothing lies as the shape says")
}

impl Shape {
    /// Appends the encoding of a value to `to`, which has a multiple of 8 bytes before and after. A
    /// batch of such encodings is one of the type that has this shape. Fields are found by their
    /// names, one that is missing is none, and others are passed over; where a tuple is wanted, a
    /// list will do. A time may be text (ISO 8601) or a whole number of milliseconds.
    ///
    /// ```
    /// use thalweg::prelude::*;
    /// use thalweg::record::Batch;
    ///
    /// record! { struct Person { id: u64, name: String, age: Option<u8> } }
    /// let shape = Person::shape().expect("a shape");
    /// let mut bytes = Vec::new();
    /// let value = serde_json::from_str(r#"{"name":"Ada","id":1}"#).expect("JSON");
    /// shape.write(&value, &mut bytes)?;
    /// # let mut words = vec![0_u64; bytes.len() / 8];
    /// # bytemuck::cast_slice_mut::<u64, u8>(&mut words).copy_from_slice(&bytes);
    /// # let bytes = bytemuck::cast_slice::<u64, u8>(&words);
    /// # let times = [0_u64];
    /// # let times = bytemuck::cast_slice(&times);
    /// let batch = Batch::restored::<Person>(bytes, times).expect("a person");
    /// let person = batch.records::<Person>().map(|(_, person)| Person::own(person)).next();
    /// assert_eq!(person, Some(Person { id: 1, name: "Ada".into(), age: None }));
    ///
    /// let value = serde_json::from_str(r#"{"name":"Ada","id":1,"age":300}"#).expect("JSON");
    /// let error = shape.write(&value, &mut Vec::new()).unwrap_err();
    /// let what = "field age: expected a whole number from 0 to 255, found 300";
    /// assert_eq!(error.to_string(), what);
    /// # Ok::<(), thalweg::record::Misfit>(())
    /// ```
    ///
    /// # Errors
    /// When the value is no such record; then `to` is as before.
    pub fn write(&self, value: &Value, to: &mut Vec<u8>) -> Result<(), Misfit> {
        let before = to.len();
        let written = self.write_at(value, to, DEPTH_MAX);
        if written.is_err() {
            to.truncate(before);
        }
        written
    }

    fn write_at(&self, value: &Value, to: &mut Vec<u8>, depth: usize) -> Result<(), Misfit> {
        let deeper = depth.checked_sub(1).ok_or_else(impossible)?;
        let start = to.len();
        match self {
            Shape::Text => {
                let text = text(self, value)?;
                put_word(to, text.len());
                to.extend_from_slice(text.as_bytes());
                to.resize(start + 8 + pad(text.len()), 0);
            }
            Shape::Option(inner) => {
                let some = !is_none(value);
                put_word(to, usize::from(some));
                if some {
                    inner.write_at(value, to, deeper)?;
                } else {
                    to.resize(start + 8 + inner.size().unwrap_or(0), 0);
                }
            }
            Shape::List(inner) => {
                let list = opened(self, value)?;
                let items = items(self, list.as_ref().unwrap_or(value))?;
                to.resize(start + 16, 0);
                for (number, item) in items.iter().enumerate() {
                    let at = |misfit: Misfit| misfit.within(&number.to_string());
                    inner.write_at(item, to, deeper).map_err(at)?;
                }
                let size = to.len() - start - 16;
                fill_word(to, start, size);
                fill_word(to, start + 8, items.len());
            }
            Shape::Struct { fields, .. } => {
                let object = opened(self, value)?;
                let value = object.as_ref().unwrap_or(value);
                for (number, part) in fields.iter().enumerate() {
                    let field = field(self, value, number, &part.name)?;
                    let written = part.shape.write_at(field, to, deeper);
                    written.map_err(|misfit| misfit.within(&part.name))?;
                }
            }
            Shape::Archive(inner) => {
                put_word(to, 0);
                pack::pack(inner, value, to)?;
                let len = to.len() - start - 8;
                fill_word(to, start, len);
                to.resize(start + 8 + pad(len), 0);
            }
            other => {
                let size = other.scalar().ok_or_else(impossible)?;
                to.resize(start + pad(size), 0);
                scalar(other, value, &mut to[start..start + size], deeper)?;
            }
        }
        Ok(())
    }
}

fn put_word(to: &mut Vec<u8>, word: usize) {
    to.extend_from_slice(&(word as u64).to_ne_bytes());
}

fn fill_word(to: &mut [u8], at: usize, word: usize) {
    to[at..at + 8].copy_from_slice(&(word as u64).to_ne_bytes());
}

/// Whether an option holds nothing.
pub(super) fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Cell(cell) => cell.is_empty(),
        _ => false,
    }
}

/// What a cell of JSON holds; none for a value that is no cell.
pub(super) fn opened(shape: &Shape, value: &Value) -> Result<Option<Value>, Misfit> {
    let Value::Cell(cell) = value else { return Ok(None) };
    serde_json::from_str(cell).map(Some).map_err(|_| Misfit::of(shape, value))
}

pub(super) fn text<'a>(shape: &Shape, value: &'a Value) -> Result<&'a str, Misfit> {
    match value {
        Value::Text(text) | Value::Cell(text) => Ok(text),
        other => Err(Misfit::of(shape, other)),
    }
}

pub(super) fn items<'a>(shape: &Shape, value: &'a Value) -> Result<&'a [Value], Misfit> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(Misfit::of(shape, other)),
    }
}

/// The value of a field: by its name, or, in a list, by its place.
pub(super) fn field<'a>(
    of: &Shape,
    value: &'a Value,
    number: usize,
    name: &str,
) -> Result<&'a Value, Misfit> {
    let is_it = |(own, _): &&(Name, Value)| bare(own) == bare(name);
    match value {
        Value::Fields(fields) => {
            let found = fields.get(number).filter(is_it).or_else(|| fields.iter().find(is_it));
            Ok(found.map_or(&Value::Null, |(_, value)| value))
        }
        Value::List(items) if name.parse() == Ok(number) => {
            Ok(items.get(number).unwrap_or(&Value::Null))
        }
        other => Err(Misfit::of(of, other)),
    }
}

/// Puts a value that takes just these bytes.
pub(super) fn scalar(
    shape: &Shape,
    value: &Value,
    to: &mut [u8],
    depth: usize,
) -> Result<(), Misfit> {
    let misfit = || Misfit::of(shape, value);
    match shape {
        Shape::Unit => {}
        Shape::Bool => to[0] = u8::from(truth(value).ok_or_else(misfit)?),
        Shape::Char => {
            let mut letters = text(shape, value)?.chars();
            let (Some(letter), None) = (letters.next(), letters.next()) else {
                return Err(misfit());
            };
            to.copy_from_slice(&u32::from(letter).to_ne_bytes());
        }
        Shape::Int(_) => int(value).and_then(|x| put_int(x, to)).ok_or_else(misfit)?,
        Shape::Uint(_) => uint(value).and_then(|x| put_uint(x, to)).ok_or_else(misfit)?,
        Shape::Float(_) => float(value, to).ok_or_else(misfit)?,
        Shape::Time => {
            let at = time(value).ok_or_else(misfit)?;
            to.copy_from_slice(&at.micros().to_ne_bytes());
        }
        Shape::Bytes(_) => {
            let list = opened(shape, value)?;
            let byte = |item: &Value| u8::try_from(int(item)?).ok();
            let bytes = match list.as_ref().unwrap_or(value) {
                Value::Bytes(bytes) => Some(bytes.clone()),
                Value::List(items) => items.iter().map(byte).collect(),
                _ => None,
            };
            let bytes = bytes.filter(|bytes| bytes.len() == to.len()).ok_or_else(misfit)?;
            to.copy_from_slice(&bytes);
        }
        Shape::Plain { fields, .. } => {
            let object = opened(shape, value)?;
            plain(shape, fields, object.as_ref().unwrap_or(value), to, depth)?;
        }
        Shape::Text | Shape::Option(_) | Shape::List(_) => return Err(impossible()),
        Shape::Struct { .. } | Shape::Enum { .. } | Shape::Archive(_) => return Err(impossible()),
    }
    Ok(())
}

fn plain(
    of: &Shape,
    fields: &[Place],
    value: &Value,
    to: &mut [u8],
    depth: usize,
) -> Result<(), Misfit> {
    let deeper = depth.checked_sub(1).ok_or_else(impossible)?;
    for (number, Place { name, offset, shape }) in fields.iter().enumerate() {
        let size = shape.scalar().ok_or_else(impossible)?;
        let room = to.get_mut(*offset..).and_then(|to| to.get_mut(..size));
        let room = room.ok_or_else(impossible)?;
        let value = field(of, value, number, name)?;
        scalar(shape, value, room, deeper).map_err(|misfit| misfit.within(name))?;
    }
    Ok(())
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(x) => Some(*x),
        Value::Cell(cell) => match cell.trim_ascii() {
            "1" => Some(true),
            "0" => Some(false),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Int(x) => Some(*x),
        Value::Cell(cell) => cell.trim_ascii().parse().ok(),
        _ => None,
    }
}

fn uint(value: &Value) -> Option<u128> {
    match value {
        Value::Int(x) => u128::try_from(*x).ok(),
        Value::Uint(x) => Some(*x),
        Value::Cell(cell) => cell.trim_ascii().parse().ok(),
        _ => None,
    }
}

fn put_int(x: i128, to: &mut [u8]) -> Option<()> {
    match to.len() {
        1 => to.copy_from_slice(&i8::try_from(x).ok()?.to_ne_bytes()),
        2 => to.copy_from_slice(&i16::try_from(x).ok()?.to_ne_bytes()),
        4 => to.copy_from_slice(&i32::try_from(x).ok()?.to_ne_bytes()),
        8 => to.copy_from_slice(&i64::try_from(x).ok()?.to_ne_bytes()),
        16 => to.copy_from_slice(&x.to_ne_bytes()),
        _ => return None,
    }
    Some(())
}

fn put_uint(x: u128, to: &mut [u8]) -> Option<()> {
    match to.len() {
        1 => to.copy_from_slice(&u8::try_from(x).ok()?.to_ne_bytes()),
        2 => to.copy_from_slice(&u16::try_from(x).ok()?.to_ne_bytes()),
        4 => to.copy_from_slice(&u32::try_from(x).ok()?.to_ne_bytes()),
        8 => to.copy_from_slice(&u64::try_from(x).ok()?.to_ne_bytes()),
        16 => to.copy_from_slice(&x.to_ne_bytes()),
        _ => return None,
    }
    Some(())
}

fn float(value: &Value, to: &mut [u8]) -> Option<()> {
    // Text is rounded once.
    let (narrow, wide) = match value {
        Value::Float(x) => (*x as f32, *x),
        Value::Int(x) => (*x as f32, *x as f64),
        Value::Uint(x) => (*x as f32, *x as f64),
        Value::Cell(cell) => (cell.trim_ascii().parse().ok()?, cell.trim_ascii().parse().ok()?),
        _ => return None,
    };
    match to.len() {
        4 => to.copy_from_slice(&narrow.to_ne_bytes()),
        8 => to.copy_from_slice(&wide.to_ne_bytes()),
        _ => return None,
    }
    Some(())
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Time(at) => Some(*at),
        Value::Int(x) => i64::try_from(*x).ok().map(Timestamp::from_millis),
        Value::Text(text) => Timestamp::parse(text).ok(),
        Value::Cell(cell) => match cell.trim_ascii().parse() {
            Ok(millis) => Some(Timestamp::from_millis(millis)),
            Err(_) => Timestamp::parse(cell.trim_ascii()).ok(),
        },
        _ => None,
    }
}

/// What a shape wants, in words.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Unit => "nothing".into(),
        Shape::Bool => "true or false".into(),
        Shape::Char => "one character".into(),
        Shape::Int(bits @ 8..=32) => {
            let most = (1_i64 << (bits - 1)) - 1;
            format!("a whole number from {} to {most}", -most - 1)
        }
        Shape::Uint(bits @ 8..=32) => {
            format!("a whole number from 0 to {}", (1_u64 << bits) - 1)
        }
        Shape::Int(bits) => format!("a whole number of {bits} bits, with or without sign"),
        Shape::Uint(bits) => format!("a whole number of {bits} bits, 0 or more"),
        Shape::Float(_) => "a number".into(),
        Shape::Time => "a time such as 2001-01-01T00:03:00, or whole milliseconds".into(),
        Shape::Bytes(bytes) => format!("a list of {bytes} bytes"),
        Shape::Text => "text".into(),
        Shape::Option(inner) | Shape::Archive(inner) => wanted(inner),
        Shape::List(_) => "a list".into(),
        Shape::Struct { .. } | Shape::Plain { .. } => "an object".into(),
        Shape::Enum { variants, .. } => {
            let names: Vec<&str> = variants.iter().map(|variant| bare(&variant.name)).collect();
            format!("one of {}", names.join(", "))
        }
    }
}
