//! What becomes of records that come too late.

use super::fused::remembers_nothing;
use super::{Emitter, Lifecycle, Output, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;

/// Late records are counted, and leave if someone wants them.
pub struct Late<R> {
    side: Option<Emitter<R>>,
}

impl<R: Record> Late<R> {
    /// Late records leave on this output port, if on any.
    pub fn new(port: Option<usize>) -> Self {
        Late { side: port.map(Emitter::new) }
    }

    /// Takes a late record.
    ///
    /// # Errors
    /// What the operators behind fail with.
    #[cold]
    #[inline(never)]
    pub fn take(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        out.counters().late.add(1);
        self.side.as_mut().map_or(Ok(()), |side| side.pass(stamp, record, out))
    }
}

impl<R: Record> Lifecycle for Late<R> {
    remembers_nothing!();
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.side.as_mut().map_or(Ok(()), |side| side.flush(out))
    }
}

impl<R: Record> Stage<R> for Late<R> {
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        self.take(stamp, record, out)
    }
}

/// The late records of two streams.
pub struct LateOfBoth<L, R> {
    left: Late<L>,
    right: Late<R>,
}

impl<L: Record, R: Record> LateOfBoth<L, R> {
    /// Each stream's leave on its port, if on any.
    pub fn new(left: Option<usize>, right: Option<usize>) -> Self {
        LateOfBoth { left: Late::new(left), right: Late::new(right) }
    }
}

impl<L: Record, R: Record> Lifecycle for LateOfBoth<L, R> {
    remembers_nothing!();
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.left.end(out)?;
        self.right.end(out)
    }
}

impl<L: Record, R: Record> Stage<L, 0> for LateOfBoth<L, R> {
    fn record(&mut self, stamp: Stamp, record: L::View<'_>, out: &mut Output<'_>) -> Result {
        self.left.take(stamp, record, out)
    }
}

impl<L: Record, R: Record> Stage<R, 1> for LateOfBoth<L, R> {
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        self.right.take(stamp, record, out)
    }
}
