//! Schemas from the first rows.

use anyhow::{Context, bail};
use thalweg::record::{Part, Shape, Value};
use thalweg::time::Timestamp;

/// What the values of a field are like, as far as they were seen.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Nothing,
    Bool,
    /// Whole numbers; whether one is too great for 64 bits with a sign.
    Whole(bool),
    Number,
    Time,
    Text,
    /// Cells of a table, which are text where they are not all of one type.
    Cell(Box<Seen>),
    List(Box<Seen>),
    Object(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    seen: Seen,
    /// Whether some row had none.
    optional: bool,
}

/// The fields of rows that are objects. Numbers with a fraction are `f64`, others `i64`, or `u64`
/// where one is too great; what reads as a time is one; a field that some row does not have, or
/// has empty, is optional; one that is always empty is text.
///
/// # Errors
///
/// If a row is no object, or a field holds values that go together in no type.
pub fn infer<'a>(rows: impl IntoIterator<Item = &'a Value>) -> anyhow::Result<Vec<Part>> {
    let mut all = Seen::Nothing;
    for row in rows {
        let Value::Fields(_) = row else {
            bail!("a row is no object, so it has no fields; name its fields with --schema");
        };
        all = all.and(&look(row)?)?;
    }
    match all {
        Seen::Object(fields) => Ok(fields.into_iter().map(Field::part).collect()),
        _ => bail!("there are no rows to infer a schema from; name the fields with --schema"),
    }
}

fn look(value: &Value) -> anyhow::Result<Seen> {
    Ok(match value {
        Value::Null => Seen::Nothing,
        Value::Bool(_) => Seen::Bool,
        Value::Int(x) => Seen::Whole(i64::try_from(*x).is_err()),
        Value::Uint(_) => Seen::Whole(true),
        Value::Float(_) => Seen::Number,
        Value::Time(_) => Seen::Time,
        Value::Text(text) => {
            if is_time(text) {
                Seen::Time
            } else {
                Seen::Text
            }
        }
        Value::Cell(cell) => Seen::Cell(Box::new(cell_of(cell.trim()))),
        Value::List(items) => {
            let mut all = Seen::Nothing;
            for item in items {
                all = all.and(&look(item)?)?;
            }
            Seen::List(Box::new(all))
        }
        Value::Fields(fields) => {
            let field = |(name, value): &(std::borrow::Cow<'static, str>, Value)| {
                let (name, optional) = (name.to_string(), is_none(value));
                let seen = look(value).with_context(|| format!("field {name}"))?;
                Ok(Field { name, seen, optional })
            };
            Seen::Object(fields.iter().map(field).collect::<anyhow::Result<_>>()?)
        }
        Value::Bytes(_) | Value::Variant(..) => bail!("bytes and variants have no inline type"),
    })
}

fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Cell(cell) => cell.is_empty(),
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    // To find out that something is none by failing is slow.
    text.len() >= "2001-01-01T00".len()
        && text.as_bytes()[0].is_ascii_digit()
        && Timestamp::parse(text).is_ok()
}

fn cell_of(cell: &str) -> Seen {
    // A zero that leads is part of a code, not of a number.
    let digits = cell.trim_start_matches('-');
    let code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    match cell {
        "" => Seen::Nothing,
        _ if cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false") => Seen::Bool,
        _ if code => Seen::Text,
        _ if cell.parse::<i64>().is_ok() => Seen::Whole(false),
        _ if cell.parse::<u64>().is_ok() => Seen::Whole(true),
        _ if cell.parse::<f64>().is_ok_and(f64::is_finite) => Seen::Number,
        _ if is_time(cell) => Seen::Time,
        _ => Seen::Text,
    }
}

impl Seen {
    /// What fits both.
    fn and(self, other: &Seen) -> anyhow::Result<Seen> {
        Ok(match (self, other) {
            (Seen::Nothing, other) => other.clone(),
            (own, Seen::Nothing) => own,
            (Seen::Whole(own), Seen::Whole(other)) => Seen::Whole(own || *other),
            (Seen::Whole(_) | Seen::Number, Seen::Whole(_) | Seen::Number) => Seen::Number,
            (Seen::Time, Seen::Text) | (Seen::Text, Seen::Time) => Seen::Text,
            (Seen::Cell(own), Seen::Cell(other)) => {
                Seen::Cell(Box::new(own.and(other).unwrap_or(Seen::Text)))
            }
            (Seen::List(own), Seen::List(other)) => Seen::List(Box::new(own.and(other)?)),
            (Seen::Object(own), Seen::Object(other)) => Seen::Object(union(own, other)?),
            (own, other) if own == *other => own,
            (own, other) => {
                bail!("it holds {} and {}", own.in_words(), other.in_words())
            }
        })
    }

    fn in_words(&self) -> &'static str {
        match self {
            Seen::Nothing => "nothing",
            Seen::Cell(_) => "cells",
            Seen::Bool => "true or false",
            Seen::Whole(_) | Seen::Number => "numbers",
            Seen::Time => "times",
            Seen::Text => "text",
            Seen::List(_) => "lists",
            Seen::Object(_) => "objects",
        }
    }

    fn shape(self) -> Shape {
        match self {
            Seen::Bool => Shape::Bool,
            Seen::Cell(inner) => inner.shape(),
            Seen::Whole(false) => Shape::Int(64),
            Seen::Whole(true) => Shape::Uint(64),
            Seen::Number => Shape::Float(64),
            Seen::Time => Shape::Time,
            Seen::Text | Seen::Nothing => Shape::Text,
            Seen::List(item) => Shape::List(Box::new(item.shape())),
            Seen::Object(fields) => {
                let fields = fields.into_iter().map(Field::part).collect();
                Shape::Struct { name: "object".into(), fields }
            }
        }
    }
}

impl Field {
    fn part(self) -> Part {
        let Field { name, seen, optional } = self;
        let shape = seen.shape();
        Part { name, shape: if optional { Shape::Option(Box::new(shape)) } else { shape } }
    }
}

fn union(mut own: Vec<Field>, other: &[Field]) -> anyhow::Result<Vec<Field>> {
    for field in &mut own {
        match other.iter().find(|other| other.name == field.name) {
            None => field.optional = true,
            Some(other) => {
                let seen = std::mem::replace(&mut field.seen, Seen::Nothing);
                let both = seen.and(&other.seen);
                field.seen = both.with_context(|| format!("field {}", field.name))?;
                field.optional |= other.optional;
            }
        }
    }
    let is_new = |field: &&Field| !own.iter().any(|own| own.name == field.name);
    let new = other.iter().filter(is_new).map(|field| Field { optional: true, ..field.clone() });
    let new: Vec<Field> = new.collect();
    own.extend(new);
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn of_json(lines: &[&str]) -> anyhow::Result<String> {
        let rows: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let shape = schema::shape_of(infer(&rows)?)?;
        Ok(schema::print(&shape.data_type()))
    }

    fn of_cells(rows: &[&str]) -> String {
        let row = |cell: &&str| Value::Fields(vec![("x".into(), Value::Cell((*cell).into()))]);
        let rows: Vec<Value> = rows.iter().map(row).collect();
        let shape = schema::shape_of(infer(&rows).expect("fields")).expect("a shape");
        schema::print(&shape.data_type())
    }

    #[test]
    fn a_type_fits_all_that_was_seen() {
        for (cells, expected) in [
            (&["1", "-7"][..], "x: i64"),
            (&["1", "18446744073709551615"], "x: u64"),
            (&["1", "2.5"], "x: f64"),
            (&["", "2"], "x: i64?"),
            (&["", ""], "x: text?"),
            (&["true", "FALSE"], "x: bool"),
            (&["00501", "10001"], "x: text"),
            (&["2001-01-01T00:03:00", "2001-01-01 00:03:00Z"], "x: time"),
            (&["2001-01-01T00:03:00", "soon"], "x: text"),
            (&["nan"], "x: text"),
        ] {
            assert_eq!(of_cells(cells), expected, "{cells:?}");
        }
        let lines = [
            r#"{"id":1,"name":"Ada","at":"2001-01-01T00:03:00Z","tags":["a"],"in":{"x":1}}"#,
            r#"{"id":2,"at":"2001-01-01T00:03:01Z","tags":[],"in":{"x":1.5,"y":null},"new":true}"#,
        ];
        assert_eq!(
            of_json(&lines).expect("a schema"),
            "id: i64, name: text?, at: time, tags: [text], in: { x: f64, y: text? }, new: bool?"
        );
        let error = format!("{:#}", of_json(&[r#"{"a":1}"#, r#"{"a":"x"}"#]).expect_err("mixed"));
        assert!(error.contains("field a: it holds numbers and text"), "{error}");
        assert!(of_json(&[]).is_err() && of_json(&["[1]"]).is_err());
    }
}
