//! How the bodies of frames are made shorter.

use std::fmt;

use zstd::bulk::{Compressor, Decompressor};

use super::frame::{LZ4, ZSTD};
use crate::limits::PACKED_BYTES;

/// How a log keeps its frames. One that would not get shorter is kept as it is.
///
/// ```
/// use thalweg::connector::log::Compression;
/// use thalweg::prelude::*;
///
/// let sink = RecordLog::write("recorded").compression(Compression::Zstd(3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are: read where they lie.
    #[default]
    None,
    /// By LZ4: little work.
    Lz4,
    /// By zstd, of a level from 1 to 22 (others are taken as the nearest one): more work, the
    /// higher the level the more, and shorter.
    Zstd(i32),
}

/// Packs bodies of frames.
#[derive(Default)]
pub(super) struct Packer {
    how: Compression,
    zstd: Option<Compressor<'static>>,
    packed: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packer").field(&self.how).finish()
    }
}

impl Packer {
    pub fn new(how: Compression) -> Packer {
        let level = match how {
            Compression::Zstd(level) => Some(level.clamp(1, 22)),
            Compression::None | Compression::Lz4 => None,
        };
        let zstd = level.and_then(|level| Compressor::new(level).ok());
        Packer { how, zstd, packed: Vec::new() }
    }

    /// What a body is kept as, and the flag that says so; none where that is not shorter.
    pub fn pack(&mut self, body: &[u8]) -> Option<(&[u8], u32)> {
        let (len, flag) = match self.how {
            _ if body.len() > PACKED_BYTES => return None,
            Compression::None => return None,
            Compression::Lz4 => {
                let room = lz4_flex::block::get_maximum_output_size(body.len());
                self.packed.resize(room.max(self.packed.len()), 0);
                (lz4_flex::block::compress_into(body, &mut self.packed).ok()?, LZ4)
            }
            Compression::Zstd(_) => {
                // Where it does not fit into as much room as the body has it is not shorter.
                self.packed.resize(body.len().max(self.packed.len()), 0);
                let room = &mut self.packed[..body.len()];
                (self.zstd.as_mut()?.compress_to_buffer(body, room).ok()?, ZSTD)
            }
        };
        (len < body.len()).then_some((&self.packed[..len], flag))
    }
}

/// Unpacks bodies of frames into a room of its own.
#[derive(Default)]
pub(super) struct Unpacker {
    zstd: Option<Decompressor<'static>>,
    room: Vec<u64>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    /// The body of `len` bytes that is kept so; none where it is none.
    pub fn unpack(&mut self, kept: &[u8], flag: u32, len: usize) -> Option<&[u8]> {
        self.room.clear();
        self.room.resize(len.div_ceil(8), 0);
        let room = bytemuck::cast_slice_mut(&mut self.room[..]).get_mut(..len)?;
        let unpacked = if flag == LZ4 {
            lz4_flex::block::decompress_into(kept, room).ok()?
        } else {
            if self.zstd.is_none() {
                self.zstd = Decompressor::new().ok();
            }
            self.zstd.as_mut()?.decompress_to_buffer(kept, room).ok()?
        };
        (unpacked == len).then_some(room)
    }
}
