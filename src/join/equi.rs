//! The incremental join of two unbounded streams.

use crate::error::Result;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{List, Lists, Table};
use crate::time::{Timestamp, Watermark};

/// Where the records of a key so far are.
type Kept = Sides<List, List>;

/// Joins every record with all of the other side's that have its key, whenever they came: a row
/// leaves as soon as both are there, with the later one's event time. It keeps every record.
///
/// That a record has no other is known only at the end of the input: its row leaves then, with
/// its own event time. So that the row is not late for what follows, a join that gives such rows
/// hands on no watermark before the end.
pub struct EquiJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    by: (BL, BR),
    pairing: P,
    table: Table<BL::Key, Kept>,
    /// All left records, with their event times.
    lefts: Lists<(Timestamp, L)>,
    /// All right records, with their event times.
    rights: Lists<(Timestamp, R)>,
    out: Emitter<P::Out>,
}

impl<L, BL, R, BR, P> EquiJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    /// Joins by these keys.
    pub fn new(by: (BL, BR), pairing: P) -> Self {
        let (lefts, rights) = (Lists::new(), Lists::new());
        EquiJoin { by, pairing, table: Table::new(), lefts, rights, out: Emitter::new(0) }
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// Gives rows for the records that stayed alone and forgets everything.
    fn close(&mut self, out: &mut Output<'_>) -> Result {
        let EquiJoin { pairing, table, lefts, rights, out: emitter, .. } = self;
        for (_, Sides { left, right }) in table.drain() {
            if P::LEFT && right.is_empty() {
                for (at, left) in lefts.iter(left) {
                    if let Some(row) = left.lend(|left| pairing.left(left)) {
                        emitter.give(*at, &row, out)?;
                    }
                }
            }
            if P::RIGHT && left.is_empty() {
                for (at, right) in rights.iter(right) {
                    if let Some(row) = right.lend(|right| pairing.right(right)) {
                        emitter.give(*at, &row, out)?;
                    }
                }
            }
        }
        lefts.clear();
        rights.clear();
        self.out.flush(out)
    }
}

impl<L, BL, R, BR, P> Lifecycle for EquiJoin<L, BL, R, BR, P>
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
        if at == Timestamp::MAX {
            self.close(out)?;
        } else if P::LEFT || P::RIGHT {
            return Ok(());
        }
        out.watermark(at)
    }
}

impl<L, BL, R, BR, P> Stage<L, 0> for EquiJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    #[inline(always)]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: L::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let EquiJoin { by: (by, _), pairing, table, lefts, rights, out: emitter } = self;
        let sides = Sides::of(by, table, record);
        for (other, right) in rights.iter(sides.right) {
            let row = right.lend(|right| pairing.pair(record, right));
            emitter.give(at.max(*other), &row, out)?;
        }
        lefts.push(&mut sides.left, (at, L::own(record)));
        Ok(())
    }
}

impl<L, BL, R, BR, P> Stage<R, 1> for EquiJoin<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    #[inline(always)]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: R::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let EquiJoin { by: (_, by), pairing, table, lefts, rights, out: emitter } = self;
        let sides = Sides::of(by, table, record);
        for (other, left) in lefts.iter(sides.left) {
            let row = left.lend(|left| pairing.pair(left, record));
            emitter.give(at.max(*other), &row, out)?;
        }
        rights.push(&mut sides.right, (at, R::own(record)));
        Ok(())
    }
}
