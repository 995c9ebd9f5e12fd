//! Aggregates over all records of a key, given once: at the end of the input.
//!
//! Results carry the event time of the key's newest record, so no watermark may go ahead of them:
//! these stages hand on none but the last.

use std::marker::PhantomData;

use super::{Aggregate, Emitter, KeyOf, Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::error::Result;
use crate::key;
use crate::record::Record;
use crate::state::{Backend, Loader, PagedTable, Saver, Table};
use crate::time::{Timestamp, Watermark};

/// What a key's records come to so far: the newest event time, and the accumulator.
type Sum<R, A> = (Timestamp, <A as Aggregate<R>>::Acc);

/// Keys that have partial results at a time.
const PARTS_MAX: usize = 1 << 15;
/// Records that they are made of, and how many times as many as there are keys.
const RECORDS_MIN: usize = 1 << 16;
const RECORDS_PER_KEY: usize = 16;

/// A partial result: key, newest event time, accumulator.
type Part<R, B, A> = (<B as KeyOf<R>>::Key, Timestamp, <A as Aggregate<R>>::Acc);

/// Aggregates what this shard reads and hands partial results on to `to`, the exchange: at the end,
/// before a barrier, and when there are many or they are made of many records, so that neither
/// memory nor the time that a barrier takes grows with the number of keys or of records.
pub struct PartTotals<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    aggregate: A,
    sums: Table<B::Key, Sum<R, A>>,
    /// Records that were added to sums since all were handed on.
    records: usize,
    to: X,
}

impl<R, B, A, X> PartTotals<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Partial results by this key.
    pub fn new(by: B, aggregate: A, to: X) -> Self {
        PartTotals { by, aggregate, sums: Table::new(), records: 0, to }
    }

    /// Hands on what there is.
    fn send(&mut self, out: &mut Output<'_>) -> Result
    where
        X: Stage<Part<R, B, A>>,
    {
        let PartTotals { sums, to, records, .. } = self;
        *records = 0;
        sums.drain().try_for_each(|(key, (newest, acc))| {
            let stamp = Stamp { at: newest, mark: Timestamp::MIN };
            (key, newest, acc).lend(|part| to.record(stamp, part, out))
        })
    }
}

impl<R, B, A, X> Lifecycle for PartTotals<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<Part<R, B, A>>,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.to.open(seat)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at < Timestamp::MAX {
            return Ok(());
        }
        self.send(out)?;
        self.to.watermark(at, out)
    }
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.to.idle(idle, out)
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.to.flush(out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.to.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.to.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.to.finish(out)
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.send(out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.to.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.to.save(to)
    }
    fn state_bytes(&self) -> usize {
        self.sums.bytes() + self.to.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.to.load(from)
    }
}

impl<R, B, A, X> Stage<R> for PartTotals<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<Part<R, B, A>>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let (part, at) = (self.by.part(record), stamp.at);
        let hash = B::hash(&part);
        if let Some((newest, acc)) = self.sums.get_mut(hash, |key| B::is(&part, key)) {
            *newest = at.max(*newest);
            self.aggregate.add(acc, at, record);
        } else {
            self.sums.insert_new(hash, B::own(part), (at, self.aggregate.start(at, record)));
        }
        self.records += 1;
        let records_max = RECORDS_MIN.max(RECORDS_PER_KEY * self.sums.len());
        if self.records < records_max && self.sums.len() < PARTS_MAX {
            return Ok(());
        }
        self.send(out)
    }
}

/// Aggregates records, or puts partial results together when `PARTS`; gives a key and its result
/// at the end of the input.
pub struct Totals<R, B, A, const PARTS: bool>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    aggregate: A,
    sums: PagedTable<B::Key, Sum<R, A>>,
    out: Emitter<(B::Key, A::Out)>,
    record: PhantomData<fn() -> R>,
}

impl<R, B, A, const PARTS: bool> Totals<R, B, A, PARTS>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Results by this key, whose state is kept where `backend` says.
    pub fn new(by: B, aggregate: A, backend: &Backend) -> Self {
        let (sums, out) = (PagedTable::of(backend.clone()), Emitter::new(0));
        Totals { by, aggregate, sums, out, record: PhantomData }
    }
}

impl<R, B, A, const PARTS: bool> Lifecycle for Totals<R, B, A, PARTS>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.sums.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at < Timestamp::MAX {
            return Ok(());
        }
        for (key, (newest, acc)) in self.sums.drain() {
            self.out.give(newest, &(key, self.aggregate.result(&acc)), out)?;
        }
        self.out.flush(out)?;
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_table::<_, _, Part<R, B, A>>("totals", &mut self.sums)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        to.table::<_, _, Part<R, B, A>>("totals", &mut self.sums, |part, key, (newest, acc)| {
            key.lend(|key| {
                acc.lend(|acc| part.put((B::Key::shorten(key), *newest, A::Acc::shorten(acc))));
            });
        })
    }
    fn state_bytes(&self) -> usize {
        self.sums.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        from.table::<_, _, Part<R, B, A>>("totals", &mut self.sums, |(key, newest, acc)| {
            (B::Key::own(key), (newest, A::Acc::own(acc)))
        })
    }
}

impl<R, B, A> Stage<R> for Totals<R, B, A, false>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, _: &mut Output<'_>) -> Result {
        let (part, at) = (self.by.part(record), stamp.at);
        let hash = B::hash(&part);
        if let Some((newest, acc)) = self.sums.get_mut(hash, |key| B::is(&part, key)) {
            *newest = at.max(*newest);
            self.aggregate.add(acc, at, record);
        } else {
            self.sums.insert_new(hash, B::own(part), (at, self.aggregate.start(at, record)));
        }
        Ok(())
    }
}

impl<R, B, A> Stage<Part<R, B, A>> for Totals<R, B, A, true>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn record(
        &mut self,
        _: Stamp,
        (key, at, acc): <Part<R, B, A> as Record>::View<'_>,
        _: &mut Output<'_>,
    ) -> Result {
        let (key, other) = (B::Key::own(key), A::Acc::own(acc));
        let hash = key::hash(&key);
        if let Some((newest, acc)) = self.sums.get_mut(hash, |kept| *kept == key) {
            *newest = at.max(*newest);
            self.aggregate.merge(acc, &other);
        } else {
            self.sums.insert_new(hash, key, (at, other));
        }
        Ok(())
    }
}
