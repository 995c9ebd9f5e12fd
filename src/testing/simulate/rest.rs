//! Whether a job is at rest.

use crate::runtime::{Coordinated, Turn};

/// Whether a job has nothing more to do until something comes from outside.
pub struct Rest {
    /// The turns of each shard since one of them had something to do.
    idle: Vec<u32>,
    /// How many there must be of each.
    enough: u32,
    /// Whether a checkpoint is being made.
    saves: bool,
}

impl Rest {
    /// Of so many shards, each of which must have had `enough` turns with nothing to do.
    pub fn new(shards: usize, enough: u32) -> Rest {
        Rest { idle: vec![0; shards], enough, saves: false }
    }

    /// A shard has had a turn.
    pub fn took(&mut self, shard: usize, turn: Turn) {
        match turn {
            Turn::Again => self.idle.fill(0),
            Turn::Spin | Turn::Yield | Turn::Sleep(_) => self.idle[shard] += 1,
            // Then all shards are done.
            Turn::Done => {}
        }
    }

    /// The coordinator has taken a step.
    pub fn did(&mut self, did: Coordinated) {
        match did {
            Coordinated::Nothing => {}
            Coordinated::Something => self.saves = true,
            Coordinated::Made => self.saves = false,
        }
    }

    /// Whether it is there now, once.
    pub fn is_there(&mut self) -> bool {
        let there = !self.saves && self.idle.iter().all(|idle| *idle >= self.enough);
        if there {
            self.idle.fill(0);
        }
        there
    }

    /// Begins anew: all that ran has left.
    pub fn begin(&mut self) {
        self.idle.fill(0);
        self.saves = false;
    }
}
