//! The join with what was valid at a time.

use super::{Fields, Sweep, shift};
use crate::error::Result;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Table, Timer, Timers};
use crate::time::{Timestamp, Watermark};

/// Right records of a key, oldest first, at most one of a time.
type Versions<R> = Sides<(), Vec<(Timestamp, R)>>;

/// Joins every left record with the newest right record of its key that is not newer than itself
/// and at most `tolerance` older. The row leaves, with the left record's event time, once the
/// watermark has passed that time, so that it does not matter in which order records came. Of
/// right records of one key and time the greatest in the order of their fields counts.
pub struct AsOfJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    by: (BL, BR),
    pairing: P,
    /// Microseconds.
    tolerance: i64,
    table: Table<BL::Key, Versions<R>>,
    /// Left records that wait for the watermark.
    waiting: Timers<(BL::Key, L), Timestamp>,
    sweep: Sweep,
    out: Emitter<P::Out>,
}

impl<L, BL, R, BR, P> AsOfJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    /// Joins by these keys; `tolerance` in microseconds.
    pub fn new(by: (BL, BR), tolerance: i64, pairing: P) -> Self {
        let (table, waiting, sweep) = (Table::new(), Timers::new(), Sweep::default());
        AsOfJoin { by, pairing, tolerance, table, waiting, sweep, out: Emitter::new(0) }
    }

    /// How many keys and waiting left records are remembered.
    pub fn entries(&self) -> usize {
        self.table.len() + self.waiting.len()
    }

    /// Gives the row of a left record.
    fn row(&mut self, timer: Timer<(BL::Key, L), Timestamp>, out: &mut Output<'_>) -> Result {
        let AsOfJoin { pairing, tolerance, table, out: emitter, .. } = self;
        let Timer { at, hash, key: (key, left), .. } = timer;
        let versions = table.get(hash, |other| *other == key);
        let valid = versions.and_then(|versions| {
            let newer = versions.right.partition_point(|(since, _)| *since <= at);
            let oldest = shift(at, tolerance.saturating_neg());
            versions.right[..newer].last().filter(|(since, _)| *since >= oldest)
        });
        let row = match valid {
            Some((_, right)) => {
                Some(left.lend(|left| right.lend(|right| pairing.pair(left, right))))
            }
            None if P::LEFT => left.lend(|left| pairing.left(left)),
            None => None,
        };
        row.map_or(Ok(()), |row| emitter.give(at, &row, out))
    }
}

impl<L, BL, R, BR, P> Lifecycle for AsOfJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        // A record at the watermark's own time may still come, except at the end.
        let due = if at == Timestamp::MAX { at } else { shift(at, -1) };
        while let Some(timer) = self.waiting.pop_due(due) {
            self.row(timer, out)?;
        }
        self.out.flush(out)?;
        if at == Timestamp::MAX {
            self.table.clear();
        } else if self.sweep.due() {
            let oldest = shift(at, self.tolerance.saturating_neg());
            let mut kept = 0;
            self.table.retain(|_, Sides { right, .. }| {
                // Of those up to the watermark only the newest can still be asked for.
                let newer = right.partition_point(|(since, _)| *since <= at);
                let dead = right.partition_point(|(since, _)| *since < oldest);
                right.drain(..dead.max(newer.saturating_sub(1)));
                kept += right.len();
                !right.is_empty()
            });
            self.sweep.done(kept);
        }
        out.watermark(at)
    }
}

impl<L, BL, R, BR, P> Stage<L, 0> for AsOfJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn record(&mut self, stamp: Stamp, record: L::View<'_>, _: &mut Output<'_>) -> Result {
        let part = self.by.0.part(record);
        let (at, hash) = (stamp.at, BL::hash(&part));
        let key = (BL::own(part), L::own(record));
        self.waiting.set(Timer { at, hash, life: 0, key });
        Ok(())
    }
}

impl<L, BL, R, BR, P> Stage<R, 1> for AsOfJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, _: &mut Output<'_>) -> Result {
        let at = stamp.at;
        let versions = &mut Sides::of(&self.by.1, &mut self.table, record).right;
        let record = R::own(record);
        let place = versions.partition_point(|(since, _)| *since < at);
        match versions.get_mut(place).filter(|(since, _)| *since == at) {
            Some((_, other)) if Fields::of(other) < Fields::of(&record) => *other = record,
            Some(_) => {}
            None => {
                versions.insert(place, (at, record));
                self.sweep.added();
            }
        }
        Ok(())
    }
}
