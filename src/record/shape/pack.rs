//! Making an archive of rkyv of a value: what `archive.rs` draws and shows.
//!
//! rkyv's own check of an archive wants the parts in the order in which rkyv writes them: what a
//! value points to lies before it, the parts of its first field before those of the second, and so
//! on, depth first.

use super::archive::{Fields, room};
use super::names::bare;
use super::read::DEPTH_MAX;
use super::write::{Misfit, field, impossible, is_none, items, opened, scalar, text};
use super::{Part, Shape, Value, Variant};

/// Bytes of text that stand where the text is named.
const INLINE: usize = 8;
/// Text that is elsewhere is not longer.
const TEXT_MAX: usize = (1 << 30) - 1;

/// Appends the archive of a value, its root last.
pub(super) fn pack(root: &Shape, value: &Value, to: &mut Vec<u8>) -> Result<(), Misfit> {
    let mut archive = Archive { start: to.len(), to };
    let room = room(root, DEPTH_MAX).ok_or_else(impossible)?;
    let mut own = Own { bytes: vec![0; room.size], links: Vec::new() };
    archive.lay(root, value, &mut own, 0, DEPTH_MAX)?;
    archive.emit(own, room.align)?;
    Ok(())
}

/// Values side by side that are not in the archive yet: where they will be is only known when all
/// that they point to is there.
struct Own {
    bytes: Vec<u8>,
    /// Where a distance is to stand, and the place in the archive to which it is counted.
    links: Vec<Link>,
}

struct Link {
    /// Where the distance goes.
    at: usize,
    /// Where it is counted from.
    from: usize,
    to: usize,
}

struct Archive<'a> {
    start: usize,
    to: &'a mut Vec<u8>,
}

impl Archive<'_> {
    fn align(&mut self, align: usize) -> usize {
        let place = (self.to.len() - self.start).next_multiple_of(align);
        self.to.resize(self.start + place, 0);
        place
    }

    /// Appends values, aligned; gives their place.
    fn emit(&mut self, mut own: Own, align: usize) -> Result<usize, Misfit> {
        let place = self.align(align);
        for Link { at, from, to } in own.links {
            let distance = to as i64 - (place + from) as i64;
            let distance = i32::try_from(distance).map_err(|_| too_large())?;
            put(&mut own.bytes, at, &distance.to_le_bytes())?;
        }
        self.to.extend_from_slice(&own.bytes);
        Ok(place)
    }

    /// Puts a value at a place of `own`, and what it points to into the archive.
    fn lay(
        &mut self,
        shape: &Shape,
        value: &Value,
        own: &mut Own,
        at: usize,
        depth: usize,
    ) -> Result<(), Misfit> {
        let deeper = depth.checked_sub(1).ok_or_else(impossible)?;
        match shape {
            Shape::Text => self.text(text(shape, value)?, own, at),
            Shape::List(inner) => {
                let list = opened(shape, value)?;
                let items = items(shape, list.as_ref().unwrap_or(value))?;
                let each = room(inner, deeper).ok_or_else(impossible)?;
                let bytes = vec![0; each.size * items.len()];
                let mut all = Own { bytes, links: Vec::new() };
                for (number, item) in items.iter().enumerate() {
                    let laid = self.lay(inner, item, &mut all, number * each.size, deeper);
                    laid.map_err(|misfit| misfit.within(&number.to_string()))?;
                }
                let to = self.emit(all, each.align)?;
                own.links.push(Link { at, from: at, to });
                let len = u32::try_from(items.len()).map_err(|_| too_large())?;
                put(&mut own.bytes, at + 4, &len.to_le_bytes())
            }
            Shape::Option(inner) => {
                if is_none(value) {
                    return Ok(());
                }
                put(&mut own.bytes, at, &[1])?;
                let room = room(inner, deeper).ok_or_else(impossible)?;
                let behind = Fields::after(1).next(room).ok_or_else(impossible)?;
                self.lay(inner, value, own, at + behind, deeper)
            }
            Shape::Struct { fields, .. } => {
                let object = opened(shape, value)?;
                let value = object.as_ref().unwrap_or(value);
                self.fields(shape, Fields::after(0), fields, value, own, at, deeper)
            }
            Shape::Enum { variants, .. } => self.variant(shape, variants, value, own, at, deeper),
            other => {
                let size = other.scalar().ok_or_else(impossible)?;
                let room = own.bytes.get_mut(at..).and_then(|bytes| bytes.get_mut(..size));
                scalar(other, value, room.ok_or_else(impossible)?, deeper)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is laid, where, and how deep it is")]
    fn fields(
        &mut self,
        of: &Shape,
        mut places: Fields,
        parts: &[Part],
        value: &Value,
        own: &mut Own,
        at: usize,
        depth: usize,
    ) -> Result<(), Misfit> {
        for (number, Part { name, shape }) in parts.iter().enumerate() {
            let room = room(shape, depth).ok_or_else(impossible)?;
            let behind = places.next(room).ok_or_else(impossible)?;
            let value = field(of, value, number, name)?;
            let laid = self.lay(shape, value, own, at + behind, depth);
            laid.map_err(|misfit| misfit.within(name))?;
        }
        Ok(())
    }

    fn variant(
        &mut self,
        of: &Shape,
        variants: &[Variant],
        value: &Value,
        own: &mut Own,
        at: usize,
        depth: usize,
    ) -> Result<(), Misfit> {
        let cell = match value {
            Value::Cell(cell) if cell.starts_with('{') => opened(of, value)?,
            _ => None,
        };
        let value = cell.as_ref().unwrap_or(value);
        let (name, held) = match value {
            Value::Variant(name, held) => (&**name, &**held),
            Value::Text(name) | Value::Cell(name) => (&**name, &Value::Null),
            Value::Fields(fields) if fields.len() == 1 => (&*fields[0].0, &fields[0].1),
            other => return Err(Misfit::of(of, other)),
        };
        let is_it = |variant: &Variant| bare(&variant.name) == bare(name);
        let number = variants.iter().position(is_it).ok_or_else(|| Misfit::of(of, value))?;
        let Variant { name, fields, named } = &variants[number];
        put(&mut own.bytes, at, &[u8::try_from(number).map_err(|_| impossible())?])?;
        let laid = match &fields[..] {
            [one] if !named => {
                let room = room(&one.shape, depth).ok_or_else(impossible)?;
                let behind = Fields::after(1).next(room).ok_or_else(impossible)?;
                self.lay(&one.shape, held, own, at + behind, depth)
            }
            fields => self.fields(of, Fields::after(1), fields, held, own, at, depth),
        };
        laid.map_err(|misfit| misfit.within(name))
    }

    fn text(&mut self, text: &str, own: &mut Own, at: usize) -> Result<(), Misfit> {
        let len = text.len();
        if len <= INLINE {
            let mut inline = [0xff; INLINE];
            inline[..len].copy_from_slice(text.as_bytes());
            return put(&mut own.bytes, at, &inline);
        }
        if len > TEXT_MAX {
            return Err(too_large());
        }
        let to = self.to.len() - self.start;
        self.to.extend_from_slice(text.as_bytes());
        own.links.push(Link { at: at + 4, from: at, to });
        let len = len as u32;
        put(&mut own.bytes, at, &(len & 0x3f | 0x80 | (len & !0x3f) << 2).to_le_bytes())
    }
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), Misfit> {
    let room = to.get_mut(at..).and_then(|to| to.get_mut(..bytes.len()));
    room.ok_or_else(impossible)?.copy_from_slice(bytes);
    Ok(())
}

fn too_large() -> Misfit {
    Misfit::new("an archive holds less than 1 GiB of text and less than 2 GiB in all")
}
