//! Records that are in memory already.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::limits::SOURCE_RECORDS;
use crate::operator::{Feed, Progress, Source, Split};
use crate::record::{Plain, Record};

/// A source of the records of a vector.
///
/// They are dealt out in turn: split `i` of `n` reads records `i`, `i + n`, `i + 2n`, ….
///
/// ```
/// use thalweg::connector::Memory;
/// let words = Memory::of(vec!["over".to_owned(), "and".to_owned(), "over".to_owned()]);
/// ```
#[derive(Debug)]
pub struct Memory<R> {
    records: Arc<Vec<R>>,
    splits: Option<usize>,
}

impl<R: Record + Sync> Memory<R> {
    /// A source of these records.
    pub fn of(records: impl IntoIterator<Item = R>) -> Memory<R> {
        let records = Arc::new(records.into_iter().collect());
        Memory { records, splits: None }
    }

    /// Deals them to this many splits (at least one) instead of one a shard.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Self {
        self.splits = Some(splits.max(1));
        self
    }
}

impl Memory<()> {
    /// A source that lends records where they lie, without a copy: one split a slice. A slice may
    /// be a `Vec<R>`, an `Arc<[R]>`, a `&'static [R]` or anything else that derefs to `[R]`.
    ///
    /// ```
    /// use thalweg::prelude::*;
    /// use thalweg::connector::Memory;
    ///
    /// record! { struct Bid { auction: u64, price: u64 } }
    /// let bids = Memory::slices(vec![vec![Bid { auction: 1, price: 7 }], Vec::new()]);
    /// ```
    pub fn slices<R, S>(slices: impl IntoIterator<Item = S>) -> Slices<R, S>
    where
        R: Plain,
        S: Deref<Target = [R]> + Send + Sync + 'static,
    {
        let slices = slices.into_iter().map(Arc::new).collect();
        let record = PhantomData;
        Slices { slices, record }
    }
}

impl<R: Record + Sync> Source for Memory<R> {
    type Record = R;

    fn name(&self) -> String {
        format!("memory ({} records)", self.records.len())
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let step = self.splits.unwrap_or(shards);
        let split = |first| -> Box<dyn Split<R>> {
            let records = Arc::clone(&self.records);
            Box::new(Dealt { records, first, next: first, step })
        };
        Ok((0..step).map(split).collect())
    }
}

struct Dealt<R> {
    records: Arc<Vec<R>>,
    first: usize,
    next: usize,
    step: usize,
}

impl<R: Record + Sync> Split<R> for Dealt<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        while feed.room() > 0 {
            let Some(record) = self.records.get(self.next) else {
                return Ok(Progress::Done);
            };
            self.next += self.step;
            record.lend(|view| feed.push(view))?;
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        (self.next / self.step) as u64
    }

    fn name(&self) -> String {
        let (first, step, all) = (self.first, self.step, self.records.len());
        format!("records from {first}, every {step}, of {all} in memory")
    }

    fn seek(&mut self, offset: u64) -> Result {
        let all = self.records.len().saturating_sub(self.first).div_ceil(self.step);
        self.next = self.first + place_of(offset, all)? * self.step;
        Ok(())
    }
}

/// A source that lends slices; made by [`Memory::slices`].
#[derive(Debug)]
pub struct Slices<R, S> {
    slices: Vec<Arc<S>>,
    record: PhantomData<fn() -> R>,
}

impl<R, S> Source for Slices<R, S>
where
    R: Plain,
    S: Deref<Target = [R]> + Send + Sync + 'static,
{
    type Record = R;

    fn name(&self) -> String {
        format!("memory ({} slices)", self.slices.len())
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let split = |(number, slice): (usize, &Arc<S>)| -> Box<dyn Split<R>> {
            let slice = Arc::clone(slice);
            Box::new(Lent { slice, number, next: 0 })
        };
        Ok(self.slices.iter().enumerate().map(split).collect())
    }
}

struct Lent<S> {
    slice: Arc<S>,
    number: usize,
    next: usize,
}

impl<R, S> Split<R> for Lent<S>
where
    R: Plain,
    S: Deref<Target = [R]> + Send + Sync,
{
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        let rest = &self.slice[self.next..];
        let lent = &rest[..rest.len().min(SOURCE_RECORDS)];
        if lent.is_empty() {
            return Ok(Progress::Done);
        }
        self.next += lent.len();
        feed.lend(lent)?;
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        self.next as u64
    }

    fn name(&self) -> String {
        format!("slice {} of {} records in memory", self.number, self.slice.len())
    }

    fn seek(&mut self, offset: u64) -> Result {
        self.next = place_of(offset, self.slice.len())?;
        Ok(())
    }
}

/// An offset into so many records.
fn place_of(offset: u64, records: usize) -> Result<usize> {
    let place = usize::try_from(offset).ok().filter(|place| *place <= records);
    place.ok_or_else(|| {
        let what = format!("{offset} records were read and only {records} are there now");
        Error::new(Kind::Data, what)
    })
}

#[cfg(test)]
mod tests {
    use super::super::stub::read;
    use super::*;
    use crate::record;

    #[test]
    fn every_record_is_given_once_whatever_the_splits() {
        let words: Vec<String> = (0..5_000).map(|i| format!("word {i}")).collect();
        for splits in [1, 2, 3, 7] {
            let source = Memory::of(words.clone()).splits(splits);
            let mut taken = read(&source, 2).unwrap().records;
            taken.sort_by_key(|word| word[5..].parse::<u32>().unwrap());
            assert_eq!(taken, words, "{splits} splits");
        }
        let one = Memory::of([1_u64]).splits(3);
        assert_eq!(Source::splits(&one, 1).unwrap().len(), 3);
        assert!(read(&Memory::of(Vec::<u64>::new()), 4).unwrap().records.is_empty());
    }

    record! { struct Bid { auction: u64, price: u64 } }
    record! { struct Odd { small: u8 } }

    #[test]
    fn slices_are_lent_in_order_in_portions() {
        let bid = |auction| Bid { auction, price: 1 };
        let (long, rest) = (2 * SOURCE_RECORDS as u64 + 500, 500);
        let all: &'static [Bid] = Vec::leak((0..long + rest).map(bid).collect());
        let (first, second) = all.split_at(long as usize);
        let taken = read(&Memory::slices([first, second]), 1).unwrap();
        assert_eq!(taken.records, all);
        assert_eq!(taken.batches, 4);
        let shared: Arc<[Bid]> = Arc::from(all);
        assert_eq!(read(&Memory::slices([shared]), 1).unwrap().records, all);
    }

    #[test]
    fn records_that_are_padded_in_a_stream_are_copied() {
        let odd: Vec<Odd> = (0..3_000).map(|i| Odd { small: i as u8 }).collect();
        assert_eq!(read(&Memory::slices([odd.clone()]), 1).unwrap().records, odd);
    }
}
