//! Shapes that come from outside and may say anything.

use super::super::pad;
use super::read::DEPTH_MAX;
use super::{Part, Place, Shape};

/// No value of a fixed size is larger than this, in bytes: far more than any program has, and
/// little enough that sizes can be added.
const SIZE_MAX: usize = 1 << 30;

impl Shape {
    /// Why no record lies so; none where one may.
    pub(crate) fn impossible(&self) -> Option<String> {
        self.impossible_at(DEPTH_MAX)
    }

    fn impossible_at(&self, depth: usize) -> Option<String> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Some(format!("its fields are nested deeper than {DEPTH_MAX}"));
        };
        let all = |parts: &[Part]| {
            parts.iter().find_map(|Part { name, shape }| {
                shape.impossible_at(deeper).map(|what| format!("field {name}: {what}"))
            })
        };
        match self {
            Shape::Unit | Shape::Bool | Shape::Char | Shape::Text | Shape::Time => None,
            Shape::Int(8 | 16 | 32 | 64 | 128) | Shape::Uint(8 | 16 | 32 | 64 | 128) => None,
            Shape::Float(32 | 64) => None,
            Shape::Int(bits) | Shape::Uint(bits) | Shape::Float(bits) => {
                Some(format!("there are no numbers of {bits} bits"))
            }
            Shape::Bytes(size) | Shape::Plain { size, .. } if *size > SIZE_MAX => {
                Some(format!("{size} bytes are too many for a value"))
            }
            Shape::Bytes(_) => None,
            Shape::Option(inner) | Shape::List(inner) | Shape::Archive(inner) => {
                inner.impossible_at(deeper)
            }
            Shape::Struct { fields, .. } => all(fields),
            Shape::Enum { variants, .. } => variants.iter().find_map(|one| all(&one.fields)),
            Shape::Plain { size, fields, .. } => fields.iter().find_map(|field| {
                let Place { name, offset, shape } = field;
                let what = shape.impossible_at(deeper).or_else(|| {
                    let end = offset.checked_add(shape.scalar().unwrap_or(0));
                    let is_in = end.is_some_and(|end| end <= *size);
                    (!is_in).then(|| format!("it lies outside of the {size} bytes of its struct"))
                });
                what.map(|what| format!("field {name}: {what}"))
            }),
        }
    }

    /// How many bytes every encoding in a frame has; none where they differ.
    pub fn size(&self) -> Option<usize> {
        match self {
            Shape::Option(inner) => inner.size()?.checked_add(8),
            Shape::Struct { fields, .. } => {
                fields.iter().try_fold(0_usize, |sum, part| sum.checked_add(part.shape.size()?))
            }
            // Of none that could be padded there is a record.
            other => other.scalar().filter(|size| *size <= isize::MAX as usize).map(pad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    fn part(shape: Shape) -> Part {
        Part { name: "x".into(), shape }
    }

    #[test]
    fn what_no_record_can_have_is_told() {
        let place = |offset, shape| Place { name: "x".into(), offset, shape };
        let plain = |size, field| Shape::Plain { name: String::new(), size, fields: vec![field] };
        let wide = || part(Shape::Bytes(usize::MAX));
        let two = Shape::Struct { name: "T".into(), fields: vec![wide(), wide()] };
        let mut deep = Shape::Bool;
        for _ in 0..100 {
            deep = Shape::List(Box::new(deep));
        }
        for (shape, what) in [
            (Shape::Bytes(usize::MAX), "too many for a value"),
            (two, "field x: 18446744073709551615 bytes are too many"),
            (Shape::Option(Box::new(Shape::Bytes(usize::MAX - 3))), "too many for a value"),
            (Shape::Int(7), "no numbers of 7 bits"),
            (Shape::Float(16), "no numbers of 16 bits"),
            (deep, "nested deeper"),
            (plain(8, place(usize::MAX, Shape::Int(64))), "field x: it lies outside"),
            (plain(8, place(1, Shape::Int(64))), "field x: it lies outside"),
            (plain(usize::MAX, place(0, Shape::Bool)), "too many for a value"),
        ] {
            assert!(shape.impossible().expect(what).contains(what), "{shape:?}");
            // No size is wrong, whatever the shape says, and nothing ends by a panic.
            assert!(shape.size().is_none_or(|size| size.is_multiple_of(8)), "{shape:?}");
            let _ = Value::shown(|to| shape.show(&[0; 64], to));
        }
        assert_eq!(plain(8, place(0, Shape::Int(64))).impossible(), None);
    }
}
