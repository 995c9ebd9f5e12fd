//! Processing time: records happen when they arrive, and the watermark is the clock.

use super::saved::{save_time, times};
use crate::error::Result;
use crate::operator::{Emitter, Lifecycle, Output, Progress, Stage, Stamp, Steady};
use crate::record::Record;
use crate::state::{Loader, Saver};
use crate::time::{Timestamp, Watermark};

/// How far the clock goes before a watermark says so, microseconds.
const STEP_US: i64 = 1_000;

/// Stamps records with the clock, read once a batch, and moves the watermark by the clock, also
/// when no record comes. The clock neither goes back nor stands still, even when the machine's is
/// set back, or the job goes on elsewhere.
pub struct Clock<R> {
    out: Emitter<R>,
    clock: Steady,
    now: Timestamp,
    told: Watermark,
    /// Whether the clock was read for this batch.
    read: bool,
    ended: bool,
}

impl<R: Record> Clock<R> {
    /// Goes by this clock.
    pub fn of(clock: &Steady) -> Self {
        let (clock, now, told) = (clock.clone(), Timestamp::MIN, Timestamp::MIN);
        Clock { out: Emitter::new(0), clock, now, told, read: false, ended: false }
    }
}

impl<R: Record> Lifecycle for Clock<R> {
    fn save(&mut self, to: &mut Saver) -> Result {
        save_time("clock", self.now, to)
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        for at in times("clock", from)? {
            self.clock.go_on_from(at);
            self.now = self.now.max(at);
        }
        Ok(())
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.read = false;
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at < Timestamp::MAX {
            return Ok(());
        }
        self.ended = true;
        out.watermark(at)
    }
    fn idle(&mut self, _: bool, _: &mut Output<'_>) -> Result {
        // The clock goes on.
        Ok(())
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        if self.ended {
            return Ok(Progress::Done);
        }
        let now = self.clock.now().max(self.now);
        if now.micros() >= self.told.micros().saturating_add(STEP_US) {
            (self.now, self.told) = (now, now);
            out.watermark(now)?;
            out.flush()?;
        }
        Ok(Progress::Idle)
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.ended = true;
        out.finish()
    }
}

impl<R: Record> Stage<R> for Clock<R> {
    #[inline]
    fn record(&mut self, _: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        if !self.read {
            self.read = true;
            self.now = self.clock.now().max(self.now);
        }
        self.out.push(self.now, record, out)
    }
}
