//! Panes: one table of accumulators for each piece of time that windows share.

use std::collections::VecDeque;

use super::saved;
use crate::error::Result;
use crate::record::{Key, Record};
use crate::state::{Backend, Held, Loader, PagedTable, Saver, Series};
use crate::time::Timestamp;

/// The panes that windows to come still need; few at any time. A pane is open, then closed, then
/// forgotten. Its table stays where it is when it is closed, so that no checkpoint saves it again.
pub struct Panes<K, V> {
    /// The tables of all panes by their start; the current one's is elsewhere.
    all: Series<K, V>,
    /// The starts of the open ones, oldest first.
    open: VecDeque<Timestamp>,
    /// Length of a pane, microseconds.
    length: i64,
    offset: i64,
    /// The current pane: its start and its length, 0 when there is none.
    from: i64,
    span: u64,
    /// Its table, here so that a record finds it without a detour. Without a current pane an empty
    /// one, which stands in for the current pane's among the others.
    table: PagedTable<K, V>,
}

impl<K, V> Panes<K, V> {
    /// How many bytes their tables take, and the room for more.
    pub fn state_bytes(&self) -> usize {
        self.all.bytes() + self.table.bytes()
    }
}

impl<K: Key, V: Held> Panes<K, V> {
    /// Panes of so many microseconds, aligned to `offset`; their tables are where `backend` says.
    pub fn new(length: i64, offset: i64, backend: &Backend) -> Self {
        let (all, open) = (Series::of(backend.clone()), VecDeque::new());
        let table = PagedTable::of(backend.clone());
        Panes { all, open, length, offset, from: 0, span: 0, table }
    }

    /// Whether the current pane holds this time.
    #[inline(always)]
    pub fn holds(&self, at: Timestamp) -> bool {
        (at.micros().wrapping_sub(self.from) as u64) < self.span
    }

    /// The table of the current pane. There must be one.
    #[inline(always)]
    pub fn current(&mut self) -> &mut PagedTable<K, V> {
        &mut self.table
    }

    /// The table of the pane that holds a time, which becomes the current one.
    #[inline(always)]
    pub fn at(&mut self, at: Timestamp) -> &mut PagedTable<K, V> {
        if !self.holds(at) {
            self.enter(at);
        }
        self.current()
    }

    /// Makes the pane that holds a time the current one, opens it if need be.
    #[cold]
    #[inline(never)]
    pub fn enter(&mut self, at: Timestamp) {
        self.leave();
        let from = at.align_down(self.length, self.offset);
        let to = from.micros().saturating_add(self.length);
        (self.from, self.span) = (from.micros(), from.micros().abs_diff(to));
        let index = self.open.partition_point(|start| *start < from);
        if self.open.get(index) != Some(&from) {
            self.open.insert(index, from);
        }
        std::mem::swap(self.all.at(from), &mut self.table);
    }

    /// No pane is the current one any more.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.span) > 0 {
            std::mem::swap(self.all.at(Timestamp::from_micros(self.from)), &mut self.table);
        }
    }

    /// Closes the oldest open pane if it starts before a time.
    pub fn close_before(&mut self, at: Timestamp) -> Option<Timestamp> {
        let pane = self.open.pop_front_if(|start| *start < at)?;
        self.leave();
        Some(pane)
    }

    /// Shows what a closed pane holds.
    pub fn for_each(&self, pane: Timestamp, show: impl FnMut(&K, &V)) {
        self.all.for_each(pane, show);
    }

    /// Shows what a closed pane holds, until `show` fails.
    ///
    /// # Errors
    /// What `show` fails with.
    pub fn try_for_each(&self, pane: Timestamp, show: impl FnMut(&K, &V) -> Result) -> Result {
        self.all.try_for_each(pane, show)
    }

    /// Looks after the table of the current pane and one of the others, see
    /// [`PagedTable::tend`].
    pub fn tend(&mut self) {
        self.table.tend();
        self.all.tend();
    }

    /// What a closed pane holds, all in memory.
    pub fn entries(&self, pane: Timestamp) -> impl Iterator<Item = (&K, &V)> {
        self.all.entries(pane)
    }

    /// The table of a closed pane, where it has one.
    pub fn closed(&self, pane: Timestamp) -> Option<&PagedTable<K, V>> {
        self.all.get(pane)
    }

    /// The table of a closed pane, to be changed; an empty one where it has none.
    pub fn closed_mut(&mut self, pane: Timestamp) -> &mut PagedTable<K, V> {
        self.all.at(pane)
    }

    /// All tables, to be saved or loaded; no pane is the current one.
    pub fn series(&mut self) -> &mut Series<K, V> {
        self.leave();
        &mut self.all
    }

    /// Whether they are being saved.
    pub fn is_saving(&self) -> bool {
        self.all.is_saving()
    }

    /// Opens all panes that have a table.
    pub fn open_all(&mut self) {
        self.open = self.all.times().collect();
    }

    /// Forgets a closed pane.
    pub fn forget(&mut self, pane: Timestamp) {
        self.all.remove(pane);
    }

    /// The start of the oldest open pane.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.open.front().copied()
    }
}

impl<K: Key, V: Record + Clone> Panes<K, V> {
    /// Begins to save what all panes hold.
    ///
    /// # Errors
    /// As [`Saver::part`].
    pub fn save(&mut self, to: &mut Saver) -> Result {
        saved::begin("panes", self.series(), to)
    }

    /// Saves more of it; true when that is all.
    ///
    /// # Errors
    /// As [`Saver::part`].
    pub fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        Ok(!self.is_saving() || saved::more("panes", self.series(), to)?)
    }

    /// Takes up what was saved; all panes are open then.
    ///
    /// # Errors
    /// As [`Loader::part`].
    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        saved::load("panes", &mut self.all, from)?;
        self.open_all();
        Ok(())
    }
}
