//! What an interval join remembers of a key.

use std::collections::VecDeque;

use crate::time::Timestamp;

/// A side's records of a key, oldest first, each with whether it has met one of the other side.
#[derive(Debug)]
pub(super) struct Timed<R> {
    records: VecDeque<(bool, (Timestamp, R))>,
}

impl<R> Default for Timed<R> {
    fn default() -> Self {
        Timed { records: VecDeque::new() }
    }
}

impl<R> Timed<R> {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All records, each with whether it has met another.
    pub fn iter(&self) -> impl Iterator<Item = &(bool, (Timestamp, R))> {
        self.records.iter()
    }

    /// Puts a record where it belongs: near the end, as streams are nearly in order.
    pub fn put(&mut self, at: Timestamp, record: R, met: bool) {
        if self.records.back().is_none_or(|(_, (last, _))| *last <= at) {
            self.records.push_back((met, (at, record)));
        } else {
            let place = self.first(|other| other <= at);
            self.records.insert(place, (met, (at, record)));
        }
    }

    /// Forgets what is older than a time.
    pub fn forget(&mut self, than: Timestamp) {
        while self.records.front().is_some_and(|(_, (at, _))| *at < than) {
            self.records.pop_front();
        }
    }

    /// The records between two times, both inclusive: from now on they have met another.
    pub fn meet(
        &mut self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &(Timestamp, R)> {
        let first = self.first(|at| at < from);
        let near = self.records.range_mut(first..).take_while(move |(_, (at, _))| *at <= to);
        near.map(|(met, record)| {
            *met = true;
            &*record
        })
    }

    /// The records of a time that have not met another: they are given only once.
    pub fn alone(&mut self, at: Timestamp) -> impl Iterator<Item = &(Timestamp, R)> {
        let first = self.first(|other| other < at);
        let same = self.records.range_mut(first..).take_while(move |(_, (other, _))| *other == at);
        same.filter_map(|(met, record)| (!std::mem::replace(met, true)).then_some(&*record))
    }

    /// The place of the first record whose time is not `before`.
    #[inline(always)]
    fn first(&self, before: impl Fn(Timestamp) -> bool) -> usize {
        self.records.partition_point(|(_, (at, _))| before(*at))
    }
}
