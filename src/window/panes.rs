//! Open panes: one table of accumulators for each piece of time that windows share.

use std::collections::VecDeque;

use crate::record::Key;
use crate::state::Table;
use crate::time::Timestamp;

/// The panes that have not been closed; few at any time.
pub struct Panes<K, V> {
    /// The tables of the open panes by their start, oldest first; the current one's is elsewhere.
    open: VecDeque<(Timestamp, Table<K, V>)>,
    /// Emptied tables, to be used again.
    spare: Vec<Table<K, V>>,
    /// Length of a pane, microseconds.
    length: i64,
    offset: i64,
    /// The current pane: its start and its length, 0 when there is none.
    from: i64,
    span: u64,
    /// Its table, here so that a record finds it without a detour.
    table: Table<K, V>,
}

impl<K: Key, V> Panes<K, V> {
    /// Panes of so many microseconds, aligned to `offset`.
    pub fn new(length: i64, offset: i64) -> Self {
        let (open, spare, table) = (VecDeque::new(), Vec::new(), Table::default());
        Panes { open, spare, length, offset, from: 0, span: 0, table }
    }

    /// Whether the current pane holds this time.
    #[inline(always)]
    pub fn holds(&self, at: Timestamp) -> bool {
        (at.micros().wrapping_sub(self.from) as u64) < self.span
    }

    /// The table of the current pane. There must be one.
    #[inline(always)]
    pub fn current(&mut self) -> &mut Table<K, V> {
        &mut self.table
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
        self.leave();
        let from = at.align_down(self.length, self.offset);
        let to = from.micros().saturating_add(self.length);
        (self.from, self.span) = (from.micros(), from.micros().abs_diff(to));
        let index = self.place(from);
        match self.open.get_mut(index) {
            Some((start, table)) if *start == from => std::mem::swap(table, &mut self.table),
            _ => {
                self.table = self.spare.pop().unwrap_or_default();
                self.open.insert(index, (from, Table::default()));
            }
        }
    }

    /// No pane is the current one any more.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.span) > 0 {
            let index = self.place(Timestamp::from_micros(self.from));
            self.open[index].1 = std::mem::take(&mut self.table);
        }
    }

    /// The place of the pane with this start, or where it would be.
    fn place(&self, from: Timestamp) -> usize {
        self.open.partition_point(|(start, _)| *start < from)
    }

    /// Takes out the oldest pane if it starts before a time.
    pub fn pop_before(&mut self, at: Timestamp) -> Option<(Timestamp, Table<K, V>)> {
        if self.open.front()?.0 >= at {
            return None;
        }
        self.leave();
        self.open.pop_front()
    }

    /// All open panes, oldest first.
    pub fn iter(&mut self) -> impl Iterator<Item = (Timestamp, &Table<K, V>)> {
        self.leave();
        self.open.iter().map(|(start, table)| (*start, table))
    }

    /// The start of the oldest open pane.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.open.front().map(|(start, _)| *start)
    }

    /// Gives a table back to be emptied and used again.
    pub fn recycle(&mut self, mut table: Table<K, V>) {
        table.clear();
        self.spare.push(table);
    }
}
