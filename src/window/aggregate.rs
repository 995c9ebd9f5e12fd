//! Aggregates over windows of panes.
//!
//! On one shard [`Whole`] does it all. On several, [`Partial`] aggregates on every shard what it
//! reads and hands on a partial result for each key when a pane closes; [`Merging`] puts them
//! together. A raw record then never crosses a ring, and a hot key costs nothing.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

use super::spec::us;
use super::{Panes, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, Emitter, KeyOf, Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::record::{InWindow, Key, Record};
use crate::state::Table;
use crate::time::{Timestamp, Watermark};

/// Records of `R` on their way into panes.
struct Filling<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    aggregate: A,
    spec: WindowSpec,
    lateness: i64,
    panes: Panes<B::Key, A::Acc>,
    /// The last record's pane is late once the mark reaches this.
    late_from: Timestamp,
    record: PhantomData<fn() -> R>,
}

impl<R, B, A> Filling<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn new(by: B, aggregate: A, spec: WindowSpec, lateness: i64) -> Self {
        let panes = Panes::new(spec.pane, spec.offset);
        let late_from = Timestamp::MIN;
        Filling { by, aggregate, spec, lateness, panes, late_from, record: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn enter(&mut self, at: Timestamp) {
        let pane = self.spec.pane_of(at);
        self.late_from = us(self.spec.last_end(pane), self.lateness);
    }

    /// Adds a record; false when it is too late for all of its windows.
    #[inline(always)]
    fn add(&mut self, Stamp { at, mark }: Stamp, record: R::View<'_>) -> bool {
        if !self.panes.holds(at) {
            self.enter(at);
        }
        if mark >= self.late_from {
            return false;
        }
        let part = self.by.part(record);
        let hash = B::hash(&part);
        let table = self.panes.at(at);
        if let Some(acc) = table.get_mut(hash, |key| B::is(&part, key)) {
            self.aggregate.add(acc, at, record);
        } else {
            table.insert(hash, B::own(part), self.aggregate.start(at, record));
        }
        true
    }
}

/// Aggregates what this shard reads and hands partial results, `(key, pane, accumulator)`, on to
/// `to`, the exchange.
pub struct Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    filling: Filling<R, B, A>,
    to: X,
}

impl<R, B, A, X> Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Partial results for these windows; `lateness` in microseconds.
    pub fn new(by: B, aggregate: A, spec: WindowSpec, lateness: i64, to: X) -> Self {
        Partial { filling: Filling::new(by, aggregate, spec, lateness), to }
    }
}

impl<R, B, A, X> Lifecycle for Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<(B::Key, Timestamp, A::Acc)>,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.to.open(seat)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        let closed = us(at, 1 - self.filling.spec.pane);
        while let Some((pane, mut table)) = self.filling.panes.pop_before(closed) {
            let stamp = Stamp { at: pane, mark: at };
            for (key, acc) in table.drain() {
                (key, pane, acc).lend(|partial| self.to.record(stamp, partial, out))?;
            }
            self.filling.panes.recycle(table);
        }
        self.to.watermark(at, out)
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
}

impl<R, B, A, X> Stage<R> for Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<(B::Key, Timestamp, A::Acc)>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        if !self.filling.add(stamp, record) {
            out.counters().late.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

/// Makes windows of panes and hands on their results.
struct Closing<R, K, A: Aggregate<R>>
where
    R: Record,
    K: Key,
{
    aggregate: A,
    spec: WindowSpec,
    /// The end of the next window, once a pane has been seen.
    next: Option<Timestamp>,
    /// The panes of the windows that are still to end, oldest first.
    held: VecDeque<(Timestamp, Table<K, A::Acc>)>,
    /// Of aggregates that can be inverted and of cumulating windows: the sum of the held panes,
    /// and of how many of them each key is part.
    sum: Table<K, (A::Acc, u64)>,
    out: Emitter<InWindow<K, A::Out>>,
}

impl<R, K, A> Closing<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    fn new(aggregate: A, spec: WindowSpec) -> Self {
        let (held, sum, out) = (VecDeque::new(), Table::new(), Emitter::new(0));
        Closing { aggregate, spec, next: None, held, sum, out }
    }

    /// Closes every window that ends at or before `at`, with the panes that hold their records.
    fn close(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result {
        loop {
            // While no pane is held the next window is the first one of the oldest pane.
            let first = panes.oldest().map(|pane| self.spec.first_end(pane));
            let next = if self.held.is_empty() { first } else { self.next };
            let Some(end) = next.filter(|end| *end <= at) else {
                break;
            };
            self.window(panes, end, out)?;
            self.next = Some(self.spec.next_end(end));
        }
        self.out.flush(out)
    }

    fn window(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result {
        let start = self.spec.start_of(end);
        while let Some((pane, mut table)) = panes.pop_before(end) {
            if self.spec.is_tumbling() {
                for (key, acc) in table.drain() {
                    self.emit(&key, start, end, &acc, out)?;
                }
                panes.recycle(table);
            } else if self.spec.last_end(pane) >= end {
                self.hold(pane, table);
            } else {
                panes.recycle(table);
            }
        }
        if self.spec.is_tumbling() {
            return Ok(());
        }
        if self.sums() {
            let sum = std::mem::take(&mut self.sum);
            for (key, (acc, _)) in sum.iter() {
                self.emit(key, start, end, acc, out)?;
            }
            self.sum = sum;
        } else {
            self.merge_held(start, end, out)?;
        }
        let after = self.spec.next_end(end);
        while let Some((pane, _)) = self.held.front() {
            if self.spec.last_end(*pane) >= after {
                break;
            }
            let Some((_, table)) = self.held.pop_front() else {
                break;
            };
            self.release(&table);
            panes.recycle(table);
        }
        Ok(())
    }

    /// Whether a running sum of the held panes is kept.
    fn sums(&self) -> bool {
        A::INVERTS || self.spec.cumulating
    }

    fn hold(&mut self, pane: Timestamp, table: Table<K, A::Acc>) {
        if self.sums() {
            for (key, acc) in table.iter() {
                let hash = key::hash(key);
                match self.sum.get_mut(hash, |other| other == key) {
                    Some((sum, panes)) => {
                        self.aggregate.merge(sum, acc);
                        *panes += 1;
                    }
                    None => {
                        self.sum.insert(hash, key.clone(), (acc.clone(), 1));
                    }
                }
            }
        }
        self.held.push_back((pane, table));
    }

    fn release(&mut self, table: &Table<K, A::Acc>) {
        if self.spec.cumulating {
            // All panes of a row of windows leave together.
            self.sum.clear();
            return;
        }
        if !A::INVERTS {
            return;
        }
        for (key, acc) in table.iter() {
            let hash = key::hash(key);
            if let Some((sum, panes)) = self.sum.get_mut(hash, |other| other == key) {
                self.aggregate.subtract(sum, acc);
                *panes -= 1;
                if *panes == 0 {
                    self.sum.remove(hash, |other| other == key);
                }
            }
        }
    }

    /// The result of a window from its panes, for aggregates that can't be inverted.
    fn merge_held(&mut self, start: Timestamp, end: Timestamp, out: &mut Output<'_>) -> Result {
        let mut merged: Table<K, A::Acc> = Table::new();
        for (_, table) in self.held.iter().filter(|(pane, _)| *pane >= start) {
            for (key, acc) in table.iter() {
                let hash = key::hash(key);
                match merged.get_mut(hash, |other| other == key) {
                    Some(sum) => self.aggregate.merge(sum, acc),
                    None => {
                        merged.insert(hash, key.clone(), acc.clone());
                    }
                }
            }
        }
        for (key, acc) in merged.drain() {
            self.emit(&key, start, end, &acc, out)?;
        }
        Ok(())
    }

    fn emit(
        &mut self,
        key: &K,
        start: Timestamp,
        end: Timestamp,
        acc: &A::Acc,
        out: &mut Output<'_>,
    ) -> Result {
        let value = self.aggregate.result(acc);
        let emitter = &mut self.out;
        key.lend(|key| {
            value.lend(|value| {
                let (key, value) = (K::shorten(key), A::Out::shorten(value));
                emitter.push(us(end, -1), InWindow { key, start, end, value }, out)
            })
        })
    }
}

/// Puts the shards' partial results together.
pub struct Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    panes: Panes<K, A::Acc>,
    closing: Closing<R, K, A>,
}

impl<R, K, A> Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    /// Results for these windows.
    pub fn new(aggregate: A, spec: WindowSpec) -> Self {
        let panes = Panes::new(spec.pane, spec.offset);
        Merging { panes, closing: Closing::new(aggregate, spec) }
    }
}

impl<R, K, A> Lifecycle for Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.closing.close(&mut self.panes, at, out)?;
        out.watermark(at)
    }
}

impl<R, K, A> Stage<(K, Timestamp, A::Acc)> for Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    fn record(
        &mut self,
        _: Stamp,
        (key, pane, acc): <(K, Timestamp, A::Acc) as Record>::View<'_>,
        _: &mut Output<'_>,
    ) -> Result {
        let (key, other) = (K::own(key), A::Acc::own(acc));
        let hash = key::hash(&key);
        let table = self.panes.at(pane);
        if let Some(acc) = table.get_mut(hash, |kept| *kept == key) {
            self.closing.aggregate.merge(acc, &other);
        } else {
            table.insert(hash, key, other);
        }
        Ok(())
    }
}

/// Aggregates records into windows on one shard.
pub struct Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    filling: Filling<R, B, A>,
    closing: Closing<R, B::Key, A>,
}

impl<R, B, A> Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Results for these windows; `lateness` in microseconds.
    pub fn new(by: B, aggregate: A, spec: WindowSpec, lateness: i64) -> Self {
        let filling = Filling::new(by, aggregate.clone(), spec, lateness);
        Whole { filling, closing: Closing::new(aggregate, spec) }
    }
}

impl<R, B, A> Lifecycle for Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.closing.close(&mut self.filling.panes, at, out)?;
        out.watermark(at)
    }
}

impl<R, B, A> Stage<R> for Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        if !self.filling.add(stamp, record) {
            out.counters().late.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}
