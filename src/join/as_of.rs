//! The join with what was valid at a time.

use super::{
    Fields, Joint, KEPT, Kept, KeptRow, Sweep, forget_old, kept_of, load_kept, over, save_kept,
    shift,
};
use crate::error::Result;
use crate::key;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, Loader, PagedTable, Saver, Timer, Timers};
use crate::time::{Timestamp, Watermark};

/// Joins every left record with the newest right record of its key that is not newer than itself
/// and at most `tolerance` older. The row leaves, with the left record's event time, once the
/// watermark has passed that time, so that it does not matter in which order records came. Of
/// right records of one key and time the greatest in the order of their fields counts.
pub struct AsOfJoin<J: Joint> {
    by: (J::LeftBy, J::RightBy),
    pairing: J::Pairing,
    /// Microseconds.
    tolerance: i64,
    /// Left records that wait for the watermark, and right ones, at most one of a time.
    table: Kept<J::Key, (Timestamp, J::Left), (Timestamp, J::Right)>,
    /// Keys of the left records that wait.
    waiting: Timers<J::Key>,
    sweep: Sweep,
    out: Emitter<J::Out>,
}

impl<J: Joint> AsOfJoin<J> {
    /// Joins by these keys; `tolerance` in microseconds. State is kept where `backend` says.
    pub fn new(
        by: (J::LeftBy, J::RightBy),
        tolerance: i64,
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self {
        let (table, waiting) = (PagedTable::of(backend.clone()), Timers::of(backend));
        let (sweep, out) = (Sweep::default(), Emitter::new(0));
        AsOfJoin { by, pairing, tolerance, table, waiting, sweep, out }
    }

    /// How many keys and waiting left records are remembered.
    pub fn entries(&self) -> usize {
        self.table.len() + self.waiting.len()
    }

    /// The oldest right record that a left one of this time can have.
    fn oldest(&self, at: Timestamp) -> Timestamp {
        shift(at, self.tolerance.saturating_neg())
    }

    /// Gives the rows of a key's left records of a time.
    fn rows(&mut self, timer: Timer<J::Key>, out: &mut Output<'_>) -> Result {
        let Timer { at, hash, key, .. } = timer;
        let oldest = self.oldest(at);
        let AsOfJoin { pairing, table, out: emitter, .. } = self;
        let is = |other: &J::Key| *other == key;
        let Some(Sides { left, right }) = table.get_mut(hash, is) else {
            // Another record of the time, which has gone.
            return Ok(());
        };
        let valid = right.newest(at).filter(|(since, _)| *since >= oldest);
        let valid = valid.map(|(_, right)| right);
        while let Some((at, record)) = left.pop(at) {
            if let Some(row) = record.lend(|record| pairing.either(record, valid)) {
                emitter.give(at, &row, out)?;
            }
        }
        if left.is_empty() && right.is_empty() {
            table.remove(hash, is);
        }
        Ok(())
    }

    /// Forgets what no left record at or after the watermark can ask for.
    #[inline(never)]
    fn forget(&mut self, at: Watermark) {
        if at == Timestamp::MAX {
            drop(self.table.drain());
        } else if self.sweep.due() {
            let oldest = self.oldest(at);
            let stay = forget_old(&mut self.table, |Sides { right, .. }| {
                // Of those up to the watermark only the newest can still be asked for.
                let up_to = right.older(shift(at, 1));
                (0, right.older(oldest).max(up_to.saturating_sub(1)))
            });
            self.sweep.done(stay);
        }
    }
}

impl<J: Joint> Lifecycle for AsOfJoin<J> {
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.table.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        while let Some(timer) = self.waiting.pop_due(over(at)) {
            self.rows(timer, out)?;
        }
        self.out.flush(out)?;
        self.forget(at);
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_table::<_, _, KeptRow<J::Key, (Timestamp, J::Left), (Timestamp, J::Right)>>(
            KEPT,
            &mut self.table,
        )
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        save_kept(&mut self.table, to)
    }
    fn state_bytes(&self) -> usize {
        self.table.bytes() + self.waiting.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        load_kept(&mut self.table, from)?;
        self.table.for_each(|key, Sides { left, right }| {
            let hash = key::hash(key);
            for (at, _) in left.iter() {
                self.waiting.set(Timer { at: *at, hash, life: 0, key: key.clone() });
            }
            self.sweep.added += right.len();
        });
        Ok(())
    }
}

impl<J: Joint> Stage<J::Left, 0> for AsOfJoin<J> {
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Left as Record>::View<'_>,
        _: &mut Output<'_>,
    ) -> Result {
        let AsOfJoin { by: (by, _), table, waiting, .. } = self;
        let part = by.part(record);
        let (hash, key) = (J::LeftBy::hash(&part), J::LeftBy::own(part));
        kept_of(by, table, record).left.put((at, J::Left::own(record)));
        waiting.set(Timer { at, hash, life: 0, key });
        Ok(())
    }
}

impl<J: Joint> Stage<J::Right, 1> for AsOfJoin<J> {
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Right as Record>::View<'_>,
        _: &mut Output<'_>,
    ) -> Result {
        let versions = &mut kept_of(&self.by.1, &mut self.table, record).right;
        let record = J::Right::own(record);
        // Of those of its time the greatest stays.
        match versions.newest_mut(at).filter(|(since, _)| *since == at) {
            Some((_, other)) if Fields::of(other) < Fields::of(&record) => *other = record,
            Some(_) => {}
            None => {
                versions.put((at, record));
                self.sweep.added();
            }
        }
        Ok(())
    }
}
