//! Records from threads of the program, and to them.
//!
//! ```text
//! thread ─ Sender ═ ring ═▶ split on shard 0 ─▶ … ─▶ writer on shard 0 ═ ring ═▶┐
//! thread ─ Sender ═ ring ═▶ split on shard 1 ─▶ … ─▶ writer on shard 1 ═ ring ═▶┴ Receiver
//! ```
//!
//! A ring has one producer and one consumer, so every [`Sender`] has one of its own, and so has
//! every shard's writer. Who finds a ring full or empty waits by a [`Bell`](crate::ring::Bell), as
//! shards do: nothing here spins, and a thread that finds room takes no lock.

mod door;
mod errors;
mod outlet;
mod receiver;
mod sender;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use errors::{Ended, SendError, TryRecvError, TrySendError};
pub use receiver::Receiver;
pub use sender::Sender;
pub use sink::{ChannelSink, ChannelWriter};
pub use source::ChannelSource;

use crate::error::{Error, Kind, Result};
use crate::limits::CHANNEL_BYTES;
use crate::record::Record;

/// Records from threads of this process, and to them: what a service sends to a job and what it
/// takes from it.
///
/// ```
/// use thalweg::prelude::*;
///
/// let (mut words, source) = Channel::source::<String>(1_000);
/// let (sink, counts) = Channel::sink::<(String, u64)>(1_000);
/// let job = Job::new("words").shards(2);
/// job.source(source).key_by_ref(|word| word).aggregate_final(|words| words.count()).sink(sink);
/// let running = job.start()?;
///
/// words.send("to".into())?;
/// words.send("flow".into())?;
/// drop(words); // no sender is left: the job comes to its end
/// let mut counts: Vec<_> = counts.collect();
/// counts.sort();
/// assert_eq!(counts, [("flow".to_owned(), 1), ("to".to_owned(), 1)]);
/// running.join()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Channel;

impl Channel {
    /// A source of what is sent to it, and the first of its senders, which is cloned for others.
    ///
    /// `records` is how many a sender may be ahead of the shard that reads what it sends, rounded
    /// up to a power of two, and 2 at least: the memory for so many is taken for each sender, when
    /// it is made. With more than [`CHANNEL_BYTES`] of them the job does not start.
    ///
    /// When the last sender is dropped and all is read, the source has ended. See
    /// [`ChannelSource`] for what becomes of the records in a job with checkpoints.
    pub fn source<R: Record>(records: usize) -> (Sender<R>, ChannelSource<R>) {
        let hub = door::Hub::new(least(ring_records::<door::Sent<R>>(records)));
        (Sender::first(&hub), ChannelSource::new(hub, records))
    }

    /// A sink, and the receiver of what comes to it, from all shards.
    ///
    /// `records` is how many a shard may be ahead of the receiver, rounded up to a power of two,
    /// and 2 at least. When there are so many, the shard holds back, and with it whatever sends to
    /// it; see [`ChannelSink`]. With more than [`CHANNEL_BYTES`] of them the job does not start.
    pub fn sink<R: Record>(records: usize) -> (ChannelSink<R>, Receiver<R>) {
        let outlet = outlet::Outlet::new(least(ring_records::<R>(records)));
        (ChannelSink::new(outlet.clone(), records), Receiver::new(outlet))
    }
}

/// How many values of a type a ring of so many may hold, or how many it may not.
fn ring_records<T>(records: usize) -> Result<usize, usize> {
    let most = CHANNEL_BYTES / size_of::<T>().max(1);
    if records <= most { Ok(records) } else { Err(most) }
}

/// What a ring is made for in any case: the job that it is too much for does not start.
fn least(records: Result<usize, usize>) -> usize {
    records.unwrap_or(1)
}

/// That a ring of so many values is not too large.
fn check<T>(records: usize) -> Result {
    let refuse = |most| {
        let what = format!(
            "a channel of {records} records takes {} bytes each and may take {CHANNEL_BYTES} in \
             all; give it {most} or fewer",
            size_of::<T>()
        );
        Error::new(Kind::Limit, what)
    };
    ring_records::<T>(records).map(drop).map_err(refuse)
}
