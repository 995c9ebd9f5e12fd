//! The job's side of a channel that records are received from.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::check;
use super::outlet::{Outlet, Tail};
use crate::error::Result;
use crate::operator::{Progress, Sink, Writer};
use crate::record::Record;
use crate::ring::{Producer, Ringer};
use crate::time::Timestamp;

/// A sink whose records a thread of the program receives; made by
/// [`Channel::sink`](super::Channel::sink).
///
/// # A slow receiver
///
/// A shard never waits for it. When a ring is full, the shard reads nothing more that would come to
/// this sink, as when any other ring has no room, and so on up to the sources. What is under way
/// already, the rest of a batch and what comes of it, is kept and goes first when there is room. A
/// checkpoint waits as well, as it does for any slow operator.
///
/// A job that is stopped does not wait for the receiver: what is under way is kept until it takes
/// it. A job that comes to its end by itself waits until what it has to read has been read: receive
/// before [`Running::join`](../runtime/struct.Running.html#method.join), or on another thread.
///
/// # A receiver that is dropped
///
/// What comes is dropped, and the job goes on: it may have other sinks. To end it there is
/// [`Running::stop`](../runtime/struct.Running.html#method.stop).
///
/// # Checkpoints
///
/// Records arrive at least once: those that came after the last checkpoint come again when the job
/// goes on from it.
pub struct ChannelSink<R: Record> {
    outlet: Arc<Outlet<R>>,
    /// How many records a ring was to hold.
    records: usize,
    name: String,
}

impl<R: Record> ChannelSink<R> {
    pub(super) fn new(outlet: Arc<Outlet<R>>, records: usize) -> Self {
        ChannelSink { outlet, records, name: "channel".into() }
    }

    /// Names it in messages, and apart from another channel of the job.
    #[must_use]
    pub fn named(mut self, name: impl fmt::Display) -> Self {
        self.name = format!("channel {name}");
        self
    }
}

impl<R: Record> fmt::Debug for ChannelSink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSink").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R: Record> Drop for ChannelSink<R> {
    fn drop(&mut self) {
        self.outlet.sink_gone();
    }
}

impl<R: Record> Sink<R> for ChannelSink<R> {
    type Writer = ChannelWriter<R>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn check(&self, _: usize, _: Option<u64>) -> Result {
        check::<R>(self.records)
    }

    fn open(&mut self, _: usize, _: usize) -> Result<ChannelWriter<R>> {
        let (ring, tail) = self.outlet.enter();
        let place = Place(self.outlet.clone());
        Ok(ChannelWriter { ring, waiting: VecDeque::new(), tail, told: true, place })
    }
}

/// What a [`ChannelSink`] writes with on one shard.
pub struct ChannelWriter<R: Record> {
    // In this order: whoever hears that the writer has left finds its ring closed.
    ring: Producer<R>,
    /// Records that found the ring full, in order.
    waiting: VecDeque<R>,
    tail: Arc<Tail<R>>,
    /// Whether the receiver was woken since a record came.
    told: bool,
    place: Place<R>,
}

/// One of a channel's writers; leaves when it is dropped.
struct Place<R: Record>(Arc<Outlet<R>>);

impl<R: Record> Drop for Place<R> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<R: Record> fmt::Debug for ChannelWriter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.len();
        f.debug_struct("ChannelWriter").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl<R: Record> ChannelWriter<R> {
    fn tell(&mut self) {
        if !self.told {
            self.told = true;
            self.place.0.bell.ring();
        }
    }
}

impl<R: Record> Writer<R> for ChannelWriter<R> {
    fn open(&mut self, bell: Ringer) {
        // Only this writer does, once.
        let _ = self.tail.bell.set(bell);
    }

    fn ready(&mut self) -> bool {
        let room = self.waiting.is_empty() && (self.ring.room() > 0 || self.ring.is_closed());
        if !room {
            // Nothing more comes before the receiver takes some, no flush either.
            self.tell();
        }
        room
    }

    fn poll(&mut self) -> Result<Progress> {
        if self.waiting.is_empty() {
            return Ok(Progress::Done);
        }
        if self.ring.is_closed() {
            self.waiting.clear();
            return Ok(Progress::Busy);
        }
        let room = self.ring.room().min(self.waiting.len());
        if room == 0 {
            self.tell();
            return Ok(Progress::Parked);
        }
        self.ring.push_iter(&mut self.waiting.drain(..room));
        self.told = false;
        self.tell();
        Ok(Progress::Busy)
    }

    #[inline]
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        if self.ring.is_closed() {
            return Ok(());
        }
        let record = R::own(record);
        self.told = false;
        if !self.waiting.is_empty() {
            self.waiting.push_back(record);
        } else if let Err(record) = self.ring.push(record) {
            self.waiting.push_back(record);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.tell();
        Ok(())
    }

    fn finish(&mut self) -> Result {
        // Nothing more comes: what waits is no more than it was, and the job need not.
        self.tail.rest().append(&mut self.waiting);
        self.told = false;
        self.tell();
        Ok(())
    }
}
