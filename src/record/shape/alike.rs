//! Whether records of one shape are records of another, and which shape those of a type have.

use super::names::bare;
use super::{Part, Place, Shape, Variant};
use crate::record::{Column, Schema, Type};

impl Shape {
    /// Whether records of both lie alike: what structs and enums are called makes no difference.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// record! { struct Bid { auction: u64, price: u64 } }
    /// record! { struct Offer { auction: u64, price: u64 } }
    /// record! { struct Swapped { price: u64, auction: u64 } }
    /// let [bid, offer, swapped] = [Bid::shape(), Offer::shape(), Swapped::shape()];
    /// let alike = |other: Option<_>| bid.as_ref().zip(other).map(|(bid, it)| bid.is_like(&it));
    /// assert_eq!((alike(offer), alike(swapped)), (Some(true), Some(false)));
    /// ```
    pub fn is_like(&self, other: &Shape) -> bool {
        self.nameless() == other.nameless()
    }

    /// Which field has another number of bytes there, in words: of types that do not differ, this
    /// is what a [`Type`] does not say.
    pub(crate) fn other_bytes(&self, there: &Shape) -> Option<String> {
        other_bytes(self, there, "")
    }

    fn nameless(&self) -> Shape {
        let part =
            |Part { name, shape }: &Part| Part { name: bare(name).into(), shape: shape.nameless() };
        let parts = |parts: &[Part]| parts.iter().map(part).collect();
        match self {
            Shape::Option(inner) => Shape::Option(Box::new(inner.nameless())),
            Shape::List(inner) => Shape::List(Box::new(inner.nameless())),
            Shape::Archive(inner) => Shape::Archive(Box::new(inner.nameless())),
            Shape::Struct { fields, .. } => {
                Shape::Struct { name: String::new(), fields: parts(fields) }
            }
            Shape::Plain { size, fields, .. } => {
                let place = |Place { name, offset, shape }: &Place| Place {
                    name: bare(name).into(),
                    offset: *offset,
                    shape: shape.nameless(),
                };
                let fields = fields.iter().map(place).collect();
                Shape::Plain { name: String::new(), size: *size, fields }
            }
            Shape::Enum { variants, .. } => {
                let variant = |variant: &Variant| Variant {
                    name: bare(&variant.name).into(),
                    fields: parts(&variant.fields),
                    named: variant.named,
                };
                let variants = variants.iter().map(variant).collect();
                Shape::Enum { name: String::new(), variants }
            }
            other => other.clone(),
        }
    }

    /// The shape that records of a type have where nothing else asks for another. A struct of
    /// fields that leave no gap lies as [`record!`](crate::record!) is likely to lay it out, any
    /// other as an archive. None for bytes, whose number a type does not say.
    ///
    /// ```
    /// use thalweg::prelude::*;
    /// use thalweg::record::Shape;
    ///
    /// record! { struct Person { id: u64, name: String } }
    /// assert_eq!(Shape::of(&Person::data_type()), Person::shape());
    /// ```
    pub fn of(data_type: &Type) -> Option<Shape> {
        match data_type {
            Type::Struct(schema) if !schema.name.is_empty() => Shape::of_plain_fields(schema)
                .or_else(|| Shape::archived(Some(Shape::part_of(data_type)?))),
            Type::Enum(_) => Shape::archived(Some(Shape::part_of(data_type)?)),
            Type::Option(inner) => Some(Shape::Option(Box::new(Shape::of(inner)?))),
            Type::List(inner) => Some(Shape::List(Box::new(Shape::of(inner)?))),
            other => Shape::part_of(other),
        }
    }

    /// As part of an archive, or of a tuple.
    fn part_of(data_type: &Type) -> Option<Shape> {
        let part = |Column { name, data_type }: &Column| {
            Some(Part { name: (*name).into(), shape: Shape::part_of(data_type)? })
        };
        let parts = |schema: &Schema| schema.columns.iter().map(part).collect::<Option<_>>();
        Some(match data_type {
            Type::Unit => Shape::Unit,
            Type::Bool => Shape::Bool,
            Type::Int(bits) => Shape::Int(*bits),
            Type::Uint(bits) => Shape::Uint(*bits),
            Type::Float(bits) => Shape::Float(*bits),
            Type::Text => Shape::Text,
            Type::Time => Shape::Time,
            Type::Bytes => return None,
            Type::Option(inner) => Shape::Option(Box::new(Shape::part_of(inner)?)),
            Type::List(inner) => Shape::List(Box::new(Shape::part_of(inner)?)),
            Type::Struct(schema) => {
                Shape::Struct { name: schema.name.into(), fields: parts(schema)? }
            }
            Type::Enum(schema) => {
                let variant = |Column { name, data_type }: &Column| {
                    let (fields, named) = match data_type {
                        Type::Unit => (Vec::new(), false),
                        Type::Struct(schema) if schema.name == *name => (parts(schema)?, true),
                        other => {
                            let shape = Shape::part_of(other)?;
                            (vec![Part { name: "0".into(), shape }], false)
                        }
                    };
                    Some(Variant { name: (*name).into(), fields, named })
                };
                let variants = schema.columns.iter().map(variant).collect::<Option<_>>()?;
                Shape::Enum { name: schema.name.into(), variants }
            }
        })
    }

    /// A struct of fixed fields, the largest first as compilers lay them out; none when some field
    /// is of no fixed size, is wider than a record is aligned to, or a gap would be left.
    fn of_plain_fields(schema: &Schema) -> Option<Shape> {
        let mut fields = Vec::new();
        for Column { name, data_type } in &schema.columns {
            let shape = Shape::part_of(data_type)?;
            let size = shape.scalar().filter(|size| (1..=8).contains(size))?;
            fields.push((size, Place { name: (*name).into(), offset: 0, shape }));
        }
        let widest = fields.iter().map(|(size, _)| *size).max()?;
        let mut order: Vec<usize> = (0..fields.len()).collect();
        // Of those that are as large, one with bits to spare comes last.
        let spare = |shape: &Shape| matches!(shape, Shape::Bool | Shape::Char);
        order.sort_by_key(|i| (std::cmp::Reverse(fields[*i].0), spare(&fields[*i].1.shape)));
        let mut size = 0;
        for i in order {
            fields[i].1.offset = size;
            size += fields[i].0;
        }
        let fields = fields.into_iter().map(|(_, place)| place).collect();
        let whole = size.is_multiple_of(widest);
        whole.then(|| Shape::Plain { name: schema.name.into(), size, fields })
    }
}

impl Type {
    /// Where records of another type are not records of this one, in words that name the first such
    /// field; none where they are, in whatever order their fields come, and whatever structs and
    /// enums are called.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// record! { struct Bid { auction: u64, price: u64 } }
    /// record! { struct Offer { price: u32, auction: u64 } }
    /// let what = Bid::data_type().differs(&Offer::data_type());
    /// assert_eq!(what.as_deref(), Some("field price is u32 there and u64 here"));
    /// ```
    pub fn differs(&self, there: &Type) -> Option<String> {
        difference(self, there, "")
    }
}

fn other_bytes(here: &Shape, there: &Shape, path: &str) -> Option<String> {
    match (here, there) {
        (Shape::Archive(here), there) => other_bytes(here, there, path),
        (here, Shape::Archive(there)) => other_bytes(here, there, path),
        (Shape::Option(here), Shape::Option(there)) => other_bytes(here, there, path),
        (Shape::List(here), Shape::List(there)) => other_bytes(here, there, path),
        (Shape::Bytes(here), Shape::Bytes(there)) if here != there => {
            let what = format!("has {there} bytes there and {here} here");
            let of = if path.is_empty() { "it".to_owned() } else { format!("field {path}") };
            Some(format!("{of} {what}"))
        }
        (here, there) => fields(here).into_iter().find_map(|(name, own)| {
            let (_, other) = fields(there).into_iter().find(|(other, _)| *other == name)?;
            other_bytes(own, other, &joined(path, &name))
        }),
    }
}

/// The fields of a struct, and those of an enum's variants, by their names.
fn fields(shape: &Shape) -> Vec<(String, &Shape)> {
    let part = |part: &'_ Part| bare(&part.name).to_owned();
    match shape {
        Shape::Struct { fields, .. } => fields.iter().map(|one| (part(one), &one.shape)).collect(),
        Shape::Plain { fields, .. } => {
            fields.iter().map(|place| (bare(&place.name).to_owned(), &place.shape)).collect()
        }
        Shape::Enum { variants, .. } => {
            let of = |variant: &'_ Variant| bare(&variant.name).to_owned();
            let all = variants.iter().flat_map(|variant| {
                variant.fields.iter().map(move |one| (joined(&of(variant), &part(one)), &one.shape))
            });
            all.collect()
        }
        _ => Vec::new(),
    }
}

fn joined(path: &str, name: &str) -> String {
    let joint = if path.is_empty() { "" } else { "." };
    format!("{path}{joint}{name}")
}

fn difference(here: &Type, there: &Type, path: &str) -> Option<String> {
    match (here, there) {
        (Type::Struct(here), Type::Struct(there)) => columns(here, there, path),
        (Type::Enum(here), Type::Enum(there)) => columns(here, there, path),
        (Type::List(here), Type::List(there)) => difference(here, there, path),
        (Type::Option(here), Type::Option(there)) => difference(here, there, path),
        (here, there) if here == there => None,
        (here, there) if path.is_empty() => Some(format!("it is {there} there and {here} here")),
        (here, there) => Some(format!("field {path} is {there} there and {here} here")),
    }
}

fn columns(here: &Schema, there: &Schema, path: &str) -> Option<String> {
    let of = |schema: &Schema, name: &str| {
        let is_it = |column: &&Column| bare(column.name) == bare(name);
        schema.columns.iter().find(is_it).map(|column| column.data_type.clone())
    };
    let named = |name: &str| joined(path, bare(name));
    let own = here.columns.iter().find_map(|Column { name, data_type }| match of(there, name) {
        None => Some(format!("field {} is missing there", named(name))),
        Some(other) => difference(data_type, &other, &named(name)),
    });
    let more = || {
        let column = there.columns.iter().find(|column| of(here, column.name).is_none())?;
        Some(format!("field {} is missing here", named(column.name)))
    };
    own.or_else(more)
}
