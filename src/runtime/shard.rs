//! A shard: one state machine with one entry, [`Shard::turn`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::{Epochs, PIECE};
use super::turns::Watch;
use crate::error::{Error, Kind, Result};
use crate::limits::PARKED;
use crate::operator::{Node, Output, Progress, Scene, Seat};
use crate::ring::{Bell, Idler, Rest};
use crate::sys::clock;

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
    /// Where it delivers what it saves, in a job with checkpoints.
    epochs: Option<Arc<Epochs>>,
    /// The last epoch that was begun here, and that was delivered.
    begun: u64,
    delivered: u64,
    idler: Idler,
    turns: Arc<Watch>,
    /// When the last turn began, if it had work.
    busy: Option<Instant>,
    /// How much of it went by in saving, which no source can make shorter.
    saving: Duration,
    /// Turns with work since it was said how much state there is.
    weighed: u32,
    /// How long the next sleep may be.
    nap: Duration,
    /// Of each node whether it may have something later without a ring of the bell.
    watched: Vec<bool>,
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

/// After so many turns with work it is said anew how much state there is: of a window with a
/// thousand panes that takes some microseconds.
const WEIGHED: u32 = 1 << 10;
/// Sleeps grow to this: sources that can't ring are looked at 25 times a second.
const NAP_MAX: Duration = Duration::from_millis(40);
const NAP_MIN: Duration = Duration::from_micros(50);

impl Shard {
    /// A shard of these nodes, each of which leads only to nodes behind it.
    pub(super) fn new(
        seat: Seat,
        nodes: Vec<Node>,
        idler: Idler,
        turns: Arc<Watch>,
        epochs: Option<Arc<Epochs>>,
    ) -> Shard {
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
        let (scene, watched) = (Scene::default(), vec![true; nodes.len()]);
        let begun = epochs.as_ref().map_or(0, |epochs| epochs.asked());
        Shard {
            seat,
            nodes,
            behind,
            ended: false,
            opened: false,
            scene,
            epochs,
            begun,
            delivered: begun,
            idler,
            turns,
            busy: None,
            saving: Duration::ZERO,
            weighed: WEIGHED,
            nap: NAP_MIN,
            watched,
        }
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
        let now = clock::now();
        if let Some(begun) = self.busy.take() {
            let turn = now.saturating_duration_since(begun);
            self.seat.pace.took(turn.saturating_sub(self.saving));
            self.turns.took(turn);
            self.weighed += 1;
            if self.weighed >= WEIGHED {
                self.weigh();
            }
        }
        let progress = match catch_unwind(AssertUnwindSafe(|| self.work())) {
            Ok(progress) => progress,
            Err(panic) => Err(self.panicked(&*panic)),
        };
        let progress =
            progress.map_err(|error| error.within(format!("shard {}", self.number())))?;
        Ok(match progress {
            Progress::Done => {
                self.weigh();
                Turn::Done
            }
            Progress::Busy => {
                self.idler.busy();
                self.busy = Some(now);
                Turn::Again
            }
            Progress::Idle | Progress::Parked => match self.idler.idle() {
                Rest::Spin => Turn::Spin,
                Rest::Yield => Turn::Yield,
                Rest::Park => {
                    if self.weighed > 0 {
                        self.weigh();
                    }
                    let nap = self.nap;
                    let looks = progress == Progress::Idle;
                    let looks = looks || self.seat.waiting.waits(self.seat.shard);
                    let longest = if looks { NAP_MAX } else { PARKED };
                    self.nap = (nap * 2).min(longest);
                    Turn::Sleep(nap.min(longest))
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
        self.begin_epoch()?;
        let mut total = Progress::Done;
        for index in (0..self.nodes.len()).rev() {
            let progress = self.poll(index)?;
            match progress {
                Progress::Busy => {
                    total = Progress::Busy;
                    // Who rings needs no look: sleeps grow short again for the others alone.
                    if self.watched[index] {
                        self.nap = NAP_MIN;
                    }
                }
                Progress::Idle if total != Progress::Busy => total = Progress::Idle,
                Progress::Parked if total == Progress::Done => total = Progress::Parked,
                Progress::Idle | Progress::Parked | Progress::Done => {}
            }
            if progress != Progress::Busy {
                self.watched[index] = progress == Progress::Idle;
            }
        }
        self.saving = Duration::ZERO;
        if self.delivered < self.begun {
            let begin = clock::now();
            if self.deliver_epoch()? {
                total = Progress::Busy;
            }
            self.saving = clock::now().saturating_duration_since(begin);
        }
        let ended = std::mem::replace(&mut self.ended, total == Progress::Done);
        Ok(match total {
            Progress::Done if !ended => Progress::Busy,
            Progress::Done => self.leave(),
            total => total,
        })
    }

    /// Says how much state there is.
    #[cold]
    fn weigh(&mut self) {
        self.weighed = 0;
        for Node { operator, counters, .. } in &self.nodes {
            counters.state_bytes.set(operator.state_bytes() as u64);
        }
    }

    /// Begins an epoch that is asked for at every node where one begins.
    fn begin_epoch(&mut self) -> Result {
        let asked = |epochs: &Arc<Epochs>| (epochs.asked(), epochs.is_full());
        let Some((asked, full)) = self.epochs.as_ref().map(asked) else {
            return Ok(());
        };
        if asked > self.begun {
            self.begun = asked;
            self.seat.pace.slow_down();
            self.scene.saver.borrow_mut().set_full(full);
            self.seat.waiting.hurry(self.seat.shard, true);
            for index in 0..self.nodes.len() {
                if self.nodes[index].operator.begins() && !self.nodes[index].has_finished() {
                    Output::begin(&mut self.nodes, index, &self.scene, asked)?;
                }
            }
        }
        Ok(())
    }

    /// Saves some of what is left of the epoch that was begun, once every node has begun it, and
    /// delivers it when that is all; true when there is more.
    fn deliver_epoch(&mut self) -> Result<bool> {
        let Some(epochs) = &self.epochs else { return Ok(false) };
        let epoch = self.begun;
        if self.nodes.iter().any(|node| node.epoch() < epoch && !node.has_finished()) {
            // What comes behind the barrier meets state that must be copied first.
            self.seat.pace.slow_down();
            return Ok(false);
        }
        let mut saver = self.scene.saver.borrow_mut();
        for node in self.nodes.iter_mut().filter(|node| node.epoch() < epoch) {
            node.save(epoch, &mut saver)?;
        }
        if epochs.has_backlog() {
            return Ok(false);
        }
        for node in &mut self.nodes {
            if !node.save_more(epoch, &mut saver)? {
                if saver.len() >= PIECE {
                    let next = epochs.deliver(self.seat.shard, saver.take(), false);
                    saver.write_into(next);
                }
                return Ok(true);
            }
        }
        self.delivered = epoch;
        self.seat.waiting.hurry(self.seat.shard, false);
        let next = epochs.deliver(self.seat.shard, saver.take(), true);
        saver.write_into(next);
        Ok(false)
    }

    /// Nothing is left to do: a job with checkpoints waits for its last one.
    fn leave(&self) -> Progress {
        let Some(epochs) = &self.epochs else { return Progress::Done };
        if epochs.is_last(self.delivered) {
            return Progress::Done;
        }
        epochs.done(self.seat.shard);
        Progress::Parked
    }

    fn open(&mut self) -> Result {
        for index in 0..self.nodes.len() {
            let seat = &self.seat;
            Output::enter(&mut self.nodes, index, &self.scene, |node, _| node.open(seat))?;
        }
        Ok(())
    }

    /// Polls a node unless something behind it can't take a batch, or has not got the barrier that
    /// this one has handed on.
    fn poll(&mut self, index: usize) -> Result<Progress> {
        let epoch = self.nodes[index].epoch();
        for behind in &self.behind[index] {
            let node = &mut self.nodes[*behind];
            if !node.operator.ready() || (node.epoch() < epoch && !node.has_finished()) {
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
