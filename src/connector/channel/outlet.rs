//! What the writers and the receiver of a channel share.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::ring::{Bell, Consumer, Producer, Ringer, ring};

/// What one shard's writer and the receiver tell each other besides records.
pub struct Tail<R> {
    /// Wakes the writer's shard.
    pub bell: OnceLock<Ringer>,
    /// What the writer held back when its stream had ended: it comes after what is in the ring.
    rest: Mutex<VecDeque<R>>,
}

impl<R> Tail<R> {
    pub fn rest(&self) -> MutexGuard<'_, VecDeque<R>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called when there is room, or nobody who would take what there is room for. A writer
    /// whose bell is not known has not begun, and looks before its shard sleeps.
    fn ring(&self) {
        fence(SeqCst);
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }
}

/// The receiver's end of one shard's ring. Wakes the shard when it goes.
pub struct Arrival<R> {
    // In this order: the shard that is woken finds its ring closed.
    pub ring: Consumer<R>,
    tail: Leaving<R>,
}

struct Leaving<R>(Arc<Tail<R>>);

impl<R> Drop for Leaving<R> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<R> Arrival<R> {
    /// Moves all that is there to `to`; false when that is nothing, and nothing more will come.
    pub fn take(&mut self, to: &mut VecDeque<R>) -> bool {
        if self.ring.drain(usize::MAX, |record| to.push_back(record)) > 0 {
            self.tail.0.ring();
            return true;
        }
        if !(self.ring.is_closed() && self.ring.is_empty()) {
            return true;
        }
        to.append(&mut self.tail.0.rest());
        false
    }
}

/// All that a channel's sink, writers and receiver share.
pub struct Outlet<R> {
    /// Of each ring.
    capacity: usize,
    /// Rung when records have come, or nothing more will.
    pub bell: Bell,
    /// Whether writers have come.
    news: AtomicBool,
    /// Whether there is no writer and none will be.
    over: AtomicBool,
    desk: Mutex<Desk<R>>,
}

struct Desk<R> {
    arriving: Vec<Arrival<R>>,
    writers: usize,
    sink_gone: bool,
    receiver_gone: bool,
}

impl<R: Send> Outlet<R> {
    /// For rings of so many records.
    pub fn new(capacity: usize) -> Arc<Outlet<R>> {
        let arriving = Vec::new();
        let desk = Desk { arriving, writers: 0, sink_gone: false, receiver_gone: false };
        let (news, over) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Outlet { capacity, bell: Bell::new(), news, over, desk: Mutex::new(desk) })
    }

    fn desk(&self) -> MutexGuard<'_, Desk<R>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A writer more: its end of a ring, which is closed when nobody receives.
    pub fn enter(&self) -> (Producer<R>, Arc<Tail<R>>) {
        let (producer, ring) = ring(self.capacity);
        let tail = Arc::new(Tail { bell: OnceLock::new(), rest: Mutex::default() });
        let arrival = Arrival { ring, tail: Leaving(tail.clone()) };
        let mut desk = self.desk();
        desk.writers += 1;
        if !desk.receiver_gone {
            desk.arriving.push(arrival);
            self.news.store(true, Release);
        }
        (producer, tail)
    }

    /// A writer less, whose ring is closed.
    pub fn leave(&self) {
        let mut desk = self.desk();
        desk.writers -= 1;
        self.see_whether_over(desk);
    }

    /// The sink is gone: there will be no more writers.
    pub fn sink_gone(&self) {
        let mut desk = self.desk();
        desk.sink_gone = true;
        self.see_whether_over(desk);
    }

    fn see_whether_over(&self, desk: MutexGuard<'_, Desk<R>>) {
        if desk.sink_gone && desk.writers == 0 {
            self.over.store(true, Release);
        }
        drop(desk);
        // Also where others are left: the ring of this one may have ended.
        self.bell.ring();
    }

    /// Whether no writer is left. What they have written can be taken once this is true.
    pub fn is_over(&self) -> bool {
        self.over.load(Acquire)
    }

    /// Takes up the rings that have come, if any has.
    pub fn take_up(&self, arrivals: &mut Vec<Arrival<R>>) {
        if self.news.load(Acquire) {
            // First this: what comes after the lock says so again.
            self.news.store(false, Relaxed);
            arrivals.append(&mut self.desk().arriving);
        }
    }

    /// Nobody receives any more.
    pub fn receiver_gone(&self) {
        let arriving = {
            let mut desk = self.desk();
            desk.receiver_gone = true;
            std::mem::take(&mut desk.arriving)
        };
        drop(arriving);
    }
}
