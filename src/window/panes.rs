//! Open panes: one table of accumulators for each piece of time that windows share.

use std::collections::VecDeque;

use crate::record::Key;
use crate::state::Table;
use crate::time::Timestamp;

/// The panes that have not been closed; few at any time.
pub struct Panes<K, V> {
    /// Places of the open panes' tables by their start, oldest first.
    open: VecDeque<(Timestamp, usize)>,
    tables: Vec<Table<K, V>>,
    /// Places of tables that no pane uses.
    spare: Vec<usize>,
    /// Length of a pane, microseconds.
    length: i64,
    offset: i64,
    /// The current pane: its start, its length (0: there is none) and its table's place.
    from: i64,
    span: u64,
    place: usize,
}

impl<K: Key, V> Panes<K, V> {
    /// Panes of so many microseconds, aligned to `offset`.
    pub fn new(length: i64, offset: i64) -> Self {
        let (open, tables, spare) = (VecDeque::new(), Vec::new(), Vec::new());
        Panes { open, tables, spare, length, offset, from: 0, span: 0, place: 0 }
    }

    /// Whether the current pane holds this time.
    #[inline(always)]
    pub fn holds(&self, at: Timestamp) -> bool {
        (at.micros().wrapping_sub(self.from) as u64) < self.span
    }

    /// The table of the current pane. There must be one.
    #[inline(always)]
    pub fn current(&mut self) -> &mut Table<K, V> {
        &mut self.tables[self.place]
    }

    /// The table of the pane that holds a time, which becomes the current one.
    #[inline(always)]
    pub fn at(&mut self, at: Timestamp) -> &mut Table<K, V> {
        if !self.holds(at) {
            self.enter(at);
        }
        self.current()
    }

    /// Makes the pane that holds a time the current one, opens it if need be.
    #[cold]
    #[inline(never)]
    pub fn enter(&mut self, at: Timestamp) {
        let from = at.align_down(self.length, self.offset);
        let to = from.micros().saturating_add(self.length);
        (self.from, self.span) = (from.micros(), from.micros().abs_diff(to));
        let index = self.open.partition_point(|(start, _)| *start < from);
        self.place = match self.open.get(index) {
            Some((start, place)) if *start == from => *place,
            _ => {
                let place = self.spare.pop().unwrap_or_else(|| {
                    self.tables.push(Table::default());
                    self.tables.len() - 1
                });
                self.open.insert(index, (from, place));
                place
            }
        };
    }

    /// No pane is the current one any more.
    pub fn leave(&mut self) {
        self.span = 0;
    }

    /// Takes out the oldest pane if it starts before a time.
    pub fn pop_before(&mut self, at: Timestamp) -> Option<(Timestamp, Table<K, V>)> {
        if self.open.front()?.0 >= at {
            return None;
        }
        self.leave();
        let (start, place) = self.open.pop_front()?;
        self.spare.push(place);
        Some((start, std::mem::take(&mut self.tables[place])))
    }

    /// The start of the oldest open pane.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.open.front().map(|(start, _)| *start)
    }

    /// Gives an emptied table back to be used again.
    pub fn recycle(&mut self, mut table: Table<K, V>) {
        table.clear();
        match self.spare.last() {
            Some(place) => self.tables[*place] = table,
            None => {
                self.spare.push(self.tables.len());
                self.tables.push(table);
            }
        }
    }
}
