//! The sink of every query: counts the rows and sums their hashes, whatever their order. Where
//! latency is measured it notes when each row left instead.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use thalweg::key;
use thalweg::operator::{Sink, Writer};
use thalweg::prelude::*;

use crate::bench::latency::{Due, Recorder};

/// What came out of a query: equal rows give equal digests in any order and on any number of
/// shards. A clone looks at the same sums, which are complete when the job has ended.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    sums: Arc<Sums>,
    times: Option<(Recorder, Due)>,
}

#[derive(Debug, Default)]
struct Sums {
    rows: AtomicU64,
    hash: AtomicU64,
}

impl Digest {
    /// Notes when each row leaves, and hashes none. A row's due time follows from its event time.
    pub fn timed(recorder: Recorder, due: Due) -> Self {
        Self { sums: Arc::default(), times: Some((recorder, due)) }
    }

    /// How many rows there were.
    pub fn rows(&self) -> u64 {
        self.sums.rows.load(Relaxed)
    }

    /// The wrapping sum of the rows' hashes.
    pub fn hash(&self) -> u64 {
        self.sums.hash.load(Relaxed)
    }

    /// Takes in the count of a row instead of its hash, for rows that depend on the clock.
    pub fn count(&self, count: u64) {
        self.sums.rows.fetch_add(1, Relaxed);
        self.sums.hash.fetch_add(count, Relaxed);
    }

    /// Takes in one row.
    pub fn add(&self, row: &impl Hash) {
        self.sums.rows.fetch_add(1, Relaxed);
        self.sums.hash.fetch_add(key::hash(row), Relaxed);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.hash())
    }
}

impl<R> Sink<R> for Digest
where
    R: Record,
    for<'a> R::View<'a>: Hash,
{
    type Writer = Summing;

    fn name(&self) -> String {
        "digest".into()
    }

    fn open(&mut self, _: usize, _: usize) -> Result<Summing> {
        let total = Arc::clone(&self.sums);
        Ok(Summing { rows: 0, hash: 0, total, times: self.times.clone() })
    }
}

/// The sums of one shard, added to the total at the end.
#[derive(Debug)]
pub struct Summing {
    rows: u64,
    hash: u64,
    total: Arc<Sums>,
    times: Option<(Recorder, Due)>,
}

impl<R> Writer<R> for Summing
where
    R: Record,
    for<'a> R::View<'a>: Hash,
{
    #[inline]
    fn write(&mut self, at: Timestamp, row: R::View<'_>) -> Result {
        self.rows += 1;
        if let Some((recorder, due)) = &mut self.times {
            recorder.note(recorder.schedule().result_due_ns(*due, at));
            return Ok(());
        }
        self.hash = self.hash.wrapping_add(key::hash(&row));
        Ok(())
    }

    fn finish(&mut self) -> Result {
        self.total.rows.fetch_add(self.rows, Relaxed);
        self.total.hash.fetch_add(self.hash, Relaxed);
        Ok(())
    }
}
