//! Files mapped into memory, to be read.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use super::{fs, world};

/// A file's bytes as they were when it was mapped; it starts aligned to a page.
///
/// The file must be left alone while it is mapped: if somebody cuts it short, reading what is gone
/// ends the process (SIGBUS), and if somebody writes into it, what was checked may change.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole file. Of one on a made-up machine it maps a copy.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Map> {
        if world::is_made_up() {
            let bytes = fs::read(path)?;
            let mut copy = memmap2::MmapMut::map_anon(bytes.len())?;
            copy.copy_from_slice(&bytes);
            return copy.make_read_only().map(Map);
        }
        let file = File::open(path)?;
        // SAFETY: 1. the mapping is only read. 2. that nobody changes the file meanwhile is asked
        // of whoever names it, above and in the documentation of what maps it.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Map(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
