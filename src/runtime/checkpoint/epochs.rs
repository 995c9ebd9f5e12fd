//! What the shards and the coordinator of a job's checkpoints tell each other.

use std::path::PathBuf;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::state::in_small_pages;

/// The coordinator asks for an epoch; every shard delivers what it has saved of it.
#[derive(Debug)]
pub struct Epochs {
    /// The newest epoch that shards shall save.
    asked: AtomicU64,
    /// The last one whose checkpoint is made and shown.
    made: AtomicU64,
    /// The newest epoch of which all of every table is saved, not only what has changed.
    full: AtomicU64,
    /// After this epoch shards that have nothing left to do may go.
    last: AtomicU64,
    /// Bytes that were delivered and are not written.
    backlog: AtomicUsize,
    desk: Mutex<Desk>,
    /// Something was put on the desk.
    news: Condvar,
}

#[derive(Debug)]
struct Desk {
    /// What shards have saved of the epoch that was asked for, and was not taken yet.
    arrived: Vec<Piece>,
    /// Memory of pieces that were written, to be used again.
    room: Vec<Vec<u8>>,
    /// Which shards have saved all of it.
    delivered: Vec<bool>,
    /// Which shards have nothing left to do but to save what they are asked for.
    done: Vec<bool>,
    /// Somebody wants the checkpoint of this epoch now, and those before.
    wanted: u64,
    /// Where the next checkpoint is to be kept besides, and what became of that.
    savepoints: Vec<Savepoint>,
}

/// Some of what a shard has saved of an epoch: whole sections, in order.
#[derive(Debug)]
pub struct Piece {
    /// The shard.
    pub shard: usize,
    /// The sections.
    pub sections: Vec<u8>,
}

/// What is saved is delivered in pieces of so many bytes.
pub const PIECE: usize = 1 << 20;

/// A shard saves no more while so many bytes wait to be written.
const BACKLOG_MAX: usize = 32 << 20;

/// Pieces whose memory is kept: fresh memory has to be cleared by the system first. As many as wait
/// to be written at most.
const ROOM_MAX: usize = BACKLOG_MAX / PIECE;

/// A copy of a checkpoint that somebody waits for.
pub type Savepoint = Arc<Wanted>;

/// Where a copy of a checkpoint is to be kept.
#[derive(Debug)]
pub struct Wanted {
    /// The directory.
    pub to: PathBuf,
    /// Its epoch, or why it could not be made.
    pub made: OnceLock<Result<u64>>,
}

impl Epochs {
    /// For so many shards.
    pub fn new(shards: usize) -> Epochs {
        let desk = Desk {
            arrived: Vec::new(),
            room: Vec::new(),
            delivered: vec![false; shards],
            done: vec![false; shards],
            wanted: 0,
            savepoints: Vec::new(),
        };
        Epochs {
            asked: AtomicU64::new(0),
            made: AtomicU64::new(0),
            full: AtomicU64::new(0),
            backlog: AtomicUsize::new(0),
            last: AtomicU64::new(u64::MAX),
            desk: Mutex::new(desk),
            news: Condvar::new(),
        }
    }

    /// Begins after an epoch, when no shard runs: what was delivered of a later one is nothing, and
    /// what is wanted still is.
    pub fn begin(&self, epoch: u64) {
        let mut desk = self.desk();
        desk.arrived.clear();
        desk.delivered.fill(false);
        self.backlog.store(0, Release);
        desk.done.fill(false);
        self.asked.store(epoch, Release);
        self.made.store(epoch, Release);
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.desk().done.len()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest epoch that shards shall save.
    pub fn asked(&self) -> u64 {
        self.asked.load(Acquire)
    }

    /// Whether all of every table is saved of the newest epoch.
    pub fn is_full(&self) -> bool {
        self.full.load(Acquire) == self.asked()
    }

    /// Whether so much waits to be written that shards save no more for now.
    pub fn has_backlog(&self) -> bool {
        self.backlog.load(Acquire) > BACKLOG_MAX
    }

    /// The last epoch whose checkpoint is made and shown.
    pub fn made(&self) -> u64 {
        self.made.load(Acquire)
    }

    /// Whether a shard that has saved this epoch and has nothing left to do may go.
    pub fn is_last(&self, epoch: u64) -> bool {
        self.last.load(Acquire) <= epoch
    }

    /// A shard has saved some of the epoch that was asked for, or the last of it. The first piece
    /// holds all but what has changed in tables. Gives memory for the next one.
    pub fn deliver(&self, shard: usize, sections: Vec<u8>, last: bool) -> Vec<u8> {
        self.backlog.fetch_add(sections.len(), AcqRel);
        let mut desk = self.desk();
        desk.arrived.push(Piece { shard, sections });
        desk.delivered[shard] |= last;
        self.news.notify_all();
        // As large as it gets, from the start: to grow is to take fresh memory once more.
        desk.room.pop().unwrap_or_else(|| {
            let room = Vec::with_capacity(2 * PIECE);
            in_small_pages(&room);
            room
        })
    }

    /// Takes back the memory of a piece that was written; true when shards that waited for room
    /// have it now.
    #[must_use]
    pub fn recycle(&self, mut sections: Vec<u8>) -> bool {
        let before = self.backlog.fetch_sub(sections.len(), AcqRel);
        let makes_room = before > BACKLOG_MAX && before - sections.len() <= BACKLOG_MAX;
        sections.clear();
        let mut desk = self.desk();
        if desk.room.len() < ROOM_MAX {
            desk.room.push(sections);
        }
        makes_room
    }

    /// A shard has nothing left to do.
    pub fn done(&self, shard: usize) {
        let mut desk = self.desk();
        if !std::mem::replace(&mut desk.done[shard], true) {
            self.news.notify_all();
        }
    }

    /// Somebody wants a checkpoint now; gives its epoch.
    pub fn want(&self) -> u64 {
        self.want_next(&mut self.desk())
    }

    fn want_next(&self, desk: &mut Desk) -> u64 {
        // One that is being made now may have begun before.
        desk.wanted = self.asked() + 1;
        self.news.notify_all();
        desk.wanted
    }

    /// Somebody wants a checkpoint now that is kept besides.
    pub fn want_savepoint(&self, to: PathBuf) -> Savepoint {
        let savepoint = Arc::new(Wanted { to, made: OnceLock::new() });
        let mut desk = self.desk();
        desk.savepoints.push(savepoint.clone());
        self.want_next(&mut desk);
        savepoint
    }

    /// The copies that were wanted before the next epoch is asked for. They stay wanted until they
    /// are made: what makes them may fail, and the job begin again.
    pub fn savepoints(&self) -> Vec<Savepoint> {
        let mut desk = self.desk();
        desk.savepoints.retain(|savepoint| savepoint.made.get().is_none());
        desk.savepoints.clone()
    }

    /// Wakes whoever waits for news.
    pub fn wake(&self) {
        // Who has looked in vain and does not wait yet holds the desk, and would miss it.
        let _desk = self.desk();
        self.news.notify_all();
    }

    /// Waits until it is time for the next checkpoint: after so long, when somebody wants one, or
    /// when no shard has anything left to do, which is said. None when `given_up`.
    pub fn wait_for_turn(&self, at_most: Duration, given_up: impl Fn() -> bool) -> Option<bool> {
        let idle = |desk: &mut Desk| {
            let wanted = desk.wanted > self.asked();
            !given_up() && !wanted && !desk.done.iter().all(|done| *done)
        };
        let waited = self.news.wait_timeout_while(self.desk(), at_most, idle);
        let desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        (!given_up()).then(|| desk.done.iter().all(|done| *done))
    }

    /// Asks the shards, which the caller wakes, for an epoch: for all of every table when `full`.
    pub fn ask(&self, epoch: u64, full: bool) {
        self.desk().delivered.fill(false);
        if full {
            self.full.store(epoch, Release);
        }
        self.asked.store(epoch, Release);
    }

    /// Waits for what shards deliver; no more comes when all was taken before. None when
    /// `given_up`.
    pub fn wait_for_pieces(&self, given_up: impl Fn() -> bool) -> Option<Vec<Piece>> {
        let waits = |desk: &mut Desk| {
            !given_up() && desk.arrived.is_empty() && desk.delivered.contains(&false)
        };
        let waited = self.news.wait_while(self.desk(), waits);
        let mut desk = waited.unwrap_or_else(PoisonError::into_inner);
        if given_up() {
            return None;
        }
        Some(std::mem::take(&mut desk.arrived))
    }

    /// What shards have delivered, as [`wait_for_pieces`](Epochs::wait_for_pieces) gives it; none
    /// when more is to come and nothing is there.
    pub fn pieces(&self) -> Option<Vec<Piece>> {
        let comes = |desk: &Desk| desk.arrived.is_empty() && desk.delivered.contains(&false);
        if comes(&self.desk()) {
            return None;
        }
        self.wait_for_pieces(|| false)
    }

    /// Whether no shard has anything left to do.
    pub fn all_done(&self) -> bool {
        self.desk().done.iter().all(|done| *done)
    }

    /// The checkpoint of an epoch is made and shown.
    pub fn settle(&self, epoch: u64) {
        self.made.store(epoch, Release);
        self.wake();
    }

    /// No epoch follows this one.
    pub fn end(&self, epoch: u64) {
        self.last.store(epoch, Release);
    }

    /// Waits until a copy is made; none when `given_up`.
    pub fn wait_until_kept(
        &self,
        savepoint: &Savepoint,
        given_up: impl Fn() -> bool,
    ) -> Option<Result<u64>> {
        let waits = |_: &mut Desk| !given_up() && savepoint.made.get().is_none();
        drop(self.news.wait_while(self.desk(), waits).unwrap_or_else(PoisonError::into_inner));
        savepoint.made.get().cloned()
    }

    /// Waits until the checkpoint of an epoch is made. False when `given_up`.
    pub fn wait_until_made(&self, epoch: u64, given_up: impl Fn() -> bool) -> bool {
        let waits = |_: &mut Desk| !given_up() && self.made() < epoch;
        drop(self.news.wait_while(self.desk(), waits).unwrap_or_else(PoisonError::into_inner));
        self.made() >= epoch
    }
}
