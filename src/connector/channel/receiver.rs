//! The program's side of a channel that records are received from.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::TryRecvError;
use super::outlet::{Arrival, Outlet};
use crate::record::Record;

/// Receives what comes to a sink; made by [`Channel::sink`](super::Channel::sink).
///
/// The records of one shard come in order, those of several between each other. As an iterator it
/// blocks for each record, and ends with the job. A record is there when the batch that it belongs
/// to has been worked on: the receiver is woken once for all of them.
///
/// ```
/// use thalweg::prelude::*;
///
/// let (sink, squares) = Channel::sink::<u64>(16);
/// let job = Job::new("squares").shards(2);
/// job.source(Counter::to(1_000)).map(|n| n * n).sink(sink);
/// let running = job.start()?;
/// assert_eq!(squares.sum::<u64>(), 332_833_500); // at most 16 of each shard were ever waiting
/// running.join()?;
/// # Ok::<(), Error>(())
/// ```
pub struct Receiver<R: Record> {
    outlet: Arc<Outlet<R>>,
    arrivals: Vec<Arrival<R>>,
    /// What was taken from the rings.
    here: VecDeque<R>,
}

/// What a look at the rings brought.
enum Look<R> {
    Some(R),
    Nothing,
    Ended,
}

impl<R: Record> Receiver<R> {
    pub(super) fn new(outlet: Arc<Outlet<R>>) -> Self {
        Receiver { outlet, arrivals: Vec::new(), here: VecDeque::new() }
    }

    /// Receives a record; blocks the thread until there is one. None when the job has ended and all
    /// is received: also when it failed, which
    /// [`Running::join`](../runtime/struct.Running.html#method.join) tells.
    pub fn recv(&mut self) -> Option<R> {
        self.recv_until(None).ok()
    }

    /// Receives a record if there is one; never blocks.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty) when there is none, [`Ended`](TryRecvError::Ended) when there
    /// will never be one.
    ///
    /// ```
    /// use thalweg::connector::TryRecvError;
    /// use thalweg::prelude::*;
    ///
    /// let (sink, mut numbers) = Channel::sink::<u64>(16);
    /// assert_eq!(numbers.try_recv(), Err(TryRecvError::Empty));
    /// drop(sink); // no job will ever write
    /// assert_eq!(numbers.try_recv(), Err(TryRecvError::Ended));
    /// ```
    pub fn try_recv(&mut self) -> Result<R, TryRecvError> {
        match self.look() {
            Look::Some(record) => Ok(record),
            Look::Nothing => Err(TryRecvError::Empty),
            Look::Ended => Err(TryRecvError::Ended),
        }
    }

    /// Receives a record; blocks the thread for so long at most.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty) when none has come by then, [`Ended`](TryRecvError::Ended)
    /// when there will never be one.
    pub fn recv_timeout(&mut self, at_most: Duration) -> Result<R, TryRecvError> {
        self.recv_until(Instant::now().checked_add(at_most))
    }

    /// As [`recv`](Receiver::recv), for an asynchronous task of any executor: waits by its waker
    /// and blocks no thread. Dropped before it is ready, no record is lost.
    pub async fn recv_async(&mut self) -> Option<R> {
        loop {
            match self.look_or_arm() {
                Look::Some(record) => return Some(record),
                Look::Ended => return None,
                Look::Nothing => self.outlet.bell.wait_async().await,
            }
        }
    }

    fn recv_until(&mut self, end: Option<Instant>) -> Result<R, TryRecvError> {
        loop {
            match self.look_or_arm() {
                Look::Some(record) => return Ok(record),
                Look::Ended => return Err(TryRecvError::Ended),
                Look::Nothing => {
                    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
                    if !self.outlet.bell.wait(left) {
                        return self.try_recv();
                    }
                }
            }
        }
    }

    /// Looks; where there is nothing, leaves the bell armed.
    fn look_or_arm(&mut self) -> Look<R> {
        match self.look() {
            Look::Nothing => {}
            found => return found,
        }
        self.outlet.bell.arm();
        let found = self.look();
        if !matches!(found, Look::Nothing) {
            self.outlet.bell.disarm();
        }
        found
    }

    fn look(&mut self) -> Look<R> {
        if let Some(record) = self.here.pop_front() {
            return Look::Some(record);
        }
        // Before the rings: what writers that are gone by now have written is in them.
        let over = self.outlet.is_over();
        self.outlet.take_up(&mut self.arrivals);
        self.arrivals.retain_mut(|arrival| arrival.take(&mut self.here));
        match self.here.pop_front() {
            Some(record) => Look::Some(record),
            None if over && self.arrivals.is_empty() => Look::Ended,
            None => Look::Nothing,
        }
    }
}

impl<R: Record> Iterator for Receiver<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.recv()
    }
}

impl<R: Record> Drop for Receiver<R> {
    fn drop(&mut self) {
        self.outlet.receiver_gone();
    }
}

impl<R: Record> fmt::Debug for Receiver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("here", &self.here.len()).finish_non_exhaustive()
    }
}
