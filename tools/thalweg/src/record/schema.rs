//! Schemas as a person writes them: `name: type, name: type`.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use thalweg::record::{Column, Part, Schema, Shape, Type};

/// The name of the records that are recorded.
const NAME: &str = "Row";
/// Lists and structs are not nested deeper than this.
const DEPTH_MAX: usize = 32;

/// What may be written for a type.
const TYPES: &str = "bool, i8 to i128, u8 to u128, f32, f64, text, time, [type] for a list, \
                     type? where there may be none, { name: type, … } for an object";

/// The shape of the records that an inline schema describes. A comma or a line's end stands between
/// two fields, and what follows `#` on a line is a remark.
///
/// # Errors
///
/// Where it can't be read, and what is expected there.
pub fn parse(text: &str) -> anyhow::Result<Shape> {
    let bare = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
    let text: Vec<String> = text.lines().map(bare).collect();
    let text = text.join("\n");
    let mut reading = Reading { rest: &text };
    let fields = reading.fields(DEPTH_MAX).with_context(|| reading.place(&text))?;
    ensure!(reading.rest.trim().is_empty(), "expected a comma, {}", reading.place(&text));
    shape_of(fields)
}

/// The shape of records of such fields.
///
/// # Errors
///
/// If there are none.
pub fn shape_of(fields: Vec<Part>) -> anyhow::Result<Shape> {
    ensure!(!fields.is_empty(), "a schema without fields; write name: type, …");
    let row = Shape::Struct { name: NAME.into(), fields };
    Shape::of(&row.data_type()).context("a schema that no record has")
}

/// As [`parse`] reads it.
#[must_use]
pub fn print(data_type: &Type) -> String {
    match data_type {
        Type::Struct(schema) => fields(schema),
        other => one(other),
    }
}

fn fields(schema: &Schema) -> String {
    let mut text = String::new();
    for (number, Column { name, data_type }) in schema.columns.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        // A string takes whatever is written.
        let _ = write!(text, "{comma}{name}: {}", one(data_type));
    }
    text
}

fn one(data_type: &Type) -> String {
    match data_type {
        Type::Struct(schema) => format!("{{ {} }}", fields(schema)),
        Type::List(item) => format!("[{}]", one(item)),
        Type::Option(inner) => format!("{}?", one(inner)),
        other => other.to_string(),
    }
}

struct Reading<'a> {
    rest: &'a str,
}

impl Reading<'_> {
    fn place(&self, text: &str) -> String {
        let at = text.len() - self.rest.len();
        let (before, line) = (&text[..at], self.rest.lines().next().unwrap_or_default());
        let row = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("at line {row}, column {column} of the schema: {:?}", line.trim())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn fields(&mut self, depth: usize) -> anyhow::Result<Vec<Part>> {
        let mut fields: Vec<Part> = Vec::new();
        loop {
            self.skip_blanks();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return Ok(fields);
            }
            let end = self.rest.find([':', ',', '\n', '{', '}']).unwrap_or(self.rest.len());
            let name = self.rest[..end].trim().to_owned();
            ensure!(
                !name.is_empty() && self.rest[end..].starts_with(':'),
                "expected a name and a colon, as in price: u64"
            );
            ensure!(!fields.iter().any(|f| f.name == name), "the field {name} is there twice");
            self.rest = &self.rest[end + 1..];
            fields.push(Part { name, shape: self.data_type(depth)? });
            let ended = self.rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
            if !self.take(',') && !ended {
                return Ok(fields);
            }
        }
    }

    fn data_type(&mut self, depth: usize) -> anyhow::Result<Shape> {
        let deeper = depth.checked_sub(1).context("it is nested too deep")?;
        let shape = if self.take('[') {
            let item = self.data_type(deeper)?;
            ensure!(self.take(']'), "expected ] behind the type of a list's items");
            Shape::List(Box::new(item))
        } else if self.take('{') {
            let fields = self.fields(deeper)?;
            ensure!(self.take('}'), "expected }} behind the fields of an object");
            ensure!(!fields.is_empty(), "an object without fields");
            Shape::Struct { name: "object".into(), fields }
        } else {
            self.skip_blanks();
            let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric());
            let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            let Some(shape) = scalar(name) else {
                bail!("{name:?} is no type; there are {TYPES}");
            };
            self.rest = rest;
            shape
        };
        let maybe = self.take('?');
        Ok(if maybe { Shape::Option(Box::new(shape)) } else { shape })
    }
}

fn scalar(name: &str) -> Option<Shape> {
    let bits =
        |digits: &str| digits.parse().ok().filter(|bits| [8, 16, 32, 64, 128].contains(bits));
    Some(match name {
        "bool" => Shape::Bool,
        "f32" => Shape::Float(32),
        "f64" => Shape::Float(64),
        "text" => Shape::Text,
        "time" => Shape::Time,
        _ => match name.split_at_checked(1)? {
            ("i", digits) => Shape::Int(bits(digits)?),
            ("u", digits) => Shape::Uint(bits(digits)?),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_printed_as_it_is_read() {
        for text in [
            "auction: u64, price: f32?",
            "a: i8, b: i128, c: bool, d: time, e: text",
            "id: u64, tags: [text], more: { x: [i16?], y: { z: time } }?",
        ] {
            assert_eq!(print(&parse(text).expect(text).data_type()), text);
        }
        let lines = "# an auction\nauction:u64 # its number\n\nprice : f32 ?,\nat: time,\n";
        let printed = print(&parse(lines).expect("a schema").data_type());
        assert_eq!(printed, "auction: u64, price: f32?, at: time");
    }

    #[test]
    fn what_is_no_schema_is_refused_at_its_place() {
        for (text, what) in [
            ("", "without fields"),
            ("price", "expected a name and a colon"),
            ("a: u64\nprice: u65", "column 8 of the schema: \"u65\""),
            ("a: u64, a: u64", "the field a is there twice"),
            ("a: [u64", "expected ]"),
            ("a: { b: u8", "expected }"),
            ("a: u64 b: u8", "expected a comma"),
            ("a: u64 }", "expected a comma"),
        ] {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(what), "{text}: {error}");
        }
        let deep = format!("a: {}u8{}", "[".repeat(40), "]".repeat(40));
        assert!(format!("{:#}", parse(&deep).expect_err("deep")).contains("too deep"));
    }
}
