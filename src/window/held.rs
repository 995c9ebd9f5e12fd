//! The closed panes of sliding and cumulating windows, and what they come to, so that a window's
//! value is at hand when it ends, whatever the number of its panes.

use std::collections::VecDeque;

use super::Panes;
use super::closing::put_all;
use super::saved;
use crate::error::Result;
use crate::key;
use crate::operator::Aggregate;
use crate::record::{Key, Record};
use crate::state::{Backend, Loader, PagedTable, Saver, Series};
use crate::time::Timestamp;

/// Panes and what they come to, oldest first.
pub(super) enum Held<K, T> {
    /// For aggregates that invert, and for cumulating windows, whose panes all leave together.
    Summed(Box<Summed<K, T>>),
    /// For all others.
    Stacked(Box<Stacked<K, T>>),
}

impl<K: Key, T: Record + Clone> Held<K, T> {
    pub fn new<R: Record, A: Aggregate<R, Acc = T>>(cumulating: bool, backend: &Backend) -> Self {
        if A::INVERTS || cumulating {
            let sum = PagedTable::of(backend.clone());
            return Held::Summed(Box::new(Summed { cumulating, panes: VecDeque::new(), sum }));
        }
        Held::Stacked(Box::new(Stacked::new(backend)))
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        match self {
            Held::Summed(held) => held.panes.front().copied(),
            Held::Stacked(held) => held.older.oldest().or(held.newer.front().copied()),
        }
    }

    /// Adds a closed pane that is newer than all.
    pub fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, panes: &Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        match self {
            Held::Summed(held) => held.push(aggregate, pane, panes),
            Held::Stacked(held) => held.push(aggregate, pane, panes),
        }
    }

    /// Takes the oldest pane away.
    pub fn pop<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        match self {
            Held::Summed(held) => held.pop(aggregate, panes),
            Held::Stacked(held) => held.pop(aggregate, panes),
        }
    }

    /// Shows every key with its value over all panes.
    pub fn each<R, A, E>(
        &self,
        aggregate: &A,
        mut show: impl FnMut(&K, &T) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        match self {
            Held::Summed(held) => held.sum.try_for_each(|key, (acc, _)| show(key, acc)),
            Held::Stacked(held) => held.each(aggregate, show),
        }
    }

    /// Begins to save what there is besides the panes themselves.
    pub fn save(&mut self, to: &mut Saver) -> Result {
        match self {
            Held::Summed(_) => Ok(()),
            Held::Stacked(held) => held.save(to),
        }
    }

    pub fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        match self {
            Held::Summed(_) => Ok(true),
            Held::Stacked(held) => held.save_more(to),
        }
    }

    pub fn state_bytes(&self) -> usize {
        match self {
            Held::Summed(held) => held.sum.bytes(),
            Held::Stacked(held) => {
                held.older.bytes() + held.older_sum.bytes() + held.newer_sum.bytes()
            }
        }
    }

    /// Takes up the panes that start before a time, the end of the last window, and what was saved
    /// besides them.
    pub fn load<R, A>(
        &mut self,
        aggregate: &A,
        before: Timestamp,
        panes: &mut Panes<K, T>,
        from: &Loader<'_>,
    ) -> Result
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        while let Some(pane) = panes.close_before(before) {
            self.push(aggregate, pane, panes);
        }
        match self {
            Held::Summed(_) => Ok(()),
            Held::Stacked(held) => held.load(aggregate, panes, from),
        }
    }

    /// Takes up what another one holds of other keys.
    pub fn take_up<R, A>(
        &mut self,
        aggregate: &A,
        panes: &mut Panes<K, T>,
        its_panes: &mut Panes<K, T>,
        its: &mut Self,
    ) where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        match (self, its) {
            (Held::Summed(held), Held::Summed(its)) => held.take_up(panes, its_panes, its),
            (Held::Stacked(held), Held::Stacked(its)) => {
                held.turn_over_onto(aggregate, panes);
                its.turn_over_onto(aggregate, its_panes);
                held.take_up(its);
            }
            _ => unreachable!("of one aggregate and kind of windows"),
        }
    }
}

/// The sum of the held panes: a pane that leaves is subtracted.
pub(super) struct Summed<K, T> {
    cumulating: bool,
    panes: VecDeque<Timestamp>,
    /// With how many panes each key is part of.
    sum: PagedTable<K, (T, u64)>,
}

impl<K: Key, T: Record + Clone> Summed<K, T> {
    fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, panes: &Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        panes.for_each(pane, |key, acc| {
            let hash = key::hash(key);
            match self.sum.get_mut(hash, |other| other == key) {
                Some((sum, panes)) => {
                    aggregate.merge(sum, acc);
                    *panes += 1;
                }
                None => self.sum.insert_new(hash, key.clone(), (acc.clone(), 1)),
            }
        });
        self.panes.push_back(pane);
    }

    fn pop<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        let Some(pane) = self.panes.pop_front() else {
            return;
        };
        if self.cumulating {
            // The other panes of the row leave at this same time.
            self.sum.reset();
            return panes.forget(pane);
        }
        panes.for_each(pane, |key, acc| {
            self.sum.change(
                key::hash(key),
                |other| other == key,
                |(sum, panes)| {
                    aggregate.subtract(sum, acc);
                    *panes -= 1;
                    *panes > 0
                },
            );
        });
        panes.forget(pane);
    }

    fn take_up(&mut self, panes: &mut Panes<K, T>, its_panes: &mut Panes<K, T>, its: &mut Self) {
        for pane in its.panes.drain(..) {
            put_all(panes.closed_mut(pane), its_panes.entries(pane));
            its_panes.forget(pane);
            let place = self.panes.partition_point(|other| *other < pane);
            if self.panes.get(place) != Some(&pane) {
                self.panes.insert(place, pane);
            }
        }
        put_all(&mut self.sum, its.sum.iter());
    }
}

/// Two stacks: Tangwongsan, Hirzel, Schneider, Wu, "General incremental sliding-window
/// aggregation" (VLDB 2015), for a table at once. Where the paper keeps for each older pane the
/// value of that pane and all later ones of its stack, a pane keeps for each *of its own keys*
/// what remains when the pane has left. So a key costs something only in panes that have it, three
/// table operations in all, and a window costs what it gives.
pub(super) struct Stacked<K, T> {
    /// Older panes: each key's value over the later panes of this stack.
    older: Series<K, Option<T>>,
    /// Each key's value over all older panes.
    older_sum: PagedTable<K, T>,
    /// The starts of the newer panes, oldest first.
    newer: VecDeque<Timestamp>,
    /// Each key's value over all newer panes.
    newer_sum: PagedTable<K, T>,
    backend: Backend,
}

impl<K: Key, T: Record + Clone> Stacked<K, T> {
    fn new(backend: &Backend) -> Self {
        Stacked {
            older: Series::of(backend.clone()),
            older_sum: PagedTable::of(backend.clone()),
            newer: VecDeque::new(),
            newer_sum: PagedTable::of(backend.clone()),
            backend: backend.clone(),
        }
    }

    fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, panes: &Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        panes.for_each(pane, |key, acc| {
            let hash = key::hash(key);
            match self.newer_sum.get_mut(hash, |other| other == key) {
                Some(sum) => aggregate.merge(sum, acc),
                None => self.newer_sum.insert_new(hash, key.clone(), acc.clone()),
            }
        });
        self.newer.push_back(pane);
    }

    fn pop<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        if self.older.is_empty() {
            self.turn_over(aggregate, panes);
        }
        let Some(pane) = self.older.oldest() else {
            return;
        };
        self.older.for_each(pane, |key, remains| {
            let hash = key::hash(key);
            match remains {
                Some(acc) => self.older_sum.put(hash, key.clone(), acc.clone()),
                None => drop(self.older_sum.remove(hash, |other| other == key)),
            }
        });
        self.older.remove(pane);
    }

    /// Makes the newer panes the older ones, the newest first.
    fn turn_over<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        while let Some(pane) = self.newer.pop_back() {
            let remaining = self.older.at(pane);
            panes.for_each(pane, |key, acc| {
                let hash = key::hash(key);
                let remains = match self.older_sum.get_mut(hash, |other| other == key) {
                    Some(sum) => {
                        let remains = sum.clone();
                        aggregate.merge(sum, acc);
                        Some(remains)
                    }
                    None => {
                        self.older_sum.insert_new(hash, key.clone(), acc.clone());
                        None
                    }
                };
                remaining.insert_new(hash, key.clone(), remains);
            });
            panes.forget(pane);
        }
        self.newer_sum.reset();
    }

    /// As [`turn_over`](Self::turn_over), where older panes are left.
    fn turn_over_onto<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        if self.newer.is_empty() {
            return;
        }
        let older = std::mem::replace(&mut self.older, Series::of(self.backend.clone()));
        let sum = std::mem::replace(&mut self.older_sum, PagedTable::of(self.backend.clone()));
        self.turn_over(aggregate, panes);
        self.put_before(aggregate, &older, &sum);
    }

    /// Puts a stack of panes that are older than all before the older ones.
    fn put_before<R, A>(
        &mut self,
        aggregate: &A,
        panes: &Series<K, Option<T>>,
        panes_sum: &PagedTable<K, T>,
    ) where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        let Stacked { older, older_sum: sum, .. } = self;
        for pane in panes.times() {
            panes.for_each(pane, |key, remains| {
                let hash = key::hash(key);
                let newer = sum.get(hash, |other| other == key);
                let remains = both(aggregate, remains.as_ref(), newer);
                older.at(pane).insert_new(hash, key.clone(), remains);
            });
        }
        panes_sum.for_each(|key, acc| {
            let hash = key::hash(key);
            let newer = sum.get(hash, |other| other == key);
            if let Some(all) = both(aggregate, Some(acc), newer) {
                sum.put(hash, key.clone(), all);
            }
        });
    }

    fn each<R, A, E>(
        &self,
        aggregate: &A,
        mut show: impl FnMut(&K, &T) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        self.older_sum.try_for_each(|key, older| {
            match self.newer_sum.get(key::hash(key), |other| other == key) {
                Some(newer) => {
                    let mut both = older.clone();
                    aggregate.merge(&mut both, newer);
                    show(key, &both)
                }
                None => show(key, older),
            }
        })?;
        self.newer_sum.try_for_each(|key, newer| {
            match self.older_sum.get(key::hash(key), |other| other == key) {
                Some(_) => Ok(()),
                None => show(key, newer),
            }
        })
    }

    fn save(&mut self, to: &mut Saver) -> Result {
        saved::begin("held panes", &mut self.older, to)?;
        to.begin_table::<_, _, (K, T)>("held sum", &mut self.older_sum)
    }

    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let panes = saved::more("held panes", &mut self.older, to)?;
        Ok(panes
            && to.table::<_, _, (K, T)>("held sum", &mut self.older_sum, |part, key, acc| {
                key.lend(|key| acc.lend(|acc| part.put((K::shorten(key), T::shorten(acc)))));
            })?)
    }

    /// Takes up what was saved of older panes. The newer ones become older ones before: shards turn
    /// theirs over at different times, and after that the boundary is the same for all keys.
    fn load<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>, from: &Loader<'_>) -> Result
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        self.turn_over(aggregate, panes);
        let mut older: Series<K, Option<T>> = Series::of(self.backend.clone());
        saved::load("held panes", &mut older, from)?;
        let mut older_sum: PagedTable<K, T> = PagedTable::of(self.backend.clone());
        let own = |(key, acc): <(K, T) as Record>::View<'_>| (K::own(key), T::own(acc));
        from.table::<_, _, (K, T)>("held sum", &mut older_sum, own)?;
        self.put_before(aggregate, &older, &older_sum);
        Ok(())
    }

    /// Takes up what another one holds of other keys; neither has newer panes.
    fn take_up(&mut self, its: &mut Self) {
        for pane in its.older.times() {
            put_all(self.older.at(pane), its.older.entries(pane));
        }
        put_all(&mut self.older_sum, its.older_sum.iter());
    }
}

/// What a key has in older panes and in newer ones.
fn both<R: Record, A: Aggregate<R>>(
    aggregate: &A,
    older: Option<&A::Acc>,
    newer: Option<&A::Acc>,
) -> Option<A::Acc> {
    let (Some(older), Some(newer)) = (older, newer) else {
        return older.or(newer).cloned();
    };
    let mut both = older.clone();
    aggregate.merge(&mut both, newer);
    Some(both)
}
