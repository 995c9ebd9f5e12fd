//! The panes of sliding and cumulating windows, kept so that a window's value is at hand when it
//! ends, whatever the number of its panes.

use std::collections::{BTreeMap, VecDeque};

use super::Panes;
use super::saved::{entries, load, save};
use crate::error::Result;
use crate::key;
use crate::operator::Aggregate;
use crate::record::{Key, Record};
use crate::state::{Loader, Saver, Table};
use crate::time::Timestamp;

/// Panes and what they come to, oldest first.
pub(super) enum Held<K, T> {
    /// For aggregates that invert, and for cumulating windows, whose panes all leave together.
    Summed(Summed<K, T>),
    /// For all others.
    Stacked(Stacked<K, T>),
}

impl<K: Key, T: Clone> Held<K, T> {
    pub fn new<R: Record, A: Aggregate<R, Acc = T>>(cumulating: bool) -> Self {
        if A::INVERTS || cumulating {
            return Held::Summed(Summed { cumulating, panes: VecDeque::new(), sum: Table::new() });
        }
        Held::Stacked(Stacked::default())
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        match self {
            Held::Summed(held) => held.panes.front().map(|(pane, _)| *pane),
            Held::Stacked(held) => {
                let newer = held.newer.front().map(|(pane, _)| *pane);
                held.older.front().map(|(pane, _)| *pane).or(newer)
            }
        }
    }

    /// Adds a pane that is newer than all.
    pub fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, table: Table<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        match self {
            Held::Summed(held) => held.push(aggregate, pane, table),
            Held::Stacked(held) => held.push(aggregate, pane, table),
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
            Held::Summed(held) => held.sum.iter().try_for_each(|(key, (acc, _))| show(key, acc)),
            Held::Stacked(held) => held.each(aggregate, show),
        }
    }

    pub fn save<R, A>(&self, aggregate: &A, to: &mut Saver) -> Result
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
        T: Record,
    {
        match self {
            Held::Summed(held) => {
                let panes = held.panes.iter().map(|(pane, table)| (*pane, table));
                save("held panes", entries(panes), to)
            }
            Held::Stacked(held) => held.save(aggregate, to),
        }
    }

    pub fn load<R, A>(&mut self, aggregate: &A, from: &Loader<'_>) -> Result
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
        T: Record,
    {
        match self {
            Held::Summed(held) => {
                let mut panes: BTreeMap<Timestamp, Table<K, T>> = BTreeMap::new();
                load("held panes", from, |pane, hash, key, acc| {
                    panes.entry(pane).or_default().insert_new(hash, key, acc);
                })?;
                panes.into_iter().for_each(|(pane, table)| held.push(aggregate, pane, table));
                Ok(())
            }
            Held::Stacked(held) => held.load(from),
        }
    }
}

/// The sum of the held panes: a pane that leaves is subtracted.
pub(super) struct Summed<K, T> {
    cumulating: bool,
    panes: VecDeque<(Timestamp, Table<K, T>)>,
    /// With how many panes each key is part of.
    sum: Table<K, (T, u64)>,
}

impl<K: Key, T: Clone> Summed<K, T> {
    fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, table: Table<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        for (key, acc) in table.iter() {
            let hash = key::hash(key);
            match self.sum.get_mut(hash, |other| other == key) {
                Some((sum, panes)) => {
                    aggregate.merge(sum, acc);
                    *panes += 1;
                }
                None => {
                    self.sum.insert_new(hash, key.clone(), (acc.clone(), 1));
                }
            }
        }
        self.panes.push_back((pane, table));
    }

    fn pop<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        let Some((_, table)) = self.panes.pop_front() else {
            return;
        };
        if self.cumulating {
            // The other panes of the row leave at this same time.
            self.sum.clear();
            return panes.recycle(table);
        }
        for (key, acc) in table.iter() {
            let hash = key::hash(key);
            if let Some((sum, panes)) = self.sum.get_mut(hash, |other| other == key) {
                aggregate.subtract(sum, acc);
                *panes -= 1;
                if *panes == 0 {
                    self.sum.remove(hash, |other| other == key);
                }
            }
        }
        panes.recycle(table);
    }
}

/// Two stacks: Tangwongsan, Hirzel, Schneider, Wu, "General incremental sliding-window
/// aggregation" (VLDB 2015), for a table at once. Where the paper keeps for each older pane the
/// value of that pane and all later ones of its stack, a pane keeps for each *of its own keys*
/// what remains when the pane has left. So a key costs something only in panes that have it, three
/// table operations in all, and a window costs what it gives.
pub(super) struct Stacked<K, T> {
    /// Older panes, oldest first: each key's value over the later panes of this stack.
    older: VecDeque<(Timestamp, Table<K, Option<T>>)>,
    /// Each key's value over all older panes.
    older_sum: Table<K, T>,
    newer: VecDeque<(Timestamp, Table<K, T>)>,
    /// Each key's value over all newer panes.
    newer_sum: Table<K, T>,
    spare: Vec<Table<K, Option<T>>>,
}

impl<K: Key, T> Default for Stacked<K, T> {
    fn default() -> Self {
        Stacked {
            older: VecDeque::new(),
            older_sum: Table::new(),
            newer: VecDeque::new(),
            newer_sum: Table::new(),
            spare: Vec::new(),
        }
    }
}

impl<K: Key, T: Clone> Stacked<K, T> {
    fn push<R, A>(&mut self, aggregate: &A, pane: Timestamp, table: Table<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        for (key, acc) in table.iter() {
            let hash = key::hash(key);
            match self.newer_sum.get_mut(hash, |other| other == key) {
                Some(sum) => aggregate.merge(sum, acc),
                None => {
                    self.newer_sum.insert_new(hash, key.clone(), acc.clone());
                }
            }
        }
        self.newer.push_back((pane, table));
    }

    fn pop<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        if self.older.is_empty() {
            self.turn_over(aggregate, panes);
        }
        let Some((_, mut table)) = self.older.pop_front() else {
            return;
        };
        for (key, remains) in table.drain() {
            let hash = key::hash(&key);
            match remains {
                Some(acc) => self.older_sum.insert(hash, key, acc),
                None => self.older_sum.remove(hash, |other| *other == key),
            };
        }
        self.spare.push(table);
    }

    /// Makes the newer panes the older ones, the newest first.
    fn turn_over<R, A>(&mut self, aggregate: &A, panes: &mut Panes<K, T>)
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
    {
        while let Some((pane, mut table)) = self.newer.pop_back() {
            let mut remaining = self.spare.pop().unwrap_or_default();
            for (key, acc) in table.drain() {
                let hash = key::hash(&key);
                let remains = match self.older_sum.get_mut(hash, |other| *other == key) {
                    Some(sum) => {
                        let remains = sum.clone();
                        aggregate.merge(sum, &acc);
                        Some(remains)
                    }
                    None => {
                        self.older_sum.insert_new(hash, key.clone(), acc);
                        None
                    }
                };
                remaining.insert_new(hash, key, remains);
            }
            panes.recycle(table);
            self.older.push_front((pane, remaining));
        }
        self.newer_sum.clear();
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
        for (key, older) in self.older_sum.iter() {
            match self.newer_sum.get(key::hash(key), |other| other == key) {
                Some(newer) => {
                    let mut both = older.clone();
                    aggregate.merge(&mut both, newer);
                    show(key, &both)?;
                }
                None => show(key, older)?,
            }
        }
        for (key, newer) in self.newer_sum.iter() {
            if self.older_sum.get(key::hash(key), |other| other == key).is_none() {
                show(key, newer)?;
            }
        }
        Ok(())
    }

    /// Saves it as if all panes were older ones: so it does not matter when the shards turned
    /// theirs over, and keys of several shards can be put together.
    fn save<R, A>(&self, aggregate: &A, to: &mut Saver) -> Result
    where
        R: Record,
        A: Aggregate<R, Acc = T>,
        T: Record,
    {
        let mut remains: Vec<(Timestamp, Table<K, Option<T>>)> = Vec::new();
        let mut later: Table<K, T> = Table::new();
        for (pane, table) in self.newer.iter().rev() {
            let mut remain = Table::new();
            for (key, acc) in table.iter() {
                let hash = key::hash(key);
                let after = later.get(hash, |other| other == key).cloned();
                match later.get_mut(hash, |other| other == key) {
                    Some(sum) => aggregate.merge(sum, acc),
                    None => later.insert_new(hash, key.clone(), acc.clone()),
                }
                remain.insert_new(hash, key.clone(), after);
            }
            remains.push((*pane, remain));
        }
        for (pane, table) in &self.older {
            let mut remain = Table::new();
            for (key, after) in table.iter() {
                let hash = key::hash(key);
                let newer = later.get(hash, |other| other == key);
                let both = match (after, newer) {
                    (Some(after), Some(newer)) => {
                        let mut both = after.clone();
                        aggregate.merge(&mut both, newer);
                        Some(both)
                    }
                    (after, newer) => after.as_ref().or(newer).cloned(),
                };
                remain.insert_new(hash, key.clone(), both);
            }
            remains.push((*pane, remain));
        }
        save("held panes", entries(remains.iter().map(|(pane, table)| (*pane, table))), to)?;
        to.part::<(K, T)>("held", |part| {
            let _ = self.each(aggregate, |key, acc| {
                key.lend(|key| acc.lend(|acc| part.put((K::shorten(key), T::shorten(acc)))));
                Ok::<(), ()>(())
            });
        })
    }

    fn load(&mut self, from: &Loader<'_>) -> Result
    where
        T: Record,
    {
        let mut panes: BTreeMap<Timestamp, Table<K, Option<T>>> = BTreeMap::new();
        load("held panes", from, |pane, hash, key, remains| {
            panes.entry(pane).or_default().insert_new(hash, key, remains);
        })?;
        self.older = panes.into_iter().collect();
        from.part::<(K, T)>("held", |_, _, (key, acc)| {
            let key = K::own(key);
            let hash = key::hash(&key);
            if from.owns(hash) {
                self.older_sum.insert_new(hash, key, T::own(acc));
            }
        })
    }
}
