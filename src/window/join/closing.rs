//! When a window join gives its rows.

use std::collections::VecDeque;
use std::ops::Range;

use super::rows::{PaneSides, Rows};
use super::saved::{self, Kept};
use crate::error::Result;
use crate::key;
use crate::operator::{Emitter, Keep, Output, Pairing};
use crate::record::{Key, Record};
use crate::state::{Backend, Held, Loader, PagedTable, Saver};
use crate::time::{Timestamp, Watermark};
use crate::window::spec::us;
use crate::window::{Panes, WindowSpec};

/// Panes, windows made of them, and the rows that these give.
pub(super) struct Closing<K, L, S, P, O> {
    spec: WindowSpec,
    lateness: i64,
    pairing: P,
    backend: Backend,
    told: Watermark,
    /// The end of the next window, while panes are held that it has.
    next: Timestamp,
    /// Windows that end before this are over: they have given what stayed alone.
    over: Timestamp,
    /// Panes of which no window has ended, and the held ones, which are closed.
    panes: Panes<K, PaneSides<L, S>>,
    /// What has come for held panes since the last watermark.
    late: Panes<K, PaneSides<L, S>>,
    /// The panes of windows that have ended, as long as some window of theirs is still to end or to
    /// be over; oldest first.
    held: VecDeque<Timestamp>,
    out: Emitter<O>,
}

impl<K: Key, L: Record, S: Held + Default + 'static, P, O: Record> Closing<K, L, S, P, O> {
    pub fn new(spec: WindowSpec, lateness: i64, pairing: P, backend: &Backend) -> Self {
        let panes = || Panes::new(spec.pane, spec.offset, backend);
        let (told, next, over) = (Timestamp::MIN, Timestamp::MIN, Timestamp::MIN);
        let (panes, late, held, out) = (panes(), panes(), VecDeque::new(), Emitter::new(0));
        let backend = backend.clone();
        Closing { spec, lateness, pairing, backend, told, next, over, panes, late, held, out }
    }

    /// Whether no record is remembered.
    pub fn is_empty(&self) -> bool {
        let none = self.panes.oldest().is_none() && self.late.oldest().is_none();
        none && self.held.is_empty()
    }

    /// One that holds nothing and has been told this watermark.
    pub fn empty(&self, told: Watermark) -> Self
    where
        P: Clone,
    {
        let (spec, lateness) = (self.spec, self.lateness);
        let mut empty = Closing::new(spec, lateness, self.pairing.clone(), &self.backend);
        if told > Timestamp::MIN {
            empty.told = told;
            empty.next = spec.end_at_or_after(us(told, 1));
            empty.over = spec.end_at_or_after(us(us(told, -lateness), 1));
        }
        empty
    }

    /// The watermark that it was told.
    pub fn watermark(&self) -> Watermark {
        self.told
    }

    /// Where the records of a time are kept.
    #[inline(always)]
    pub fn table(&mut self, at: Timestamp) -> &mut PagedTable<K, PaneSides<L, S>> {
        if !self.panes.holds(at) {
            return self.enter(at);
        }
        self.panes.current()
    }

    #[cold]
    #[inline(never)]
    fn enter(&mut self, at: Timestamp) -> &mut PagedTable<K, PaneSides<L, S>> {
        if self.spec.pane_of(at) < self.ended() { self.late.at(at) } else { self.panes.at(at) }
    }

    /// Looks after the current pane, see [`Panes::tend`].
    pub fn tend(&mut self) {
        self.panes.tend();
    }

    /// A window has ended of those panes that start before this.
    fn ended(&self) -> Timestamp {
        let WindowSpec { step, offset, pane, .. } = self.spec;
        match self.told {
            Timestamp::MIN => Timestamp::MIN,
            told => us(told.align_down(step, offset), 1 - pane),
        }
    }

    pub fn save<R: Record>(&mut self, to: &mut Saver) -> Result
    where
        S: Keep<R>,
    {
        to.part::<Timestamp>("closed", |part| part.put(self.told))?;
        let Closing { panes, late, .. } = self;
        to.begin_series::<_, _, Kept<K, L, S::Kept>>("panes", panes.series())?;
        to.begin_series::<_, _, Kept<K, L, S::Kept>>("late", late.series())
    }

    pub fn save_more<R: Record>(&mut self, to: &mut Saver) -> Result<bool>
    where
        S: Keep<R>,
    {
        for (part, panes) in [("panes", &mut self.panes), ("late", &mut self.late)] {
            if panes.is_saving() && !saved::more::<K, L, R, S>(part, panes.series(), to)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn state_bytes(&self) -> usize {
        self.panes.state_bytes() + self.late.state_bytes()
    }

    /// Takes up what one shard has saved, or all shards that were told the same.
    pub fn load<R: Record>(&mut self, from: &Loader<'_>) -> Result
    where
        S: Keep<R>,
    {
        let ended = self.ended();
        for (part, panes) in [("panes", &mut self.panes), ("late", &mut self.late)] {
            saved::load::<K, L, R, S>(part, panes.series(), from)?;
            panes.open_all();
        }
        while let Some(pane) = self.panes.close_before(ended) {
            self.held.push_back(pane);
        }
        Ok(())
    }

    /// Takes up what another one holds, which has been told the same watermark.
    pub fn take_up<R: Record>(&mut self, mut other: Self)
    where
        S: Keep<R>,
    {
        if self.is_empty() {
            return *self = other;
        }
        for pane in std::mem::take(&mut other.held) {
            add::<K, L, R, S>(self.panes.closed_mut(pane), other.panes.entries(pane));
            self.hold(pane);
        }
        let Closing { panes, late, .. } = self;
        for (own, other) in [(panes, &mut other.panes), (late, &mut other.late)] {
            while let Some(pane) = other.close_before(Timestamp::MAX) {
                add::<K, L, R, S>(own.at(pane), other.entries(pane));
            }
        }
    }

    /// How long rows of a window may still come after its end, microseconds.
    pub fn lateness(&self) -> i64 {
        self.lateness
    }

    /// Gives the pairs of every window that ends at or before `at`, and what stayed alone in those
    /// that are over.
    pub fn close<R: Record>(&mut self, at: Watermark, out: &mut Output<'_>) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        // A job that goes on is told again what it was told.
        let at = at.max(self.told);
        if self.lateness > 0 && self.told > Timestamp::MIN {
            self.give_late::<R>(out)?;
        }
        loop {
            let more = self.held.back().is_some_and(|pane| self.spec.last_end(*pane) >= self.next);
            // While no pane is held the next window is the first one of the oldest pane.
            let first = self.panes.oldest().map(|pane| self.spec.first_end(pane));
            let next = if more { Some(self.next) } else { first };
            let Some(end) = next.filter(|end| *end <= at) else {
                break;
            };
            self.window::<R>(end, out)?;
            self.next = self.spec.next_end(end);
            if self.next == end {
                break; // The end of time.
            }
        }
        if self.lateness > 0 {
            self.end::<R>(at, out)?;
            self.next = self.spec.end_at_or_after(us(at, 1));
        }
        self.told = at;
        self.out.flush(out)
    }

    /// Gives the pairs of records whose windows have ended.
    fn give_late<R: Record>(&mut self, out: &mut Output<'_>) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let (spec, told) = (self.spec, self.told);
        while let Some(pane) = self.late.close_before(Timestamp::MAX) {
            // None of them is over: a record is on time for the first of its windows.
            for end in spec.ends(pane, Timestamp::MIN).take_while(|end| *end <= told) {
                let inside = self.inside(end);
                let Closing { pairing, panes, late, held, out: emitter, .. } = self;
                let mut rows = Rows { pairing, emitter, at: us(end, -1) };
                for (key, new) in late.entries(pane) {
                    let (hash, held) = (key::hash(key), held.range(inside.clone()));
                    let before = held.filter_map(|pane| panes.closed(*pane));
                    let before = before.filter_map(|pane| pane.get(hash, |other| other == key));
                    rows.late_pairs::<L, R, S>(new, &before.collect::<Vec<_>>(), out)?;
                }
            }
            add::<K, L, R, S>(self.panes.closed_mut(pane), self.late.entries(pane));
            self.late.forget(pane);
            self.hold(pane);
        }
        Ok(())
    }

    /// Gives a window that ends.
    fn window<R: Record>(&mut self, end: Timestamp, out: &mut Output<'_>) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let spec = self.spec;
        while let Some(pane) = self.panes.close_before(end) {
            if spec.is_tumbling() && self.lateness == 0 {
                let Closing { pairing, panes, out: emitter, .. } = self;
                let mut rows = Rows { pairing, emitter, at: us(end, -1) };
                panes.try_for_each(pane, |_, sides| {
                    rows.pairs::<L, R, S>(&[sides], out)?;
                    rows.alone::<L, R, S>(&[sides], out)
                })?;
                panes.forget(pane);
            } else if spec.last_end(pane) >= end {
                self.hold(pane);
            } else {
                self.panes.forget(pane);
            }
        }
        let once = self.lateness == 0;
        self.each_key(end, |rows, sides| {
            rows.pairs::<L, R, S>(sides, out)?;
            if once { rows.alone::<L, R, S>(sides, out) } else { Ok(()) }
        })?;
        if once {
            self.forget(end);
        }
        Ok(())
    }

    /// Ends the windows whose lateness is over at `at`.
    fn end<R: Record>(&mut self, at: Watermark, out: &mut Output<'_>) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        while let Some(pane) = self.held.front() {
            let end = self.spec.first_end(*pane).max(self.over);
            if us(end, self.lateness) > at {
                break;
            }
            if P::LEFT || P::RIGHT {
                self.each_key(end, |rows, sides| rows.alone::<L, R, S>(sides, out))?;
            }
            self.forget(end);
        }
        Ok(())
    }

    /// Forgets the panes that are in no window after the one that ends at `end`.
    fn forget(&mut self, end: Timestamp) {
        self.over = self.spec.next_end(end);
        // At the end of time the next end is the same.
        let none = self.over == end;
        while let Some(pane) =
            self.held.pop_front_if(|pane| none || self.spec.last_end(*pane) < self.over)
        {
            self.panes.forget(pane);
        }
    }

    /// Keeps a closed pane. One that nothing came for on time may be older than others.
    fn hold(&mut self, pane: Timestamp) {
        let place = self.held.partition_point(|other| *other < pane);
        if self.held.get(place) != Some(&pane) {
            self.held.insert(place, pane);
        }
    }

    /// The places of the held panes of a window.
    fn inside(&self, end: Timestamp) -> Range<usize> {
        let before = |at| self.held.partition_point(|pane| *pane < at);
        before(self.spec.start_of(end))..before(end)
    }

    /// Shows what the panes of a window hold of each key.
    fn each_key(
        &mut self,
        end: Timestamp,
        mut show: impl FnMut(&mut Rows<'_, P, O>, &[&PaneSides<L, S>]) -> Result,
    ) -> Result {
        let inside = self.inside(end);
        let Closing { pairing, panes, held, out: emitter, .. } = self;
        let mut rows = Rows { pairing, emitter, at: us(end, -1) };
        let all = held.range(inside).flat_map(|pane| panes.entries(*pane));
        let mut found: Vec<_> = all.map(|(key, sides)| (key::hash(key), key, sides)).collect();
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

/// Adds entries to those of a table, after what these hold.
fn add<'e, K: Key, L: Record, R: Record, S: Keep<R>>(
    to: &mut PagedTable<K, PaneSides<L, S>>,
    entries: impl Iterator<Item = (&'e K, &'e PaneSides<L, S>)>,
) {
    for (key, sides) in entries {
        let (hash, sides) = (key::hash(key), sides.clone());
        match to.get_mut(hash, |other| other == key) {
            Some(kept) => {
                kept.left.append(sides.left);
                kept.right.append(sides.right);
            }
            None => to.insert_new(hash, key.clone(), sides),
        }
    }
}
