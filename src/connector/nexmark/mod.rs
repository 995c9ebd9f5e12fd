//! Nexmark: the stream of an auction house, for benchmarks and tests.
//!
//! Of every 50 events one is a [`Person`], three are [`Auction`]s and 46 are [`Bid`]s; 10,000
//! events share a second of event time, in order. The numbers and the text are those of the crate
//! `nexmark` 0.2.0 (which follows the Java generator of Apache Beam and Flink) with its default
//! configuration, event by event.
//!
//! [`Nexmark`] makes the events while the job runs. [`Recorded`] keeps them in memory, made once
//! and read in place by any number of jobs: the making of an event costs more than most queries do
//! with it.
//!
//! ```
//! use thalweg::connector::nexmark::{Event, Nexmark};
//!
//! let bids = Nexmark::generate(0..1_000).filter(|event| matches!(event, Event::Bid(_)));
//! assert_eq!(bids.count(), 920);
//! ```

mod event;
mod generator;
mod recorded;

pub use event::{
    ArchivedAuction, ArchivedBid, ArchivedEvent, ArchivedPerson, Auction, Bid, Event, Person,
};
pub use recorded::Recorded;

use std::ops::Range;
use std::time::Instant;

use self::generator::Generator;
use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, Progress, Source, Split};
use crate::record::Record;
use crate::time::Timestamp;

/// When the first event happens, unless told otherwise: 2020-09-13T12:26:40Z, the start of a
/// window of every size that divides 40 s.
pub const BASE_TIME: Timestamp = Timestamp::from_millis(1_600_000_000_000);

/// The source of Nexmark events.
///
/// Event number `i` is the same in every run and belongs to split `i % splits`, so each split is
/// in the order of event time and all move on evenly. The clock is computed in `f32`, as in the
/// crate: above 2^24 events it gets coarse, though it never goes back.
///
/// ```
/// use thalweg::connector::nexmark::Nexmark;
/// use thalweg::operator::Source;
///
/// let source = Nexmark::events(1_000_000).splits(4);
/// assert_eq!(Source::splits(&source, 1)?.len(), 4);
/// # Ok::<(), thalweg::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Nexmark {
    numbers: Range<u64>,
    splits: Option<usize>,
    base_time: Timestamp,
    rate: Option<u64>,
}

impl Nexmark {
    /// The first `n` events.
    pub fn events(n: u64) -> Nexmark {
        Nexmark { numbers: 0..n, splits: None, base_time: BASE_TIME, rate: None }
    }

    /// Begins at event number `first` instead of 0 and ends at the same number as before.
    #[must_use]
    pub fn starting_at(mut self, first: u64) -> Nexmark {
        self.numbers.start = first;
        self
    }

    /// Deals the events into so many splits; as many as there are shards unless told so.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Nexmark {
        self.splits = Some(splits);
        self
    }

    /// The time of event 0, whole milliseconds; [`BASE_TIME`] unless told so.
    #[must_use]
    pub fn base_time(mut self, at: Timestamp) -> Nexmark {
        self.base_time = at;
        self
    }

    /// Gives so many events in a second of real time, over all splits, as evenly as the shards are
    /// polled. As fast as they can be made unless told so. It has no effect on event time.
    #[must_use]
    pub fn rate(mut self, per_second: u64) -> Nexmark {
        self.rate = Some(per_second.max(1));
        self
    }

    /// The events with these numbers, to look at or to compare with.
    pub fn generate(numbers: Range<u64>) -> impl Iterator<Item = Event> {
        let mut generator = Generator::new(BASE_TIME);
        numbers.map(move |number| generator.event(number).clone())
    }

    /// Makes the events now, in `splits` splits, with as many threads as the machine has cores, and
    /// keeps them in memory, about 256 bytes an event. A rate has no effect.
    ///
    /// # Errors
    /// When `splits` is 0.
    pub fn record(self, splits: usize) -> Result<Recorded> {
        let source = self.splits(splits);
        Ok(Recorded::make(source.readers(splits)?))
    }

    fn readers(&self, splits: usize) -> Result<Vec<Reader>> {
        if splits == 0 {
            let message = "0 splits can't hold any event; use at least 1";
            return Err(Error::new(Kind::Plan, message).within(self.name()));
        }
        let splits = splits as u64;
        let reader = |split| Reader {
            generator: Generator::new(self.base_time),
            start: self.numbers.start,
            split,
            next: self.numbers.start + split,
            step: splits,
            end: self.numbers.end,
            first: self.numbers.start,
            base_time: self.base_time,
            done: 0,
            rate: self.rate,
            since: None,
        };
        Ok((0..splits).map(reader).collect())
    }
}

impl Source for Nexmark {
    type Record = Event;

    fn name(&self) -> String {
        format!("nexmark events {:?}", self.numbers)
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let readers = self.readers(self.splits.unwrap_or(shards))?;
        let boxed = |reader| Box::new(reader) as Box<dyn Split<Event>>;
        Ok(readers.into_iter().map(boxed).collect())
    }
}

/// One split: every `step`th event from `next` on.
struct Reader {
    generator: Generator,
    /// The number of the source's first event.
    start: u64,
    /// The number of the split.
    split: u64,
    /// The number of the next event.
    next: u64,
    step: u64,
    end: u64,
    /// The number of the event that is due when reading begins.
    first: u64,
    base_time: Timestamp,
    /// Events given.
    done: u64,
    /// Events a second, over all splits.
    rate: Option<u64>,
    /// When reading began.
    since: Option<Instant>,
}

impl Reader {
    /// The number before which all events are due by now.
    fn due(&mut self) -> u64 {
        let Some(rate) = self.rate else {
            return self.end;
        };
        let since = self.since.get_or_insert_with(Instant::now).elapsed();
        let events = since.as_micros().saturating_mul(rate.into()) / 1_000_000;
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.first.saturating_add(events).min(self.end)
    }

    /// The next event, when there is one before number `end`.
    fn take(&mut self, end: u64) -> Option<&Event> {
        if self.next >= end {
            return None;
        }
        let number = self.next;
        self.next += self.step;
        self.done += 1;
        Some(self.generator.event(number))
    }
}

impl Split<Event> for Reader {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        let due = self.due();
        while feed.room() > 0 {
            let Some(event) = self.take(due) else {
                let ended = self.next >= self.end;
                return Ok(if ended { Progress::Done } else { Progress::Idle });
            };
            event.lend(|view| feed.push_at(event.date_time(), view))?;
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        self.done
    }

    fn name(&self) -> String {
        let (first, step) = (self.start + self.split, self.step);
        format!("events from {first}, every {step}, base time {}", self.base_time)
    }

    fn seek(&mut self, offset: u64) -> Result {
        self.done = offset;
        self.first = self.start.saturating_add(offset.saturating_mul(self.step));
        self.next = self.first.saturating_add(self.split);
        Ok(())
    }
}
