//! Where closures and operators put the records they make.

use super::{Output, Stamp};
use crate::error::Result;
use crate::record::{Block, Record};
use crate::time::Timestamp;

/// Where a closure puts any number of records: `out.push(word)`.
pub struct Emit<'a, R: Record> {
    to: &'a mut dyn FnMut(R::View<'_>),
}

impl<'a, R: Record> Emit<'a, R> {
    /// Emits into a closure.
    #[inline(always)]
    pub fn new(to: &'a mut dyn FnMut(R::View<'_>)) -> Self {
        Emit { to }
    }

    /// Puts a record by its view: a `String` by a `&str`, a number as it is.
    #[inline(always)]
    pub fn push(&mut self, record: R::View<'_>) {
        (self.to)(record);
    }

    /// Puts an owned record.
    #[inline(always)]
    pub fn give(&mut self, record: &R) {
        record.lend(|view| (self.to)(view));
    }
}

/// An operator's results on one output port, gathered into batches.
#[derive(Debug)]
pub struct Emitter<R> {
    port: usize,
    block: Block<R>,
}

impl<R: Record> Emitter<R> {
    /// An emitter for an output port.
    pub fn new(port: usize) -> Self {
        Emitter { port, block: Block::new() }
    }

    /// Puts a record; a full block is handed on at once.
    ///
    /// # Errors
    /// What the operators behind fail with.
    #[inline(always)]
    pub fn push(&mut self, at: Timestamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        if self.block.push(at, record) {
            return self.flush(out);
        }
        Ok(())
    }

    /// Puts a record that came so: what is late behind is what was late here. Either all records of
    /// an emitter are put so or none is.
    ///
    /// # Errors
    /// What the operators behind fail with.
    #[inline(always)]
    pub fn pass(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        if self.block.push_marked(stamp.at, stamp.mark, record) {
            return self.flush(out);
        }
        Ok(())
    }

    /// Puts an owned record.
    ///
    /// # Errors
    /// What the operators behind fail with.
    #[inline]
    pub fn give(&mut self, at: Timestamp, record: &R, out: &mut Output<'_>) -> Result {
        record.lend(|view| self.push(at, view, out))
    }

    /// Hands on what has gathered.
    ///
    /// # Errors
    /// What the operators behind fail with.
    #[inline(never)]
    pub fn flush(&mut self, out: &mut Output<'_>) -> Result {
        if self.block.is_empty() {
            return Ok(());
        }
        let result = out.dispatch(self.port, &self.block.batch());
        self.block.clear();
        result
    }
}
