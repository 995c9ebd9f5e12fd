//! The join of records whose times are near each other.

use std::collections::VecDeque;

use super::Sweep;
use crate::error::Result;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::Table;
use crate::time::{Timestamp, Watermark};

/// A side's records of a key, oldest first.
type Timed<R> = VecDeque<(Timestamp, R)>;

/// Joins a left record with the right records of its key whose event time lies between `lower`
/// and `upper` of its own, both inclusive. A row leaves as soon as both are there, with the later
/// one's event time. A record is forgotten once the watermark has passed all that can meet it.
pub struct IntervalJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    by: (BL, BR),
    pairing: P,
    /// Microseconds from the left record's time.
    lower: i64,
    upper: i64,
    table: Table<BL::Key, Sides<Timed<L>, Timed<R>>>,
    sweep: Sweep,
    out: Emitter<P::Out>,
}

impl<L, BL, R, BR, P> IntervalJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    /// Joins by these keys; the bounds are microseconds after the left record's time.
    pub fn new(by: (BL, BR), lower: i64, upper: i64, pairing: P) -> Self {
        let (table, sweep, out) = (Table::new(), Sweep::default(), Emitter::new(0));
        IntervalJoin { by, pairing, lower, upper, table, sweep, out }
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.table.len()
    }
}

impl<L, BL, R, BR, P> Lifecycle for IntervalJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        let IntervalJoin { lower, upper, table, sweep, .. } = self;
        if at == Timestamp::MAX {
            table.clear();
        } else if sweep.due() {
            let mut kept = 0;
            table.retain(|_, Sides { left, right }| {
                forget(left, super::shift(at, upper.saturating_neg()));
                forget(right, super::shift(at, *lower));
                kept += left.len() + right.len();
                !(left.is_empty() && right.is_empty())
            });
            sweep.done(kept);
        }
        out.watermark(at)
    }
}

/// Forgets what is older than a time.
fn forget<R>(records: &mut Timed<R>, than: Timestamp) {
    while records.front().is_some_and(|(at, _)| *at < than) {
        records.pop_front();
    }
}

/// Puts a record where it belongs: near the end, as streams are nearly in order.
fn put<R>(records: &mut Timed<R>, at: Timestamp, record: R) {
    if records.back().is_none_or(|(last, _)| *last <= at) {
        records.push_back((at, record));
    } else {
        let place = records.partition_point(|(other, _)| *other <= at);
        records.insert(place, (at, record));
    }
}

/// The records between two times, both inclusive.
fn within<R>(
    records: &Timed<R>,
    from: Timestamp,
    to: Timestamp,
) -> impl Iterator<Item = &(Timestamp, R)> {
    let first = records.partition_point(|(at, _)| *at < from);
    records.range(first..).take_while(move |(at, _)| *at <= to)
}

impl<L, BL, R, BR, P> Stage<L, 0> for IntervalJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn record(&mut self, stamp: Stamp, record: L::View<'_>, out: &mut Output<'_>) -> Result {
        let IntervalJoin { by, pairing, lower, upper, table, sweep, out: emitter } = self;
        let at = stamp.at;
        let (from, to) = (super::shift(at, *lower), super::shift(at, *upper));
        let sides = Sides::of(&by.0, table, record);
        for (other, right) in within(&sides.right, from, to) {
            let row = right.lend(|right| pairing.pair(record, right));
            emitter.give(at.max(*other), &row, out)?;
        }
        put(&mut sides.left, at, L::own(record));
        sweep.added();
        Ok(())
    }
}

impl<L, BL, R, BR, P> Stage<R, 1> for IntervalJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let IntervalJoin { by, pairing, lower, upper, table, sweep, out: emitter } = self;
        let at = stamp.at;
        let from = super::shift(at, upper.saturating_neg());
        let to = super::shift(at, lower.saturating_neg());
        let sides = Sides::of(&by.1, table, record);
        for (other, left) in within(&sides.left, from, to) {
            let row = left.lend(|left| pairing.pair(left, record));
            emitter.give(at.max(*other), &row, out)?;
        }
        put(&mut sides.right, at, R::own(record));
        sweep.added();
        Ok(())
    }
}
