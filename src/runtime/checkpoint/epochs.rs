//! What the shards and the coordinator of a job's checkpoints tell each other.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The coordinator asks for an epoch; every shard delivers what it has saved of it.
#[derive(Debug)]
pub struct Epochs {
    /// The newest epoch that shards shall save.
    asked: AtomicU64,
    /// The last one whose checkpoint is made and shown.
    made: AtomicU64,
    /// After this epoch shards that have nothing left to do may go.
    last: AtomicU64,
    desk: Mutex<Desk>,
    /// Something was put on the desk.
    news: Condvar,
}

#[derive(Debug)]
struct Desk {
    /// What each shard has saved of the epoch that was asked for.
    saved: Vec<Option<Vec<u8>>>,
    /// Which shards have nothing left to do but to save what they are asked for.
    done: Vec<bool>,
    /// Whether somebody wants a checkpoint now.
    wanted: bool,
}

impl Epochs {
    /// For so many shards, after an epoch.
    pub fn new(shards: usize, epoch: u64) -> Epochs {
        let (asked, made) = (AtomicU64::new(epoch), AtomicU64::new(epoch));
        let saved = (0..shards).map(|_| None).collect();
        let desk = Mutex::new(Desk { saved, done: vec![false; shards], wanted: false });
        Epochs { asked, made, last: AtomicU64::new(u64::MAX), desk, news: Condvar::new() }
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

    /// The last epoch whose checkpoint is made and shown.
    pub fn made(&self) -> u64 {
        self.made.load(Acquire)
    }

    /// Whether a shard that has saved this epoch and has nothing left to do may go.
    pub fn is_last(&self, epoch: u64) -> bool {
        self.last.load(Acquire) <= epoch
    }

    /// A shard has saved the epoch that was asked for.
    pub fn deliver(&self, shard: usize, sections: Vec<u8>) {
        self.desk().saved[shard] = Some(sections);
        self.news.notify_all();
    }

    /// A shard has nothing left to do.
    pub fn done(&self, shard: usize) {
        let mut desk = self.desk();
        if !std::mem::replace(&mut desk.done[shard], true) {
            self.news.notify_all();
        }
    }

    /// Somebody wants a checkpoint now.
    pub fn want(&self) {
        self.desk().wanted = true;
        self.news.notify_all();
    }

    /// Wakes whoever waits for news.
    pub fn wake(&self) {
        self.news.notify_all();
    }

    /// Waits until it is time for the next checkpoint: after so long, when somebody wants one, or
    /// when no shard has anything left to do, which is said. None when `given_up`.
    pub fn wait_for_turn(&self, at_most: Duration, given_up: impl Fn() -> bool) -> Option<bool> {
        let idle =
            |desk: &mut Desk| !given_up() && !desk.wanted && !desk.done.iter().all(|done| *done);
        let waited = self.news.wait_timeout_while(self.desk(), at_most, idle);
        let mut desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        desk.wanted = false;
        (!given_up()).then(|| desk.done.iter().all(|done| *done))
    }

    /// Asks the shards, which the caller wakes, for an epoch.
    pub fn ask(&self, epoch: u64) {
        self.asked.store(epoch, Release);
    }

    /// Waits until all shards have delivered. None when `given_up`.
    pub fn wait_for_all(&self, given_up: impl Fn() -> bool) -> Option<Vec<Vec<u8>>> {
        let waits = |desk: &mut Desk| !given_up() && desk.saved.iter().any(Option::is_none);
        let waited = self.news.wait_while(self.desk(), waits);
        let mut desk = waited.unwrap_or_else(PoisonError::into_inner);
        if given_up() {
            return None;
        }
        desk.saved.iter_mut().map(Option::take).collect()
    }

    /// The checkpoint of an epoch is made and shown.
    pub fn settle(&self, epoch: u64) {
        self.made.store(epoch, Release);
        self.news.notify_all();
    }

    /// No epoch follows this one.
    pub fn end(&self, epoch: u64) {
        self.last.store(epoch, Release);
    }

    /// Waits until the checkpoint of an epoch is made. False when `given_up`.
    pub fn wait_until_made(&self, epoch: u64, given_up: impl Fn() -> bool) -> bool {
        let waits = |_: &mut Desk| !given_up() && self.made() < epoch;
        drop(self.news.wait_while(self.desk(), waits).unwrap_or_else(PoisonError::into_inner));
        self.made() >= epoch
    }
}
