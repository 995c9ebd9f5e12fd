//! The shape of records: what JSON, CSV and logs know of a type.

use std::fmt;
use std::hash::Hasher;

use crate::key::KeyHasher;
use crate::time::Timestamp;

/// The type of a field or of a whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing: `()`.
    Unit,
    /// True or false.
    Bool,
    /// A signed whole number of so many bits.
    Int(u16),
    /// A whole number of so many bits.
    Uint(u16),
    /// A floating-point number of so many bits.
    Float(u16),
    /// UTF-8 text.
    Text,
    /// Bytes, of a fixed or any number.
    Bytes,
    /// A [`Timestamp`].
    Time,
    /// Any number of items.
    List(Box<Type>),
    /// A value or none.
    Option(Box<Type>),
    /// Named fields.
    Struct(Schema),
    /// One of several: each variant's name and what it holds.
    Enum(Schema),
}

/// A named value within a [`Schema`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name; a tuple's are `0`, `1`, ….
    pub name: &'static str,
    /// The type.
    pub data_type: Type,
}

/// The names and types of a record's fields, or of an enum's variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The record's name.
    pub name: &'static str,
    /// The fields in their order.
    pub columns: Vec<Column>,
}

impl Schema {
    /// A schema of these names and types.
    pub fn new<const N: usize>(name: &'static str, columns: [(&'static str, Type); N]) -> Schema {
        let columns = columns.map(|(name, data_type)| Column { name, data_type }).into();
        Schema { name, columns }
    }
}

impl Type {
    /// A number that changes when a name, a type or an order changes: what is kept on disk beside
    /// records to recognise them.
    pub fn version(&self) -> u64 {
        let mut hasher = KeyHasher::default();
        hasher.write(self.to_string().as_bytes());
        hasher.finish()
    }

    /// The leaves' names, outermost part first, joined with `_`: the header of a CSV file. A
    /// tuple's parts have their number; a lone value is called `value`.
    pub fn header(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.leaves("", &mut names);
        names
    }

    fn leaves(&self, path: &str, names: &mut Vec<String>) {
        match self {
            Type::Unit => {}
            Type::Struct(schema) => {
                for Column { name, data_type } in &schema.columns {
                    let joint = if path.is_empty() { "" } else { "_" };
                    data_type.leaves(&format!("{path}{joint}{name}"), names);
                }
            }
            Type::Option(inner) => inner.leaves(path, names),
            Type::Bool | Type::Int(_) | Type::Uint(_) | Type::Float(_) | Type::Text => {
                names.push(if path.is_empty() { "value".into() } else { path.into() });
            }
            Type::Bytes | Type::Time | Type::List(_) | Type::Enum(_) => {
                names.push(if path.is_empty() { "value".into() } else { path.into() });
            }
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Unit => f.write_str("()"),
            Type::Bool => f.write_str("bool"),
            Type::Int(bits) => write!(f, "i{bits}"),
            Type::Uint(bits) => write!(f, "u{bits}"),
            Type::Float(bits) => write!(f, "f{bits}"),
            Type::Text => f.write_str("text"),
            Type::Bytes => f.write_str("bytes"),
            Type::Time => f.write_str("time"),
            Type::List(item) => write!(f, "[{item}]"),
            Type::Option(item) => write!(f, "{item}?"),
            Type::Struct(schema) => write!(f, "struct {schema}"),
            Type::Enum(schema) => write!(f, "enum {schema}"),
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {{", self.name)?;
        for (i, Column { name, data_type }) in self.columns.iter().enumerate() {
            let comma = if i == 0 { " " } else { ", " };
            write!(f, "{comma}{name}: {data_type}")?;
        }
        f.write_str(" }")
    }
}

/// What is shown a record's values, one call each, by [`Record::visit`](super::Record::visit).
/// Writers of text (CSV, JSON lines) implement it.
pub trait Visitor {
    /// No value.
    fn null(&mut self);
    /// A truth value.
    fn bool(&mut self, x: bool);
    /// A signed whole number.
    fn int(&mut self, x: i128);
    /// A whole number.
    fn uint(&mut self, x: u128);
    /// A floating-point number.
    fn float(&mut self, x: f64);
    /// Text.
    fn text(&mut self, x: &str);
    /// Bytes.
    fn bytes(&mut self, x: &[u8]);
    /// A point in time.
    fn time(&mut self, x: Timestamp);
    /// The items up to [`end`](Visitor::end) are a list's.
    fn list(&mut self);
    /// The named fields up to [`end`](Visitor::end) are a struct's.
    fn fields(&mut self);
    /// The next value is this field's.
    fn field(&mut self, name: &'static str);
    /// The next value is this variant's; an empty variant shows [`null`](Visitor::null).
    fn variant(&mut self, name: &'static str);
    /// Ends a list or a struct.
    fn end(&mut self);
}
