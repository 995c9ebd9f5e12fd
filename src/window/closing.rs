//! Closing windows of panes whose results are given once: the fast way.

use std::collections::BTreeMap;

use super::held::Held;
use super::results::Results;
use super::saved::{entries, load, save, times};
use super::spec::us;
use super::{Panes, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, Output};
use crate::record::{Key, Record};
use crate::state::{Loader, Saver, Table};
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
    tardy: BTreeMap<Timestamp, Table<K, A::Acc>>,
    results: Results<R, K, A>,
}

impl<R: Record, K: Key, A: Aggregate<R>> Closing<R, K, A> {
    pub fn new(aggregate: A, spec: WindowSpec) -> Self {
        let (held, results) = (Held::new::<R, A>(spec.cumulating), Results::new(aggregate.clone()));
        let tardy = BTreeMap::new();
        Closing { aggregate, spec, next: Timestamp::MIN, held, tardy, results }
    }

    /// Takes what counts in those windows of a pane that end at `from` or later.
    pub fn tardy(&mut self, from: Timestamp, pane: Timestamp, key: &K, acc: &A::Acc) {
        let hash = key::hash(key);
        for end in self.spec.ends(pane, from) {
            let table = self.tardy.entry(end).or_default();
            match table.get_mut(hash, |other| other == key) {
                Some(sum) => self.aggregate.merge(sum, acc),
                None => {
                    table.insert_new(hash, key.clone(), acc.clone());
                }
            }
        }
    }

    pub fn save(&self, to: &mut Saver) -> Result {
        self.held.save(&self.aggregate, to)?;
        save("tardy", entries(self.tardy.iter().map(|(end, table)| (*end, table))), to)?;
        to.part::<Timestamp>("next window", |part| {
            if self.held.oldest().is_some() {
                part.put(self.next);
            }
        })
    }

    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        self.held.load(&self.aggregate, from)?;
        load("tardy", from, |end, hash, key, acc| {
            self.tardy.entry(end).or_default().insert_new(hash, key, acc);
        })?;
        self.next = times("next window", from)?.into_iter().min().unwrap_or(Timestamp::MIN);
        Ok(())
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
            let tardy = self.tardy.first_key_value().map(|(end, _)| *end);
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
        if let Some((_, mut table)) = panes.pop_before(end) {
            for (key, acc) in table.drain() {
                self.results.give(us(end, -1), bounds, &key, &acc, out)?;
            }
            panes.recycle(table);
        }
        Ok(())
    }

    fn window(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result {
        while let Some((pane, table)) = panes.pop_before(end) {
            if self.spec.last_end(pane) >= end {
                self.held.push(&self.aggregate, pane, table);
            } else {
                panes.recycle(table);
            }
        }
        match self.tardy.remove(&end) {
            Some(tardy) => self.give_with(end, tardy, out)?,
            None => {
                let (results, bounds) = (&mut self.results, (self.spec.start_of(end), end));
                self.held.each(&self.aggregate, |key, acc| {
                    results.give(us(end, -1), bounds, key, acc, out)
                })?;
            }
        }
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

    /// Gives a window that holds more than its panes.
    fn give_with(
        &mut self,
        end: Timestamp,
        mut tardy: Table<K, A::Acc>,
        out: &mut Output<'_>,
    ) -> Result {
        let (results, bounds) = (&mut self.results, (self.spec.start_of(end), end));
        self.held.each(&self.aggregate, |key, acc| {
            let Some((_, mut both)) = tardy.remove(key::hash(key), |other| other == key) else {
                return results.give(us(end, -1), bounds, key, acc, out);
            };
            results.aggregate.merge(&mut both, acc);
            results.give(us(end, -1), bounds, key, &both, out)
        })?;
        tardy.iter().try_for_each(|(key, acc)| results.give(us(end, -1), bounds, key, acc, out))
    }
}
