//! A source of made-up records.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Arrivals, Keys};
use crate::error::Result;
use crate::operator::{Feed, Progress, Source, Split};
use crate::record::Record;
use crate::sys::clock;
use crate::time::Timestamp;

/// What is known of a made-up record before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its number, from 0.
    pub number: u64,
    /// Its key.
    pub key: u64,
    /// Its event time; [`Timestamp::MIN`] in a stream without [`Generate::arrivals`].
    pub at: Timestamp,
}

/// A source of made-up records: a function makes each of them of its number, key and time. Record
/// `i` is the same in every run and belongs to split `i % splits`.
///
/// ```
/// use thalweg::connector::{Arrivals, Generate, Keys, Pattern, Skew};
/// use thalweg::prelude::*;
///
/// let keys = Keys::new(Skew::Zipf { exponent: 1.0, keys: 100 }, 7)?;
/// let arrivals = Arrivals::new(Pattern::Poisson, 1_000.0, 7)?;
/// let job = Job::new("generated").shards(2);
/// let (sink, counts) = Collect::new();
/// job.source(
///     Generate::records(10_000, keys, |record| (record.key, record.number))
///         .arrivals(arrivals, Timestamp::from_seconds(0)),
/// )
/// .key_by(|record| record.0)
/// .aggregate_final(|records| records.count())
/// .sink(sink);
/// job.run()?;
/// assert_eq!(counts.take().into_iter().map(|(_, count)| count).sum::<u64>(), 10_000);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Generate<F> {
    records: u64,
    keys: Keys,
    make: F,
    arrivals: Option<(Arrivals, Timestamp)>,
    paced: bool,
    splits: Option<usize>,
}

impl<F> fmt::Debug for Generate<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Generate { records, keys, arrivals, paced, splits, .. } = self;
        f.debug_struct("Generate")
            .field("records", records)
            .field("keys", keys)
            .field("arrivals", arrivals)
            .field("paced", paced)
            .field("splits", splits)
            .finish_non_exhaustive()
    }
}

impl<F> Generate<F> {
    /// So many records; `u64::MAX` for a stream without end.
    pub fn records<R>(records: u64, keys: Keys, make: F) -> Generate<F>
    where
        F: Fn(Generated) -> R,
    {
        Generate { records, keys, make, arrivals: None, paced: false, splits: None }
    }

    /// Gives the records event times: when they are due, from `start` on.
    #[must_use]
    pub fn arrivals(mut self, arrivals: Arrivals, start: Timestamp) -> Self {
        self.arrivals = Some((arrivals, start));
        self
    }

    /// Gives a record no earlier than it is due, from the first look on, and not as soon as it can
    /// be made. What could not be given in time follows at once. It has no effect on event times,
    /// and none without [`arrivals`](Generate::arrivals).
    #[must_use]
    pub fn paced(mut self) -> Self {
        self.paced = true;
        self
    }

    /// In this many splits (at least one) instead of one a shard.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Self {
        self.splits = Some(splits.max(1));
        self
    }
}

impl<R: Record, F> Source for Generate<F>
where
    F: Fn(Generated) -> R + Clone + Send + 'static,
{
    type Record = R;

    fn name(&self) -> String {
        match self.records {
            u64::MAX => "generator".into(),
            records => format!("generator of {records} records"),
        }
    }

    fn has_event_times(&self) -> bool {
        self.arrivals.is_some()
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let step = self.splits.unwrap_or(shards) as u64;
        let split = |first| -> Box<dyn Split<R>> {
            let mut making = Making {
                of: self.clone(),
                first,
                step,
                next: first,
                due: None,
                given: 0,
                since: None,
                missed: Duration::ZERO,
            };
            making.due = making.take_due(first);
            Box::new(making)
        };
        Ok((0..step).map(split).collect())
    }
}

/// One split: every `step`th record from `first` on.
struct Making<F> {
    of: Generate<F>,
    first: u64,
    step: u64,
    next: u64,
    /// When the next record is due, behind the start.
    due: Option<Duration>,
    given: u64,
    /// When it was first looked for records.
    since: Option<Instant>,
    /// What was due by then: given by an earlier run.
    missed: Duration,
}

impl<F> Making<F> {
    /// When the record is due before which so many others are passed over.
    fn take_due(&mut self, passed: u64) -> Option<Duration> {
        let (arrivals, _) = self.of.arrivals.as_mut()?;
        arrivals.nth(usize::try_from(passed).unwrap_or(usize::MAX))
    }

    /// Up to when records are due by now.
    fn now(&mut self) -> Duration {
        if !self.of.paced {
            return Duration::MAX;
        }
        clock::since(*self.since.get_or_insert_with(clock::now)) + self.missed
    }
}

impl<R: Record, F> Split<R> for Making<F>
where
    F: Fn(Generated) -> R + Send,
{
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        let now = self.now();
        while feed.room() > 0 {
            if self.next >= self.of.records {
                return Ok(Progress::Done);
            }
            if self.due.is_some_and(|due| due > now) {
                return Ok(Progress::Idle);
            }
            let at = match (&self.of.arrivals, self.due) {
                (Some((_, start)), Some(due)) => *start + due,
                _ => Timestamp::MIN,
            };
            let (number, key) = (self.next, self.of.keys.of(self.next));
            let record = (self.of.make)(Generated { number, key, at });
            record.lend(|view| feed.push_at(at, view))?;
            self.given += 1;
            self.next = self.next.saturating_add(self.step);
            self.due = self.take_due(self.step - 1);
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        self.given
    }

    fn name(&self) -> String {
        format!("records from {}, every {}", self.first, self.step)
    }

    fn seek(&mut self, offset: u64) -> Result {
        self.given = offset;
        let passed = offset.saturating_mul(self.step);
        self.next = self.first.saturating_add(passed);
        if let Some(passed) = passed.checked_sub(1) {
            self.due = self.take_due(passed);
        }
        self.missed = self.due.unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pattern, Skew};
    use super::*;
    use crate::connector::stub::{Taken, poll, read};
    use crate::operator::OnBadRecord;

    fn keys() -> Keys {
        Keys::new(Skew::Uniform { keys: 1_000 }, 3).unwrap()
    }

    fn source(pattern: Pattern) -> Generate<impl Fn(Generated) -> (u64, u64, Timestamp) + Clone> {
        let arrivals = Arrivals::new(pattern, 1_000.0, 4).unwrap();
        Generate::records(5_001, keys(), |made: Generated| (made.number, made.key, made.at))
            .arrivals(arrivals, Timestamp::from_seconds(100))
    }

    #[test]
    fn records_are_the_same_in_any_number_of_splits() {
        for pattern in [Pattern::Constant, Pattern::Poisson, Pattern::Bursts(10)] {
            let due = Arrivals::new(pattern, 1_000.0, 4).unwrap();
            let record = |(number, due): (u64, Duration)| {
                (number, keys().of(number), Timestamp::from_seconds(100) + due)
            };
            let expected: Vec<_> = (0..5_001).zip(due).map(record).collect();
            for splits in [1, 2, 3, 7] {
                let mut taken = read(&source(pattern).splits(splits), 2).unwrap().records;
                taken.sort_unstable();
                assert_eq!(taken, expected, "{pattern} {splits}");
            }
        }
    }

    #[test]
    fn a_split_goes_on_from_its_offset() {
        for pattern in [Pattern::Constant, Pattern::Poisson] {
            let splits = || Source::splits(&source(pattern), 3).unwrap();
            let all = |offset: u64, number: usize| {
                let mut taken =
                    Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
                let mut split = splits().remove(number);
                split.seek(offset).unwrap();
                let fail = OnBadRecord::Fail;
                while poll(0, &mut *split, fail, &mut taken).unwrap() != Progress::Done {}
                assert_eq!(split.offset(), offset + taken.records.len() as u64);
                taken.records
            };
            for number in 0..3 {
                let whole = all(0, number);
                for offset in [1, 500, whole.len()] {
                    assert_eq!(all(offset as u64, number), whole[offset..], "{pattern} {offset}");
                }
            }
        }
    }

    #[test]
    fn a_paced_record_does_not_come_before_it_is_due() {
        let source = source(Pattern::Constant).paced();
        let mut split = Source::splits(&source, 1).unwrap().remove(0);
        let mut taken = Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
        let start = Instant::now();
        while taken.records.len() < 20 {
            poll(0, &mut *split, OnBadRecord::Fail, &mut taken).unwrap();
            assert!(taken.records.len() as u128 <= start.elapsed().as_millis() + 1);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
