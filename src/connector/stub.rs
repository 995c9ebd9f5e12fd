//! Stand-ins for a running job: what unit tests drive sources and sinks with.

use crate::error::Result;
use crate::operator::{
    BadRecord, Downstream, Feed, OnBadRecord, Progress, Sink, Source, Split, Writer,
};
use crate::record::{Batch, Block, Record};
use crate::time::Timestamp;

/// What a source gave.
pub struct Taken<R> {
    pub records: Vec<R>,
    pub bad: Vec<BadRecord>,
    pub bad_count: u64,
    pub batches: usize,
}

struct Keep<'a, R>(&'a mut Taken<R>);

impl<R: Record> Downstream for Keep<'_, R> {
    fn take(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        self.0.batches += 1;
        match port {
            0 => batch.records::<R>().for_each(|(_, view)| self.0.records.push(R::own(view))),
            _ => {
                let rows = batch.records::<BadRecord>();
                rows.for_each(|(_, row)| self.0.bad.push(BadRecord::own(row)));
            }
        }
        Ok(())
    }
}

/// Reads all splits of a source to the end, one after the other.
pub fn read<S: Source>(source: &S, shards: usize) -> Result<Taken<S::Record>> {
    let mut taken = Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
    for (i, mut split) in source.splits(shards)?.into_iter().enumerate() {
        while poll(i, &mut *split, source.on_bad_record(), &mut taken)? != Progress::Done {}
    }
    Ok(taken)
}

/// Polls one split once.
pub fn poll<R: Record>(
    number: usize,
    split: &mut dyn Split<R>,
    policy: OnBadRecord,
    taken: &mut Taken<R>,
) -> Result<Progress> {
    let (mut block, mut bad) = (Block::new(), 0);
    let mut keep = Keep(taken);
    let mut feed = Feed::new(number as u32, &mut block, &mut bad, policy, &mut keep);
    let progress = split.poll(&mut feed).and_then(|progress| feed.flush().map(|()| progress));
    taken.bad_count += bad;
    progress
}

/// Deals records out to the writers of a sink on `shards` shards.
pub fn write<R: Record, S: Sink<R>>(sink: &mut S, shards: usize, records: &[R]) -> Result {
    let mut writers =
        (0..shards).map(|shard| sink.open(shard, shards)).collect::<Result<Vec<_>>>()?;
    for (i, record) in records.iter().enumerate() {
        let at = Timestamp::from_micros(i as i64);
        record.lend(|view| writers[i % shards].write(at, view))?;
    }
    writers.iter_mut().try_for_each(Writer::finish)
}
