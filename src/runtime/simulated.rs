//! A job without threads: whoever holds it decides which shard does something next.

use std::sync::Arc;

use super::checkpoint::{Coordinator, Epochs, Making};
use super::start::{Ready, Start};
use super::{Config, Shard, Turn};
use crate::error::Result;
use crate::plan::Plan;

/// The shards of a job with checkpoints, and their coordinator.
pub(crate) struct Simulated {
    shards: Vec<Shard>,
    coordinator: Coordinator,
    epochs: Arc<Epochs>,
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
    /// Makes the shards, with what they go on from; none when the job had come to its end before.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub fn start(job: &str, plan: Plan, config: &Config) -> Result<Option<Simulated>> {
        let mut start = Start::new(job, plan, config);
        let Some(Ready { seats, shards, checkpoints }) = start.ready(true)? else {
            return Ok(None);
        };
        let coordinator = checkpoints.and_then(|checkpoints| start.coordinator(checkpoints));
        let epochs = start.shared().epochs.clone();
        let (coordinator, epochs) =
            coordinator.zip(epochs).expect("a job that is simulated has checkpoints");
        let shards = seats.into_iter().zip(shards);
        let shards = shards.map(|(seat, nodes)| start.shard(seat, nodes)).collect();
        Ok(Some(Simulated { shards, coordinator, epochs, making: None, ended: false }))
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Lets a shard have a turn.
    ///
    /// # Errors
    /// What ends the job.
    pub fn turn(&mut self, shard: usize) -> Result<Turn> {
        self.shards[shard].turn()
    }

    /// Lets the coordinator take a step: begin a checkpoint if it `may`, or has to for the last
    /// time, or go on with the one that it makes.
    ///
    /// # Errors
    /// What ends the job.
    pub fn coordinate(&mut self, may: bool) -> Result<Coordinated> {
        let Some(mut making) = self.making.take() else {
            let last = self.epochs.all_done();
            if !self.ended && (may || last) {
                self.making = Some(self.coordinator.begin(last)?);
                return Ok(Coordinated::Something);
            }
            return Ok(Coordinated::Nothing);
        };
        let pieces = self.epochs.pieces();
        let is_all = pieces.as_ref().is_some_and(Vec::is_empty);
        if is_all {
            self.ended = making.is_last();
            self.coordinator.commit(making)?;
            return Ok(Coordinated::Made);
        }
        let did = if pieces.is_some() { Coordinated::Something } else { Coordinated::Nothing };
        self.coordinator.write(&mut making, pieces.unwrap_or_default())?;
        self.making = Some(making);
        Ok(did)
    }
}
