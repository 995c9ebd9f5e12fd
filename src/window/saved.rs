//! How windows are kept in a checkpoint: as records of a key, a time, and what there is of it.

use crate::error::Result;
use crate::key;
use crate::record::{Key, Record};
use crate::state::{Loader, Saver, Series};
use crate::time::{Timestamp, Watermark};

/// Begins to save what keys have at times: the starts of panes, or the ends of windows.
pub(super) fn begin<K: Key, T: Record + Clone>(
    part: &str,
    series: &mut Series<K, T>,
    to: &mut Saver,
) -> Result {
    to.begin_series::<_, _, (K, Timestamp, T)>(part, series)
}

/// Saves more of it; true when that is all.
pub(super) fn more<K: Key, T: Record + Clone>(
    part: &str,
    series: &mut Series<K, T>,
    to: &mut Saver,
) -> Result<bool> {
    to.series::<_, _, (K, Timestamp, T)>(part, series, |part, at, key, value| {
        key.lend(|key| {
            value.lend(|value| part.put((K::shorten(key), at, T::shorten(value))));
        });
    })
}

/// Takes up what this shard's keys have.
pub(super) fn load<K: Key, T: Record + Clone>(
    part: &str,
    series: &mut Series<K, T>,
    from: &Loader<'_>,
) -> Result {
    from.series::<_, _, (K, Timestamp, T)>(part, series, |series, (key, at, value)| {
        let key = K::own(key);
        let hash = key::hash(&key);
        if from.owns(hash) {
            series.at(at).put(hash, key, T::own(value));
        }
    })
}

/// Saves a time.
pub(super) fn save_time(part: &'static str, at: Timestamp, to: &mut Saver) -> Result {
    to.part::<Timestamp>(part, |part| part.put(at))
}

/// The times that count here, with the shard that saved each: the one that this shard has saved, or
/// those of all when there were more shards or less.
fn times_of_each(part: &str, from: &Loader<'_>) -> Result<Vec<(usize, Timestamp)>> {
    let (own, same) = (from.shard(), from.were() == from.shards());
    let mut times = Vec::new();
    from.part::<Timestamp>(part, |shard, _, at| {
        if !same || shard == own {
            times.push((shard, at));
        }
    })?;
    Ok(times)
}

/// The times that count here.
pub(super) fn times(part: &str, from: &Loader<'_>) -> Result<Vec<Timestamp>> {
    Ok(times_of_each(part, from)?.into_iter().map(|(_, at)| at).collect())
}

/// Saves the watermark up to which windows have been given.
pub(super) fn save_told(told: Watermark, to: &mut Saver) -> Result {
    save_time("watermark", told, to)
}

/// The watermark up to which windows have been given: what any shard has closed stays closed.
pub(super) fn told(from: &Loader<'_>) -> Result<Watermark> {
    Ok(times("watermark", from)?.into_iter().max().unwrap_or(Timestamp::MIN))
}

/// The watermarks up to which shards have given their windows, with the shard.
pub(super) fn told_of_each(from: &Loader<'_>) -> Result<Vec<(usize, Watermark)>> {
    times_of_each("watermark", from)
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
