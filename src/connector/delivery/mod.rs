//! What sockets and HTTP share on the way out: from the writers of a sink to an I/O thread.
//!
//! ```text
//! shard 0: records, text ─ blocks ══╗          I/O thread of the sink
//! shard 1: records, text ─ blocks ══╩═ queue ═▶ Inbox ─▶ peer
//!                 ▲─────── rung: there is room, a block is delivered ──┘
//! ```
//!
//! A writer never waits: when the queue is full it is not ready, and its shard reads nothing more
//! that would come to it. The thread takes a block at a time and says when it is delivered,
//! whatever that means for its kind of peer. A job comes to its end when the thread has. When a
//! writer is dropped before that, the job has failed, and the thread lets go of everything.

mod writer;

pub use writer::BlockWriter;
pub(super) use writer::Layout;

use std::future::Future;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::cord::Cord;
use super::intake::{block_on, on_thread};
use super::text::Encoder;
use crate::error::{Error, Kind, Result};
use crate::limits::{PEER_AWAY_STOPPED, SOCKET_AHEAD_BYTES};
use crate::record::Record;

/// Records as text.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub bytes: Vec<u8>,
    /// Where each record ends, if that matters.
    pub ends: Vec<usize>,
    pub records: u64,
    writer: usize,
}

impl Block {
    fn of(writer: usize) -> Block {
        Block { writer, ..Block::default() }
    }
}

/// What a writer and the thread tell each other besides blocks.
#[derive(Debug, Default)]
struct Slip {
    /// Wakes the writer's shard.
    cord: Cord,
    /// How many of its blocks are delivered.
    delivered: AtomicU64,
    /// How many records it has put into blocks that are not delivered.
    under_way: AtomicU64,
    /// Whether it makes no more blocks. Some may still wait for room in the queue.
    finished: AtomicBool,
}

/// What the writers of a sink and its thread share.
#[derive(Debug)]
struct Desk {
    slips: Box<[Slip]>,
    /// Tells the thread that a writer has finished, or that the job shall stop.
    told: Notify,
    /// Since when.
    stopped: OnceLock<Instant>,
    /// Whether nobody has been there for too long to take anything.
    alone: AtomicBool,
    /// Bytes that wait for room in the queue.
    ahead: AtomicU64,
    /// Whether a writer was dropped before its time: the job has failed.
    abandoned: watch::Sender<bool>,
    /// How the thread has ended.
    outcome: OnceLock<Result>,
}

/// The writers of a sink, on their way to the shards.
#[derive(Debug)]
pub(super) struct Writers {
    queue: Sender<Block>,
    desk: Arc<Desk>,
}

impl Writers {
    /// The writer of one shard.
    pub fn writer<R: Record, E: Encoder<R>>(
        &self,
        shard: usize,
        encoder: E,
        layout: Layout,
    ) -> BlockWriter<R, E> {
        BlockWriter::new(shard, encoder, layout, (self.queue.clone(), self.desk.clone()))
    }
}

/// The thread's end of the queue.
pub(super) struct Inbox {
    queue: Receiver<Block>,
    desk: Arc<Desk>,
}

impl Inbox {
    /// The next block; none when all writers have finished.
    pub async fn next(&mut self) -> Option<Block> {
        let block = self.queue.recv().await;
        self.desk.ring();
        block
    }

    /// A block is delivered.
    pub fn delivered(&self, block: &Block) {
        let slip = &self.desk.slips[block.writer];
        slip.under_way.fetch_sub(block.records, Relaxed);
        slip.delivered.fetch_add(1, Release);
        slip.cord.ring();
    }

    /// Whether all writers have finished, or are gone: what is under way is all there will be.
    pub fn is_finishing(&self) -> bool {
        let gone = self.queue.sender_strong_count() == 0;
        gone || self.desk.slips.iter().all(|slip| slip.finished.load(Acquire))
    }

    /// Whether the job shall stop.
    pub fn is_stopped(&self) -> bool {
        self.desk.stopped.get().is_some()
    }

    /// Whether the job shall stop, and a peer that is away since then is waited for no longer.
    pub fn has_waited(&self, since: Instant) -> bool {
        let stopped = self.desk.stopped.get();
        stopped.is_some_and(|stopped| stopped.max(&since).elapsed() >= PEER_AWAY_STOPPED)
    }

    /// Ready when [`has_waited`](Inbox::has_waited) is true.
    pub async fn waited(&self, since: Instant) {
        let stopped = loop {
            match self.desk.stopped.get() {
                Some(stopped) => break stopped,
                None => self.told().await,
            }
        };
        sleep(PEER_AWAY_STOPPED.saturating_sub(stopped.max(&since).elapsed())).await;
    }

    /// Ready when one more writer has finished, or the job shall stop.
    pub async fn told(&self) {
        self.desk.told.notified().await;
    }

    /// Says whether nobody has been there for too long. The writers then take a little more than
    /// there is room for: a job that has come to its end shall not wait for ever for room to say
    /// so.
    pub fn set_alone(&self, alone: bool) {
        if self.desk.alone.swap(alone, AcqRel) != alone {
            self.desk.ring();
        }
    }

    /// How many records the writers have handed over that are not delivered.
    pub fn under_way(&self) -> u64 {
        self.desk.slips.iter().map(|slip| slip.under_way.load(Relaxed)).sum()
    }
}

/// Starts the thread of a sink with so many writers. It runs what `run` gives until that ends, or
/// until a writer is dropped before its time.
///
/// # Errors
/// That there is no thread to be had.
pub(super) fn start<F: Future<Output = Result> + 'static>(
    name: &str,
    writers: usize,
    blocks: usize,
    run: impl FnOnce(Inbox) -> F + Send + 'static,
) -> Result<Writers> {
    let (sender, queue) = mpsc::channel(blocks.max(1));
    let (abandoned, mut seen) = watch::channel(false);
    let desk = Arc::new(Desk {
        slips: (0..writers).map(|_| Slip::default()).collect(),
        told: Notify::new(),
        stopped: OnceLock::new(),
        alone: AtomicBool::new(false),
        ahead: AtomicU64::new(0),
        abandoned,
        outcome: OnceLock::new(),
    });
    let (ended, inbox) = (Ended(desk.clone()), Inbox { queue, desk: desk.clone() });
    let main = move || {
        let result = block_on(async {
            tokio::select! {
                result = run(inbox) => result,
                // Whoever would hear of it is gone, too.
                _ = seen.wait_for(|abandoned| *abandoned) => Ok(()),
            }
        });
        let _ = ended.0.outcome.set(result);
    };
    on_thread(name, main)?;
    Ok(Writers { queue: sender, desk })
}

/// Lets the writers know that the thread has ended, also by a panic.
struct Ended(Arc<Desk>);

impl Drop for Ended {
    fn drop(&mut self) {
        let lost = Error::new(Kind::Internal, "the thread of its sockets has panicked");
        let _ = self.0.outcome.set(Err(lost));
        self.0.ring();
    }
}

impl Desk {
    fn ring(&self) {
        for slip in &self.slips {
            slip.cord.ring();
        }
    }

    /// A writer makes no more blocks.
    fn finish(&self, writer: usize) {
        self.slips[writer].finished.store(true, Release);
        self.told.notify_one();
    }

    /// The job shall stop.
    fn stop(&self) {
        if self.stopped.get().is_none() && self.stopped.set(Instant::now()).is_ok() {
            self.told.notify_one();
        }
    }

    /// A writer is gone. What is under way matters to nobody unless the thread has ended before.
    fn leave(&self) {
        if self.outcome.get().is_none() {
            self.abandoned.send_replace(true);
        }
    }

    /// Whether writers may take more although there is no room.
    fn looks_ahead(&self) -> bool {
        self.alone.load(Acquire) && self.ahead.load(Relaxed) < SOCKET_AHEAD_BYTES as u64
    }

    /// How many blocks of a writer are delivered.
    fn delivered(&self, writer: usize) -> u64 {
        self.slips[writer].delivered.load(Acquire)
    }

    /// Whether the thread has ended.
    ///
    /// # Errors
    /// Why, if it has failed.
    fn has_ended(&self) -> Result<bool> {
        self.outcome.get().map_or(Ok(false), |ended| ended.clone().map(|()| true))
    }
}
