//! Records into memory.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::operator::{Sink, Writer};
use crate::record::Record;
use crate::time::Timestamp;

/// A sink that keeps what comes, for a look at it when the job has ended.
///
/// ```
/// use thalweg::connector::Collect;
/// let (sink, results) = Collect::<u64>::new();
/// // job.source(…).sink(sink); job.run()?;
/// assert!(results.take().is_empty());
/// ```
#[derive(Debug)]
pub struct Collect<R>(Shared<R>);

/// What a [`Collect`] has gathered. Each shard hands in what it has whenever its stream pauses and
/// when it ends.
#[derive(Debug)]
pub struct Collected<R>(Shared<R>);

/// The records of each shard.
type Shared<R> = Arc<Mutex<Vec<Vec<R>>>>;

impl<R: Record> Collect<R> {
    /// A sink and what it will gather.
    pub fn new() -> (Collect<R>, Collected<R>) {
        let shared = Shared::default();
        (Collect(Arc::clone(&shared)), Collected(shared))
    }
}

impl<R> Collected<R> {
    /// Takes the records: those of shard 0 in the order in which they came, then those of shard 1,
    /// and so on.
    pub fn take(&self) -> Vec<R> {
        self.take_shards().into_iter().flatten().collect()
    }

    /// Takes the records in ascending order.
    pub fn sorted(&self) -> Vec<R>
    where
        R: Ord,
    {
        let mut records = self.take();
        records.sort_unstable();
        records
    }

    /// Takes the records in ascending order of a key; those of equal keys as [`take`](Self::take)
    /// gives them.
    pub fn sorted_by_key<K: Ord>(&self, key: impl FnMut(&R) -> K) -> Vec<R> {
        let mut records = self.take();
        records.sort_by_key(key);
        records
    }

    /// Takes the records of each shard in the order in which they came.
    pub fn take_shards(&self) -> Vec<Vec<R>> {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter_mut().map(std::mem::take).collect()
    }
}

impl<R: Record> Sink<R> for Collect<R> {
    type Writer = CollectWriter<R>;

    fn name(&self) -> String {
        "collect".into()
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<CollectWriter<R>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = shards.max(all.len());
        all.resize_with(slots, Vec::new);
        Ok(CollectWriter { shard, records: Vec::new(), all: Arc::clone(&self.0) })
    }
}

/// What a [`Collect`] writes with on one shard.
#[derive(Debug)]
pub struct CollectWriter<R> {
    shard: usize,
    records: Vec<R>,
    all: Shared<R>,
}

impl<R: Record> Writer<R> for CollectWriter<R> {
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        self.records.push(R::own(record));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        if !self.records.is_empty() {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all[self.shard].append(&mut self.records);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::stub::write;
    use super::*;

    #[test]
    fn keeps_the_order_of_each_shard() {
        let (mut sink, results) = Collect::new();
        write(&mut sink, 2, &[5_u64, 1, 4, 2]).unwrap();
        assert_eq!(results.take_shards(), [[5, 4], [1, 2]]);
        write(&mut sink, 2, &[5_u64, 1, 4, 2]).unwrap();
        assert_eq!(results.sorted(), [1, 2, 4, 5]);
        assert!(results.take().is_empty());
    }
}
