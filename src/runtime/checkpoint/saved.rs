//! Files of state, read back a frame at a time: they may be larger than memory.

use super::packed::Unpacking;
use super::store::{StateFile, VERSION, VERSION_MIN, damaged};
use crate::error::{Error, Result};
use crate::state::{Saved, Sections, Window};
use crate::sys::fs::Readable;

/// What a file of state begins with, before version, shard and epoch.
const MAGIC: &[u8; 8] = b"thalwegS";
/// Bytes before the sections of a file of state.
const HEAD_BYTES: usize = 24;
/// Bytes whose checksum is worked out at a time, and that are read at least.
const CHECKED: usize = 1 << 20;
const READ_MIN: usize = 4096;

/// How a file of state begins.
pub(super) fn head(version: u32, epoch: u64, shard: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&version.to_le_bytes());
    head[12..16].copy_from_slice(&(shard as u32).to_le_bytes());
    head[16..].copy_from_slice(&epoch.to_le_bytes());
    head
}

/// Looks a file of state over, all of it, and sees what there is in it.
///
/// # Errors
/// When it can't be read, or is not what was written.
pub(super) fn open(bytes: Readable, shard: usize, file: &StateFile) -> Result<Saved> {
    let epoch = file.epoch;
    if bytes.len() != file.bytes {
        return Err(damaged(format!("it has {} bytes and had {}", bytes.len(), file.bytes)));
    }
    if checksum(&bytes)? != file.crc32 {
        return Err(damaged("its checksum is wrong".into()));
    }
    let mut begins = [0; HEAD_BYTES];
    let read = bytes.read_at(0, &mut begins);
    let known = |version| begins == head(version, epoch, shard);
    if read.is_err() || !(VERSION_MIN..=VERSION).any(known) {
        return Err(damaged(format!("it is not what shard {shard} saved of epoch {epoch}")));
    }
    let Some(all) = file.lz4 else { return Saved::of(Box::new(Plain(bytes))) };
    match Unpacking::of(bytes, HEAD_BYTES as u64, all) {
        Some(sections) => Saved::of(Box::new(sections)),
        None => Err(damaged("it can't be unpacked".into())),
    }
}

fn checksum(file: &Readable) -> Result<u32> {
    let (mut crc, mut at, mut bytes) = (crc32fast::Hasher::new(), 0, vec![0; CHECKED]);
    while at < file.len() {
        bytes.truncate(usize::try_from(file.len() - at).unwrap_or(CHECKED));
        file.read_at(at, &mut bytes).map_err(|cause| Error::io("reading it", &cause))?;
        crc.update(&bytes);
        at += bytes.len() as u64;
    }
    Ok(crc.finalize())
}

/// Sections that were not packed, in a file.
#[derive(Debug)]
struct Plain(Readable);

impl Sections for Plain {
    fn len(&self) -> u64 {
        self.0.len() - HEAD_BYTES as u64
    }

    fn read(&self, at: u64, len: usize, window: &mut Window) -> Result {
        let left = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
        window.first = at;
        window.bytes.resize(len.max(READ_MIN.min(left)), 0);
        let read = self.0.read_at(HEAD_BYTES as u64 + at, &mut window.bytes);
        read.map_err(|cause| Error::io("reading it again", &cause))
    }
}
