//! Memory for state: taken in chunks that grow, never moved, given back all at once.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use rustix::mm::Advice::LinuxNoHugepage as SmallPages;
use rustix::mm::madvise;

/// What is taken begins at a multiple of this: a line of the cache.
pub(super) const ALIGN: usize = 64;

/// Where the pages of tables lie, and lists that only grow.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// In memory; tables of few entries as one hash map each, which a save shows as a whole.
    #[default]
    Memory,
    /// In memory, on pages however few entries there are: slower, and a save shows only what has
    /// changed.
    Pages,
    /// In a file without a name, of which the system keeps in memory what is used: state may be
    /// larger than memory. What it holds is lost with the process; checkpoints are elsewhere.
    Disk(Arc<Scratch>),
}

/// The file of [`Backend::Disk`].
#[derive(Debug)]
pub struct Scratch {
    file: File,
    /// Where it was made, for messages.
    directory: PathBuf,
    pieces: Mutex<Pieces>,
    /// What tables may take in memory all the same, about: half of it by small ones, the rest by
    /// text and lists.
    memory: usize,
    /// What text and lists of all tables take, about.
    loose: AtomicUsize,
    /// Tables that have text or lists in memory.
    holders: AtomicUsize,
    /// What small tables may take, and what they take.
    small_max: usize,
    small: AtomicUsize,
}

impl Scratch {
    /// A file in a directory, which loses its name at once. About `memory` bytes of what tables
    /// hold are in memory: tables of few entries without memory of their own, which take no more
    /// than half of it; and text and lists, counted as they are encoded, which take the rest.
    ///
    /// # Errors
    /// When there can be none.
    pub fn within(directory: &Path, memory: usize) -> io::Result<Scratch> {
        use rustix::fs::{Mode, OFlags};
        let (flags, mode) = (OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR | Mode::WUSR);
        let file = File::from(rustix::fs::open(directory, flags, mode)?);
        let (directory, pieces) = (directory.to_owned(), Mutex::default());
        Ok(Scratch {
            file,
            directory,
            pieces,
            memory,
            loose: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            small_max: memory / 2,
            small: AtomicUsize::new(0),
        })
    }

    /// As it is, but with all tables on pages, however few entries they have.
    #[must_use]
    pub fn without_small_tables(self) -> Scratch {
        Scratch { small_max: 0, ..self }
    }

    /// Text and lists of a table take so much in memory, no longer so much.
    pub(super) fn takes(&self, now: usize, before: usize) {
        self.loose.fetch_add(now.wrapping_sub(before), Relaxed);
        let one = usize::from(now > 0).wrapping_sub(usize::from(before > 0));
        self.holders.fetch_add(one, Relaxed);
    }

    /// Whether a table that has so much in memory shall have less: all have more than they may, and
    /// it has more than its part, which it keeps where others have too much and are silent.
    pub(super) fn is_over(&self, own: usize) -> bool {
        let max = self.memory.saturating_sub(self.small.load(Relaxed));
        let part = max / self.holders.load(Relaxed).max(1);
        own > part && self.loose.load(Relaxed) > max
    }

    /// A small table takes so much, no longer so much.
    pub(super) fn small_takes(&self, now: usize, before: usize) {
        self.small.fetch_add(now.wrapping_sub(before), Relaxed);
    }

    /// Whether a small table that takes so much may take `wanted` instead.
    pub(super) fn has_room(&self, wanted: usize, own: usize) -> bool {
        self.small.load(Relaxed).saturating_sub(own).saturating_add(wanted) <= self.small_max
    }

    /// So many bytes more, zero, which begin at a page of the system. The room on the disk is taken
    /// now: where it is missing, a store would end the process.
    ///
    /// # Errors
    /// When the disk has no room.
    pub(super) fn room(self: &Arc<Self>, bytes: usize) -> io::Result<Room> {
        let bytes = bytes.next_multiple_of(PAGE);
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.free.len() < bytes {
            let place = format_args!("in {} (Job::state_in)", self.directory.display());
            let told = |cause: io::Error| io::Error::new(cause.kind(), format!("{place}: {cause}"));
            pieces.grow(&self.file, bytes).map_err(told)?;
        }
        let piece = pieces.maps.last().ok_or(io::ErrorKind::OutOfMemory)?;
        let first = piece.as_mut_ptr().wrapping_add(pieces.free.start);
        pieces.free.start += bytes;
        let first = NonNull::new(first).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Room { first, bytes, scratch: self.clone() })
    }
}

/// Has the system clear the memory of a vector that is empty by small pages, as it is filled, where
/// it is large: a huge page takes as long as a thousand records.
pub(crate) fn in_small_pages<T>(room: &Vec<T>) {
    debug_assert!(room.is_empty());
    let bytes = room.capacity() * size_of::<T>();
    let first = room.as_ptr().cast::<u8>();
    let skip = first.align_offset(PAGE);
    if bytes >= MANY && skip < bytes {
        let (first, bytes) = (first.wrapping_add(skip).cast_mut(), (bytes - skip) / PAGE * PAGE);
        // SAFETY: these pages are the vector's, and the advice says nothing of what they hold.
        // Where the system knows no huge pages it is refused, and not needed.
        let _ = unsafe { madvise(first.cast(), bytes, SmallPages) };
    }
}

/// What is mapped of a file: in pieces that are large, as a process can't have many of them.
#[derive(Debug, Default)]
struct Pieces {
    maps: Vec<MmapRaw>,
    /// The part of the last one that nobody has.
    free: std::ops::Range<usize>,
    /// Bytes of all, and of the file.
    len: u64,
}

impl Pieces {
    fn grow(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        let usual = self.len.clamp(PIECE_MIN, CHUNK_MAX as u64) as usize;
        let bytes = usual.max(bytes);
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), self.len, bytes as u64)?;
        let map = MmapOptions::new().offset(self.len).len(bytes).map_raw(file)?;
        self.maps.push(map);
        (self.free, self.len) = (0..bytes, self.len + bytes as u64);
        Ok(())
    }
}

/// A part of a file that is the owner's alone.
#[derive(Debug)]
pub(super) struct Room {
    first: NonNull<u8>,
    bytes: usize,
    /// What it is a part of.
    #[expect(dead_code, reason = "keeps it mapped")]
    scratch: Arc<Scratch>,
}

// SAFETY: the memory is the owner's, and stays mapped wherever that is.
unsafe impl Send for Room {}

impl Deref for Room {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: 1. so many bytes are mapped as long as the scratch file is there. 2. each part is
        // given away once, and the file has no name: nobody else has it.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and this is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.bytes) }
    }
}

/// The chunks of one table, or of lists.
#[derive(Debug, Default)]
pub(super) struct Memory {
    backend: Backend,
    /// Raw: pages that were taken are in use while others are.
    chunks: Vec<Chunk>,
    /// The part of the last chunk that is not taken.
    free: std::ops::Range<usize>,
    /// Bytes of all chunks.
    bytes: usize,
}

/// Where the bytes of a chunk are.
#[derive(Debug)]
enum Chunk {
    /// The allocator's, which may have some that was used before: the system would clear a page at
    /// a time, when it is touched first.
    Allocated(NonNull<u8>, Layout),
    Mapped(MmapRaw),
    OnDisk(Room),
}

impl Chunk {
    fn allocated(bytes: usize) -> io::Result<Chunk> {
        let layout = Layout::from_size_align(bytes, ALIGN).map_err(io::Error::other)?;
        // SAFETY: chunks are never empty.
        let first = NonNull::new(unsafe { alloc_zeroed(layout) });
        Ok(Chunk::Allocated(first.ok_or(io::ErrorKind::OutOfMemory)?, layout))
    }

    fn first(&self) -> *mut u8 {
        match self {
            Chunk::Allocated(first, _) => first.as_ptr(),
            Chunk::Mapped(map) => map.as_mut_ptr(),
            Chunk::OnDisk(room) => room.first.as_ptr(),
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Chunk::Allocated(first, layout) = self {
            // SAFETY: `allocated` took it with this layout.
            unsafe { dealloc(first.as_ptr(), *layout) };
        }
    }
}

// SAFETY: the memory is the chunk's own.
unsafe impl Send for Chunk {}

/// A page of the system.
const PAGE: usize = 4096;
/// The first chunk.
const CHUNK_MIN: usize = PAGE;
/// The first piece of a file.
const PIECE_MIN: u64 = 64 * PAGE as u64;
/// So many bytes may be backed by huge pages.
const MANY: usize = 256 << 10;
/// A huge page. Chunks of this and more consist of such pages.
const HUGE: usize = 2 << 20;
/// Chunks grow to this.
const CHUNK_MAX: usize = 64 << 20;

impl Memory {
    /// None yet.
    pub fn of(backend: Backend) -> Memory {
        Memory { backend, ..Memory::default() }
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many bytes of zeroes, aligned to [`ALIGN`], until this is dropped.
    ///
    /// # Errors
    /// When the system has none left.
    pub fn take(&mut self, bytes: usize) -> io::Result<NonNull<u8>> {
        let bytes = bytes.next_multiple_of(ALIGN);
        if self.free.len() < bytes {
            self.grow(bytes)?;
        }
        let chunk = self.chunks.last().ok_or(io::ErrorKind::OutOfMemory)?;
        let at = chunk.first().wrapping_add(self.free.start);
        self.free.start += bytes;
        NonNull::new(at).ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// Another chunk, of at least so many bytes: a quarter of what there is once that is much, so
    /// that chunks stay few and little is in none.
    fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let wanted = if self.bytes < HUGE { self.bytes } else { self.bytes / 4 / HUGE * HUGE };
        let huge = if self.bytes < HUGE { CHUNK_MIN } else { HUGE };
        let wanted = wanted.clamp(huge, CHUNK_MAX).max(bytes).next_multiple_of(CHUNK_MIN);
        match &self.backend {
            Backend::Disk(scratch) => {
                self.put(Chunk::OnDisk(scratch.room(wanted)?), 0, wanted);
            }
            Backend::Memory | Backend::Pages if wanted < HUGE => {
                self.put(Chunk::allocated(wanted)?, 0, wanted);
            }
            Backend::Memory | Backend::Pages => {
                // What is not used for the alignment is never touched, so it takes no memory.
                let map = MmapMut::map_anon(wanted + HUGE)?;
                // Where there are no huge pages, small ones do.
                let _ = map.advise(Advice::HugePage);
                let from = map.as_ptr().align_offset(HUGE);
                self.put(Chunk::Mapped(MmapRaw::from(map)), from, wanted);
            }
        }
        Ok(())
    }

    /// What is taken next is of this chunk, from a place on.
    fn put(&mut self, chunk: Chunk, from: usize, bytes: usize) {
        self.free = from..from + bytes;
        self.bytes += bytes;
        self.chunks.push(chunk);
    }
}
