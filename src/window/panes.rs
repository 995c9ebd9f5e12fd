//! Open panes: one table of accumulators for each piece of time that windows share.

use std::collections::VecDeque;

use crate::record::Key;
use crate::state::Table;
use crate::time::Timestamp;

/// The panes that have not been closed, by their start, oldest first; few at any time.
pub struct Panes<K, V> {
    open: VecDeque<(Timestamp, Table<K, V>)>,
    spare: Vec<Table<K, V>>,
    /// Length of a pane, microseconds.
    length: i64,
    offset: i64,
    /// The pane that the last record fell into: `[from, to)` and its place.
    from: Timestamp,
    to: Timestamp,
    place: usize,
}

impl<K: Key, V> Panes<K, V> {
    /// Panes of so many microseconds, aligned to `offset`.
    pub fn new(length: i64, offset: i64) -> Self {
        let (open, spare) = (VecDeque::new(), Vec::new());
        let (from, to) = (Timestamp::MAX, Timestamp::MIN);
        Panes { open, spare, length, offset, from, to, place: 0 }
    }

    /// The table of the pane that holds a time. In the run of a stream it is the last one's.
    #[inline(always)]
    pub fn at(&mut self, at: Timestamp) -> &mut Table<K, V> {
        if at < self.from || at >= self.to {
            self.find(at);
        }
        &mut self.open[self.place].1
    }

    /// Whether the pane that [`Panes::at`] found last holds this time.
    #[inline(always)]
    pub fn holds(&self, at: Timestamp) -> bool {
        at >= self.from && at < self.to
    }

    #[cold]
    #[inline(never)]
    fn find(&mut self, at: Timestamp) {
        self.from = at.align_down(self.length, self.offset);
        self.to = Timestamp::from_micros(self.from.micros().saturating_add(self.length));
        self.place = self.open.partition_point(|(start, _)| *start < self.from);
        if self.open.get(self.place).is_none_or(|(start, _)| *start != self.from) {
            let table = self.spare.pop().unwrap_or_default();
            self.open.insert(self.place, (self.from, table));
        }
    }

    /// Takes out the oldest pane if it starts before a time.
    pub fn pop_before(&mut self, at: Timestamp) -> Option<(Timestamp, Table<K, V>)> {
        if self.open.front()?.0 >= at {
            return None;
        }
        self.forget();
        self.open.pop_front()
    }

    /// Forgets which pane was found last, so that [`Panes::holds`] is false.
    pub fn forget(&mut self) {
        (self.from, self.to) = (Timestamp::MAX, Timestamp::MIN);
    }

    /// The start of the oldest open pane.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.open.front().map(|(start, _)| *start)
    }

    /// Gives an emptied table back to be used again.
    pub fn recycle(&mut self, mut table: Table<K, V>) {
        table.clear();
        self.spare.push(table);
    }
}
