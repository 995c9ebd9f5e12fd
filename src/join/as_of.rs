//! The join with what was valid at a time.

use super::{Fields, Joint, Sweep, over, owns, shift};
use crate::error::Result;
use crate::operator::{Emitter, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Loader, Saver, Table, Timer, Timers};
use crate::time::{Timestamp, Watermark};

/// Right records of a key, oldest first, at most one of a time.
type Versions<R> = Sides<(), Vec<(Timestamp, R)>>;

/// Joins every left record with the newest right record of its key that is not newer than itself
/// and at most `tolerance` older. The row leaves, with the left record's event time, once the
/// watermark has passed that time, so that it does not matter in which order records came. Of
/// right records of one key and time the greatest in the order of their fields counts.
pub struct AsOfJoin<J: Joint> {
    by: (J::LeftBy, J::RightBy),
    pairing: J::Pairing,
    /// Microseconds.
    tolerance: i64,
    table: Table<J::Key, Versions<J::Right>>,
    /// Left records that wait for the watermark.
    waiting: Timers<(J::Key, J::Left)>,
    sweep: Sweep,
    out: Emitter<J::Out>,
}

impl<J: Joint> AsOfJoin<J> {
    /// Joins by these keys; `tolerance` in microseconds.
    pub fn new(by: (J::LeftBy, J::RightBy), tolerance: i64, pairing: J::Pairing) -> Self {
        let (table, waiting, sweep) = (Table::new(), Timers::new(), Sweep::default());
        AsOfJoin { by, pairing, tolerance, table, waiting, sweep, out: Emitter::new(0) }
    }

    /// How many keys and waiting left records are remembered.
    pub fn entries(&self) -> usize {
        self.table.len() + self.waiting.len()
    }

    /// The oldest right record that a left one of this time can have.
    fn oldest(&self, at: Timestamp) -> Timestamp {
        shift(at, self.tolerance.saturating_neg())
    }

    /// Lets a left record wait.
    fn wait(&mut self, at: Timestamp, record: <J::Left as Record>::View<'_>) {
        let part = self.by.0.part(record);
        let hash = J::LeftBy::hash(&part);
        let key = (J::LeftBy::own(part), J::Left::own(record));
        self.waiting.set(Timer { at, hash, life: 0, key });
    }

    /// Keeps a right record, unless there is a greater one of its time.
    fn keep(&mut self, at: Timestamp, record: <J::Right as Record>::View<'_>) {
        let versions = &mut Sides::of(&self.by.1, &mut self.table, record).right;
        let record = J::Right::own(record);
        let place = versions.partition_point(|(since, _)| *since < at);
        match versions.get_mut(place).filter(|(since, _)| *since == at) {
            Some((_, other)) if Fields::of(other) < Fields::of(&record) => *other = record,
            Some(_) => {}
            None => {
                versions.insert(place, (at, record));
                self.sweep.added();
            }
        }
    }

    /// Gives the row of a left record.
    fn row(&mut self, timer: Timer<(J::Key, J::Left)>, out: &mut Output<'_>) -> Result {
        let Timer { at, hash, key: (key, left), .. } = timer;
        let oldest = self.oldest(at);
        let versions = self.table.get(hash, |other| *other == key);
        let valid = versions.and_then(|Sides { right, .. }| {
            let newer = right.partition_point(|(since, _)| *since <= at);
            right[..newer].last().filter(|(since, _)| *since >= oldest)
        });
        let right = valid.map(|(_, right)| right);
        let row = left.lend(|left| self.pairing.either(left, right));
        row.map_or(Ok(()), |row| self.out.give(at, &row, out))
    }

    /// Forgets what no left record at or after the watermark can ask for.
    #[inline(never)]
    fn forget(&mut self, at: Watermark) {
        if at == Timestamp::MAX {
            self.table.clear();
        } else if self.sweep.due() {
            let oldest = self.oldest(at);
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
    }
}

impl<J: Joint> Lifecycle for AsOfJoin<J> {
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        while let Some(timer) = self.waiting.pop_due(over(at)) {
            self.row(timer, out)?;
        }
        self.out.flush(out)?;
        self.forget(at);
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.part::<J::Left>("left", |part| {
            for Timer { at, key: (_, left), .. } in self.waiting.iter() {
                left.lend(|left| part.put_at(*at, left));
            }
        })?;
        to.part::<J::Right>("right", |part| {
            for (at, right) in self.table.iter().flat_map(|(_, sides)| &sides.right) {
                right.lend(|right| part.put_at(*at, right));
            }
        })
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        from.part::<J::Left>("left", |_, at, record| {
            if owns(from, &self.by.0, record) {
                self.wait(at, record);
            }
        })?;
        from.part::<J::Right>("right", |_, at, record| {
            if owns(from, &self.by.1, record) {
                self.keep(at, record);
            }
        })
    }
}

impl<J: Joint> Stage<J::Left, 0> for AsOfJoin<J> {
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        record: <J::Left as Record>::View<'_>,
        _: &mut Output<'_>,
    ) -> Result {
        self.wait(at, record);
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
        self.keep(at, record);
        Ok(())
    }
}
