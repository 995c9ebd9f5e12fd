//! A job without threads: whoever holds it decides which shard does something next.

use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Coordinator, Epochs, Making};
use super::start::{Ready, Start};
use super::{Config, Shard, Shared, Turn};
use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::plan::Plan;

/// What an operator is put into, so that it fails when it is to.
pub(crate) type Around = Box<dyn Fn(Box<dyn Operator>) -> Box<dyn Operator>>;

/// The shards of a job with checkpoints, and their coordinator.
pub(crate) struct Simulated {
    start: Start,
    around: Around,
    shared: Arc<Shared>,
    epochs: Arc<Epochs>,
    /// Those that have not left.
    shards: Vec<Option<Shard>>,
    coordinator: Option<Coordinator>,
    making: Option<Making>,
    /// Whether the last checkpoint was made.
    ended: bool,
}

/// What a step of the coordinator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinated {
    /// It had nothing to do.
    Nothing,
    /// It began a checkpoint, or wrote some of one.
    Something,
    /// It made a checkpoint.
    Made,
}

impl Simulated {
    /// Makes the shards, with what they go on from, each operator `around` which another one is
    /// put; none when the job had come to its end before.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub fn start(
        job: &str,
        plan: Plan,
        config: &Config,
        around: Around,
    ) -> Result<Option<Simulated>> {
        let mut start = Start::new(job, plan, config);
        let ready = start.ready(true)?;
        let shared = start.shared();
        let epochs = shared.epochs.clone().expect("a job that is simulated has checkpoints");
        let (shards, coordinator, making, ended) = (Vec::new(), None, None, false);
        let mut job =
            Simulated { start, around, shared, epochs, shards, coordinator, making, ended };
        Ok(job.begin(ready).then_some(job))
    }

    /// Begins with the shards that are ready; false when there are none.
    fn begin(&mut self, ready: Option<Ready>) -> bool {
        let Some(Ready { seats, shards, checkpoints }) = ready else { return false };
        let Simulated { start, around, .. } = self;
        let shards = seats.into_iter().zip(shards).map(|(seat, nodes)| {
            let nodes = nodes.into_iter().map(|node| node.within(&**around)).collect();
            Some(start.shard(seat, nodes))
        });
        self.shards = shards.collect();
        self.coordinator = checkpoints.and_then(|checkpoints| self.start.coordinator(checkpoints));
        true
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.epochs.shards()
    }

    /// Lets a shard have a turn; done when it has left.
    ///
    /// # Errors
    /// What ends the job, or has it started again.
    pub fn turn(&mut self, shard: usize) -> Result<Turn> {
        let turn = self.shards[shard].as_mut().map_or(Ok(Turn::Done), Shard::turn);
        turn.inspect_err(|error| self.shared.fail(error.clone()))
    }

    /// Lets the coordinator take a step: begin a checkpoint if it `may`, or has to for the last
    /// time, or go on with the one that it makes.
    ///
    /// # Errors
    /// What ends the job, or has it started again.
    pub fn coordinate(&mut self, may: bool) -> Result<Coordinated> {
        self.step(may).inspect_err(|error| self.shared.fail(error.clone()))
    }

    fn step(&mut self, may: bool) -> Result<Coordinated> {
        let Some(coordinator) = &mut self.coordinator else { return Ok(Coordinated::Nothing) };
        let Some(mut making) = self.making.take() else {
            let last = self.epochs.all_done();
            if !self.ended && (may || last) {
                self.making = Some(coordinator.begin(last)?);
                return Ok(Coordinated::Something);
            }
            return Ok(Coordinated::Nothing);
        };
        let pieces = self.epochs.pieces();
        let is_all = pieces.as_ref().is_some_and(Vec::is_empty);
        if is_all {
            self.ended = making.is_last();
            coordinator.commit(making)?;
            return Ok(Coordinated::Made);
        }
        let did = if pieces.is_some() { Coordinated::Something } else { Coordinated::Nothing };
        coordinator.write(&mut making, pieces.unwrap_or_default())?;
        self.making = Some(making);
        Ok(did)
    }

    /// What has failed, if anything has; forgotten here.
    pub fn failure(&self) -> Option<Error> {
        self.shared.error()
    }

    /// A shard leaves, as all do when one of them has failed.
    pub fn end_shard(&mut self, shard: usize) {
        self.shards[shard] = None;
    }

    /// How long to wait before the job, which has failed, is started again; none when it is not.
    pub fn pause_after_failure(&mut self) -> Option<Duration> {
        self.start.pause_after_failure()
    }

    /// Starts the job again after a failure, when all shards have left; false when it had come to
    /// its end.
    ///
    /// # Errors
    /// What keeps it from going on.
    pub fn again(&mut self, after: Error) -> Result<bool> {
        debug_assert!(self.shards.iter().all(Option::is_none), "all have left");
        (self.coordinator, self.making, self.ended) = (None, None, false);
        let ready = self.start.ready_again(after)?;
        Ok(self.begin(ready))
    }
}
