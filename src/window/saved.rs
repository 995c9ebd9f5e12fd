//! How windows are kept in a checkpoint: as records of a key, a time, and what there is of it.

use super::Panes;
use crate::error::Result;
use crate::key;
use crate::record::{Key, Record};
use crate::state::{Loader, Saver, Table};
use crate::time::{Timestamp, Watermark};

/// The entries of tables that each belong to a time: the start of a pane, the end of a window.
pub(super) fn entries<'t, K: Key, V: 't>(
    tables: impl Iterator<Item = (Timestamp, &'t Table<K, V>)>,
) -> impl Iterator<Item = (Timestamp, &'t K, &'t V)> {
    tables.flat_map(|(at, table)| table.iter().map(move |(key, value)| (at, key, value)))
}

/// Saves what keys have at a time.
pub(super) fn save<'t, K: Key, T: Record>(
    part: &'static str,
    entries: impl Iterator<Item = (Timestamp, &'t K, &'t T)>,
    to: &mut Saver,
) -> Result {
    to.part::<(K, Timestamp, T)>(part, |part| {
        for (at, key, value) in entries {
            key.lend(|key| {
                value.lend(|value| part.put((K::shorten(key), at, T::shorten(value))));
            });
        }
    })
}

/// Shows what this shard's keys have, each with its hash.
pub(super) fn load<K: Key, T: Record>(
    part: &str,
    from: &Loader<'_>,
    mut put: impl FnMut(Timestamp, u64, K, T),
) -> Result {
    from.part::<(K, Timestamp, T)>(part, |_, _, (key, at, value)| {
        let key = K::own(key);
        let hash = key::hash(&key);
        if from.owns(hash) {
            put(at, hash, key, T::own(value));
        }
    })
}

/// Saves a time.
pub(super) fn save_time(part: &'static str, at: Timestamp, to: &mut Saver) -> Result {
    to.part::<Timestamp>(part, |part| part.put(at))
}

/// The times that count here: the one that this shard has saved, or those of all when there were
/// more shards or less.
pub(super) fn times(part: &str, from: &Loader<'_>) -> Result<Vec<Timestamp>> {
    let (own, same) = (from.shard(), from.were() == from.shards());
    let mut times = Vec::new();
    from.part::<Timestamp>(part, |shard, _, at| {
        if !same || shard == own {
            times.push(at);
        }
    })?;
    Ok(times)
}

/// Saves the watermark up to which windows have been given.
pub(super) fn save_told(told: Watermark, to: &mut Saver) -> Result {
    save_time("watermark", told, to)
}

/// The watermark up to which windows have been given: what any shard has closed stays closed.
pub(super) fn told(from: &Loader<'_>) -> Result<Watermark> {
    Ok(times("watermark", from)?.into_iter().max().unwrap_or(Timestamp::MIN))
}

/// Saves the watermark of what a shard has read, before any exchange.
pub(super) fn save_read(told: Watermark, to: &mut Saver) -> Result {
    save_time("read to", told, to)
}

/// The watermark of what this shard has read. On other shards than before it is the least of all:
/// what a record missed is decided again behind the exchange.
pub(super) fn read(from: &Loader<'_>) -> Result<Watermark> {
    Ok(times("read to", from)?.into_iter().min().unwrap_or(Timestamp::MIN))
}

impl<K: Key, T: Record> Panes<K, T> {
    /// Saves what open panes hold.
    pub fn save(&mut self, to: &mut Saver) -> Result {
        save("panes", entries(self.iter()), to)
    }

    /// Opens panes with what they held.
    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        load("panes", from, |pane, hash, key, acc| self.at(pane).insert_new(hash, key, acc))?;
        self.leave();
        Ok(())
    }
}
