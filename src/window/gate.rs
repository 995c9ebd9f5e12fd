//! The gate before windows that take raw records: it turns late ones away.
//!
//! What is late is decided where the record was read, from its own split's watermark, before any
//! exchange: so it depends neither on the number of shards nor on the size of frames.

use super::results::LATE_PORT;
use super::saved::{read, save_read};
use super::spec::us;
use super::{Place, WindowSpec};
use crate::error::Result;
use crate::operator::{Late, Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::record::Record;
use crate::state::{Loader, Saver};
use crate::time::{Timestamp, Watermark};

/// When a record is late.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// When all windows that hold it are closed.
    Windows(WindowSpec),
    /// When it is older than the watermark itself.
    Itself,
    /// Never.
    Never,
}

/// Hands records that are in time on to `to`, each with the end of the first window that it still
/// counts in ([`Timestamp::MIN`] where windows are not fixed).
pub struct Gate<R: Record, X> {
    rule: Rule,
    lateness: i64,
    told: Watermark,
    late: Late<R>,
    to: X,
    /// Whether `to` is an exchange: then the side stream's watermarks come from here.
    sends: bool,
}

impl<R: Record, X> Gate<R, X> {
    /// A gate; `lateness` in microseconds, `side`: late records leave on a port of their own.
    pub fn new(rule: Rule, lateness: i64, side: bool, to: X, sends: bool) -> Self {
        let late = Late::new(side.then_some(LATE_PORT));
        Gate { rule, lateness, told: Timestamp::MIN, late, to, sends }
    }

    #[inline(always)]
    fn place(&self, Stamp { at, mark }: Stamp) -> Place {
        let closed = us(mark.max(self.told), -self.lateness);
        match self.rule {
            Rule::Windows(spec) => spec.place(spec.pane_of(at), closed),
            Rule::Itself if at < closed => Place::Late,
            Rule::Itself | Rule::Never => Place::From(Timestamp::MIN),
        }
    }
}

impl<R: Record, X: Lifecycle> Lifecycle for Gate<R, X> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.to.open(seat)
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.late.end(out)?;
        self.to.end(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.told = self.told.max(at);
        self.to.watermark(at, out)?;
        if self.sends { out.watermark(at) } else { Ok(()) }
    }
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.to.idle(idle, out)?;
        self.told = self.told.max(self.to.reached());
        if self.sends { out.idle(idle) } else { Ok(()) }
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.to.flush(out)?;
        if self.sends { out.flush() } else { Ok(()) }
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.to.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.to.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.to.finish(out)?;
        if self.sends { out.finish() } else { Ok(()) }
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.to.settle(out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.to.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        save_read(self.told, to)?;
        self.to.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.to.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.to.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.told = read(from)?;
        self.to.load(from)
    }
}

impl<R: Record, X: Stage<(Timestamp, R)>> Stage<R> for Gate<R, X> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        match self.place(stamp) {
            Place::From(end) => self.to.record(stamp, (end, R::shorten(record)), out),
            Place::Late => self.late.take(stamp, record, out),
            Place::Nowhere => Ok(()),
        }
    }
}
