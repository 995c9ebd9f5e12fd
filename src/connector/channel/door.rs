//! What the senders and the splits of a channel share: who is there, and the lanes between them.
//!
//! ```text
//! Sender ══ ring ══▶ Lane ─▶ Door of split 0      a sender's lane goes through the door with the
//! Sender ══ ring ══▶ Lane ─▶ Door of split 1      fewest lanes; the split behind it takes it up
//! ```
//!
//! # Who closes what
//!
//! A lane is *closed* when no record of it will be read that is sent from now on: its sender is
//! told and woken. That is when the job is stopped, or when nobody is left who could read it: no
//! split, and no source that could be cut into splits again. Between a failure and a restart
//! there is a source; lanes have no home then, and their senders wait.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connector::cord::Cord;
use crate::ring::{Bell, Consumer, Producer, Ringer, ring};
use crate::time::Timestamp;

/// What a ring carries: a record, and when it happened.
pub type Sent<R> = (Timestamp, R);

/// What a sender and its lane tell each other besides records.
#[derive(Default)]
pub struct Link {
    closed: AtomicBool,
    /// Rung when there is room, or when the lane is closed.
    pub room: Bell,
    cord: Cord,
}

impl Link {
    /// Whether nothing that is sent from now on will be read.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Wakes the shard that reads the lane; gives its bell, once it is known.
    pub fn ring(&self) -> Option<&Ringer> {
        self.cord.ring()
    }
}

/// The shard's end of a sender's ring.
pub struct Lane<R> {
    pub ring: Consumer<Sent<R>>,
    pub link: Arc<Link>,
    /// The split that has taken it up, to which it goes back after a restart.
    split: Option<usize>,
}

impl<R> Lane<R> {
    /// Lets the sender know that nothing more is read.
    pub fn close(&self) {
        self.link.closed.store(true, Release);
        self.link.room.ring();
    }

    /// Whether the sender is gone and all is read.
    pub fn is_over(&self) -> bool {
        self.ring.is_closed() && self.ring.is_empty()
    }
}

/// Where new lanes come to a split.
pub struct Door<R> {
    split: usize,
    /// How many records the split of before had read, where the job has failed.
    read: u64,
    /// Whether some are at the door.
    news: AtomicBool,
    arriving: Mutex<Vec<Lane<R>>>,
    /// How many lanes the split has, with those at the door.
    lanes: AtomicUsize,
    cord: Cord,
}

impl<R> Door<R> {
    fn new(split: usize, read: u64) -> Arc<Door<R>> {
        let (news, lanes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (arriving, cord) = (Mutex::default(), Cord::default());
        Arc::new(Door { split, read, news, arriving, lanes, cord })
    }

    /// Which split it belongs to.
    pub fn split(&self) -> usize {
        self.split
    }

    /// Hangs the bell of the split's shard.
    pub fn hang(&self, bell: &Ringer) {
        self.cord.hang(bell);
    }

    fn arriving(&self) -> MutexGuard<'_, Vec<Lane<R>>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, lane: Lane<R>) {
        self.lanes.fetch_add(1, Relaxed);
        self.arriving().push(lane);
        self.news.store(true, Release);
        self.cord.ring();
    }

    /// Takes up the lanes that have come, if any has; their senders ring the bell from now on.
    pub fn take_up(&self, lanes: &mut Vec<Lane<R>>) {
        if !self.news.load(Acquire) {
            return;
        }
        // First this: what comes after the lock says so again.
        self.news.store(false, Relaxed);
        for mut lane in self.arriving().drain(..) {
            lane.split = Some(self.split);
            if let Some(bell) = self.cord.bell() {
                // After a restart it has that bell already.
                lane.link.cord.hang(bell);
            }
            lanes.push(lane);
        }
    }

    /// So many lanes are over.
    pub fn over(&self, lanes: usize) {
        self.lanes.fetch_sub(lanes, Relaxed);
    }
}

/// All that a channel's senders, splits and source share.
pub struct Hub<R> {
    /// Of each ring.
    capacity: usize,
    /// How many senders there are. None is ever made when there is none.
    senders: AtomicUsize,
    /// How many records were read and belong to no checkpoint that the job went on from.
    lost: AtomicU64,
    desk: Mutex<Desk<R>>,
}

struct Desk<R> {
    doors: Vec<Arc<Door<R>>>,
    /// Lanes without a split.
    homeless: Vec<Lane<R>>,
    /// How many records each split had read when it went.
    read: Vec<u64>,
    source_gone: bool,
    closed: bool,
}

impl<R> Desk<R> {
    /// Gives a lane to the split that had it, or to one that has the fewest.
    fn deal(&mut self, lane: Lane<R>) {
        let own = lane.split.and_then(|split| self.doors.iter().find(|door| door.split == split));
        let fewest = || self.doors.iter().min_by_key(|door| door.lanes.load(Relaxed));
        match own.or_else(fewest) {
            Some(door) => door.give(lane),
            None => self.homeless.push(lane),
        }
    }

    /// The lanes that nobody will read, once that is so.
    fn given_up(&mut self) -> Vec<Lane<R>> {
        if self.source_gone && self.doors.is_empty() {
            self.closed = true;
        }
        if self.closed { std::mem::take(&mut self.homeless) } else { Vec::new() }
    }
}

impl<R: Send> Hub<R> {
    /// For rings of so many records; without a sender so far.
    pub fn new(capacity: usize) -> Arc<Hub<R>> {
        let (doors, homeless, read) = (Vec::new(), Vec::new(), Vec::new());
        let desk = Desk { doors, homeless, read, source_gone: false, closed: false };
        let (senders, lost) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Hub { capacity, senders, lost, desk: Mutex::new(desk) })
    }

    fn desk(&self) -> MutexGuard<'_, Desk<R>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sender more: its end of a new ring.
    pub fn enter(&self) -> (Producer<Sent<R>>, Arc<Link>) {
        self.senders.fetch_add(1, Relaxed);
        let (producer, ring) = ring(self.capacity);
        let link = Arc::new(Link::default());
        let lane = Lane { ring, link: link.clone(), split: None };
        let mut desk = self.desk();
        if desk.closed {
            lane.close()
        } else {
            desk.deal(lane)
        }
        (producer, link)
    }

    /// A sender less, whose ring is closed.
    pub fn leave(&self, link: &Link) {
        if self.senders.fetch_sub(1, AcqRel) > 1 {
            link.ring();
            return;
        }
        // All splits have ended with the last one.
        for door in &self.desk().doors {
            door.cord.ring();
        }
    }

    /// Whether any sender is left. What they have sent can be read once this is false.
    pub fn has_senders(&self) -> bool {
        self.senders.load(Acquire) > 0
    }

    /// Cuts the channel into so many splits, none of which is left from before; gives their doors.
    pub fn open(&self, splits: usize) -> Vec<Arc<Door<R>>> {
        let mut desk = self.desk();
        desk.read.resize(splits, 0);
        desk.doors = desk.read.iter().enumerate().map(|(n, read)| Door::new(n, *read)).collect();
        let homeless = std::mem::take(&mut desk.homeless);
        homeless.into_iter().for_each(|lane| desk.deal(lane));
        desk.doors.clone()
    }

    /// A split goes on behind so many records: what the one before had read beyond them is lost.
    pub fn goes_on(&self, door: &Door<R>, read: u64) {
        self.lost.fetch_add(door.read.saturating_sub(read), Relaxed);
    }

    /// How many records are lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Reads nothing any more: the job is stopped. Splits close the lanes that they have.
    pub fn close(&self) {
        let given_up = {
            let mut desk = self.desk();
            desk.closed = true;
            desk.given_up()
        };
        given_up.iter().for_each(Lane::close);
    }

    /// A split is gone. Its lanes wait for the splits of a restart, or go to the other splits if it
    /// was never opened: if it had ended at the checkpoint that the job goes on from. One that was
    /// had `read` so many records.
    pub fn gone(&self, door: &Arc<Door<R>>, mut lanes: Vec<Lane<R>>, read: Option<u64>) {
        let given_up = {
            let mut desk = self.desk();
            desk.doors.retain(|other| !Arc::ptr_eq(other, door));
            lanes.append(&mut door.arriving());
            match read {
                Some(read) => {
                    if let Some(of) = desk.read.get_mut(door.split) {
                        *of = read;
                    }
                    desk.homeless.append(&mut lanes);
                }
                None => lanes.into_iter().for_each(|lane| desk.deal(lane)),
            }
            desk.given_up()
        };
        given_up.iter().for_each(Lane::close);
    }

    /// The source is gone: no splits will be made.
    pub fn source_gone(&self) {
        let given_up = {
            let mut desk = self.desk();
            desk.source_gone = true;
            desk.given_up()
        };
        given_up.iter().for_each(Lane::close);
    }
}
