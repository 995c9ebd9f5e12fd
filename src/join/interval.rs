//! The join of records whose times are near each other.

use super::{
    Joint, KEPT, Kept, KeptRow, Meeting, Sweep, forget_old, give_each, kept_of, load_kept, over,
    save_kept, shift,
};
use crate::error::Result;
use crate::key;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, Loader, PagedTable, Saver, Timer, Timers};
use crate::time::{Timestamp, Watermark};

/// Keys and times of records that were alone when they came, by the last time at which another
/// can meet them.
type Waiting<K> = Timers<(K, Timestamp)>;

/// Joins a left record with the right records of its key whose event time lies between two bounds
/// around its own, both inclusive. A row leaves as soon as both are there, with the later one's
/// event time. A record is forgotten once the watermark has passed all that can meet it; where it
/// gives a row of its own if it stayed alone, that row leaves then, with the last time at which
/// another could have met it or its own time, whichever is later.
pub struct IntervalJoin<J: Joint> {
    by: (J::LeftBy, J::RightBy),
    pairing: J::Pairing,
    near: Sides<Near, Near>,
    table: Kept<J::Key, Meeting<J::Left>, Meeting<J::Right>>,
    /// Of records in the table.
    waiting: Sides<Waiting<J::Key>, Waiting<J::Key>>,
    sweep: Sweep,
    out: Emitter<J::Out>,
}

/// When the records are that meet one of a side, in microseconds after it, both inclusive.
#[derive(Clone, Copy)]
struct Near {
    lower: i64,
    upper: i64,
}

impl Near {
    /// The first and the last time of the records that meet one of this time.
    fn to(self, at: Timestamp) -> (Timestamp, Timestamp) {
        (shift(at, self.lower), shift(at, self.upper))
    }

    /// The oldest record that one of this time or later can meet.
    fn oldest(self, at: Timestamp) -> Timestamp {
        shift(at, self.upper.saturating_neg())
    }

    /// As the other side sees it.
    fn turned(self) -> Near {
        Near { lower: self.upper.saturating_neg(), upper: self.lower.saturating_neg() }
    }
}

impl<J: Joint> IntervalJoin<J> {
    /// Joins by these keys; the bounds are microseconds after the left record's time. State is
    /// kept where `backend` says.
    pub fn new(
        by: (J::LeftBy, J::RightBy),
        (lower, upper): (i64, i64),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self {
        let left = Near { lower, upper };
        IntervalJoin {
            by,
            pairing,
            near: Sides { left, right: left.turned() },
            table: PagedTable::of(backend.clone()),
            waiting: Sides { left: Timers::of(backend), right: Timers::of(backend) },
            sweep: Sweep::default(),
            out: Emitter::new(0),
        }
    }

    /// How many keys and records that wait for others are remembered.
    pub fn entries(&self) -> usize {
        self.table.len() + self.waiting.left.len() + self.waiting.right.len()
    }

    /// Gives rows for the records that have stayed alone.
    fn give_alone(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        let IntervalJoin { pairing, table, waiting, out: emitter, .. } = self;
        while let Some(timer) = waiting.left.pop_due(over(at)) {
            let Timer { at: last, hash, key: (key, since), .. } = timer;
            let is = |other: &J::Key| *other == key;
            if table.get(hash, is).is_none_or(|sides| !sides.left.has_alone(since)) {
                continue;
            }
            if let Some(sides) = table.get_mut(hash, is) {
                let alone = sides.left.alone(since);
                give_each(alone, last, |left| pairing.left(left), emitter, out)?;
            }
        }
        while let Some(timer) = waiting.right.pop_due(over(at)) {
            let Timer { at: last, hash, key: (key, since), .. } = timer;
            let is = |other: &J::Key| *other == key;
            if table.get(hash, is).is_none_or(|sides| !sides.right.has_alone(since)) {
                continue;
            }
            if let Some(sides) = table.get_mut(hash, is) {
                let alone = sides.right.alone(since);
                give_each(alone, last, |right| pairing.right(right), emitter, out)?;
            }
        }
        emitter.flush(out)
    }

    /// Forgets what no record at or after the watermark can meet.
    #[inline(never)]
    fn forget(&mut self, at: Watermark) {
        let IntervalJoin { near, table, sweep, .. } = self;
        if at == Timestamp::MAX {
            drop(table.drain());
        } else if sweep.due() {
            let (left, right) = (near.left.oldest(at), near.right.oldest(at));
            sweep.done(forget_old(table, |sides| {
                (sides.left.older(left), sides.right.older(right))
            }));
        }
    }
}

impl<J: Joint> Lifecycle for IntervalJoin<J> {
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.table.tend();
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.give_alone(at, out)?;
        self.forget(at);
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_table::<_, _, KeptRow<J::Key, Meeting<J::Left>, Meeting<J::Right>>>(
            KEPT,
            &mut self.table,
        )
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        save_kept(&mut self.table, to)
    }
    fn state_bytes(&self) -> usize {
        self.table.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        load_kept(&mut self.table, from)?;
        let IntervalJoin { near, table, waiting, sweep, .. } = self;
        table.for_each(|key, Sides { left, right }| {
            let hash = key::hash(key);
            let wake = |last, at| Timer { at: last, hash, life: 0, key: (key.clone(), at) };
            for (_, (at, _)) in left.iter().filter(|(met, _)| J::Pairing::LEFT && !met) {
                waiting.left.set(wake(near.left.to(*at).1, *at));
            }
            for (_, (at, _)) in right.iter().filter(|(met, _)| J::Pairing::RIGHT && !met) {
                waiting.right.set(wake(near.right.to(*at).1, *at));
            }
            sweep.added += left.len() + right.len();
        });
        Ok(())
    }
}

impl<J: Joint> Stage<J::Left, 0> for IntervalJoin<J> {
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Left as Record>::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let IntervalJoin { by, pairing, near, table, waiting, sweep, out: emitter } = self;
        let (from, to) = near.left.to(at);
        let sides = kept_of(&by.0, table, record);
        let others = sides.right.meet(from, to);
        let met = give_each(others, at, |right| Some(pairing.pair(record, right)), emitter, out)?;
        sides.left.put((met, (at, J::Left::own(record))));
        if J::Pairing::LEFT && !met {
            waiting.left.set(wake(&by.0, record, at, to));
        }
        sweep.added();
        Ok(())
    }
}

impl<J: Joint> Stage<J::Right, 1> for IntervalJoin<J> {
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Right as Record>::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let IntervalJoin { by, pairing, near, table, waiting, sweep, out: emitter } = self;
        let (from, to) = near.right.to(at);
        let sides = kept_of(&by.1, table, record);
        let others = sides.left.meet(from, to);
        let met = give_each(others, at, |left| Some(pairing.pair(left, record)), emitter, out)?;
        sides.right.put((met, (at, J::Right::own(record))));
        if J::Pairing::RIGHT && !met {
            waiting.right.set(wake(&by.1, record, at, to));
        }
        sweep.added();
        Ok(())
    }
}

/// Wakes a record's key once nothing can meet the record any more.
fn wake<R: Record, B: KeyOf<R>>(
    by: &B,
    record: R::View<'_>,
    at: Timestamp,
    last: Timestamp,
) -> Timer<(B::Key, Timestamp)> {
    let part = by.part(record);
    Timer { at: last, hash: B::hash(&part), life: 0, key: (B::own(part), at) }
}
