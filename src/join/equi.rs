//! The incremental join of two unbounded streams.

use super::{Joint, owns};
use crate::error::Result;
use crate::operator::{Emitter, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, List, Lists, Loader, Saver, Table};
use crate::time::{Timestamp, Watermark};

/// Joins every record with all of the other side's that have its key, whenever they came: a row
/// leaves as soon as both are there, with the later one's event time. It keeps every record.
///
/// That a record has no other is known only at the end of the input: its row leaves then, with
/// its own event time. So that the row is not late for what follows, a join that gives such rows
/// hands on no watermark before the end.
pub struct EquiJoin<J: Joint> {
    by: (J::LeftBy, J::RightBy),
    pairing: J::Pairing,
    /// Where the records of a key so far are; always in memory.
    table: Table<J::Key, Sides<List, List>>,
    /// All left records, with their event times.
    lefts: Lists<J::Left>,
    /// All right records, with their event times.
    rights: Lists<J::Right>,
    out: Emitter<J::Out>,
}

impl<J: Joint> EquiJoin<J> {
    /// Joins by these keys; records are kept where `backend` says.
    pub fn new(by: (J::LeftBy, J::RightBy), pairing: J::Pairing, backend: &Backend) -> Self {
        let (lefts, rights) = (Lists::of(backend.clone()), Lists::of(backend.clone()));
        let (table, out) = (Table::new(), Emitter::new(0));
        EquiJoin { by, pairing, table, lefts, rights, out }
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// Gives rows for the records that stayed alone and forgets everything.
    fn close(&mut self, out: &mut Output<'_>) -> Result {
        let EquiJoin { pairing, table, lefts, rights, out: emitter, .. } = self;
        let mut keys = std::mem::take(table);
        let alone = (J::Pairing::LEFT || J::Pairing::RIGHT).then(|| keys.drain());
        for (_, Sides { left, right }) in alone.into_iter().flatten() {
            let lefts = lefts.iter(left).filter(|_| J::Pairing::LEFT && right.is_empty());
            for (at, record) in lefts {
                pairing.left(record).map_or(Ok(()), |row| emitter.give(at, &row, out))?;
            }
            let rights = rights.iter(right).filter(|_| J::Pairing::RIGHT && left.is_empty());
            for (at, record) in rights {
                pairing.right(record).map_or(Ok(()), |row| emitter.give(at, &row, out))?;
            }
        }
        lefts.clear();
        rights.clear();
        self.out.flush(out)
    }
}

impl<J: Joint> Lifecycle for EquiJoin<J> {
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at == Timestamp::MAX {
            self.close(out)?;
        } else if J::Pairing::LEFT || J::Pairing::RIGHT {
            return Ok(());
        }
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_lists("left", &mut self.lefts)?;
        to.begin_lists("right", &mut self.rights)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        Ok(to.lists("left", &mut self.lefts)? && to.lists("right", &mut self.rights)?)
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let EquiJoin { by, table, lefts, rights, .. } = self;
        from.lists::<J::Left>("left", |at, record| {
            if owns(from, &by.0, record) {
                let list = &mut Sides::of(&by.0, table, record).left;
                lefts.push(list, at, record);
            }
        })?;
        from.lists::<J::Right>("right", |at, record| {
            if owns(from, &by.1, record) {
                let list = &mut Sides::of(&by.1, table, record).right;
                rights.push(list, at, record);
            }
        })
    }
}

impl<J: Joint> Stage<J::Left, 0> for EquiJoin<J> {
    #[inline(always)]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Left as Record>::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let EquiJoin { by: (by, _), pairing, table, lefts, rights, out: emitter } = self;
        let sides = Sides::of(by, table, record);
        for (other, right) in rights.iter(sides.right) {
            emitter.give(at.max(other), &pairing.pair(record, right), out)?;
        }
        lefts.push(&mut sides.left, at, record);
        Ok(())
    }
}

impl<J: Joint> Stage<J::Right, 1> for EquiJoin<J> {
    #[inline(always)]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Right as Record>::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let EquiJoin { by: (_, by), pairing, table, lefts, rights, out: emitter } = self;
        let sides = Sides::of(by, table, record);
        for (other, left) in lefts.iter(sides.left) {
            emitter.give(at.max(other), &pairing.pair(left, record), out)?;
        }
        rights.push(&mut sides.right, at, record);
        Ok(())
    }
}
