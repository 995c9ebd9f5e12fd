//! Which records are on time for an operator: decided before they change shards.

use super::{Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;
use crate::time::{Timestamp, Watermark};

/// A stage that gets only the records that are on time; the others go to `late`. The rule gives
/// the event time that a record counts as, or none when it is late. It sees the watermark of the
/// record's own split and is asked before the exchange, so its answer does not depend on the
/// number of shards.
pub struct Punctual<S, F, D> {
    stage: S,
    rule: F,
    late: D,
    /// Whether the stage is an exchange: then the side stream's watermarks come from here.
    sends: bool,
}

impl<S, F, D> Punctual<S, F, D>
where
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
{
    /// Guards a stage by a rule.
    pub fn new(stage: S, rule: F, late: D) -> Self {
        Punctual { stage, rule, late, sends: false }
    }

    /// Guards an exchange: nothing but late records leaves here on this shard.
    pub fn sending(stage: S, rule: F, late: D) -> Self {
        Punctual { stage, rule, late, sends: true }
    }
}

impl<S, F, D> Lifecycle for Punctual<S, F, D>
where
    S: Lifecycle,
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
    D: Lifecycle,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.stage.open(seat)
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.late.end(out)?;
        self.stage.end(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.stage.watermark(at, out)?;
        if self.sends { out.watermark(at) } else { Ok(()) }
    }
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.stage.idle(idle, out)?;
        if self.sends { out.idle(idle) } else { Ok(()) }
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.flush(out)?;
        if self.sends { out.flush() } else { Ok(()) }
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.stage.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.stage.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.finish(out)?;
        if self.sends { out.finish() } else { Ok(()) }
    }
}

impl<R, S, F, D, const PORT: usize> Stage<R, PORT> for Punctual<S, F, D>
where
    R: Record,
    S: Stage<R, PORT>,
    F: FnMut(Stamp) -> Option<Timestamp> + Send + 'static,
    D: Stage<R, PORT>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        match (self.rule)(stamp) {
            Some(at) => self.stage.record(Stamp { at, ..stamp }, record, out),
            None => self.late.record(stamp, record, out),
        }
    }
}
