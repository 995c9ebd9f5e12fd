//! Closing windows of panes whose results are given once: the fast way.

use super::held::Held;
use super::results::Results;
use super::saved::{self, told_of_each};
use super::spec::us;
use super::{Panes, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, Output};
use crate::record::{Key, Record};
use crate::state::{Backend, Loader, PagedTable, Saver, Series};
use crate::time::{Timestamp, Watermark};

/// Makes windows of panes and gives their results.
pub(super) struct Closing<R: Record, K: Key, A: Aggregate<R>> {
    aggregate: A,
    spec: WindowSpec,
    /// The end of the next window, while panes are held.
    next: Timestamp,
    /// The panes of the windows that are still to end.
    held: Held<K, A::Acc>,
    /// What belongs to some windows of its pane only, by the window's end.
    tardy: Series<K, A::Acc>,
    results: Results<R, K, A>,
    backend: Backend,
    /// What shards had that were told less than another one's watermark, before the job went on
    /// with another number of shards; and what that watermark is.
    behind: Vec<(Panes<K, A::Acc>, Self)>,
    most: Watermark,
}

impl<R: Record, K: Key, A: Aggregate<R>> Closing<R, K, A> {
    pub fn new(aggregate: A, spec: WindowSpec, backend: &Backend) -> Self {
        let held = Held::new::<R, A>(spec.cumulating, backend);
        let (tardy, results) = (Series::of(backend.clone()), Results::new(aggregate.clone()));
        let (backend, behind, most) = (backend.clone(), Vec::new(), Timestamp::MIN);
        let next = Timestamp::MIN;
        Closing { aggregate, spec, next, held, tardy, results, backend, behind, most }
    }

    /// Takes what counts in those windows of a pane that end at `from` or later.
    pub fn tardy(&mut self, from: Timestamp, pane: Timestamp, key: &K, acc: &A::Acc) {
        let hash = key::hash(key);
        for end in self.spec.ends(pane, from) {
            let table = self.tardy.at(end);
            match table.get_mut(hash, |other| other == key) {
                Some(sum) => self.aggregate.merge(sum, acc),
                None => table.insert_new(hash, key.clone(), acc.clone()),
            }
        }
    }

    pub fn save(&mut self, to: &mut Saver) -> Result {
        self.held.save(to)?;
        saved::begin("tardy", &mut self.tardy, to)
    }

    pub fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        Ok(self.held.save_more(to)? && saved::more("tardy", &mut self.tardy, to)?)
    }

    pub fn state_bytes(&self) -> usize {
        self.held.state_bytes() + self.tardy.bytes()
    }

    /// Takes up what was saved. Where shards had closed different windows, each one's keys are kept
    /// apart until [`catch_up`](Self::catch_up) has given what the others have given.
    pub fn load(&mut self, panes: &mut Panes<K, A::Acc>, from: &Loader<'_>) -> Result {
        let told = told_of_each(from)?;
        let Some(most) = told.iter().map(|(_, at)| *at).max() else { return Ok(()) };
        if told.iter().all(|(_, at)| *at == most) {
            return self.load_told(panes, most, from);
        }
        self.most = most;
        for (shard, at) in told {
            let mut its_panes = Panes::new(self.spec.pane, self.spec.offset, &self.backend);
            let mut its = Closing::new(self.aggregate.clone(), self.spec, &self.backend);
            its.load_told(&mut its_panes, at, &from.of(shard))?;
            if at == most {
                self.take_up(panes, its_panes, its);
            } else {
                self.behind.push((its_panes, its));
            }
        }
        Ok(())
    }

    /// Takes up what shards saved that were told this watermark.
    fn load_told(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        told: Watermark,
        from: &Loader<'_>,
    ) -> Result {
        panes.load(from)?;
        let last = told.align_down(self.spec.step, self.spec.offset);
        self.next = self.spec.next_end(last);
        if !self.spec.is_tumbling() {
            self.held.load(&self.aggregate, last, panes, from)?;
        }
        saved::load("tardy", &mut self.tardy, from)
    }

    /// Gives the windows that some shards had given for their keys and others had not for theirs.
    pub fn catch_up(&mut self, panes: &mut Panes<K, A::Acc>, out: &mut Output<'_>) -> Result {
        for (mut its_panes, mut its) in std::mem::take(&mut self.behind) {
            its.close(&mut its_panes, self.most, out)?;
            self.take_up(panes, its_panes, its);
        }
        Ok(())
    }

    /// Takes up what another one holds, of other keys, that has closed the same windows. What has
    /// come for these keys since the job went on is here already.
    fn take_up(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        mut its_panes: Panes<K, A::Acc>,
        mut its: Self,
    ) {
        self.next = self.spec.next_end(self.most.align_down(self.spec.step, self.spec.offset));
        self.held.take_up(&self.aggregate, panes, &mut its_panes, &mut its.held);
        while let Some(pane) = its_panes.close_before(Timestamp::MAX) {
            merge_all(&self.aggregate, panes.at(pane), its_panes.entries(pane));
        }
        // Whoever fills the panes knows of the current one when its records are late.
        panes.leave();
        for end in its.tardy.times() {
            merge_all(&self.aggregate, self.tardy.at(end), its.tardy.entries(end));
        }
    }

    /// Closes every window that ends at or before `at` and has records.
    pub fn close(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result {
        loop {
            // While no pane is held the next window is the first one of the oldest pane: a gap in
            // event time is stepped over at once.
            let next = match self.held.oldest() {
                Some(_) => Some(self.next),
                None => panes.oldest().map(|pane| self.spec.first_end(pane)),
            };
            let tardy = self.tardy.oldest();
            let next = next.into_iter().chain(tardy).min();
            let Some(end) = next.filter(|end| *end <= at) else {
                break;
            };
            if self.spec.is_tumbling() {
                self.pane(panes, end, out)?;
            } else {
                self.window(panes, end, out)?;
            }
        }
        self.results.flush(out)
    }

    /// Gives a window that is one pane.
    fn pane(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result {
        let bounds = (self.spec.start_of(end), end);
        if let Some(pane) = panes.close_before(end) {
            panes.try_for_each(pane, |key, acc| {
                self.results.give(us(end, -1), bounds, key, acc, out)
            })?;
            panes.forget(pane);
        }
        Ok(())
    }

    fn window(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result {
        while let Some(pane) = panes.close_before(end) {
            if self.spec.last_end(pane) >= end {
                self.held.push(&self.aggregate, pane, panes);
            } else {
                panes.forget(pane);
            }
        }
        self.give(end, out)?;
        self.next = self.spec.next_end(end);
        while let Some(pane) = self.held.oldest() {
            // At the end of time the next end is the same.
            if self.spec.last_end(pane) >= self.next && self.next > end {
                break;
            }
            self.held.pop(&self.aggregate, panes);
        }
        Ok(())
    }

    /// Gives what the held panes come to, and what came too late for them.
    fn give(&mut self, end: Timestamp, out: &mut Output<'_>) -> Result {
        let Closing { aggregate, held, tardy, results, .. } = self;
        let bounds = (self.spec.start_of(end), end);
        let Some(table) = tardy.get_mut(end) else {
            return held
                .each(aggregate, |key, acc| results.give(us(end, -1), bounds, key, acc, out));
        };
        held.each(aggregate, |key, acc| {
            let Some((_, mut both)) = table.remove(key::hash(key), |other| other == key) else {
                return results.give(us(end, -1), bounds, key, acc, out);
            };
            results.aggregate.merge(&mut both, acc);
            results.give(us(end, -1), bounds, key, &both, out)
        })?;
        table.try_for_each(|key, acc| results.give(us(end, -1), bounds, key, acc, out))?;
        tardy.remove(end);
        Ok(())
    }
}

/// Puts entries into a table that has newer ones of some of the keys.
fn merge_all<'e, R: Record, K: Key, A: Aggregate<R>>(
    aggregate: &A,
    to: &mut PagedTable<K, A::Acc>,
    entries: impl Iterator<Item = (&'e K, &'e A::Acc)>,
) where
    A::Acc: 'e,
{
    for (key, older) in entries {
        let (hash, mut both) = (key::hash(key), older.clone());
        match to.get_mut(hash, |other| other == key) {
            Some(newer) => {
                aggregate.merge(&mut both, newer);
                *newer = both;
            }
            None => to.insert_new(hash, key.clone(), both),
        }
    }
}

/// Puts entries into a table that has none of their keys.
pub(super) fn put_all<'e, K: Key, T: Record + Clone + 'e>(
    to: &mut PagedTable<K, T>,
    entries: impl Iterator<Item = (&'e K, &'e T)>,
) {
    entries.for_each(|(key, value)| to.put(key::hash(key), key.clone(), value.clone()));
}
