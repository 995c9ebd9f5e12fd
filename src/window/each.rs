//! A table for each window: for results that are given more than once (allowed lateness, early
//! results) and for aggregates that can't be merged. It costs a table operation for every window
//! that holds a record, where panes cost one in all.

use std::collections::BTreeMap;

use super::pulse::Pulse;
use super::results::{Results, tell_behind};
use super::saved::{entries, save_told, times, told};
use super::spec::us;
use super::{Panes, Place, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, KeyOf, Lifecycle, Output, Progress, Stage, Stamp};
use crate::record::{Key, Record};
use crate::state::{Loader, Saver, Table};
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
    windows: BTreeMap<Timestamp, Window<K, A::Acc>>,
    /// The next time of early results, when there is something to give then.
    tick: Option<Timestamp>,
    results: Results<R, K, A>,
}

/// What is kept of a key in a window: with the window's end, and 1 if its result has changed since
/// it was given.
type Kept<K, T> = (K, Timestamp, u64, T);

struct Window<K, T> {
    /// With whether the key is among the changed ones.
    table: Table<K, (T, bool)>,
    /// Keys whose result has changed since it was given.
    changed: Vec<K>,
}

impl<K: Key, T> Window<K, T> {
    fn empty() -> Self {
        Window { table: Table::new(), changed: Vec::new() }
    }

    fn put(&mut self, hash: u64, key: &K, start: impl FnOnce() -> T, add: impl FnOnce(&mut T)) {
        let Some((acc, changed)) = self.table.get_mut(hash, |other| other == key) else {
            self.table.insert(hash, key.clone(), (start(), true));
            return self.changed.push(key.clone());
        };
        add(acc);
        if !*changed {
            *changed = true;
            self.changed.push(key.clone());
        }
    }
}

impl<R: Record, K: Key, A: Aggregate<R>> Each<R, K, A> {
    pub fn new(aggregate: A, spec: WindowSpec, again: Again) -> Self {
        let results = Results::new(aggregate);
        Each { spec, again, windows: BTreeMap::new(), tick: None, results }
    }

    pub fn save(&self, to: &mut Saver) -> Result {
        to.part::<Kept<K, A::Acc>>("windows", |part| {
            let tables = self.windows.iter().map(|(end, window)| (*end, &window.table));
            for (end, key, (acc, changed)) in entries(tables) {
                let changed = u64::from(*changed);
                key.lend(|key| {
                    acc.lend(|acc| {
                        part.put((K::shorten(key), end, changed, A::Acc::shorten(acc)));
                    });
                });
            }
        })?;
        to.part::<Timestamp>("early", |part| self.tick.into_iter().for_each(|tick| part.put(tick)))
    }

    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        from.part::<Kept<K, A::Acc>>("windows", |_, _, (key, end, changed, acc)| {
            let key = K::own(key);
            let hash = key::hash(&key);
            if from.owns(hash) {
                let window = self.windows.entry(end).or_insert_with(Window::empty);
                if changed > 0 {
                    window.changed.push(key.clone());
                }
                window.table.insert_new(hash, key, (A::Acc::own(acc), changed > 0));
            }
        })?;
        self.tick = times("early", from)?.into_iter().min();
        Ok(())
    }

    /// Merges what counts in those windows of a pane that end at `from` or later.
    pub fn merge(&mut self, from: Timestamp, pane: Timestamp, key: &K, acc: &A::Acc) {
        let (hash, aggregate) = (key::hash(key), &self.results.aggregate);
        for end in self.spec.ends(pane, from) {
            let window = self.windows.entry(end).or_insert_with(Window::empty);
            window.put(hash, key, || acc.clone(), |sum| aggregate.merge(sum, acc));
        }
    }

    /// Adds a record to those of its windows that end at `from` or later.
    fn add(&mut self, from: Timestamp, at: Timestamp, key: &K, record: R::View<'_>) {
        let (hash, aggregate) = (key::hash(key), &self.results.aggregate);
        for end in self.spec.ends(self.spec.pane_of(at), from) {
            let window = self.windows.entry(end).or_insert_with(Window::empty);
            let start = || aggregate.start(at, record);
            window.put(hash, key, start, |acc| aggregate.add(acc, at, record));
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
        while let Some((pane, mut table)) = panes.pop_before(closed) {
            // Early results hold what is older than their time and nothing else, so that they do
            // not depend on how far the watermark goes in one step.
            self.give_early(pane, out)?;
            for (key, acc) in table.drain() {
                self.merge(Timestamp::MIN, pane, &key, &acc);
            }
            panes.recycle(table);
            if self.again.early > 0 {
                self.will_tick(pane);
            }
        }
        self.advance(at, out)
    }

    /// Gives what has changed in all windows, those of open panes included.
    pub fn give_open(&mut self, panes: &mut Panes<K, A::Acc>, out: &mut Output<'_>) -> Result {
        while let Some((pane, mut table)) = panes.pop_before(Timestamp::MAX) {
            for (key, acc) in table.drain() {
                self.merge(Timestamp::MIN, pane, &key, &acc);
            }
            panes.recycle(table);
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
        while let Some(entry) = self.windows.first_entry() {
            if us(*entry.key(), self.again.lateness) > at {
                break;
            }
            entry.remove();
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
        for (&end, window) in self.windows.range_mut(..=last) {
            let bounds = (self.spec.start_of(end), end);
            for key in window.changed.drain(..) {
                let entry = window.table.get_mut(key::hash(&key), |other| *other == key);
                if let Some((acc, changed)) = entry {
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
    /// Results for these windows.
    pub fn new(by: B, aggregate: A, spec: WindowSpec, again: Again) -> Self {
        let pulse = Pulse::new(again.early_after);
        Unmerged { by, each: Each::new(aggregate, spec, again), told: Timestamp::MIN, pulse }
    }
}

impl<R, B, A> Lifecycle for Unmerged<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
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
