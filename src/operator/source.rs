//! What a connector's author implements to bring records in.

use super::{Counts, Guarantee, Progress};
use crate::error::{Error, Kind, Result};
use crate::limits::SOURCE_RECORDS;
use crate::record;
use crate::record::{Batch, Block, Plain, Record};
use crate::ring::Ringer;
use crate::time::Timestamp;

/// The output port of the records that a source could not read.
pub const BAD_PORT: usize = 1;

/// Where records enter: a description that is turned into [`Split`]s when the job starts.
///
/// ```
/// use thalweg::operator::{Feed, Progress, Source, Split};
/// use thalweg::prelude::*;
///
/// /// Counts down to zero.
/// struct Countdown(u64);
///
/// impl Source for Countdown {
///     type Record = u64;
///     fn name(&self) -> String { "countdown".into() }
///     fn splits(&self, _shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
///         Ok(vec![Box::new(Countdown(self.0))])
///     }
/// }
///
/// impl Split<u64> for Countdown {
///     fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
///         while feed.room() > 0 {
///             if self.0 == 0 {
///                 return Ok(Progress::Done);
///             }
///             self.0 -= 1;
///             feed.push(self.0)?;
///         }
///         Ok(Progress::Busy)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source",
    label = "nothing to read records from",
    note = "there are `Files::json::<Bid>(…)`, `Files::csv::<Bid>(…)`, `Files::lines(…)`, \
            `Memory::of(…)`, `Counter`, `RecordLog::read::<Bid>(…)`",
    note = "of CSV and JSON the records must be (de)serialised: `record!` does it"
)]
pub trait Source: Send + 'static {
    /// What it gives.
    type Record: Record;

    /// How messages name it: what kind it is and what it reads.
    fn name(&self) -> String;

    /// The pieces that can be read independently. Split `i` is read by shard `i % shards`, in
    /// order, by one thread.
    ///
    /// # Errors
    /// What can be found wrong before the job starts: a missing file, say.
    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<Self::Record>>>>;

    /// Whether its records come with event times of their own ([`Feed::push_at`],
    /// [`Feed::lend_batch`], [`Feed::batch`]). It gives no watermarks: what is behind it knows that
    /// a time has passed only when the source has ended, or after `event_time`. Behind a source
    /// that does not say so, whatever needs event times is refused when the job starts.
    fn has_event_times(&self) -> bool {
        false
    }

    /// How often a record counts when the job goes on from a checkpoint: once where splits can
    /// [seek](Split::seek) what they gave after it, at most once where that is gone. [`explain`]
    /// says so of a job with checkpoints.
    ///
    /// [`explain`]: ../api/struct.Job.html#method.explain
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    /// What it counts beside records.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// What is done about records that can't be read.
    fn on_bad_record(&self) -> OnBadRecord {
        OnBadRecord::Fail
    }
}

/// One piece of a source, read by one shard.
pub trait Split<R: Record>: Send {
    /// Called once, on the shard's thread and before the first poll, with what wakes the shard. A
    /// split that gives it to whoever brings records, so that it is rung when they are there, may
    /// say `Parked` where others say `Idle`.
    fn open(&mut self, bell: Ringer) {
        let _ = bell;
    }

    /// Feeds records while there is [room](Feed::room) and some are at hand; never blocks for
    /// long. `Busy`: there may be more at once. `Idle`: nothing at the moment, look again soon.
    /// `Parked`: nothing until the bell rings. `Done`: never more.
    ///
    /// # Errors
    /// Anything that makes reading on impossible; the job ends with it.
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress>;

    /// Whether nobody is there who could bring records: watermarks do without the split at once,
    /// and not only when it has been silent for long.
    fn is_vacant(&self) -> bool {
        false
    }

    /// The job is stopped. True when the split holds records that nobody could give again: then it
    /// is polled until it is no longer `Busy`, and takes no others.
    fn stop(&mut self) -> bool {
        false
    }

    /// Where the reader is, in the split's own unit (records, bytes): enough to go on from there.
    fn offset(&self) -> u64 {
        0
    }

    /// What it reads, by a name that is the same when the job is started again: a file's path, say.
    fn name(&self) -> String {
        String::new()
    }

    /// Goes on from an [`offset`](Split::offset) that a split of the same name had, before anything
    /// was read.
    ///
    /// # Errors
    /// When that place can't be found again; that the source can't be read again at all, unless
    /// this is implemented.
    fn seek(&mut self, offset: u64) -> Result {
        let _ = offset;
        let what = "the source can't go on from where it was, so a job that reads it has no \
                    checkpoints";
        Err(Error::new(Kind::Plan, what))
    }
}

/// What a source does with a record that it can't read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadRecord {
    /// End the job with an error that names it.
    #[default]
    Fail,
    /// Count it and go on.
    Skip,
    /// Count it, send it to the side stream (`Job::source_with_bad`) and go on.
    SideStream,
}

record! {
    /// A record that a source could not read.
    #[derive(Eq)]
    pub struct BadRecord {
        /// The file or peer.
        pub origin: String,
        /// The line, or whatever number finds it there; counted from 1.
        pub line: u64,
        /// What is wrong with it.
        pub error: String,
        /// The record as it came, cut to 1 KiB.
        pub text: String,
    }
}

/// What takes a source's records: the operators that follow.
pub trait Downstream {
    /// Takes a batch on an output port: 0 for records, 1 for [`BadRecord`]s.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    fn take(&mut self, port: usize, batch: &Batch<'_>) -> Result;
}

/// Where a [`Split`] puts its records during one poll.
pub struct Feed<'a, R: Record> {
    split: u32,
    room: usize,
    block: &'a mut Block<R>,
    bad: &'a mut u64,
    policy: OnBadRecord,
    to: &'a mut dyn Downstream,
}

impl<'a, R: Record> Feed<'a, R> {
    /// A feed for one poll of split number `split`. `bad` counts.
    pub fn new(
        split: u32,
        block: &'a mut Block<R>,
        bad: &'a mut u64,
        policy: OnBadRecord,
        to: &'a mut dyn Downstream,
    ) -> Feed<'a, R> {
        Feed { split, room: SOURCE_RECORDS, block, bad, policy, to }
    }

    /// This poll should feed so many records.
    pub(crate) fn with_room(self, room: usize) -> Self {
        Feed { room, ..self }
    }

    /// How many more records this poll should feed; feeding more is allowed, but delays others.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Feeds a record without an event time of its own.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    #[inline]
    pub fn push(&mut self, view: R::View<'_>) -> Result {
        self.push_at(Timestamp::MIN, view)
    }

    /// Feeds a record with its event time; the source says that it does
    /// ([`Source::has_event_times`]).
    ///
    /// # Errors
    /// What the operators that follow fail with.
    #[inline]
    pub fn push_at(&mut self, at: Timestamp, view: R::View<'_>) -> Result {
        self.room = self.room.saturating_sub(1);
        if self.block.push(at, view) {
            return self.flush();
        }
        Ok(())
    }

    /// Lends a slice of records that are read where they lie, without a copy.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    pub fn lend(&mut self, records: &[R]) -> Result
    where
        R: Plain,
    {
        let Some(batch) = Batch::lend(records) else {
            return records.iter().try_for_each(|record| record.lend(|view| self.push(view)));
        };
        self.lend_batch(batch)
    }

    /// Lends a batch, whose records are read where they lie, with its event times.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    pub fn lend_batch(&mut self, batch: Batch<'_>) -> Result {
        self.flush()?;
        self.room = self.room.saturating_sub(batch.len());
        self.to.take(0, &batch.from_split(self.split))
    }

    /// Hands on a batch of records of type `R` that are read where they lie, with the event times
    /// that they have.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    pub fn batch(&mut self, batch: &Batch<'_>) -> Result {
        self.flush()?;
        self.room = self.room.saturating_sub(batch.len());
        self.to.take(0, &batch.from_split(self.split))
    }

    /// Reports a record that can't be read: fails, counts or diverts it, as the source was told.
    ///
    /// # Errors
    /// Under [`OnBadRecord::Fail`], one that names origin, line and error.
    pub fn bad(&mut self, origin: &str, line: u64, error: &str, text: &str) -> Result {
        *self.bad += 1;
        let cut = text.floor_char_boundary(1024);
        match self.policy {
            OnBadRecord::Fail => {
                let what = format!("{error}; on_bad_record can skip or divert such rows");
                Err(Error::new(Kind::Data, what).within(format!("{origin} line {line}")))
            }
            OnBadRecord::Skip => Ok(()),
            OnBadRecord::SideStream => {
                let (origin, error) = (origin.to_owned(), error.to_owned());
                let row = BadRecord { origin, line, error, text: text[..cut].to_owned() };
                let mut block = Block::<BadRecord>::new();
                row.lend(|row| block.push(Timestamp::MIN, row));
                self.to.take(BAD_PORT, &block.batch())
            }
        }
    }

    /// Hands on what has gathered.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    pub fn flush(&mut self) -> Result {
        if self.block.is_empty() {
            return Ok(());
        }
        let result = self.to.take(0, &self.block.batch().from_split(self.split));
        self.block.clear();
        result
    }
}
