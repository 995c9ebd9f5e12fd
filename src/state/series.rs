//! A table for each time, saved while they come and go.
//!
//! Kept in parts as a table is: `name` holds the entries that are put, each with its table's time,
//! and `name cleared` the prefixes of hashes that are cleared before, at that time. Besides,
//! `name gone` holds the times of the tables that have gone since the file before; what has gone
//! goes before all else. A file without that part holds all that there is.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Held;
use super::changes::{Cleared, PAGES, cleared};
use super::paged::{Change, Prefix};
use super::parts::{Loader, Part, Saver};
use super::{Backend, PagedTable};
use crate::error::Result;
use crate::key;
use crate::record::{Key, Record};
use crate::time::Timestamp;

/// Tables by time: panes by their start, windows by their end.
///
/// A table that is removed gives its pages to one that is opened later. If it goes while it is
/// being saved, that is when all of it has been shown.
///
/// ```
/// use thalweg::key::hash;
/// use thalweg::state::{Backend, Series};
/// use thalweg::time::Timestamp;
///
/// let mut days: Series<u64, String> = Series::of(Backend::Memory);
/// let (first, second) = (Timestamp::from_micros(0), Timestamp::from_micros(1));
/// days.at(second).put(hash(&7), 7, "later".into());
/// days.at(first).put(hash(&7), 7, "earlier".into());
/// assert_eq!(days.oldest(), Some(first));
/// days.remove(first);
/// assert_eq!(days.oldest(), Some(second));
/// ```
pub struct Series<K, V> {
    tables: BTreeMap<Timestamp, PagedTable<K, V>>,
    /// Emptied tables, to be used again.
    spare: Vec<PagedTable<K, V>>,
    backend: Backend,
    /// The times of tables that have gone since the save before.
    gone: Vec<Timestamp>,
    /// Tables that have gone and are still to be shown.
    leaving: Vec<(Timestamp, PagedTable<K, V>)>,
    /// Tables from this time on have not been shown; none when no save has begun.
    next: Option<Timestamp>,
    /// The table that was looked after last.
    tended: Timestamp,
}

impl<K, V> Series<K, V> {
    /// No tables; what they hold will be where the backend says.
    pub fn of(backend: Backend) -> Self {
        let (tables, spare, gone, leaving) = Default::default();
        let (next, tended) = (None, Timestamp::MIN);
        Series { tables, spare, backend, gone, leaving, next, tended }
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// How many bytes its tables take, and the room for more.
    pub fn bytes(&self) -> usize {
        let leaving = self.leaving.iter().map(|(_, table)| table);
        self.tables.values().chain(&self.spare).chain(leaving).map(PagedTable::bytes).sum()
    }

    /// The time of the oldest table.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.tables.first_key_value().map(|(at, _)| *at)
    }

    /// The times of all tables, oldest first.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.tables.keys().copied()
    }

    /// The table of a time.
    pub fn get(&self, at: Timestamp) -> Option<&PagedTable<K, V>> {
        self.tables.get(&at)
    }

    /// Shows the entries of the table of a time; none where there is no table.
    ///
    /// # Errors
    /// What `show` fails with, which ends it.
    pub fn try_for_each<E>(
        &self,
        at: Timestamp,
        show: impl FnMut(&K, &V) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.get(at).map_or(Ok(()), |table| table.try_for_each(show))
    }

    /// As [`try_for_each`](Self::try_for_each), where nothing fails.
    pub fn for_each(&self, at: Timestamp, show: impl FnMut(&K, &V)) {
        if let Some(table) = self.get(at) {
            table.for_each(show);
        }
    }

    /// The entries of the table of a time, which all come into memory; none where there is no
    /// table.
    pub fn entries(&self, at: Timestamp) -> impl Iterator<Item = (&K, &V)> {
        self.tables.get(&at).into_iter().flat_map(PagedTable::iter)
    }

    /// The table of a time, to be changed.
    pub fn get_mut(&mut self, at: Timestamp) -> Option<&mut PagedTable<K, V>> {
        self.tables.get_mut(&at)
    }
}

impl<K: Key, V: Held> Series<K, V> {
    /// Looks after one table, and at another call after the next one; see [`PagedTable::tend`].
    pub fn tend(&mut self) {
        if !matches!(self.backend, Backend::Disk(_)) {
            return;
        }
        let behind = (Bound::Excluded(self.tended), Bound::Unbounded);
        let next = self.tables.range_mut(behind).next();
        self.tended = next.map_or(Timestamp::MIN, |(at, table)| {
            table.tend();
            *at
        });
    }

    /// The table of a time, opened if need be.
    pub fn at(&mut self, at: Timestamp) -> &mut PagedTable<K, V> {
        let Series { tables, spare, backend, .. } = self;
        let make = || spare.pop().unwrap_or_else(|| PagedTable::of(backend.clone()));
        tables.entry(at).or_insert_with(make)
    }

    /// Removes the table of a time.
    pub fn remove(&mut self, at: Timestamp) {
        let Some(mut table) = self.tables.remove(&at) else { return };
        self.gone.push(at);
        if table.is_saving() {
            self.leaving.push((at, table));
        } else {
            table.reset();
            self.spare.push(table);
        }
    }

    /// Begins to save the tables as they are now: all of them, or what has changed since this was
    /// called before; gives the times of those that have gone since then. The save before must
    /// have come to its end.
    pub fn begin_save(&mut self, full: bool) -> Vec<Timestamp> {
        debug_assert!(!self.is_saving(), "one save at a time");
        self.tables.values_mut().for_each(|table| table.begin_save(full));
        self.next = self.oldest();
        std::mem::take(&mut self.gone)
    }

    /// Whether a save has begun of which not all was shown.
    pub fn is_saving(&self) -> bool {
        self.next.is_some() || !self.leaving.is_empty()
    }

    /// Shows what is to be saved of some `pages` pages, with the time of their table, and of less
    /// where there are many tables; true when that was all of the save that was begun.
    pub fn save_some(
        &mut self,
        mut pages: usize,
        mut to: impl FnMut(Timestamp, Change<'_, K, V>),
    ) -> bool {
        while pages > 0
            && let Some((at, table)) = self.leaving.last_mut()
        {
            if !save_some(*at, table, &mut pages, &mut to) {
                return false;
            }
            if let Some((_, mut table)) = self.leaving.pop() {
                table.reset();
                self.spare.push(table);
            }
        }
        while pages > 0
            && let Some(next) = self.next
        {
            let mut left = self.tables.range_mut(next..);
            if let Some((at, table)) = left.next()
                && !save_some(*at, table, &mut pages, &mut to)
            {
                return false;
            }
            self.next = left.next().map(|(at, _)| *at);
        }
        !self.is_saving()
    }

    /// Takes out the entries for whose hashes `of` holds.
    fn clear(&mut self, at: Timestamp, prefix: Prefix, of: impl Fn(u64) -> bool) {
        if let Some(table) = self.tables.get_mut(&at) {
            table.clear(prefix, of);
        }
    }
}

/// Shows some of a table; true when that was all of it. What it cost is taken from `pages`.
fn save_some<K: Key, V: Held>(
    at: Timestamp,
    table: &mut PagedTable<K, V>,
    pages: &mut usize,
    to: &mut impl FnMut(Timestamp, Change<'_, K, V>),
) -> bool {
    let all = table.save_some(*pages, |change| to(at, change));
    *pages = pages.saturating_sub(1 + table.bytes() / PAGE_BYTES);
    all
}

/// What a page takes.
const PAGE_BYTES: usize = 4096;

fn gone(part: &str) -> String {
    format!("{part} gone")
}

impl Saver {
    /// Begins to save tables by time, as they are at the barrier; [`series`](Saver::series) does
    /// the work.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn begin_series<K: Key, V: Held, R: Record>(
        &mut self,
        part: &str,
        series: &mut Series<K, V>,
    ) -> Result {
        // Says what can't be kept, and that there is such a part where it is empty.
        self.part::<R>(part, |_| ())?;
        if self.epoch() == 0 {
            return Ok(());
        }
        let times = series.begin_save(self.is_full());
        if self.is_full() {
            return Ok(());
        }
        self.part::<Timestamp>(gone(part), |to| times.iter().for_each(|at| to.put(*at)))
    }

    /// Saves some of the tables, of whose entries `put` makes records; true when all is saved.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn series<K: Key, V: Held, R: Record>(
        &mut self,
        part: &str,
        series: &mut Series<K, V>,
        mut put: impl FnMut(&mut Part<'_, R>, Timestamp, &K, &V),
    ) -> Result<bool> {
        let (mut lost, mut done) = (Vec::new(), true);
        if !series.is_saving() {
            return Ok(done);
        }
        self.part::<R>(part, |to| {
            done = series.save_some(PAGES, |at, change| match change {
                Change::Cleared(Prefix { first, bits }) => lost.push((at, (first, bits))),
                Change::Put(key, value) => put(to, at, key, value),
            });
        })?;
        if !lost.is_empty() {
            self.part::<Cleared>(cleared(part), |to| {
                lost.iter().for_each(|(at, prefix)| to.put_at(*at, *prefix));
            })?;
        }
        Ok(done)
    }
}

impl Loader<'_> {
    /// Puts into tables what was saved of them; `put` puts a record where it belongs, if its key is
    /// this shard's.
    ///
    /// # Errors
    /// As [`part`](Loader::part).
    pub fn series<K: Key, V: Held, R: Record>(
        &self,
        part: &str,
        series: &mut Series<K, V>,
        mut put: impl FnMut(&mut Series<K, V>, R::View<'_>),
    ) -> Result {
        let (owner, cleared, gone) = (self.owner(), cleared(part), gone(part));
        for (shard, files) in self.own_files() {
            // A shard says nothing of keys that were another one's.
            let was_its = |hash| key::owner(key::group(hash), self.were()) == shard;
            for (number, file) in files.iter().enumerate() {
                let mut times = Vec::new();
                if number > 0 && file.has(owner, &gone) {
                    file.each::<Timestamp>(owner, &gone, &mut |_, _, at| times.push(at))?;
                } else if number > 0 {
                    times.extend(series.times());
                }
                times.into_iter().for_each(|at| series.clear(at, Prefix::ALL, was_its));
                file.each::<Cleared>(owner, &cleared, &mut |_, at, (first, bits)| {
                    series.clear(at, Prefix::kept(first, bits), was_its);
                })?;
                file.each::<R>(owner, part, &mut |_, _, record| put(series, record))?;
            }
        }
        series.tables.retain(|_, table| !table.is_empty());
        Ok(())
    }
}
