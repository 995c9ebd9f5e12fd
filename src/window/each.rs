//! A table for each window: for results that are given more than once (allowed lateness, early
//! results) and for aggregates that can't be merged. It costs a table operation for every window
//! that holds a record, where panes cost one in all.

use std::collections::BTreeMap;

use super::pulse::Pulse;
use super::results::{Results, tell_behind};
use super::saved::{save_told, times, told};
use super::spec::us;
use super::{Panes, Place, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, KeyOf, Lifecycle, Output, Progress, Stage, Stamp};
use crate::record::{Key, Record};
use crate::state::{Backend, Loader, Saver, Series};
use crate::time::{Timestamp, Watermark};

/// When results are given besides the window's end; microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// How long a window is kept after its end.
    pub lateness: i64,
    /// Early results are given at every multiple of this; 0 for none.
    pub early: i64,
    /// Early results are given every so much processing time; 0 for none.
    pub early_after: i64,
    /// A result is that of all records so far, not of its window alone.
    pub totals: bool,
}

impl Again {
    /// How long after the end of its window a result may come again, microseconds.
    pub(super) fn behind(&self) -> i64 {
        if self.totals { 0 } else { self.lateness }
    }
}

/// The windows that can still change, by their end.
pub(super) struct Each<R: Record, K: Key, A: Aggregate<R>> {
    spec: WindowSpec,
    again: Again,
    /// With whether the key is among the changed ones.
    windows: Series<K, (A::Acc, bool)>,
    /// Keys whose result has changed since it was given.
    changed: BTreeMap<Timestamp, Vec<K>>,
    /// The next time of early results, when there is something to give then.
    tick: Option<Timestamp>,
    results: Results<R, K, A>,
}

/// What is kept of a key in a window: with the window's end, and 1 if its result has changed since
/// it was given.
type Kept<K, T> = (K, Timestamp, u64, T);

impl<R: Record, K: Key, A: Aggregate<R>> Each<R, K, A> {
    pub fn new(aggregate: A, spec: WindowSpec, again: Again, backend: &Backend) -> Self {
        let (windows, changed) = (Series::of(backend.clone()), BTreeMap::new());
        Each { spec, again, windows, changed, tick: None, results: Results::new(aggregate) }
    }

    pub fn save(&mut self, to: &mut Saver) -> Result {
        to.part::<Timestamp>("early", |part| {
            self.tick.into_iter().for_each(|tick| part.put(tick))
        })?;
        to.begin_series::<_, _, Kept<K, A::Acc>>("windows", &mut self.windows)
    }

    pub fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let windows = &mut self.windows;
        to.series::<_, _, Kept<K, A::Acc>>("windows", windows, |part, end, key, (acc, changed)| {
            let changed = u64::from(*changed);
            key.lend(|key| {
                acc.lend(|acc| part.put((K::shorten(key), end, changed, A::Acc::shorten(acc))));
            });
        })
    }

    pub fn state_bytes(&self) -> usize {
        self.windows.bytes()
    }

    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        let Each { windows, changed: all, .. } = self;
        from.series::<_, _, Kept<K, A::Acc>>("windows", windows, |windows, record| {
            let (key, end, changed, acc) = record;
            let key = K::own(key);
            let hash = key::hash(&key);
            if from.owns(hash) {
                windows.at(end).put(hash, key, (A::Acc::own(acc), changed > 0));
            }
        })?;
        for end in windows.times() {
            let of_window = all.entry(end).or_default();
            windows.for_each(end, |key, (_, changed)| {
                of_window.extend(changed.then(|| key.clone()));
            });
        }
        self.tick = times("early", from)?.into_iter().min();
        Ok(())
    }

    /// Puts what a key has in a window.
    fn put(
        &mut self,
        end: Timestamp,
        hash: u64,
        key: &K,
        start: impl FnOnce(&A) -> A::Acc,
        add: impl FnOnce(&A, &mut A::Acc),
    ) {
        let (table, aggregate) = (self.windows.at(end), &self.results.aggregate);
        match table.get_mut(hash, |other| other == key) {
            Some((acc, changed)) => {
                add(aggregate, acc);
                if std::mem::replace(changed, true) {
                    return;
                }
            }
            None => table.insert_new(hash, key.clone(), (start(aggregate), true)),
        }
        self.changed.entry(end).or_default().push(key.clone());
    }

    /// Merges what counts in those windows of a pane that end at `from` or later.
    pub fn merge(&mut self, from: Timestamp, pane: Timestamp, key: &K, acc: &A::Acc) {
        let hash = key::hash(key);
        for end in self.spec.ends(pane, from) {
            self.put(end, hash, key, |_| acc.clone(), |aggregate, sum| aggregate.merge(sum, acc));
        }
    }

    /// Adds a record to those of its windows that end at `from` or later.
    fn add(&mut self, from: Timestamp, at: Timestamp, key: &K, record: R::View<'_>) {
        let hash = key::hash(key);
        for end in self.spec.ends(self.spec.pane_of(at), from) {
            let start = |aggregate: &A| aggregate.start(at, record);
            self.put(end, hash, key, start, |aggregate, acc| aggregate.add(acc, at, record));
        }
        if self.again.early > 0 {
            self.will_tick(at);
        }
    }

    /// There is something to give early after what happened at a time.
    fn will_tick(&mut self, at: Timestamp) {
        let tick = us(at.align_down(self.again.early, self.spec.offset), self.again.early);
        self.tick = Some(self.tick.map_or(tick, |other| other.min(tick)));
    }

    /// Takes the panes that end at or before `at`, gives all results due by then and forgets the
    /// windows that can't change any more.
    pub fn close(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result {
        let closed = self.spec.closed(at);
        while let Some(pane) = panes.close_before(closed) {
            // Early results hold what is older than their time and nothing else, so that they do
            // not depend on how far the watermark goes in one step.
            self.give_early(pane, out)?;
            panes.for_each(pane, |key, acc| self.merge(Timestamp::MIN, pane, key, acc));
            panes.forget(pane);
            if self.again.early > 0 {
                self.will_tick(pane);
            }
        }
        self.advance(at, out)
    }

    /// Gives what has changed in all windows, those of open panes included.
    pub fn give_open(&mut self, panes: &mut Panes<K, A::Acc>, out: &mut Output<'_>) -> Result {
        while let Some(pane) = panes.close_before(Timestamp::MAX) {
            panes.for_each(pane, |key, acc| self.merge(Timestamp::MIN, pane, key, acc));
            panes.forget(pane);
        }
        self.give_changed(out)
    }

    fn give_changed(&mut self, out: &mut Output<'_>) -> Result {
        self.give(Timestamp::MAX, out)?;
        self.results.flush(out)
    }

    fn advance(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.give_early(at, out)?;
        self.give(at, out)?;
        self.results.flush(out)?;
        while let Some(end) = self.windows.oldest() {
            if us(end, self.again.lateness) > at {
                break;
            }
            self.windows.remove(end);
            self.changed.remove(&end);
        }
        Ok(())
    }

    fn give_early(&mut self, at: Timestamp, out: &mut Output<'_>) -> Result {
        if self.tick.is_some_and(|tick| tick <= at) {
            self.tick = None;
            return self.give(Timestamp::MAX, out);
        }
        Ok(())
    }

    /// Gives what has changed in windows that end at or before `last`.
    fn give(&mut self, last: Timestamp, out: &mut Output<'_>) -> Result {
        for (&end, changed) in self.changed.range_mut(..=last) {
            let Some(table) = self.windows.get_mut(end) else { continue };
            let bounds = (self.spec.start_of(end), end);
            for key in changed.drain(..) {
                if let Some((acc, changed)) = table.get_mut(key::hash(&key), |other| *other == key)
                {
                    *changed = false;
                    self.results.give(us(end, -1), bounds, &key, acc, out)?;
                }
            }
        }
        Ok(())
    }
}

/// Windows of panes for an aggregate that can't be merged: every record is added to each of its
/// windows, at the owner of its key, in the order of arrival.
pub struct Unmerged<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    each: Each<R, B::Key, A>,
    told: Watermark,
    pulse: Pulse,
}

impl<R, B, A> Unmerged<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Results for these windows, whose state is kept where `backend` says.
    pub fn new(by: B, aggregate: A, spec: WindowSpec, again: Again, backend: &Backend) -> Self {
        let each = Each::new(aggregate, spec, again, backend);
        Unmerged { by, each, told: Timestamp::MIN, pulse: Pulse::new(again.early_after) }
    }
}

impl<R, B, A> Lifecycle for Unmerged<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.each.windows.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.each.advance(at, out)?;
        // A job that goes on is told again what it was told.
        self.told = self.told.max(at);
        tell_behind(at, self.each.again.behind(), out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let each = &mut self.each;
        self.pulse.poll(out, |out| each.give_changed(out))
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        save_told(self.told, to)?;
        self.each.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.each.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.each.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.told = told(from)?;
        self.each.load(from)
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.pulse.stop();
        out.finish()
    }
}

impl<R, B, A> Stage<(Timestamp, R)> for Unmerged<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        (mut from, record): (Timestamp, R::View<'_>),
        out: &mut Output<'_>,
    ) -> Result {
        let closed = us(self.told, -self.each.again.lateness);
        if from <= closed {
            // The shard that sent it was idle, and the others did not wait for it.
            let spec = &self.each.spec;
            match spec.place(spec.pane_of(at), closed) {
                Place::From(end) => from = end,
                Place::Late | Place::Nowhere => {
                    out.counters().late.add(1);
                    return Ok(());
                }
            }
        }
        let key = B::own(self.by.part(record));
        self.each.add(from, at, &key, record);
        Ok(())
    }
}
