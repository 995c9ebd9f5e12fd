//! Operators: the meaning of streams. No threads, no files.
//!
//! A shard holds one instance of every operator, in the order of the flow. A batch of records is
//! given to an operator by one dynamic call; within it the user's closures are one fused loop
//! ([`Chain`]) that ends in the operator's own work ([`Stage`]).
//!
//! What an operator is told, in this grammar: `(process | watermark | idle | barrier)* finish`.
//! Watermarks and barriers' epochs strictly grow.
//!
//! # Checkpoints
//!
//! A checkpoint is a cut through the streams (Chandy and Lamport, 1985; as Flink does it). Every
//! source begins an *epoch* with a barrier. A node has an epoch when all its inputs have delivered
//! the barrier: it settles what it holds back, saves its state, and hands the barrier on. Until
//! then nothing is taken from the inputs that have delivered it: whatever is polled waits while a
//! node behind it has an older epoch than itself. An input that has ended delivers all barriers.

mod aggregate;
mod ahead;
mod chain;
mod emit;
mod exchange;
mod fused;
mod graph;
mod key_of;
mod late;
mod lead;
mod moment;
mod pace;
mod pairing;
mod pass;
mod peers;
mod process;
mod punctual;
mod quiet;
mod route;
mod row;
mod sink;
mod source;
mod source_node;
mod steady;
mod totals;

pub use aggregate::{Aggregate, Aggregates, Summable};
pub use chain::{
    Chain, EventTime, Filter, FilterMap, FlatMap, Identity, Inspect, Map, Push, Stamp,
};
pub use emit::{Emit, Emitter};
pub use exchange::{Arrival, Exchange, Inbox, Lane, Packet, lanes};
pub use fused::{Fused, Fused2, Lifecycle, Stage};
pub use graph::{Edge, Node, Output, Scene};
pub use key_of::{Borrows, ByRef, ByValue, KeyOf};
pub use late::{Late, LateOfBoth};
pub use lead::{Lead, Waiting};
pub use moment::Moment;
pub use pace::Pace;
pub use pairing::{FullOuter, Inner, Keep, LeftOuter, Pairing, Seen, Semi, Sides};
pub use pass::{Forward, Pass, Routed, Way};
pub use process::{Clock, Context, Process};
pub use punctual::{Fate, Punctual, not_behind};
pub use route::{Broadcast, ByKey, ByRange, Deal, Gather, Partition, Random, bounds_of};
pub use row::{Row, Timed, Timeless};
pub use sink::{Guarantee, PUBLISH, Publish, Sink, Writer, Written};
pub use source::{BAD_PORT, BadRecord, Downstream, Feed, OnBadRecord, Source, Split};
pub use source_node::{SPLITS, SourceNode};
pub use steady::Steady;
pub use totals::{PartTotals, Totals};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::error::{Error, Kind, Result};
use crate::record::Batch;
use crate::ring::Bells;
use crate::state::{Backend, Loader, Saver};
use crate::time::Watermark;

/// What one look at something brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done, and there may be more.
    Busy,
    /// Nothing to do at the moment; only a look can tell when there is.
    Idle,
    /// Nothing to do until the shard's bell rings.
    Parked,
    /// There will never be more.
    Done,
}

/// What a source says of one of its splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitState {
    /// It may give records: its watermark counts.
    Active,
    /// It has been silent for long: watermarks do without it until it speaks again.
    Idle,
    /// It has ended.
    Ended,
}

/// Where an operator runs and what it shares with its like on the other shards.
#[derive(Clone)]
pub struct Seat {
    /// This shard's number.
    pub shard: usize,
    /// How many shards there are.
    pub shards: usize,
    /// To wake other shards.
    pub bells: Bells,
    /// Who waits for others to come up in event time.
    pub waiting: Waiting,
    /// Set when sources shall end early.
    pub stop: Arc<AtomicBool>,
    /// How far shards may be apart in event time, in microseconds.
    pub lead_us: i64,
    /// A split that is silent for so long no longer holds the watermark back; microseconds.
    pub idle_us: i64,
    /// The epoch after which a job with checkpoints goes on, 0 when it begins anew; none without
    /// checkpoints.
    pub resumes: Option<u64>,
    /// Where state is kept.
    pub backend: Backend,
    /// How much this shard takes in a turn.
    pub pace: Pace,
    /// What processing time it is.
    pub clock: Steady,
    /// How many shards the job was first begun on: sources are cut into splits for as many, so that
    /// a split is the same when the job goes on.
    pub began_on: usize,
}

/// A count that one shard's thread adds to and any thread reads. Adding is a plain load and store:
/// an atomic addition would empty the processor's pipeline twice a batch.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the thread of the counter's own shard may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    /// Sets it, where it counts what there is; only the shard's own thread may.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What a source or a sink counts beside records, for whoever watches the job: names as metrics of
/// Prometheus have them, `connections_open`, or `refused_total` of what only grows. Any thread may
/// ask at any time.
pub type Counts = Arc<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// Counters of one operator on one shard, readable at any time.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records taken in.
    pub records_in: Counter,
    /// Records handed on.
    pub records_out: Counter,
    /// Records that came too late.
    pub late: Counter,
    /// Records that could not be read.
    pub bad: Counter,
    /// Bytes of state, when that was asked last.
    pub state_bytes: Counter,
}

/// One step of a job on one shard, called once per batch.
pub trait Operator: Send {
    /// Called once on the shard's own thread, before anything else.
    ///
    /// # Errors
    /// Whatever makes it impossible to run.
    fn open(&mut self, seat: &Seat) -> Result {
        let _ = seat;
        Ok(())
    }

    /// Takes the records of a batch that arrived on an input port.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn process(&mut self, port: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result;

    /// Takes the records of a batch that arrived on input ports 0 and 1 alike.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn process_both(&mut self, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        self.process(0, batch, out)?;
        self.process(1, batch, out)
    }

    /// An input port has nothing before `at` any more; the watermarks of a port strictly grow.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn watermark(&mut self, port: usize, at: Watermark, out: &mut Output<'_>) -> Result {
        let _ = port;
        out.watermark(at)
    }

    /// A split of the source that feeds an input port changed its state.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn split(
        &mut self,
        port: usize,
        split: u32,
        state: SplitState,
        out: &mut Output<'_>,
    ) -> Result {
        let _ = (port, split, state, out);
        Ok(())
    }

    /// An input port is silent for long, or is so no longer: watermarks do without it meanwhile.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn idle(&mut self, port: usize, idle: bool, out: &mut Output<'_>) -> Result {
        let _ = port;
        out.idle(idle)
    }

    /// The input has nothing more at the moment, or much has gathered: what is held back leaves.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        out.flush()
    }

    /// One look at what comes from elsewhere (a source, rings, the clock), in bounded time.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let _ = out;
        Ok(Progress::Done)
    }

    /// Whether it can take a batch now. Nothing upstream is polled while it can't.
    fn ready(&mut self) -> bool {
        true
    }

    /// All inputs have ended.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        out.finish()
    }

    /// All inputs have delivered the barrier of an epoch, and it is about to be saved, or all have
    /// ended: what is held back and is no state goes on.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        let _ = out;
        Ok(())
    }

    /// Hands the barrier of an epoch on, behind everything that came of what was before it.
    ///
    /// # Errors
    /// Anything that must end the job.
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        out.barrier(epoch)
    }

    /// Saves all that is remembered, in parts.
    ///
    /// # Errors
    /// That it can't be.
    fn save(&mut self, to: &mut Saver) -> Result {
        let _ = to;
        Err(not_saved())
    }

    /// Saves more of the state as it was at [`save`](Operator::save), a little at a time; true when
    /// all is saved. Called between batches until then, by [`Saver::table`].
    ///
    /// # Errors
    /// That it can't be.
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let _ = to;
        Ok(true)
    }

    /// How many bytes its state takes, and the room for more; asked now and then, for who watches
    /// the job.
    fn state_bytes(&self) -> usize {
        0
    }

    /// Takes up what was saved, before anything else but [`open`](Operator::open).
    ///
    /// # Errors
    /// What does not fit.
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let _ = from;
        Err(not_saved())
    }

    /// Whether it begins epochs: it has no input, and barriers begin at it.
    fn begins(&self) -> bool {
        false
    }
}

/// What is said of an operator whose state no checkpoint sees.
pub(crate) fn not_saved() -> Error {
    let what = "its state can't be kept in a checkpoint yet; run the job without .checkpoints(…)";
    Error::new(Kind::Plan, what)
}
