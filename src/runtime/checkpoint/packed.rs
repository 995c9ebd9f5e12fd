//! Compression of files of state.
//!
//! ```text
//! | bytes: 8 | packed bytes: 8 | LZ4 block | bytes: 8 | packed bytes: 8 | LZ4 block | …
//! ```

use crate::error::{Error, Kind, Result};
use crate::state::{Sections, Window};
use crate::sys::fs::Readable;

/// How files of state are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Compressed with LZ4, by the thread that writes them: less to write, more to compute.
    Lz4,
}

/// Some bytes, packed.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; 16 + lz4_flex::block::get_maximum_output_size(bytes.len())];
    // There is room for whatever it comes to.
    let len = lz4_flex::block::compress_into(bytes, &mut packed[16..]).unwrap_or_default();
    packed[..8].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    packed[8..16].copy_from_slice(&(len as u64).to_le_bytes());
    packed.truncate(16 + len);
    packed
}

/// A packed block of a file.
#[derive(Debug)]
struct Packed {
    /// Which byte of all its first one is, and how many it holds.
    first: u64,
    bytes: usize,
    /// Where it is in the file.
    at: u64,
    packed: usize,
}

/// What was packed, in a file.
#[derive(Debug)]
pub(super) struct Unpacking {
    file: Readable,
    blocks: Vec<Packed>,
    len: u64,
}

impl Unpacking {
    /// Reads what was packed, from byte `at` of a file to its end: `bytes` in all. None when it is
    /// something else, or can't be read.
    pub fn of(file: Readable, mut at: u64, bytes: u64) -> Option<Unpacking> {
        let (mut len, mut blocks) = (0, Vec::new());
        while at < file.len() {
            let mut head = [0; 16];
            file.read_at(at, &mut head).ok()?;
            let (unpacked, packed) = (number(&head[..8])?, number(&head[8..])?);
            at = at.checked_add(16)?;
            let end = at.checked_add(packed).filter(|end| *end <= file.len())?;
            // No byte of an LZ4 block stands for more.
            if unpacked > packed.checked_mul(255)? {
                return None;
            }
            let (unpacked, packed) = (usize::try_from(unpacked).ok()?, usize::try_from(packed));
            blocks.push(Packed { first: len, bytes: unpacked, at, packed: packed.ok()? });
            len = len.checked_add(unpacked as u64)?;
            at = end;
        }
        (len == bytes).then_some(Unpacking { file, blocks, len })
    }

    /// Unpacks the block that holds a byte; false when it is no such block.
    fn unpack(&self, at: u64, window: &mut Window) -> std::io::Result<bool> {
        let behind = self.blocks.partition_point(|block| block.first <= at);
        let Some(block) = behind.checked_sub(1).and_then(|last| self.blocks.get(last)) else {
            return Ok(false);
        };
        let mut packed = vec![0; block.packed];
        self.file.read_at(block.at, &mut packed)?;
        window.first = block.first;
        window.bytes.resize(block.bytes, 0);
        let unpacked = lz4_flex::block::decompress_into(&packed, &mut window.bytes);
        Ok(unpacked.is_ok_and(|len| len == block.bytes))
    }
}

impl Sections for Unpacking {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, at: u64, _: usize, window: &mut Window) -> Result {
        match self.unpack(at, window) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(Kind::Data, "it can't be unpacked")),
            Err(cause) => Err(Error::io("reading it again", &cause)),
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unpacks all of it, a block at a time.
    fn unpack(packed: &[u8], bytes: u64) -> Option<Vec<u8>> {
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), packed).unwrap();
        let file = Unpacking::of(Readable::open(on_disk.path()).unwrap(), 0, bytes)?;
        let (mut all, mut window) = (Vec::new(), Window::default());
        for block in &file.blocks {
            // One that holds nothing is never looked for.
            if block.bytes > 0 {
                file.read(block.first, 1, &mut window).ok()?;
                all.extend_from_slice(&window.bytes);
            }
        }
        Some(all)
    }

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else_is() {
        let pieces = [vec![7; 100_000], Vec::new(), (0..=255).collect::<Vec<u8>>()];
        let whole = pieces.concat();
        let packed: Vec<u8> = pieces.iter().flat_map(|piece| pack(piece)).collect();
        assert!(packed.len() < 2000, "{}", packed.len());
        let bytes = whole.len() as u64;
        assert_eq!(unpack(&packed, bytes), Some(whole.clone()));
        for wrong in [bytes - 1, bytes + 1, 0] {
            assert!(unpack(&packed, wrong).is_none(), "{wrong}");
        }
        for cut in 0..packed.len() {
            assert!(unpack(&packed[..cut], bytes).is_none(), "{cut}");
        }
        for at in 0..packed.len() {
            let mut other = packed.clone();
            other[at] ^= 0x80;
            // Whatever comes of it: no panic, and never more than was asked for.
            let unpacked = unpack(&other, bytes);
            assert!(unpacked.is_none_or(|unpacked| unpacked.len() == whole.len()), "{at}");
        }
    }
}
