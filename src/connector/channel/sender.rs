//! The program's side of a channel that records are sent to.

use std::fmt;
use std::sync::Arc;

use super::door::{Hub, Link, Sent};
use super::{Ended, SendError, TrySendError};
use crate::record::Record;
use crate::ring::{Producer, Ringer};
use crate::time::Timestamp;

/// Sends records to a job; made by [`Channel::source`](super::Channel::source).
///
/// A clone is another sender with a ring of its own, made on any thread and at any time, while the
/// job runs and before. To send is to write into that ring and to wake the shard if it sleeps; it
/// takes no lock. To make a clone takes memory for all that a ring holds and has a shard look for
/// it: make one for each thread or task that sends, not one for each record.
///
/// A record that was sent, `Ok`, is in the ring. A job that fails, or had begun to stop, may not
/// read it; see [`ChannelSource`](super::ChannelSource).
///
/// ```
/// use thalweg::prelude::*;
///
/// let (numbers, source) = Channel::source::<u64>(64);
/// let (sink, results) = Collect::new();
/// let job = Job::new("sums").shards(2);
/// job.source(source).key_by(|n| n % 2).aggregate_final(|ns| ns.sum(|n| n)).sink(sink);
/// let running = job.start()?;
/// std::thread::scope(|scope| {
///     for first in 0..4 {
///         let mut numbers = numbers.clone();
///         scope.spawn(move || numbers.send_batch((first..1_000).step_by(4)));
///     }
/// });
/// drop(numbers);
/// running.join()?;
/// assert_eq!(results.sorted(), [(0, 249_500), (1, 250_000)]);
/// # Ok::<(), Error>(())
/// ```
pub struct Sender<R: Record> {
    // In this order: whoever hears that the sender has left finds its ring closed.
    ring: Producer<Sent<R>>,
    /// Of the shard, once it is known.
    bell: Option<Ringer>,
    place: Place<R>,
}

/// One of a channel's senders; leaves when it is dropped.
struct Place<R: Record> {
    hub: Arc<Hub<R>>,
    link: Arc<Link>,
}

impl<R: Record> Drop for Place<R> {
    fn drop(&mut self) {
        self.hub.leave(&self.link);
    }
}

impl<R: Record> Sender<R> {
    /// A channel's first sender.
    pub(super) fn first(hub: &Arc<Hub<R>>) -> Sender<R> {
        let (ring, link) = hub.enter();
        Sender { ring, bell: None, place: Place { hub: hub.clone(), link } }
    }

    /// Sends a record; blocks the thread while there is no room.
    ///
    /// # Errors
    /// Gives the record back when the job has ended, also while it waits.
    #[inline]
    pub fn send(&mut self, record: R) -> Result<(), SendError<R>> {
        self.send_at(Timestamp::MIN, record)
    }

    /// As [`send`](Sender::send), with the record's event time; the source says that records have
    /// them ([`ChannelSource::timed`](super::ChannelSource::timed)).
    ///
    /// # Errors
    /// As for [`send`](Sender::send).
    pub fn send_at(&mut self, at: Timestamp, mut record: R) -> Result<(), SendError<R>> {
        loop {
            record = match self.try_send_at(at, record) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Ended(record)) => return Err(SendError(record)),
                Err(TrySendError::Full(record)) => record,
            };
            self.wait_for_room();
        }
    }

    /// Sends a record if there is room; never blocks.
    ///
    /// # Errors
    /// Gives the record back: [`Full`](TrySendError::Full) when there is no room,
    /// [`Ended`](TrySendError::Ended) when the job has ended.
    ///
    /// ```
    /// use thalweg::connector::TrySendError;
    /// use thalweg::prelude::*;
    ///
    /// let (mut numbers, source) = Channel::source(2);
    /// assert_eq!(numbers.try_send(1_u64), Ok(()));
    /// assert_eq!(numbers.try_send(2), Ok(()));
    /// assert_eq!(numbers.try_send(3), Err(TrySendError::Full(3))); // no job reads yet
    /// drop(source);
    /// assert_eq!(numbers.try_send(3), Err(TrySendError::Ended(3))); // and none will
    /// ```
    #[inline]
    pub fn try_send(&mut self, record: R) -> Result<(), TrySendError<R>> {
        self.try_send_at(Timestamp::MIN, record)
    }

    /// As [`try_send`](Sender::try_send), with the record's event time; the source says that
    /// records have them ([`ChannelSource::timed`](super::ChannelSource::timed)).
    ///
    /// # Errors
    /// As for [`try_send`](Sender::try_send).
    #[inline]
    pub fn try_send_at(&mut self, at: Timestamp, record: R) -> Result<(), TrySendError<R>> {
        if self.is_ended() {
            return Err(TrySendError::Ended(record));
        }
        let pushed = self.ring.push((at, record));
        pushed.map_err(|(_, record)| TrySendError::Full(record))?;
        self.wake();
        Ok(())
    }

    /// Sends all records of an iterator, blocking the thread while there is no room. The shard is
    /// woken once for as many as there is room for. Those of a slice are sent by
    /// `send_batch(slice.iter().copied())`.
    ///
    /// # Errors
    /// When the job has ended, also while it waits; the records that were not sent are lost then.
    pub fn send_batch(&mut self, records: impl IntoIterator<Item = R>) -> Result<(), Ended> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            if self.try_send_batch(&mut records)? == 0 {
                self.wait_for_room();
            }
        }
        Ok(())
    }

    /// Sends records of an iterator while there is room, and says how many; what there is no room
    /// for stays in it. Never blocks.
    ///
    /// # Errors
    /// When the job has ended; nothing is taken from the iterator then.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let (mut numbers, _source) = Channel::source::<u64>(4);
    /// let mut some = 0..10;
    /// assert_eq!(numbers.try_send_batch(&mut some), Ok(4));
    /// assert_eq!(some.next(), Some(4));
    /// ```
    pub fn try_send_batch(
        &mut self,
        records: &mut impl Iterator<Item = R>,
    ) -> Result<usize, Ended> {
        if self.is_ended() {
            return Err(Ended);
        }
        let sent = self.ring.push_iter(&mut records.map(|record| (Timestamp::MIN, record)));
        if sent > 0 {
            self.wake();
        }
        Ok(sent)
    }

    /// As [`send`](Sender::send), for an asynchronous task of any executor: waits by its waker and
    /// blocks no thread. Dropped before it is ready, the record is not sent.
    ///
    /// # Errors
    /// As for [`send`](Sender::send).
    pub async fn send_async(&mut self, mut record: R) -> Result<(), SendError<R>> {
        loop {
            record = match self.try_send(record) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Ended(record)) => return Err(SendError(record)),
                Err(TrySendError::Full(record)) => record,
            };
            if self.must_wait() {
                self.place.link.room.wait_async().await;
            }
        }
    }

    /// Whether the job has ended, or is about to: it reads nothing that is sent from now on. A job
    /// that has not begun has not ended.
    #[inline]
    pub fn is_ended(&self) -> bool {
        self.place.link.is_closed()
    }

    /// How many records there is room for; there may be more at any time, never less.
    pub fn room(&mut self) -> usize {
        self.ring.room()
    }

    /// How many records the ring holds when it is full.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Arms the bell, unless there is no need to wait.
    fn must_wait(&mut self) -> bool {
        self.place.link.room.arm();
        let waits = self.ring.room() == 0 && !self.is_ended();
        if !waits {
            self.place.link.room.disarm();
        }
        waits
    }

    fn wait_for_room(&mut self) {
        if self.must_wait() {
            self.place.link.room.wait(None);
        }
    }

    #[inline]
    fn wake(&mut self) {
        match &self.bell {
            Some(bell) => {
                bell.ring();
            }
            None => self.wake_first(),
        }
    }

    #[cold]
    fn wake_first(&mut self) {
        self.bell = self.place.link.ring().cloned();
    }
}

impl<R: Record> Clone for Sender<R> {
    /// A sender more, with a ring of its own.
    fn clone(&self) -> Self {
        Sender::first(&self.place.hub)
    }
}

impl<R: Record> fmt::Debug for Sender<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("ended", &self.is_ended()).finish_non_exhaustive()
    }
}
