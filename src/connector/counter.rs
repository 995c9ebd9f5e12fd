//! Numbers, as fast as they can be taken or at a rate.

use std::time::Instant;

use crate::error::Result;
use crate::operator::{Feed, Progress, Source, Split};
use crate::sys::clock;

/// A source of the numbers 0, 1, 2, …: split `i` of `n` gives `i`, `i + n`, `i + 2n`, ….
///
/// ```
/// use thalweg::connector::Counter;
/// let million = Counter::to(1_000_000);
/// let for_ever = Counter::endless().rate(1_000.0);
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    end: Option<u64>,
    per_second: Option<f64>,
    splits: Option<usize>,
}

impl Counter {
    /// The numbers below `end`.
    pub fn to(end: u64) -> Counter {
        Counter { end: Some(end), ..Counter::endless() }
    }

    /// Numbers without end: the job runs until it is stopped.
    pub fn endless() -> Counter {
        Counter { end: None, per_second: None, splits: None }
    }

    /// At most so many numbers a second, of all splits together, from the first look on. What
    /// could not be taken in time is made up for as soon as it can.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Counter {
        self.per_second = Some(per_second);
        self
    }

    /// In this many splits (at least one) instead of one a shard.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Counter {
        self.splits = Some(splits.max(1));
        self
    }
}

impl Source for Counter {
    type Record = u64;

    fn name(&self) -> String {
        match self.end {
            Some(end) => format!("counter to {end}"),
            None => "counter".into(),
        }
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let step = self.splits.unwrap_or(shards) as u64;
        let split = |first| -> Box<dyn Split<u64>> {
            Box::new(Counting {
                first,
                next: first,
                step,
                end: self.end.unwrap_or(u64::MAX),
                per_second: self.per_second.map(|rate| rate / step as f64),
                given: 0,
                before: 0,
                since: None,
            })
        };
        Ok((0..step).map(split).collect())
    }
}

struct Counting {
    first: u64,
    next: u64,
    step: u64,
    end: u64,
    per_second: Option<f64>,
    given: u64,
    /// Those of them that an earlier run gave: the rate counts from now on.
    before: u64,
    since: Option<Instant>,
}

impl Counting {
    /// How many numbers are due.
    fn due(&mut self) -> u64 {
        let Some(rate) = self.per_second else {
            return u64::MAX;
        };
        let since = clock::since(*self.since.get_or_insert_with(clock::now));
        (since.as_secs_f64() * rate) as u64 - (self.given - self.before)
    }
}

impl Split<u64> for Counting {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        if self.next >= self.end {
            return Ok(Progress::Done);
        }
        let due = self.due().min(feed.room() as u64);
        let left = (self.end - self.next).div_ceil(self.step);
        let count = due.min(left);
        for _ in 0..count {
            feed.push(self.next)?;
            self.next = self.next.saturating_add(self.step);
        }
        self.given += count;
        Ok(match count {
            0 => Progress::Idle,
            _ if count == left => Progress::Done,
            _ => Progress::Busy,
        })
    }

    fn offset(&self) -> u64 {
        self.given
    }

    fn name(&self) -> String {
        format!("numbers from {}, every {}", self.first, self.step)
    }

    fn seek(&mut self, offset: u64) -> Result {
        (self.given, self.before) = (offset, offset);
        self.next = self.first.saturating_add(offset.saturating_mul(self.step));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stub::{Taken, poll, read};
    use super::*;
    use crate::operator::OnBadRecord;

    #[test]
    fn counts_every_number_once() {
        for (end, splits) in [(0, 1), (1, 4), (5_000, 1), (5_001, 3)] {
            let mut taken = read(&Counter::to(end).splits(splits), 2).unwrap().records;
            taken.sort_unstable();
            assert!(taken.into_iter().eq(0..end));
        }
    }

    #[test]
    fn keeps_to_the_rate_and_makes_up_for_pauses() {
        let source = Counter::endless().rate(1_000.0);
        let mut split = Source::splits(&source, 1).unwrap().remove(0);
        let mut taken = Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            poll(0, &mut *split, OnBadRecord::Fail, &mut taken).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let most = start.elapsed().as_millis() as usize;
        assert!((20..=most).contains(&taken.records.len()), "{}", taken.records.len());
    }
}
