//! Which records are on time for an operator: decided before they change shards.

use super::{Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;
use crate::time::{Timestamp, Watermark};

/// A stage that gets only the records that are on time; the others are counted as late. The rule
/// gives the event time that a record counts as, or none when it is late. It sees the watermark
/// of the record's own split and is asked before the exchange, so its answer does not depend on
/// the number of shards.
pub struct Punctual<S, F> {
    stage: S,
    rule: F,
}

impl<S, F> Punctual<S, F>
where
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
{
    /// Guards a stage by a rule.
    pub fn new(stage: S, rule: F) -> Self {
        Punctual { stage, rule }
    }
}

impl<S, F> Lifecycle for Punctual<S, F>
where
    S: Lifecycle,
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.stage.open(seat)
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.end(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.stage.watermark(at, out)
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.flush(out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.stage.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.stage.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.finish(out)
    }
}

impl<R, S, F, const PORT: usize> Stage<R, PORT> for Punctual<S, F>
where
    R: Record,
    S: Stage<R, PORT>,
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        match (self.rule)(stamp) {
            Some(at) => self.stage.record(Stamp { at, ..stamp }, record, out),
            None => {
                out.counters().late.add(1);
                Ok(())
            }
        }
    }
}
