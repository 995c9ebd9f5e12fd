//! Memory for pages: taken in chunks that grow, never moved, given back all at once.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Advice, MmapMut, MmapOptions};

use super::page::PAGE_MIN;

/// Where the pages of tables lie.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// In memory.
    #[default]
    Memory,
    /// In a file without a name, of which the system keeps in memory what is used: state may be
    /// larger than memory. What it holds is lost with the process; checkpoints are elsewhere.
    Disk(Arc<Scratch>),
}

/// The file of [`Backend::Disk`].
#[derive(Debug)]
pub struct Scratch {
    file: File,
    /// Its length.
    len: std::sync::Mutex<u64>,
}

impl Scratch {
    /// A file in a directory, which loses its name at once.
    ///
    /// # Errors
    /// When there can be none.
    pub fn within(directory: &std::path::Path) -> io::Result<Scratch> {
        use rustix::fs::{Mode, OFlags};
        let (flags, mode) = (OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR | Mode::WUSR);
        let file = File::from(rustix::fs::open(directory, flags, mode)?);
        Ok(Scratch { file, len: std::sync::Mutex::new(0) })
    }

    /// Maps so many bytes more. The room on the disk is taken now: where it is missing, a store
    /// would end the process.
    fn grow(&self, bytes: usize) -> io::Result<MmapMut> {
        let mut len = self.len.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let from = *len;
        rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), from, bytes as u64)?;
        *len += bytes as u64;
        // SAFETY: the file has no name, so nobody else opens it, and each part is mapped once.
        unsafe { MmapOptions::new().offset(from).len(bytes).map_mut(&self.file) }
    }
}

/// The chunks of one table.
#[derive(Debug, Default)]
pub struct Memory {
    backend: Backend,
    chunks: Vec<MmapMut>,
    /// Bytes of the last chunk that are taken.
    taken: usize,
}

/// Chunks grow to this: a huge page.
const CHUNK_MAX: usize = 2 << 20;

impl Memory {
    /// None yet.
    pub fn of(backend: Backend) -> Memory {
        Memory { backend, chunks: Vec::new(), taken: 0 }
    }

    /// So many bytes of zeroes, aligned to [`PAGE_MIN`], until this is dropped.
    ///
    /// # Errors
    /// When the system has none left.
    pub fn take(&mut self, bytes: usize) -> io::Result<NonNull<u8>> {
        let last = self.chunks.last().map_or(0, |chunk| chunk.len());
        if last - self.taken < bytes {
            let chunk = (last * 2).clamp(bytes.max(PAGE_MIN), CHUNK_MAX.max(bytes));
            self.chunks.push(self.chunk(chunk)?);
            self.taken = 0;
        }
        let chunk = self.chunks.last_mut().ok_or(io::ErrorKind::OutOfMemory)?;
        let at = &mut chunk[self.taken..self.taken + bytes];
        self.taken += bytes;
        NonNull::new(at.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory.into())
    }

    fn chunk(&self, bytes: usize) -> io::Result<MmapMut> {
        match &self.backend {
            Backend::Memory => {
                let chunk = MmapMut::map_anon(bytes)?;
                if bytes >= CHUNK_MAX {
                    // Where there are no huge pages, small ones do.
                    let _ = chunk.advise(Advice::HugePage);
                }
                Ok(chunk)
            }
            Backend::Disk(scratch) => scratch.grow(bytes),
        }
    }
}
