//! The generator of load: a source that gives each record when it is due, and late rather than not.
//!
//! It lives within the job, as the generators of Nexmark do: every shard polls a split in each
//! turn, which looks at the clock and gives all that is due by then. So it takes no core of its
//! own, and no time of a record is that of a hop that the job does not have. The load is *open*: a
//! job that stands still does not stop time, and what falls due meanwhile is given afterwards with
//! the time at which it was due.

use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

use super::schedule::Schedule;

/// Makes the records of one split.
pub trait Make: Send + 'static {
    /// What they are.
    type Record: Record;

    /// Feeds the record of this number, with the event time of its due time.
    ///
    /// # Errors
    /// What the operators that follow fail with.
    fn make(
        &mut self,
        number: u64,
        due_ns: u64,
        at: Timestamp,
        feed: &mut Feed<'_, Self::Record>,
    ) -> Result;
}

/// A source of `records` records on a schedule; split `i` of `n` has the numbers `i`, `i + n`, ….
pub struct Load<F> {
    schedule: Schedule,
    records: u64,
    maker: F,
}

impl<F> Load<F> {
    /// With what makes the records of split `i` of `n`.
    pub fn new(schedule: Schedule, records: u64, maker: F) -> Self {
        Self { schedule, records, maker }
    }
}

impl<M, F> Source for Load<F>
where
    M: Make,
    F: Fn(usize, usize) -> M + Send + 'static,
{
    type Record = M::Record;

    fn name(&self) -> String {
        "load".into()
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<M::Record>>>> {
        let split = |split| -> Box<dyn Split<M::Record>> {
            Box::new(Due {
                schedule: self.schedule,
                make: (self.maker)(split, shards),
                next: split as u64,
                step: shards as u64,
                end: self.records,
            })
        };
        Ok((0..shards).map(split).collect())
    }
}

/// One split.
struct Due<M> {
    schedule: Schedule,
    make: M,
    next: u64,
    step: u64,
    end: u64,
}

impl<M: Make> Split<M::Record> for Due<M> {
    fn poll(&mut self, feed: &mut Feed<'_, M::Record>) -> Result<Progress> {
        let (now, first) = (self.schedule.now_ns(), self.next);
        while self.next < self.end && feed.room() > 0 {
            let due = self.schedule.due_ns(self.next, now);
            if due > now {
                break;
            }
            self.make.make(self.next, due, self.schedule.event_time(due), feed)?;
            self.next += self.step;
        }
        Ok(match self.next {
            next if next >= self.end => Progress::Done,
            next if next > first => Progress::Busy,
            _ => Progress::Idle,
        })
    }
}
