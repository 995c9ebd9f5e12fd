//! The end of a log file that grows.

use super::compress::{Compression, Packer};
use super::frame::Records;
use super::head::Head;
use super::index::{Index, Latest};
use crate::error::Result;

/// What is to be known of a file to append to it: the bytes that come next are given to whoever
/// writes them.
#[derive(Debug)]
pub(super) struct Tail {
    /// What each file begins with.
    head: Vec<u8>,
    packer: Packer,
    /// Bytes of the file so far; none before the first frame.
    place: u64,
    /// Records of the file so far.
    written: u64,
    index: Index,
    frame: Vec<u8>,
}

impl Tail {
    pub fn new(head: &Head, compression: Compression) -> Tail {
        Tail {
            head: head.bytes(),
            packer: Packer::new(compression),
            place: 0,
            written: 0,
            index: Index::behind(Latest::NONE),
            frame: Vec::new(),
        }
    }

    /// What a file begins with.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Bytes of the file so far.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// Records of the file so far, or of the one that has ended.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether the next frame would be the first of another file.
    pub fn has_ended(&self) -> bool {
        self.place == 0
    }

    /// A file has begun, and its head is there.
    pub fn begun(&mut self) {
        self.place = self.head.len() as u64;
        self.written = 0;
        self.index = Index::behind(self.index.latest());
    }

    /// The files before this one have these greatest times.
    pub fn follows(&mut self, latest: Latest) {
        self.index = Index::behind(latest);
    }

    /// Appends a frame.
    pub fn put(&mut self, records: &Records<'_>, mut write: impl FnMut(&[u8]) -> Result) -> Result {
        if self.place == 0 {
            write(&self.head)?;
            self.begun();
        }
        let head = records.put(self.place, self.written, &mut self.packer, &mut self.frame)?;
        write(&self.frame)?;
        self.index.note(self.place, &head);
        self.place += self.frame.len() as u64;
        self.written += u64::from(head.records);
        Ok(())
    }

    /// Appends the index, which ends the file; nothing where there is no frame. The next frame is
    /// the first of another file.
    pub fn end(&mut self, mut write: impl FnMut(&[u8]) -> Result) -> Result {
        if self.place > 0 && self.written > 0 {
            self.index.put(self.place, self.written, &mut self.frame)?;
            write(&self.frame)?;
        }
        self.place = 0;
        Ok(())
    }

    /// Takes back the frames from the index's last entry on; gives what the file is cut to. None
    /// when there are none.
    pub fn take_back(&mut self) -> Option<u64> {
        (self.place, self.written) = self.index.take_back()?;
        Some(self.place)
    }
}
