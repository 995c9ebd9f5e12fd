//! What joins that go by time remember of a key.

use std::collections::VecDeque;

use crate::record::Record;
use crate::state::Held;
use crate::time::Timestamp;

/// A side's records of a key, oldest first.
#[derive(Debug)]
pub(super) struct Rows<T> {
    rows: VecDeque<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows { rows: VecDeque::new() }
    }
}

impl<T: Record> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Rows { rows: self.rows.iter().map(|row| row.lend(T::own)).collect() }
    }
}

impl<T: Record> Held for Rows<T> {
    type As = Vec<T>;
    fn lend_as<X>(&self, look: impl FnOnce(<Vec<T> as Record>::View<'_>) -> X) -> X {
        Vec::from(self.clone().rows).lend(look)
    }
    fn own_as(view: <Vec<T> as Record>::View<'_>) -> Self {
        Rows { rows: Vec::own(view).into() }
    }
}

impl<T: At> Rows<T> {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    /// Puts a record where it belongs, behind those of its time: near the end, as streams are
    /// nearly in order.
    pub fn put(&mut self, row: T) {
        let at = row.at();
        if self.rows.back().is_none_or(|last| last.at() <= at) {
            self.rows.push_back(row);
        } else {
            let place = self.first(|other| other <= at);
            self.rows.insert(place, row);
        }
    }

    /// The oldest record, to be taken out if it is not newer than a time.
    pub fn pop(&mut self, at: Timestamp) -> Option<T> {
        self.rows.pop_front_if(|row| row.at() <= at)
    }

    /// How many records are older than a time.
    pub fn older(&self, than: Timestamp) -> usize {
        self.first(|at| at < than)
    }

    /// Forgets so many of the oldest records.
    pub fn forget(&mut self, records: usize) {
        self.rows.drain(..records);
    }

    /// The newest record that is not newer than a time.
    pub fn newest(&self, at: Timestamp) -> Option<&T> {
        let newer = self.first(|other| other <= at);
        self.rows.get(newer.checked_sub(1)?)
    }

    /// The newest record that is not newer than a time, to be changed.
    pub fn newest_mut(&mut self, at: Timestamp) -> Option<&mut T> {
        let newer = self.first(|other| other <= at);
        self.rows.get_mut(newer.checked_sub(1)?)
    }

    /// The place of the first record whose time is not `before`.
    #[inline(always)]
    fn first(&self, before: impl Fn(Timestamp) -> bool) -> usize {
        self.rows.partition_point(|row| before(row.at()))
    }
}

/// What has an event time.
pub(super) trait At {
    /// The event time.
    fn at(&self) -> Timestamp;
}

impl<R> At for (Timestamp, R) {
    fn at(&self) -> Timestamp {
        self.0
    }
}

/// A record, with whether it has met one of the other side.
pub(super) type Meeting<R> = (bool, (Timestamp, R));

impl<R> At for Meeting<R> {
    fn at(&self) -> Timestamp {
        self.1.0
    }
}

impl<R> Rows<Meeting<R>> {
    /// The records between two times, both inclusive: from now on they have met another.
    pub fn meet(
        &mut self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &(Timestamp, R)> {
        let first = self.first(|at| at < from);
        let near = self.rows.range_mut(first..).take_while(move |row| row.at() <= to);
        near.map(|(met, record)| {
            *met = true;
            &*record
        })
    }

    /// Whether a record of a time has not met another.
    pub fn has_alone(&self, at: Timestamp) -> bool {
        let first = self.first(|other| other < at);
        self.rows.range(first..).take_while(|row| row.at() == at).any(|(met, _)| !met)
    }

    /// The records of a time that have not met another: they are given only once.
    pub fn alone(&mut self, at: Timestamp) -> impl Iterator<Item = &(Timestamp, R)> {
        let first = self.first(|other| other < at);
        let same = self.rows.range_mut(first..).take_while(move |row| row.at() == at);
        same.filter_map(|(met, record)| (!std::mem::replace(met, true)).then_some(&*record))
    }
}
