//! Showing a record whose type is not known. Bytes that are no record are seen, whatever they are.

use super::super::stored::word;
use super::super::{Visitor, pad};
use super::{Place, Shape, archive};
use crate::time::Timestamp;

/// Shapes are not nested deeper than this; those of a file may say anything.
pub(super) const DEPTH_MAX: usize = 64;

impl Shape {
    /// Shows the record whose encoding is at the start of `bytes`, which begin aligned to 8, and
    /// gives its size. None where the bytes are no such record; some of it may have been shown.
    pub fn show(&self, bytes: &[u8], to: &mut dyn Visitor) -> Option<usize> {
        self.show_at(bytes, to, DEPTH_MAX)
    }

    fn show_at(&self, bytes: &[u8], to: &mut dyn Visitor, depth: usize) -> Option<usize> {
        let deeper = depth.checked_sub(1)?;
        match self {
            Shape::Text => {
                let (len, rest) = word(bytes)?;
                to.text(std::str::from_utf8(rest.get(..len)?).ok()?);
                (pad(len) <= rest.len()).then_some(8 + pad(len))
            }
            Shape::Option(inner) => match word(bytes)? {
                (0, rest) => {
                    to.null();
                    let size = inner.size().unwrap_or(0);
                    (size <= rest.len()).then_some(8 + size)
                }
                (1, rest) => Some(8 + inner.show_at(rest, to, deeper)?),
                _ => None,
            },
            Shape::List(inner) => {
                let (size, rest) = word(bytes)?;
                let (items, rest) = word(rest)?;
                to.list();
                // Items of no size could be claimed without end.
                let items = if inner.size() == Some(0) { 0 } else { items };
                let mut used = 0;
                for _ in 0..items {
                    used += inner.show_at(rest.get(used..)?, to, deeper)?;
                }
                to.end();
                (used == size).then_some(16 + size)
            }
            Shape::Struct { fields, .. } => {
                to.fields();
                let mut used = 0;
                for field in fields {
                    to.field(super::kept(&field.name));
                    used += field.shape.show_at(bytes.get(used..)?, to, deeper)?;
                }
                to.end();
                Some(used)
            }
            Shape::Archive(inner) => {
                let (len, rest) = word(bytes)?;
                archive::show(inner, rest.get(..len)?, to)?;
                (pad(len) <= rest.len()).then_some(8 + pad(len))
            }
            // Only within an archive.
            Shape::Enum { .. } => None,
            other => {
                let size = other.scalar()?;
                scalar(other, bytes.get(..size)?, to, deeper)?;
                (pad(size) <= bytes.len()).then_some(pad(size))
            }
        }
    }
}

/// Shows a value that takes just these bytes.
pub(super) fn scalar(
    shape: &Shape,
    bytes: &[u8],
    to: &mut dyn Visitor,
    depth: usize,
) -> Option<()> {
    match shape {
        Shape::Unit => {}
        Shape::Bool => to.bool(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        Shape::Char => {
            let letter = char::from_u32(u32::from_ne_bytes(bytes.try_into().ok()?))?;
            to.text(letter.encode_utf8(&mut [0; 4]));
        }
        Shape::Int(_) => to.int(match bytes.len() {
            1 => i8::from_ne_bytes(bytes.try_into().ok()?).into(),
            2 => i16::from_ne_bytes(bytes.try_into().ok()?).into(),
            4 => i32::from_ne_bytes(bytes.try_into().ok()?).into(),
            8 => i64::from_ne_bytes(bytes.try_into().ok()?).into(),
            _ => i128::from_ne_bytes(bytes.try_into().ok()?),
        }),
        Shape::Uint(_) => to.uint(match bytes.len() {
            1 => u8::from_ne_bytes(bytes.try_into().ok()?).into(),
            2 => u16::from_ne_bytes(bytes.try_into().ok()?).into(),
            4 => u32::from_ne_bytes(bytes.try_into().ok()?).into(),
            8 => u64::from_ne_bytes(bytes.try_into().ok()?).into(),
            _ => u128::from_ne_bytes(bytes.try_into().ok()?),
        }),
        Shape::Float(_) => to.float(match bytes.len() {
            4 => f32::from_ne_bytes(bytes.try_into().ok()?).into(),
            _ => f64::from_ne_bytes(bytes.try_into().ok()?),
        }),
        Shape::Time => to.time(Timestamp::from_micros(i64::from_ne_bytes(bytes.try_into().ok()?))),
        Shape::Bytes(_) => to.bytes(bytes),
        Shape::Plain { fields, .. } => plain(fields, bytes, to, depth)?,
        Shape::Text | Shape::Option(_) | Shape::List(_) => return None,
        Shape::Struct { .. } | Shape::Enum { .. } | Shape::Archive(_) => return None,
    }
    Some(())
}

fn plain(fields: &[Place], bytes: &[u8], to: &mut dyn Visitor, depth: usize) -> Option<()> {
    let deeper = depth.checked_sub(1)?;
    to.fields();
    for Place { name, offset, shape } in fields {
        to.field(super::kept(name));
        let field = bytes.get(*offset..)?.get(..shape.scalar()?)?;
        scalar(shape, field, to, deeper)?;
    }
    to.end();
    Some(())
}
