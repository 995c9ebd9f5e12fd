//! When a window join gives its rows.

use std::collections::VecDeque;
use std::ops::Range;

use super::rows::{PaneSides, Rows};
use crate::error::Result;
use crate::key;
use crate::operator::{Emitter, Keep, Output, Pairing};
use crate::record::{Key, Record};
use crate::state::Table;
use crate::time::{Timestamp, Watermark};
use crate::window::spec::us;
use crate::window::{Panes, WindowSpec};

pub(super) type PaneOf<K, L, S> = Table<K, PaneSides<L, S>>;

/// Makes windows of panes and hands on their rows.
pub(super) struct Closing<K, L, S, P, O> {
    spec: WindowSpec,
    lateness: i64,
    pairing: P,
    told: Watermark,
    /// The end of the next window, while panes are held that it has.
    next: Timestamp,
    /// Windows that end before this are over: they have given what stayed alone.
    over: Timestamp,
    /// The panes of the windows that are still to end or to be over, oldest first.
    held: VecDeque<(Timestamp, PaneOf<K, L, S>)>,
    out: Emitter<O>,
}

impl<K: Key, L: Record, S: 'static, P, O: Record> Closing<K, L, S, P, O> {
    pub fn new(spec: WindowSpec, lateness: i64, pairing: P) -> Self {
        let (told, next, over) = (Timestamp::MIN, Timestamp::MIN, Timestamp::MIN);
        let (held, out) = (VecDeque::new(), Emitter::new(0));
        Closing { spec, lateness, pairing, told, next, over, held, out }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// One that holds nothing and has been told this watermark.
    pub fn empty(&self, told: Watermark) -> Self
    where
        P: Clone,
    {
        let (spec, lateness) = (self.spec, self.lateness);
        let mut empty = Closing::new(spec, lateness, self.pairing.clone());
        if told > Timestamp::MIN {
            empty.told = told;
            empty.next = spec.end_at_or_after(us(told, 1));
            empty.over = spec.end_at_or_after(us(us(told, -lateness), 1));
        }
        empty
    }

    /// Panes for these windows.
    pub fn panes(&self) -> Panes<K, PaneSides<L, S>> {
        Panes::new(self.spec.pane, self.spec.offset)
    }

    /// The watermark that it was told.
    pub fn watermark(&self) -> Watermark {
        self.told
    }

    /// The panes of windows that are still to end or to be over.
    pub fn held(&self) -> impl Iterator<Item = (Timestamp, &PaneOf<K, L, S>)> {
        self.held.iter().map(|(pane, table)| (*pane, table))
    }

    /// Takes up what another one holds, which has been told the same watermark.
    pub fn take_up<R: Record>(&mut self, panes: &mut Panes<K, PaneSides<L, S>>, other: Self)
    where
        S: Keep<R>,
    {
        for (pane, table) in other.held {
            self.hold::<R>(panes, pane, table);
        }
    }

    /// How long rows of a window may still come after its end, microseconds.
    pub fn lateness(&self) -> i64 {
        self.lateness
    }

    /// Gives the pairs of every window that ends at or before `at`, and what stayed alone in those
    /// that are over.
    pub fn close<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        // A job that goes on is told again what it was told.
        let at = at.max(self.told);
        if self.lateness > 0 && self.told > Timestamp::MIN {
            self.give_late::<R>(panes, out)?;
        }
        loop {
            let more =
                self.held.back().is_some_and(|(pane, _)| self.spec.last_end(*pane) >= self.next);
            // While no pane is held the next window is the first one of the oldest pane.
            let first = panes.oldest().map(|pane| self.spec.first_end(pane));
            let next = if more { Some(self.next) } else { first };
            let Some(end) = next.filter(|end| *end <= at) else {
                break;
            };
            self.window::<R>(panes, end, out)?;
            self.next = self.spec.next_end(end);
            if self.next == end {
                break; // The end of time.
            }
        }
        if self.lateness > 0 {
            self.end::<R>(panes, at, out)?;
            self.next = self.spec.end_at_or_after(us(at, 1));
        }
        self.told = at;
        self.out.flush(out)
    }

    /// Gives the pairs of records whose windows have ended.
    fn give_late<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let (spec, told) = (self.spec, self.told);
        let ended = us(told.align_down(spec.step, spec.offset), 1 - spec.pane);
        while let Some((pane, table)) = panes.pop_before(ended) {
            // None of them is over: a record is on time for the first of its windows.
            for end in spec.ends(pane, Timestamp::MIN).take_while(|end| *end <= told) {
                let inside = self.inside(end);
                let Closing { pairing, held, out: emitter, .. } = self;
                let mut rows = Rows { pairing, emitter, at: us(end, -1) };
                for (key, new) in table.iter() {
                    let hash = key::hash(key);
                    let before = held.range(inside.clone());
                    let before =
                        before.filter_map(|(_, pane)| pane.get(hash, |other| other == key));
                    rows.late_pairs::<L, R, S>(new, &before.collect::<Vec<_>>(), out)?;
                }
            }
            self.hold::<R>(panes, pane, table);
        }
        Ok(())
    }

    /// Gives a window that ends.
    fn window<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let spec = self.spec;
        while let Some((pane, mut table)) = panes.pop_before(end) {
            if spec.is_tumbling() && self.lateness == 0 {
                let Closing { pairing, out: emitter, .. } = self;
                let mut rows = Rows { pairing, emitter, at: us(end, -1) };
                for (_, sides) in table.drain() {
                    rows.pairs::<L, R, S>(&[&sides], out)?;
                    rows.alone::<L, R, S>(&[&sides], out)?;
                }
                panes.recycle(table);
            } else if spec.last_end(pane) >= end {
                self.hold::<R>(panes, pane, table);
            } else {
                panes.recycle(table);
            }
        }
        let once = self.lateness == 0;
        self.each_key(end, |rows, sides| {
            rows.pairs::<L, R, S>(sides, out)?;
            if once { rows.alone::<L, R, S>(sides, out) } else { Ok(()) }
        })?;
        if once {
            self.forget(panes, end);
        }
        Ok(())
    }

    /// Ends the windows whose lateness is over at `at`.
    fn end<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        while let Some((pane, _)) = self.held.front() {
            let end = self.spec.first_end(*pane).max(self.over);
            if us(end, self.lateness) > at {
                break;
            }
            if P::LEFT || P::RIGHT {
                self.each_key(end, |rows, sides| rows.alone::<L, R, S>(sides, out))?;
            }
            self.forget(panes, end);
        }
        Ok(())
    }

    /// Forgets the panes that are in no window after the one that ends at `end`.
    fn forget(&mut self, panes: &mut Panes<K, PaneSides<L, S>>, end: Timestamp) {
        self.over = self.spec.next_end(end);
        // At the end of time the next end is the same.
        let none = self.over == end;
        while let Some((pane, _)) = self.held.front()
            && (none || self.spec.last_end(*pane) < self.over)
        {
            if let Some((_, table)) = self.held.pop_front() {
                panes.recycle(table);
            }
        }
    }

    /// Keeps a pane; what is there of the same time already is kept before it.
    pub fn hold<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        pane: Timestamp,
        mut table: PaneOf<K, L, S>,
    ) where
        S: Keep<R>,
    {
        // A record that is late, or of a split that was idle, may bring back an older pane.
        let place = self.held.partition_point(|(other, _)| *other < pane);
        let Some((_, kept)) = self.held.get_mut(place).filter(|(other, _)| *other == pane) else {
            return self.held.insert(place, (pane, table));
        };
        add::<K, L, R, S>(kept, &mut table);
        panes.recycle(table);
    }

    /// The places of the held panes of a window.
    fn inside(&self, end: Timestamp) -> Range<usize> {
        let before = |at| self.held.partition_point(|(pane, _)| *pane < at);
        before(self.spec.start_of(end))..before(end)
    }

    /// Shows what the panes of a window hold of each key.
    fn each_key(
        &mut self,
        end: Timestamp,
        mut show: impl FnMut(&mut Rows<'_, P, O>, &[&PaneSides<L, S>]) -> Result,
    ) -> Result {
        let inside = self.inside(end);
        let Closing { pairing, held, out: emitter, .. } = self;
        let mut rows = Rows { pairing, emitter, at: us(end, -1) };
        let panes = held.range(inside).flat_map(|(_, pane)| pane.iter());
        let mut found: Vec<_> = panes.map(|(key, sides)| (key::hash(key), key, sides)).collect();
        // To look for each key in every pane would take panes times as long. The sort keeps the
        // panes of a key in their order.
        found.sort_by_key(|(hash, ..)| *hash);
        for group in found.chunk_by(|(hash, ..), (next, ..)| hash == next) {
            for (i, (_, key, _)) in group.iter().enumerate() {
                if group[..i].iter().any(|(_, earlier, _)| earlier == key) {
                    continue;
                }
                let of_key = group[i..].iter().filter(|(_, other, _)| other == key);
                let all: Vec<&PaneSides<L, S>> = of_key.map(|(.., sides)| *sides).collect();
                show(&mut rows, &all)?;
            }
        }
        Ok(())
    }
}

/// Moves all entries of a table to another.
pub(super) fn add<K: Key, L: Record, R: Record, S: Keep<R>>(
    to: &mut PaneOf<K, L, S>,
    from: &mut PaneOf<K, L, S>,
) {
    for (key, sides) in from.drain() {
        let hash = key::hash(&key);
        match to.get_mut(hash, |other| *other == key) {
            Some(kept) => {
                kept.left.append(sides.left);
                kept.right.append(sides.right);
            }
            None => to.insert_new(hash, key, sides),
        }
    }
}
