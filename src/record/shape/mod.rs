//! How encoded records lie, said by data: what a reader needs that does not know their type.
//!
//! A record log carries the shape of its records, so that a program that was never told the type
//! shows them ([`Shape::show`]), and a job sees whether it reads what was written. The other way
//! round, [`Shape::write`] makes a record of a [`Value`] that came from anywhere.

mod alike;
mod archive;
mod bounds;
mod names;
mod pack;
mod read;
mod value;
mod write;

use serde::{Deserialize, Serialize};

use super::{Column, Schema, Type};
use names::kept;

pub use value::Value;
pub use write::Misfit;

/// How a record's encoding lies. In a frame and in a log it is a multiple of 8 bytes long; numbers
/// are in the machine's byte order.
///
/// ```
/// use thalweg::prelude::*;
/// use thalweg::record::Shape;
///
/// record! { struct Bid { auction: u64, open: bool, kind: [u8; 7] } }
/// let Some(Shape::Plain { size: 16, fields, .. }) = Bid::shape() else { panic!() };
/// assert!(fields[0].name == "auction" && fields[0].shape == Shape::Uint(64));
/// assert_eq!(Bid::shape().map(|shape| shape.data_type()), Some(Bid::data_type()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// `()`: no bytes.
    Unit,
    /// A byte, 0 or 1.
    Bool,
    /// A `char`, 4 bytes.
    Char,
    /// A signed whole number of so many bits.
    Int(u16),
    /// A whole number of so many bits.
    Uint(u16),
    /// A floating-point number of so many bits.
    Float(u16),
    /// A [`Timestamp`](crate::time::Timestamp), 8 bytes.
    Time,
    /// So many bytes.
    Bytes(usize),
    /// UTF-8 text: in a frame its length, 8 bytes, and then the text.
    Text,
    /// In a frame 8 bytes, 0 or 1, and then the value; one of a fixed size takes its room always.
    Option(Box<Shape>),
    /// In a frame the items' bytes and their number, 8 bytes each, and then the items.
    List(Box<Shape>),
    /// In a frame one after the other; in an archive as C lays out a struct.
    Struct {
        /// The struct's name; a tuple has none.
        name: String,
        /// In their order.
        fields: Vec<Part>,
    },
    /// A struct as the compiler has laid it out.
    Plain {
        /// Its name.
        name: String,
        /// Its bytes, all of which are of fields.
        size: usize,
        /// In the order of their declaration.
        fields: Vec<Place>,
    },
    /// One of several: in an archive a byte that says which, and what that one holds. How the
    /// compiler lays it out is not said.
    Enum {
        /// Its name.
        name: String,
        /// In their order.
        variants: Vec<Variant>,
    },
    /// A struct or an enum as an archive of rkyv: in a frame its length, 8 bytes, and then the
    /// archive, whose root is last.
    Archive(Box<Shape>),
}

/// A named part of a [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The name; those of a tuple are `0`, `1`, ….
    pub name: String,
    /// What it is.
    pub shape: Shape,
}

/// What an enum may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The name.
    pub name: String,
    /// What it holds, which lies behind its number as the fields of a struct do.
    pub fields: Vec<Part>,
    /// Whether these have names; one without is the value that the variant holds.
    pub named: bool,
}

/// A field of a struct, where the compiler has put it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The field's name.
    pub name: String,
    /// Bytes before it.
    pub offset: usize,
    /// What it is.
    pub shape: Shape,
}

type Shapes<'a> = &'a [(&'a str, Option<Shape>)];

/// Made by [`record!`](crate::record!) and by records that are made of others; none where a part
/// has none.
#[doc(hidden)]
impl Shape {
    fn all(parts: Shapes<'_>) -> Option<Vec<Part>> {
        let part = |(name, shape): &(&str, Option<Shape>)| {
            Some(Part { name: (*name).into(), shape: shape.clone()? })
        };
        parts.iter().map(part).collect()
    }

    pub fn of_struct(name: &str, parts: Shapes<'_>) -> Option<Shape> {
        Some(Shape::Struct { name: name.into(), fields: Shape::all(parts)? })
    }

    pub fn of_plain(
        name: &str,
        size: usize,
        places: &[(&str, usize, Option<Shape>)],
    ) -> Option<Shape> {
        let place = |(name, offset, shape): &(&str, usize, Option<Shape>)| {
            Some(Place { name: (*name).into(), offset: *offset, shape: shape.clone()? })
        };
        let fields = places.iter().map(place).collect::<Option<_>>()?;
        Some(Shape::Plain { name: name.into(), size, fields })
    }

    pub fn of_enum(name: &str, variants: &[(&str, bool, Shapes<'_>)]) -> Option<Shape> {
        let variant = |(name, named, parts): &(&str, bool, Shapes<'_>)| {
            Some(Variant { name: (*name).into(), fields: Shape::all(parts)?, named: *named })
        };
        let variants = variants.iter().map(variant).collect::<Option<_>>()?;
        Some(Shape::Enum { name: name.into(), variants })
    }

    pub fn fixed(shape: Option<Shape>) -> Option<Shape> {
        shape
    }

    pub fn archived(shape: Option<Shape>) -> Option<Shape> {
        Some(Shape::Archive(Box::new(shape?.in_archive())))
    }

    /// As it is within an archive: rkyv lays all structs out as C does.
    fn in_archive(self) -> Shape {
        let all = |parts: Vec<Part>| {
            let part = |part: Part| Part { shape: part.shape.in_archive(), ..part };
            parts.into_iter().map(part).collect()
        };
        match self {
            Shape::Archive(inner) => *inner,
            Shape::Option(inner) => Shape::Option(Box::new(inner.in_archive())),
            Shape::List(inner) => Shape::List(Box::new(inner.in_archive())),
            Shape::Struct { name, fields } => Shape::Struct { name, fields: all(fields) },
            Shape::Plain { name, fields, .. } => {
                let part = |place: Place| Part { name: place.name, shape: place.shape };
                let fields = all(fields.into_iter().map(part).collect());
                Shape::Struct { name, fields }
            }
            Shape::Enum { name, variants } => {
                let variant = |variant: Variant| Variant { fields: all(variant.fields), ..variant };
                Shape::Enum { name, variants: variants.into_iter().map(variant).collect() }
            }
            other => other,
        }
    }
}

impl Shape {
    /// The type that lies so.
    pub fn data_type(&self) -> Type {
        match self {
            Shape::Unit => Type::Unit,
            Shape::Bool => Type::Bool,
            Shape::Char | Shape::Text => Type::Text,
            Shape::Int(bits) => Type::Int(*bits),
            Shape::Uint(bits) => Type::Uint(*bits),
            Shape::Float(bits) => Type::Float(*bits),
            Shape::Time => Type::Time,
            Shape::Bytes(_) => Type::Bytes,
            Shape::Option(inner) => Type::Option(Box::new(inner.data_type())),
            Shape::List(inner) => Type::List(Box::new(inner.data_type())),
            Shape::Archive(inner) => inner.data_type(),
            Shape::Struct { name, fields } => Type::Struct(schema(name, fields)),
            Shape::Plain { name, fields, .. } => {
                let column = |field: &Place| column(&field.name, field.shape.data_type());
                let columns = fields.iter().map(column).collect();
                Type::Struct(Schema { name: kept(name), columns })
            }
            Shape::Enum { name, variants } => {
                let holds = |variant: &Variant| match &variant.fields[..] {
                    [value] if !variant.named => value.shape.data_type(),
                    [] if !variant.named => Type::Unit,
                    fields => Type::Struct(schema(&variant.name, fields)),
                };
                let columns = variants.iter().map(|v| column(&v.name, holds(v))).collect();
                Type::Enum(Schema { name: kept(name), columns })
            }
        }
    }

    /// How many bytes a value takes by itself, as the field of a struct; none where that differs.
    fn scalar(&self) -> Option<usize> {
        Some(match self {
            Shape::Unit => 0,
            Shape::Bool => 1,
            Shape::Char => 4,
            Shape::Time => 8,
            Shape::Bytes(bytes) => *bytes,
            Shape::Int(bits) | Shape::Uint(bits) | Shape::Float(bits) => usize::from(*bits) / 8,
            Shape::Plain { size, .. } => *size,
            Shape::Text | Shape::Option(_) | Shape::List(_) => return None,
            Shape::Struct { .. } | Shape::Enum { .. } | Shape::Archive(_) => return None,
        })
    }
}

fn column(name: &str, data_type: Type) -> Column {
    Column { name: kept(name), data_type }
}

fn schema(name: &str, parts: &[Part]) -> Schema {
    let columns = parts.iter().map(|part| column(&part.name, part.shape.data_type())).collect();
    Schema { name: kept(name), columns }
}
