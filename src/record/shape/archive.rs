//! Showing what is in an archive of rkyv: structs as C lays them out, text and lists elsewhere in
//! the archive, at a distance from where they are named.
//!
//! ```text
//! text:    8 bytes: up to 8 letters, those that are missing 0xff; or, where the first byte begins
//!          with the bits 10, | length: 4, from its 7th bit on shifted by 2 | distance: 4 |
//! list:    | distance: 4 | items: 4 |
//! option:  | 0 or 1: 1 | the value, aligned; its room is there always |
//! variant: | number: 1 | its fields, each aligned |
//! ```
//!
//! `pack.rs` writes what is shown here.

use std::cell::Cell;

use super::super::Visitor;
use super::read::{DEPTH_MAX, scalar};
use super::{Part, Shape, Variant, kept};

/// Shows the archive, whose root is last.
pub(super) fn show(root: &Shape, bytes: &[u8], to: &mut dyn Visitor) -> Option<()> {
    let at = bytes.len().checked_sub(room(root, DEPTH_MAX)?.size)?;
    let left = Cell::new(bytes.len().saturating_mul(2) + 64);
    Archive { bytes, left }.show(root, at, to, DEPTH_MAX)
}

/// What a value takes where it is named.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub size: usize,
    pub align: usize,
}

/// A place of fields that lie as in a struct of C.
pub(super) struct Fields {
    end: usize,
    align: usize,
}

impl Fields {
    pub fn after(bytes: usize) -> Fields {
        Fields { end: bytes, align: 1 }
    }

    /// Where the next field is.
    pub fn next(&mut self, Room { size, align }: Room) -> Option<usize> {
        let at = self.end.checked_next_multiple_of(align)?;
        self.end = at.checked_add(size)?;
        self.align = self.align.max(align);
        Some(at)
    }

    fn all(mut self, parts: &[Part], depth: usize) -> Option<Room> {
        for part in parts {
            self.next(room(&part.shape, depth)?)?;
        }
        self.room()
    }

    fn room(self) -> Option<Room> {
        let Fields { end, align } = self;
        Some(Room { size: end.checked_next_multiple_of(align)?, align })
    }
}

pub(super) fn room(shape: &Shape, depth: usize) -> Option<Room> {
    let deeper = depth.checked_sub(1)?;
    match shape {
        Shape::Text | Shape::List(_) => Some(Room { size: 8, align: 4 }),
        Shape::Option(inner) => {
            let mut fields = Fields::after(1);
            fields.next(room(inner, deeper)?)?;
            fields.room()
        }
        Shape::Struct { fields, .. } => Fields::after(0).all(fields, deeper),
        Shape::Enum { variants, .. } => {
            let (mut size, mut align) = (1, 1);
            for variant in variants {
                let room = Fields::after(1).all(&variant.fields, deeper)?;
                (size, align) = (size.max(room.size), align.max(room.align));
            }
            Some(Room { size: size.checked_next_multiple_of(align)?, align })
        }
        Shape::Bytes(size) => Some(Room { size: *size, align: 1 }),
        // Those of the compiler's are structs of C here.
        Shape::Plain { .. } | Shape::Archive(_) => None,
        other => other.scalar().map(|size| Room { size, align: size.max(1) }),
    }
}

struct Archive<'a> {
    bytes: &'a [u8],
    /// How many more values it may show. Each has bytes of its own, or next to none in a struct
    /// that has; where lists say that they lie in the same place there would be no end.
    left: Cell<usize>,
}

impl<'a> Archive<'a> {
    fn show(&self, shape: &Shape, at: usize, to: &mut dyn Visitor, depth: usize) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        self.left.set(self.left.get().checked_sub(1)?);
        match shape {
            Shape::Text => to.text(self.text(at)?),
            Shape::List(inner) => {
                let (first, items) = (self.distance(at)?, self.word(at + 4)?);
                let Room { size, .. } = room(inner, deeper)?;
                to.list();
                // Items of no size could be claimed without end.
                for item in 0..if size == 0 { 0 } else { items as usize } {
                    let at = first.checked_add(item.checked_mul(size)?)?;
                    self.show(inner, at, to, deeper)?;
                }
                to.end();
            }
            Shape::Option(inner) => match *self.bytes.get(at)? {
                0 => to.null(),
                1 => {
                    let behind = Fields::after(1).next(room(inner, deeper)?)?;
                    self.show(inner, at + behind, to, deeper)?;
                }
                _ => return None,
            },
            Shape::Struct { fields, .. } => {
                self.fields(Fields::after(0), fields, at, to, deeper)?
            }
            Shape::Enum { variants, .. } => {
                let Variant { name, fields, named } =
                    variants.get(usize::from(*self.bytes.get(at)?))?;
                to.variant(kept(name));
                match &fields[..] {
                    [] if !named => to.null(),
                    [value] if !named => {
                        let behind = Fields::after(1).next(room(&value.shape, deeper)?)?;
                        self.show(&value.shape, at + behind, to, deeper)?;
                    }
                    fields => self.fields(Fields::after(1), fields, at, to, deeper)?,
                }
            }
            other => {
                let bytes = self.bytes.get(at..)?.get(..other.scalar()?)?;
                scalar(other, bytes, to, deeper)?;
            }
        }
        Some(())
    }

    fn fields(
        &self,
        mut places: Fields,
        parts: &[Part],
        at: usize,
        to: &mut dyn Visitor,
        depth: usize,
    ) -> Option<()> {
        to.fields();
        for part in parts {
            to.field(kept(&part.name));
            let behind = places.next(room(&part.shape, depth)?)?;
            self.show(&part.shape, at.checked_add(behind)?, to, depth)?;
        }
        to.end();
        Some(())
    }

    fn text(&self, at: usize) -> Option<&'a str> {
        let own: &[u8; 8] = self.bytes.get(at..)?.first_chunk()?;
        let bytes = if own[0] & 0xc0 == 0x80 {
            let word = self.word(at)?;
            let len = (word & 0x3f | (word & !0xff) >> 2) as usize;
            let distance = self.word(at + 4)? as i32;
            let first = at.checked_add_signed(distance as isize)?;
            self.bytes.get(first..)?.get(..len)?
        } else {
            let len = own.iter().position(|byte| *byte == 0xff).unwrap_or(own.len());
            self.bytes.get(at..)?.get(..len)?
        };
        std::str::from_utf8(bytes).ok()
    }

    /// The place that is as far from this one as it says.
    fn distance(&self, at: usize) -> Option<usize> {
        at.checked_add_signed(self.word(at)? as i32 as isize)
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }
}
