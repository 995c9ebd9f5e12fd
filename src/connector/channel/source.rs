//! The job's side of a channel that records are sent to.

use std::fmt;
use std::sync::Arc;

use super::check;
use super::door::{Door, Hub, Lane, Sent};
use crate::error::Result;
use crate::operator::{Counts, Feed, Guarantee, Progress, Source, Split};
use crate::record::Record;
use crate::ring::Ringer;

/// A source of what [`Sender`](super::Sender)s send; made by
/// [`Channel::source`](super::Channel::source).
///
/// It has a split a shard. A sender belongs to one of them: to one with the fewest senders when it
/// is made, the lowest first. So the first one sends to shard 0, a clone of it to shard 1, and so
/// on; what a sender sends is read in order. Watermarks are by split, as everywhere: the disorder
/// of `event_time` is that of all senders of a split together. A split without a sender does not
/// hold the watermark back; one whose senders are silent does until
/// [`Job::idle_after`](../api/struct.Job.html#method.idle_after).
///
/// # When the job ends early
///
/// In a job that is stopped, what was sent before is read, and senders are told that it has ended.
/// A job that fails reads no more: what no shard had taken is lost with it.
///
/// Nobody can send again what was sent after a checkpoint: when the job goes on from it, these
/// records are lost that were read by then; those that are still in rings are not, if the process
/// went on (a [`restart`](../api/struct.Job.html#method.restart)). So a record counts
/// [at most once](Guarantee::AtMostOnce), however the sinks write. How many were lost by restarts
/// within the process is among what the source counts
/// ([`OperatorReport::counts`](crate::runtime::OperatorReport::counts)): `records_lost_total`. Who
/// needs more keeps records until a checkpoint holds them and sends the others again;
/// [embedding](crate::guide::embedding) says how.
///
/// ```
/// use thalweg::prelude::*;
///
/// let (_orders, source) = Channel::source::<(u64, u64)>(1_000);
/// let job = Job::new("orders").shards(1).checkpoints("state", 10.seconds());
/// job.source(source.named("orders")).sink(Discard);
/// assert_eq!(
///     job.explain().to_string(),
///     "job orders, 1 shard\n\
///      #0 source channel orders\n   \
///         at most once\n\
///      #1 sink discard\n   \
///         #0\n   \
///         at least once"
/// );
/// ```
pub struct ChannelSource<R: Record> {
    hub: Arc<Hub<R>>,
    /// How many records a ring was to hold.
    records: usize,
    name: String,
    timed: bool,
}

impl<R: Record> ChannelSource<R> {
    pub(super) fn new(hub: Arc<Hub<R>>, records: usize) -> Self {
        ChannelSource { hub, records, name: "channel".into(), timed: false }
    }

    /// Names it in messages, and apart from another channel of the job.
    #[must_use]
    pub fn named(mut self, name: impl fmt::Display) -> Self {
        self.name = format!("channel {name}");
        self
    }

    /// Says that records are sent with their event times
    /// ([`Sender::send_at`](super::Sender::send_at)), all of them. As behind any source with times
    /// of its own, watermarks come from `event_time` alone: without it windows give nothing before
    /// the last sender is gone. Where windows shall close meanwhile the time belongs into the
    /// record.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }
}

impl<R: Record> fmt::Debug for ChannelSource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R: Record> Drop for ChannelSource<R> {
    fn drop(&mut self) {
        self.hub.source_gone();
    }
}

impl<R: Record> Source for ChannelSource<R> {
    type Record = R;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        check::<Sent<R>>(self.records)?;
        let split = |door| Box::new(ChannelSplit::new(self.hub.clone(), door)) as _;
        Ok(self.hub.open(shards).into_iter().map(split).collect())
    }

    fn has_event_times(&self) -> bool {
        self.timed
    }

    fn counts(&self) -> Option<Counts> {
        let hub = self.hub.clone();
        Some(Arc::new(move || vec![("records_lost_total", hub.lost())]))
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }
}

/// What one shard reads: the rings of its senders.
struct ChannelSplit<R: Record> {
    hub: Arc<Hub<R>>,
    door: Arc<Door<R>>,
    lanes: Vec<Lane<R>>,
    opened: bool,
    /// Where the next look begins.
    next: usize,
    /// Records read, by earlier runs of the job, too.
    read: u64,
}

impl<R: Record> ChannelSplit<R> {
    fn new(hub: Arc<Hub<R>>, door: Arc<Door<R>>) -> Self {
        ChannelSplit { hub, door, lanes: Vec::new(), opened: false, next: 0, read: 0 }
    }

    /// Reads all lanes while there is room; gives the number of records, and whether a lane is
    /// over.
    fn take(&mut self, feed: &mut Feed<'_, R>) -> Result<(usize, bool)> {
        let (count, mut taken, mut over, mut result) = (self.lanes.len(), 0, false, Ok(()));
        self.next = (self.next + 1) % count.max(1);
        for i in 0..count {
            let lane = &mut self.lanes[(self.next + i) % count];
            let room = feed.room();
            if room == 0 {
                break;
            }
            let read = &mut self.read;
            let from_lane = lane.ring.drain(room, |(at, record)| {
                // What panics with it has read it, too.
                *read += 1;
                if result.is_ok() {
                    result = record.lend(|view| feed.push_at(at, view));
                }
            });
            if from_lane > 0 {
                taken += from_lane;
                lane.link.room.ring();
            } else {
                over |= lane.is_over();
            }
        }
        result.map(|()| (taken, over))
    }
}

impl<R: Record> Split<R> for ChannelSplit<R> {
    fn open(&mut self, bell: Ringer) {
        self.opened = true;
        self.hub.goes_on(&self.door, self.read);
        self.door.hang(&bell);
    }

    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        // Before the lanes: whoever is gone by now has sent all.
        let senders = self.hub.has_senders();
        self.door.take_up(&mut self.lanes);
        let (taken, over) = self.take(feed)?;
        if over {
            let before = self.lanes.len();
            self.lanes.retain(|lane| !lane.is_over());
            self.door.over(before - self.lanes.len());
        }
        Ok(match taken {
            0 if !senders && self.lanes.is_empty() => Progress::Done,
            0 => Progress::Parked,
            _ => Progress::Busy,
        })
    }

    fn is_vacant(&self) -> bool {
        self.lanes.is_empty()
    }

    fn stop(&mut self) -> bool {
        self.hub.close();
        self.door.take_up(&mut self.lanes);
        self.lanes.iter().for_each(Lane::close);
        true
    }

    fn offset(&self) -> u64 {
        self.read
    }

    fn name(&self) -> String {
        format!("what is sent to split {}", self.door.split())
    }

    fn seek(&mut self, offset: u64) -> Result {
        // What was read after it is gone: at most once.
        self.read = offset;
        Ok(())
    }
}

impl<R: Record> Drop for ChannelSplit<R> {
    fn drop(&mut self) {
        let read = self.opened.then_some(self.read);
        self.hub.gone(&self.door, std::mem::take(&mut self.lanes), read);
    }
}
