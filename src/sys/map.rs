//! Files mapped into memory, to be read.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file's bytes as they were when it was mapped; it starts aligned to a page.
///
/// The file must be left alone while it is mapped: if somebody cuts it short, reading what is gone
/// ends the process (SIGBUS), and if somebody writes into it, what was checked may change.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: &File) -> io::Result<Map> {
        // SAFETY: 1. the mapping is only read. 2. that nobody changes the file meanwhile is asked
        // of whoever names it, above and in the documentation of what maps it.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Map(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
