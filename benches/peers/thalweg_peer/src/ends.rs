//! The ends of every query: the input's slices, the digest of the rows.

use std::sync::{Arc, Mutex, PoisonError};

use thalweg::limits::SOURCE_RECORDS;
use thalweg::operator::{Feed, Progress, Sink, Source, Split, Writer};
use thalweg::prelude::*;
use workload::{Digest, Event};

/// The events of each worker, read where they lie.
pub struct Slices(pub Vec<&'static [Event]>);

struct Slice(std::slice::Chunks<'static, Event>);

impl Source for Slices {
    type Record = Event;
    fn name(&self) -> String {
        "slices".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let split = |slice: &&'static [Event]| Box::new(Slice(slice.chunks(SOURCE_RECORDS))) as _;
        Ok(self.0.iter().map(split).collect())
    }
}

impl Split<Event> for Slice {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        let Some(events) = self.0.next() else { return Ok(Progress::Done) };
        feed.lend(events)?;
        Ok(Progress::Busy)
    }
}

/// The sum of all shards' digests.
#[derive(Clone, Default)]
pub struct Digested(Arc<Mutex<Digest>>);

impl Digested {
    /// What has been digested; complete when the job has ended.
    pub fn get(&self) -> Digest {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink that digests each record by `row`.
    pub fn by<F>(self, row: F) -> DigestSink<F> {
        DigestSink { to: self, row }
    }
}

/// Digests records.
pub struct DigestSink<F> {
    to: Digested,
    row: F,
}

impl<R, F> Sink<R> for DigestSink<F>
where
    R: Record,
    F: Fn(&mut Digest, R::View<'_>) + Clone + Send + 'static,
{
    type Writer = DigestWriter<F>;
    fn name(&self) -> String {
        "digest".into()
    }
    fn open(&mut self, _: usize, _: usize) -> Result<DigestWriter<F>> {
        let (to, row) = (self.to.clone(), self.row.clone());
        Ok(DigestWriter { to, row, digest: Digest::default() })
    }
}

/// Digests the records of one shard.
pub struct DigestWriter<F> {
    to: Digested,
    row: F,
    digest: Digest,
}

impl<R, F> Writer<R> for DigestWriter<F>
where
    R: Record,
    F: Fn(&mut Digest, R::View<'_>) + Clone + Send + 'static,
{
    #[inline(always)]
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        (self.row)(&mut self.digest, record);
        Ok(())
    }
    fn finish(&mut self) -> Result {
        self.to.0.lock().unwrap_or_else(PoisonError::into_inner).merge(self.digest);
        Ok(())
    }
}
