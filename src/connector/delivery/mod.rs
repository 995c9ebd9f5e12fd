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
//! whatever that means for its kind of peer. A job comes to its end when the thread has.

mod writer;

pub use writer::BlockWriter;
pub(super) use writer::Layout;

use std::future::Future;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::cord::Cord;
use super::intake::{block_on, on_thread};
use super::text::Encoder;
use crate::error::{Error, Kind, Result};
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

/// What the writers of a sink know of its thread.
#[derive(Clone, Debug)]
struct Outbox {
    slips: Arc<[Slip]>,
    /// Told when a writer has finished.
    finished: Arc<Notify>,
    /// How the thread has ended.
    outcome: Arc<OnceLock<Result>>,
}

/// The writers of a sink, on their way to the shards.
#[derive(Debug)]
pub(super) struct Writers {
    queue: Sender<Block>,
    outbox: Outbox,
}

impl Writers {
    /// The writer of one shard.
    pub fn writer<R: Record, E: Encoder<R>>(
        &self,
        shard: usize,
        encoder: E,
        layout: Layout,
    ) -> BlockWriter<R, E> {
        BlockWriter::new(shard, encoder, layout, (self.queue.clone(), self.outbox.clone()))
    }
}

/// The thread's end of the queue.
pub(super) struct Inbox {
    queue: Receiver<Block>,
    slips: Arc<[Slip]>,
    finished: Arc<Notify>,
}

impl Inbox {
    /// The next block; none when all writers have finished.
    pub async fn next(&mut self) -> Option<Block> {
        let block = self.queue.recv().await;
        self.ring();
        block
    }

    /// A block is delivered.
    pub fn delivered(&self, block: &Block) {
        self.slips[block.writer].under_way.fetch_sub(block.records, Relaxed);
        self.slips[block.writer].delivered.fetch_add(1, Release);
        self.slips[block.writer].cord.ring();
    }

    /// Whether all writers have finished, or are gone: what is under way is all there will be.
    pub fn is_finishing(&self) -> bool {
        let gone = self.queue.sender_strong_count() == 0;
        gone || self.slips.iter().all(|slip| slip.finished.load(Acquire))
    }

    /// Ready when one more writer has finished.
    pub async fn finished(&self) {
        self.finished.notified().await;
    }

    /// How many records the writers have handed over that are not delivered.
    pub fn under_way(&self) -> u64 {
        self.slips.iter().map(|slip| slip.under_way.load(Relaxed)).sum()
    }

    fn ring(&self) {
        for slip in &*self.slips {
            slip.cord.ring();
        }
    }
}

/// Starts the thread of a sink with so many writers. It runs what `run` gives until that ends.
///
/// # Errors
/// That there is no thread to be had.
pub(super) fn start<F: Future<Output = Result> + 'static>(
    name: &str,
    writers: usize,
    blocks: usize,
    run: impl FnOnce(Inbox) -> F + Send + 'static,
) -> Result<Writers> {
    let (sender, receiver) = mpsc::channel(blocks.max(1));
    let slips: Arc<[Slip]> = (0..writers).map(|_| Slip::default()).collect();
    let outcome = Arc::new(OnceLock::new());
    let finished = Arc::new(Notify::new());
    let outbox =
        Outbox { slips: slips.clone(), finished: finished.clone(), outcome: outcome.clone() };
    let ended = Ended { slips: slips.clone(), outcome };
    let main = move || {
        let result = block_on(run(Inbox { queue: receiver, slips, finished }));
        let _ = ended.outcome.set(result);
    };
    on_thread(name, main)?;
    Ok(Writers { queue: sender, outbox })
}

/// Lets the writers know that the thread has ended, also by a panic.
struct Ended {
    slips: Arc<[Slip]>,
    outcome: Arc<OnceLock<Result>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let lost = Error::new(Kind::Internal, "the thread of its sockets has panicked");
        let _ = self.outcome.set(Err(lost));
        for slip in &*self.slips {
            slip.cord.ring();
        }
    }
}

impl Outbox {
    /// A writer makes no more blocks.
    fn finish(&self, writer: usize) {
        self.slips[writer].finished.store(true, Release);
        self.finished.notify_one();
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
