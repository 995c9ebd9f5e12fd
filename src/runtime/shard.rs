//! A shard: one state machine with one entry, [`Shard::turn`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::operator::{Node, Output, Progress, Scene, Seat};
use crate::ring::{Bell, Idle, Idler, Rest};

/// One pinned thread's part of a job.
pub struct Shard {
    seat: Seat,
    nodes: Vec<Node>,
    /// For each node all that is behind it on this shard.
    behind: Vec<Vec<usize>>,
    /// Whether the last pass found every node done.
    ended: bool,
    opened: bool,
    scene: Scene,
    idler: Idler,
    /// How long the next sleep may be.
    nap: Duration,
}

/// What the driver does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another turn at once.
    Again,
    /// A spin-loop hint, then another turn.
    Spin,
    /// Let other threads of the core go first.
    Yield,
    /// Arm the bell, take one more turn, and sleep for at most so long unless it had work.
    Sleep(Duration),
    /// The shard's work is done.
    Done,
}

/// Sleeps grow to this: sources that can't ring are looked at 25 times a second.
const NAP_MAX: Duration = Duration::from_millis(40);
/// And to this where whoever brings work rings the bell.
const PARKED_MAX: Duration = Duration::from_secs(1);
const NAP_MIN: Duration = Duration::from_micros(50);

impl Shard {
    /// A shard of these nodes, each of which leads only to nodes behind it.
    pub fn new(seat: Seat, nodes: Vec<Node>, idle: Idle, cores: usize) -> Shard {
        let mut behind: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for index in (0..nodes.len()).rev() {
            let mut all: Vec<usize> = Vec::new();
            for edge in nodes[index].edges() {
                all.push(edge.node);
                all.extend_from_slice(&behind[edge.node]);
            }
            all.sort_unstable();
            all.dedup();
            behind[index] = all;
        }
        let idler = Idler::new(idle, seat.shards, cores);
        let scene = Scene::default();
        Shard { seat, nodes, behind, ended: false, opened: false, scene, idler, nap: NAP_MIN }
    }

    /// The shard's number.
    pub fn number(&self) -> usize {
        self.seat.shard
    }

    /// The bell that wakes it.
    pub fn bell(&self) -> &Bell {
        &self.seat.bells[self.seat.shard]
    }

    /// One pass over everything the shard has to do; bounded, never blocks.
    ///
    /// # Errors
    /// What an operator failed or panicked with, with its name.
    pub fn turn(&mut self) -> Result<Turn> {
        let progress = match catch_unwind(AssertUnwindSafe(|| self.work())) {
            Ok(progress) => progress,
            Err(panic) => Err(self.panicked(&*panic)),
        };
        let progress =
            progress.map_err(|error| error.within(format!("shard {}", self.number())))?;
        Ok(match progress {
            Progress::Done => Turn::Done,
            Progress::Busy => {
                self.idler.busy();
                self.nap = NAP_MIN;
                Turn::Again
            }
            Progress::Idle | Progress::Parked => match self.idler.idle() {
                Rest::Spin => Turn::Spin,
                Rest::Yield => Turn::Yield,
                Rest::Park => {
                    let nap = self.nap;
                    let longest = if progress == Progress::Idle { NAP_MAX } else { PARKED_MAX };
                    self.nap = (nap * 2).min(longest);
                    Turn::Sleep(nap)
                }
            },
        })
    }

    /// Polls every node. A node that had nothing may have something later: an exchange is given
    /// packets by what is polled after it. So a shard has ended only when a second pass finds the
    /// same.
    fn work(&mut self) -> Result<Progress> {
        if !self.opened {
            self.opened = true;
            self.open()?;
        }
        let mut total = Progress::Done;
        for index in (0..self.nodes.len()).rev() {
            match self.poll(index)? {
                Progress::Busy => total = Progress::Busy,
                Progress::Idle if total != Progress::Busy => total = Progress::Idle,
                Progress::Parked if total == Progress::Done => total = Progress::Parked,
                Progress::Idle | Progress::Parked | Progress::Done => {}
            }
        }
        let ended = std::mem::replace(&mut self.ended, total == Progress::Done);
        Ok(if total == Progress::Done && !ended { Progress::Busy } else { total })
    }

    fn open(&mut self) -> Result {
        for index in 0..self.nodes.len() {
            let seat = &self.seat;
            Output::enter(&mut self.nodes, index, &self.scene, |node, _| node.open(seat))?;
        }
        Ok(())
    }

    /// Polls a node unless something behind it can't take a batch.
    fn poll(&mut self, index: usize) -> Result<Progress> {
        for behind in &self.behind[index] {
            if !self.nodes[*behind].operator.ready() {
                return Ok(Progress::Parked);
            }
        }
        Output::enter(&mut self.nodes, index, &self.scene, |node, out| node.poll(out))
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Error {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "(no message)".into());
        let error = Error::new(Kind::UserCode, format!("panicked: {text}"));
        match self.nodes.get(self.scene.last()) {
            Some(node) if !node.name.is_empty() => error.within(node.suspects()),
            _ => error,
        }
    }
}
