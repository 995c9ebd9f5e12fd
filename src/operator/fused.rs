//! A chain and the work at its end, as one operator.

use std::sync::Arc;

use super::ahead::Ahead;
use super::lead::Standstill;
use super::quiet::{all_idle, least};
use super::{Chain, Lead, Operator, Output, Progress, Push, Seat, SplitState, Stamp, not_saved};
use crate::error::Result;
use crate::record::{Batch, Record};
use crate::state::{Loader, Saver};
use crate::time::{Timestamp, Watermark};

/// What an operator's work is told besides records. All have a default that does nothing or
/// passes on.
pub trait Lifecycle: Send + 'static {
    /// See [`Operator::open`].
    ///
    /// # Errors
    /// Whatever makes it impossible to run.
    fn open(&mut self, seat: &Seat) -> Result {
        let _ = seat;
        Ok(())
    }
    /// A batch has been taken: what it gave goes on.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        let _ = out;
        Ok(())
    }
    /// See [`Operator::watermark`]. What it gives must be handed on before the watermark.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        out.watermark(at)
    }
    /// See [`Operator::idle`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        out.idle(idle)
    }
    /// See [`Operator::flush`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        out.flush()
    }
    /// See [`Operator::poll`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let _ = out;
        Ok(Progress::Done)
    }
    /// See [`Operator::ready`].
    fn ready(&mut self) -> bool {
        true
    }
    /// The greatest watermark that any shard was told behind the exchange that this ends in: what
    /// comes back from idle is late there if it is before.
    fn reached(&self) -> Watermark {
        Timestamp::MIN
    }
    /// See [`Operator::finish`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        out.finish()
    }
    /// See [`Operator::settle`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        let _ = out;
        Ok(())
    }
    /// See [`Operator::barrier`].
    ///
    /// # Errors
    /// Anything that must end the job.
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        out.barrier(epoch)
    }
    /// See [`Operator::save`].
    ///
    /// # Errors
    /// That it can't be.
    fn save(&mut self, to: &mut Saver) -> Result {
        let _ = to;
        Err(not_saved())
    }
    /// See [`Operator::save_more`].
    ///
    /// # Errors
    /// That it can't be.
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let _ = to;
        Ok(true)
    }
    /// See [`Operator::state_bytes`].
    fn state_bytes(&self) -> usize {
        0
    }
    /// See [`Operator::load`].
    ///
    /// # Errors
    /// What does not fit.
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let _ = from;
        Err(not_saved())
    }
}

/// For what remembers nothing from one batch to the next, or nothing that results depend on: there
/// is nothing to save.
macro_rules! remembers_nothing {
    () => {
        fn save(&mut self, _: &mut $crate::state::Saver) -> $crate::error::Result {
            Ok(())
        }
        fn load(&mut self, _: &$crate::state::Loader<'_>) -> $crate::error::Result {
            Ok(())
        }
    };
}
pub(crate) use remembers_nothing;

/// The work of an operator on the records of input port `PORT`.
pub trait Stage<R: Record, const PORT: usize = 0>: Lifecycle {
    /// Takes one record.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result;

    /// Whether it is worth the while to show it records before they come: whether what it looks up
    /// for them is hardly in the cache.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// Begins to bring what it will look up for a record into the cache; gives the hash of that.
    fn foresee(&self, record: R::View<'_>) -> u64 {
        let _ = record;
        0
    }

    /// Goes on with what it has begun for this hash.
    fn expect(&self, hash: u64) {
        let _ = hash;
    }
}

/// The end of a chain: pushes into the stage and keeps its first error.
struct Tail<'a, 'b, S, const PORT: usize> {
    stage: &'a mut S,
    out: &'a mut Output<'b>,
    result: &'a mut Result,
}

impl<R: Record, S: Stage<R, PORT>, const PORT: usize> Push<R> for Tail<'_, '_, S, PORT> {
    #[inline(always)]
    fn push(&mut self, stamp: Stamp, record: R::View<'_>) {
        if let Err(error) = self.stage.record(stamp, record, self.out)
            && self.result.is_ok()
        {
            *self.result = Err(error);
        }
    }
}

/// A chain and what this shard knows of its event time.
struct Head<C> {
    chain: C,
    /// The input's watermark.
    input: Watermark,
    /// The watermark that the stage was told.
    told: Watermark,
    /// Whether the input is idle.
    input_idle: bool,
    /// Whether the chain is.
    idle: bool,
    lead: Option<Arc<Lead>>,
    standstill: Standstill,
    shard: usize,
}

impl<C: Chain> Head<C> {
    fn new(chain: C, lead: Option<Arc<Lead>>) -> Self {
        let (input, told) = (Timestamp::MIN, Timestamp::MIN);
        let (input_idle, idle) = (false, false);
        let lead = lead.filter(|_| C::TIMED);
        let standstill = Standstill::default();
        Head { chain, input, told, input_idle, idle, lead, standstill, shard: 0 }
    }

    #[inline(always)]
    fn run<S, const PORT: usize>(
        &mut self,
        batch: &Batch<'_>,
        stage: &mut S,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Stage<C::Out, PORT>,
    {
        let mut local = self.chain.begin(batch.split());
        let (input, mut result) = (self.input, Ok(()));
        let mut ahead = stage.looks_ahead().then(|| Ahead::new(batch));
        if let Some(ahead) = &mut ahead {
            (0..Ahead::<C::In>::FAR).for_each(|_| ahead.step(&self.chain, stage));
        }
        for (at, mark, record) in batch.marked::<C::In>() {
            if let Some(ahead) = &mut ahead {
                ahead.step(&self.chain, stage);
            }
            let mut tail = Tail { stage, out, result: &mut result };
            let mark = mark.max(input);
            self.chain.push(&mut local, Stamp { at, mark }, record, &mut tail);
        }
        self.chain.end(local);
        result
    }

    /// Notes the watermark and whether the chain is idle, for this shard and the others; whether
    /// there is news. While splits begin the watermark does not grow: in a job that goes on it
    /// could be of those alone that have said so, and not of others that are further behind.
    fn advance(&mut self, begins: bool) -> (Option<Watermark>, Option<bool>) {
        let low = if begins { self.told } else { self.chain.watermark(self.input) };
        let grown = (low > self.told).then_some(low);
        self.told = self.told.max(low);
        let idle = self.chain.is_idle(self.input_idle);
        let turned = (idle != self.idle).then_some(idle);
        self.idle = idle;
        if let Some(lead) = &self.lead
            && (grown.is_some() || turned.is_some())
        {
            lead.publish(self.shard, if idle { Timestamp::MAX } else { self.told });
        }
        (grown, turned)
    }

    /// Tells the stage's other shards that this one no longer holds them back.
    fn end(&mut self) {
        if let Some(lead) = &self.lead {
            lead.publish(self.shard, Timestamp::MAX);
        }
    }

    fn ready(&mut self) -> bool {
        let Head { lead, standstill, shard, .. } = self;
        lead.as_ref().is_none_or(|lead| lead.may_go_on(*shard, standstill))
    }
}

/// Tells a stage its watermark, if it has grown, and that it is idle or is so no longer: that it
/// is not before the watermark, that it is behind it.
fn tell(
    grown: Option<Watermark>,
    turned: Option<bool>,
    stage: &mut impl Lifecycle,
    out: &mut Output<'_>,
) -> Result {
    if turned == Some(false) {
        stage.idle(false, out)?;
    }
    if let Some(at) = grown {
        stage.watermark(at, out)?;
    }
    if turned == Some(true) { stage.idle(true, out) } else { Ok(()) }
}

/// The operator made of a chain and a stage.
pub struct Fused<C, S> {
    head: Head<C>,
    stage: S,
}

impl<C: Chain, S: Stage<C::Out>> Fused<C, S> {
    /// Fuses; `lead` bounds how far this shard may run ahead, when the chain takes event times.
    pub fn new(chain: C, stage: S, lead: Option<Arc<Lead>>) -> Self {
        Fused { head: Head::new(chain, lead), stage }
    }

    /// Tells the stage how far its input has come; `begins`: after a split that is active now.
    fn advance(&mut self, begins: bool, out: &mut Output<'_>) -> Result {
        let (grown, turned) = self.head.advance(begins);
        tell(grown, turned, &mut self.stage, out)
    }

    /// The work at the chain's end.
    pub fn stage(&mut self) -> &mut S {
        &mut self.stage
    }
}

impl<C: Chain, S: Stage<C::Out>> Operator for Fused<C, S> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.head.shard = seat.shard;
        self.stage.open(seat)
    }
    fn process(&mut self, _: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        self.head.run::<S, 0>(batch, &mut self.stage, out)?;
        self.stage.end(out)?;
        self.advance(false, out)
    }
    fn watermark(&mut self, _: usize, at: Watermark, out: &mut Output<'_>) -> Result {
        self.head.input = at;
        self.advance(false, out)
    }
    fn split(&mut self, _: usize, split: u32, state: SplitState, out: &mut Output<'_>) -> Result {
        self.head.chain.split(split, state);
        self.advance(state == SplitState::Active, out)
    }
    fn idle(&mut self, _: usize, idle: bool, out: &mut Output<'_>) -> Result {
        self.head.input_idle = idle;
        self.advance(false, out)
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.flush(out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.stage.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.stage.ready() && self.head.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.head.end();
        self.stage.finish(out)
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.settle(out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.stage.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.head.chain.save(to.input(0), to)?;
        self.stage.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.stage.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.stage.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.head.chain.load(from.input(0), from)?;
        self.stage.load(from)
    }
}

/// The operator made of two chains and a stage with two input ports.
pub struct Fused2<C0, C1, S> {
    heads: (Head<C0>, Head<C1>),
    /// What the stage was told.
    told: Watermark,
    idle: bool,
    stage: S,
}

impl<C0, C1, S> Fused2<C0, C1, S>
where
    C0: Chain,
    C1: Chain,
    S: Stage<C0::Out, 0> + Stage<C1::Out, 1>,
{
    /// Fuses; each port has a bound of its own on how far this shard may run ahead.
    pub fn new(chains: (C0, C1), stage: S, leads: [Option<Arc<Lead>>; 2]) -> Self {
        let [left, right] = leads;
        let heads = (Head::new(chains.0, left), Head::new(chains.1, right));
        Fused2 { heads, told: Timestamp::MIN, idle: false, stage }
    }

    /// Runs both chains over a batch that came to both ports, in one loop: its records are brought
    /// into the cache once.
    fn run_both(&mut self, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        let (stage, mut result) = (&mut self.stage, Ok(()));
        let inputs = (self.heads.0.input, self.heads.1.input);
        let (Head { chain: left, .. }, Head { chain: right, .. }) =
            (&mut self.heads.0, &mut self.heads.1);
        let (mut lefts, mut rights) = (left.begin(batch.split()), right.begin(batch.split()));
        for (at, mark, record, same) in batch.records_twice::<C0::In, C1::In>() {
            let mut tail = Tail::<S, 0> { stage, out, result: &mut result };
            left.push(&mut lefts, Stamp { at, mark: mark.max(inputs.0) }, record, &mut tail);
            let mut tail = Tail::<S, 1> { stage, out, result: &mut result };
            right.push(&mut rights, Stamp { at, mark: mark.max(inputs.1) }, same, &mut tail);
        }
        left.end(lefts);
        right.end(rights);
        result
    }

    /// As for [`Fused`].
    fn advance(&mut self, begins: bool, out: &mut Output<'_>) -> Result {
        self.heads.0.advance(begins);
        self.heads.1.advance(begins);
        let heads =
            [(self.heads.0.told, self.heads.0.idle), (self.heads.1.told, self.heads.1.idle)];
        let (low, idle) = (least(heads.into_iter()), all_idle(heads.into_iter()));
        let (grown, turned) =
            ((low > self.told).then_some(low), (idle != self.idle).then_some(idle));
        (self.told, self.idle) = (self.told.max(low), idle);
        tell(grown, turned, &mut self.stage, out)
    }
}

impl<C0, C1, S> Operator for Fused2<C0, C1, S>
where
    C0: Chain,
    C1: Chain,
    S: Stage<C0::Out, 0> + Stage<C1::Out, 1>,
{
    fn open(&mut self, seat: &Seat) -> Result {
        (self.heads.0.shard, self.heads.1.shard) = (seat.shard, seat.shard);
        self.stage.open(seat)
    }
    fn process(&mut self, port: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        match port {
            0 => self.heads.0.run::<S, 0>(batch, &mut self.stage, out)?,
            _ => self.heads.1.run::<S, 1>(batch, &mut self.stage, out)?,
        }
        self.stage.end(out)?;
        self.advance(false, out)
    }
    fn process_both(&mut self, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        self.run_both(batch, out)?;
        self.stage.end(out)?;
        self.advance(false, out)
    }
    fn watermark(&mut self, port: usize, at: Watermark, out: &mut Output<'_>) -> Result {
        match port {
            0 => self.heads.0.input = at,
            _ => self.heads.1.input = at,
        }
        self.advance(false, out)
    }
    fn split(
        &mut self,
        port: usize,
        split: u32,
        state: SplitState,
        out: &mut Output<'_>,
    ) -> Result {
        match port {
            0 => self.heads.0.chain.split(split, state),
            _ => self.heads.1.chain.split(split, state),
        }
        self.advance(state == SplitState::Active, out)
    }
    fn idle(&mut self, port: usize, idle: bool, out: &mut Output<'_>) -> Result {
        match port {
            0 => self.heads.0.input_idle = idle,
            _ => self.heads.1.input_idle = idle,
        }
        self.advance(false, out)
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.flush(out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.stage.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.stage.ready() && self.heads.0.ready() && self.heads.1.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.heads.0.end();
        self.heads.1.end();
        self.stage.finish(out)
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.stage.settle(out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.stage.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.heads.0.chain.save(to.input(0), to)?;
        self.heads.1.chain.save(to.input(1), to)?;
        self.stage.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.stage.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.stage.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.heads.0.chain.load(from.input(0), from)?;
        self.heads.1.chain.load(from.input(1), from)?;
        self.stage.load(from)
    }
}
