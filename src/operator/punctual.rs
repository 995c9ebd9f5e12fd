//! Which records are on time for an operator: decided before they change shards.

use super::{Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;
use crate::state::{Loader, Saver};
use crate::time::{Timestamp, Watermark};

/// What becomes of a record at an operator that goes by event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on time and counts as of this time.
    Counts(Timestamp),
    /// It comes too late.
    Late,
    /// Nothing asks for records of its time.
    Unasked,
}

/// The fate of records of which none older than the watermark is awaited.
pub fn not_behind(Stamp { at, mark }: Stamp) -> Fate {
    if at >= mark { Fate::Counts(at) } else { Fate::Late }
}

/// A stage that gets only the records that are on time; the late ones go to `late`. The rule says
/// which. It sees the watermark of the record's own split and is asked before the exchange, so its
/// answer does not depend on the number of shards; of a split that was idle and comes back behind
/// the others, it sees the watermark that the others have reached. It is asked again behind the
/// exchange, since the others may have gone on meanwhile.
pub struct Punctual<S, F, D> {
    stage: S,
    rule: F,
    late: D,
    /// The watermark that the stage was told, or that was reached behind it.
    told: Watermark,
    /// Whether the stage is an exchange: then the side stream's watermarks come from here.
    sends: bool,
}

impl<S, F, D> Punctual<S, F, D>
where
    F: FnMut(Stamp) -> Fate + Send + 'static,
{
    /// Guards a stage by a rule.
    pub fn new(stage: S, rule: F, late: D) -> Self {
        Punctual { stage, rule, late, told: Timestamp::MIN, sends: false }
    }

    /// Guards an exchange: nothing but late records leaves here on this shard.
    pub fn sending(stage: S, rule: F, late: D) -> Self {
        Punctual { sends: true, ..Punctual::new(stage, rule, late) }
    }
}

impl<S, F, D> Punctual<S, F, D> {
    /// What its watermark is saved under.
    fn part(&self, input: usize) -> String {
        if self.sends { format!("watermark of input {input}") } else { "watermark".into() }
    }
}

impl<S, F, D> Lifecycle for Punctual<S, F, D>
where
    S: Lifecycle,
    F: FnMut(Stamp) -> Fate + Send + 'static,
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
        self.told = self.told.max(at);
        self.stage.watermark(at, out)?;
        if self.sends { out.watermark(at) } else { Ok(()) }
    }
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.stage.idle(idle, out)?;
        self.told = self.told.max(self.stage.reached());
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
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.settle(out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.stage.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.part::<Timestamp>(self.part(to.input(0)), |part| part.put(self.told))?;
        self.stage.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.stage.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.stage.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let (own, same) = (from.shard(), from.were() == from.shards());
        let mut told: Vec<Watermark> = Vec::new();
        from.part::<Timestamp>(&self.part(from.input(0)), |shard, _, at| {
            if !same || shard == own {
                told.push(at);
            }
        })?;
        let told = told.into_iter();
        // What any shard has closed stays closed. A sender must not turn away what another one
        // could not have given: it is asked about again behind the exchange.
        let told = if self.sends { told.min() } else { told.max() };
        self.told = told.unwrap_or(Timestamp::MIN);
        self.stage.load(from)
    }
}

impl<R, S, F, D, const PORT: usize> Stage<R, PORT> for Punctual<S, F, D>
where
    R: Record,
    S: Stage<R, PORT>,
    F: FnMut(Stamp) -> Fate + Send + 'static,
    D: Stage<R, PORT>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let mark = stamp.mark.max(self.told);
        match (self.rule)(Stamp { mark, ..stamp }) {
            Fate::Counts(at) => self.stage.record(Stamp { at, ..stamp }, record, out),
            Fate::Late => self.late.record(stamp, record, out),
            Fate::Unasked => Ok(()),
        }
    }
}
