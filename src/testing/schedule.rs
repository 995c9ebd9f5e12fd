//! A source whose batches are cut on purpose.

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, Progress, Source, Split};
use crate::record::Record;

/// How records are cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// All records of a split in one poll, in batches as large as they get.
    Whole,
    /// One record a batch, and polls in between that give nothing.
    Single,
    /// Batches of any size, polls of any number of batches, and polls that give nothing, all drawn
    /// from this seed.
    Random(u64),
    /// A few records in each poll, as this seed says, and polls that give nothing.
    Small(u64),
}

/// A source of given records that are cut into batches in a given way. Split `i` of `n` has the
/// records `i`, `i + n`, `i + 2n`, …, whatever the number of shards.
#[derive(Debug)]
pub struct Scheduled<R> {
    records: Arc<Vec<R>>,
    splits: usize,
    cuts: Cuts,
}

impl<R: Record + Sync> Scheduled<R> {
    /// A source of these records in so many splits (at least one).
    pub fn new(records: Arc<Vec<R>>, splits: usize, cuts: Cuts) -> Scheduled<R> {
        Scheduled { records, splits: splits.max(1), cuts }
    }
}

impl<R: Record + Sync> Source for Scheduled<R> {
    type Record = R;

    fn name(&self) -> String {
        format!("scheduled ({} records)", self.records.len())
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let split = |first| -> Box<dyn Split<R>> {
            let seed = match self.cuts {
                Cuts::Random(seed) | Cuts::Small(seed) => seed,
                Cuts::Whole | Cuts::Single => 0,
            };
            Box::new(Turns {
                records: Arc::clone(&self.records),
                first,
                next: first,
                step: self.splits,
                cuts: self.cuts,
                dice: SmallRng::seed_from_u64(seed.wrapping_add(first as u64)),
            })
        };
        Ok((0..self.splits).map(split).collect())
    }
}

/// One split.
struct Turns<R> {
    records: Arc<Vec<R>>,
    first: usize,
    next: usize,
    step: usize,
    cuts: Cuts,
    dice: SmallRng,
}

/// One poll in so many gives nothing.
const IDLE_EVERY: u32 = 4;

/// The most batches of one poll that is cut at random.
const BATCHES_MAX: u32 = 4;

/// The most records of a poll that gives few.
const SMALL: usize = 12;

/// The sizes of batches that are cut at random: mostly few records, at times many.
const SIZES: [usize; 4] = [1, 3, 30, 1_500];

impl<R: Record> Turns<R> {
    /// Feeds a batch of at most `most` records.
    fn batch(&mut self, most: usize, feed: &mut Feed<'_, R>) -> Result {
        for _ in 0..most {
            let Some(record) = self.records.get(self.next) else {
                break;
            };
            self.next += self.step;
            record.lend(|view| feed.push(view))?;
        }
        feed.flush()
    }
}

impl<R: Record + Sync> Split<R> for Turns<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        if self.cuts != Cuts::Whole && self.dice.gen_ratio(1, IDLE_EVERY) {
            return Ok(Progress::Idle);
        }
        match self.cuts {
            Cuts::Whole => self.batch(usize::MAX, feed)?,
            Cuts::Single => self.batch(1, feed)?,
            Cuts::Small(_) => {
                let size = self.dice.gen_range(1..=SMALL);
                self.batch(size, feed)?;
            }
            Cuts::Random(_) => {
                for _ in 0..self.dice.gen_range(1..=BATCHES_MAX) {
                    let most = SIZES[self.dice.gen_range(0..SIZES.len())];
                    let size = self.dice.gen_range(1..=most);
                    self.batch(size, feed)?;
                }
            }
        }
        let ended = self.next >= self.records.len();
        Ok(if ended { Progress::Done } else { Progress::Busy })
    }

    fn offset(&self) -> u64 {
        (self.next / self.step) as u64
    }

    fn name(&self) -> String {
        let (first, step, all) = (self.first, self.step, self.records.len());
        format!("records from {first}, every {step}, of {all} scheduled")
    }

    /// What is left is cut in another way than it would have been.
    fn seek(&mut self, offset: u64) -> Result {
        let all = self.records.len().saturating_sub(self.first).div_ceil(self.step);
        if offset > all as u64 {
            let what = format!("{offset} records were read and only {all} are there now");
            return Err(Error::new(Kind::Data, what));
        }
        self.next = self.first + offset as usize * self.step;
        Ok(())
    }
}
