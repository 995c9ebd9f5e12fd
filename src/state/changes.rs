//! Tables on their way to a checkpoint and back: all of a table, or what has changed in it.
//!
//! Lists that only grow are kept as what has come since the file before, and, where all of it was
//! forgotten, `name cleared`. A table is kept in two parts: `name` holds the entries that are put,
//! `name cleared` the prefixes of hashes that are cleared before. What a shard keeps is a chain of
//! files: the first holds all entries, each one after it the changes since the one before.

use super::Lists;
use super::paged::{Change, PagedTable, Prefix};
use super::parts::{Loader, Part, Saver};
use crate::error::Result;
use crate::key;
use crate::record::{Key, Record};
use crate::time::Timestamp;

/// Pages that are saved at once.
pub(super) const PAGES: usize = 128;

/// Values of lists that are saved at once.
const VALUES: usize = 4096;

/// How the cleared prefixes of a table are kept: first bits, and how many.
pub(super) type Cleared = (u64, u32);

pub(super) fn cleared(part: &str) -> String {
    format!("{part} cleared")
}

impl Saver {
    /// Begins to save a table, as it is at the barrier; [`table`](Saver::table) does the work.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn begin_table<K: Key, V: Clone, R: Record>(
        &mut self,
        part: &str,
        table: &mut PagedTable<K, V>,
    ) -> Result {
        // Says what can't be kept, and that there is such a part where it is empty.
        self.part::<R>(part, |_| ())?;
        if self.epoch() > 0 {
            table.begin_save(self.is_full());
        }
        Ok(())
    }

    /// Saves some of a table, whose entries `put` makes records of; true when all is saved.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn table<K: Key, V: Clone, R: Record>(
        &mut self,
        part: &str,
        table: &mut PagedTable<K, V>,
        mut put: impl FnMut(&mut Part<'_, R>, &K, &V),
    ) -> Result<bool> {
        let (mut gone, mut done) = (Vec::new(), true);
        if !table.is_saving() {
            return Ok(done);
        }
        self.part::<R>(part, |to| {
            done = table.save_some(PAGES, |change| match change {
                Change::Cleared(prefix) => gone.push((prefix.first, prefix.bits)),
                Change::Put(key, value) => put(to, key, value),
            });
        })?;
        if !gone.is_empty() {
            self.part::<Cleared>(cleared(part), |to| gone.iter().for_each(|one| to.put(*one)))?;
        }
        Ok(done)
    }
}

impl Saver {
    /// Begins to save lists, as they are at the barrier; [`lists`](Saver::lists) does the work.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn begin_lists<R: Record>(&mut self, part: &str, lists: &mut Lists<R>) -> Result {
        self.part::<R>(part, |_| ())?;
        if self.epoch() > 0 && lists.begin_save(self.is_full()) {
            let Prefix { first, bits } = Prefix::ALL;
            self.part::<Cleared>(cleared(part), |to| to.put((first, bits)))?;
        }
        Ok(())
    }

    /// Saves some of the values of lists; true when all is saved.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn lists<R: Record>(&mut self, part: &str, lists: &mut Lists<R>) -> Result<bool> {
        let mut done = true;
        if !lists.is_saving() {
            return Ok(done);
        }
        self.part::<R>(part, |to| {
            done = lists.save_some(VALUES, |at, record| to.put_at(at, record));
        })?;
        Ok(done)
    }
}

impl Loader<'_> {
    /// Shows the values of all lists that were saved under a name, in the order in which they came
    /// to each of the shards that saved them: who shows them, at what time.
    ///
    /// # Errors
    /// As [`part`](Loader::part).
    pub fn lists<R: Record>(
        &self,
        part: &str,
        mut show: impl FnMut(usize, Timestamp, R::View<'_>),
    ) -> Result {
        let cleared = cleared(part);
        for (shard, files) in self.files().enumerate() {
            // What came before it was cleared counts no more.
            let mut first = 0;
            for (number, file) in files.iter().enumerate() {
                file.each::<Cleared>(self.owner(), &cleared, &mut |_, _, _| first = number)?;
            }
            for file in &files[first..] {
                file.each::<R>(self.owner(), part, &mut |_, at, record| show(shard, at, record))?;
            }
        }
        Ok(())
    }

    /// Puts into a table what was saved of the keys that this shard owns. `own` makes an entry of
    /// a record.
    ///
    /// # Errors
    /// As [`part`](Loader::part).
    pub fn table<K: Key, V: Clone, R: Record>(
        &self,
        part: &str,
        table: &mut PagedTable<K, V>,
        mut own: impl FnMut(R::View<'_>) -> (K, V),
    ) -> Result {
        let cleared = cleared(part);
        let first = self.own_files().filter_map(|(_, files)| files.first());
        let entries: usize = first.map(|file| file.records(self.owner(), part)).sum();
        // What is dealt out to as many shards as before is where it was.
        let same = self.were() == self.shards();
        table.reserve(if same { entries } else { entries / self.shards() });
        let all = self.own_files().flat_map(|(at, files)| {
            files.iter().enumerate().map(move |(number, file)| (at, number, file))
        });
        for (shard, number, file) in all {
            // A shard says nothing of keys that were another one's.
            let was_its = |hash| key::owner(key::group(hash), self.were()) == shard;
            file.each::<Cleared>(self.owner(), &cleared, &mut |_, _, (first, bits)| {
                table.clear(Prefix::kept(first, bits), was_its);
            })?;
            file.each::<R>(self.owner(), part, &mut |_, _, record| {
                let (key, value) = own(record);
                let hash = key::hash(&key);
                match self.owns(hash) {
                    // A shard's first file says all there was, each key once.
                    true if same && number == 0 => table.insert_new(hash, key, value),
                    true => table.put(hash, key, value),
                    false => {}
                }
            })?;
        }
        Ok(())
    }
}
