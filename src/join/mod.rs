//! Joins: rows made of records of two streams that have the same key.
//!
//! Joins of windows lie with the windows. Every join here has the same parts: [`Joint`] names its
//! types, a [`Table`](crate::state::Table) remembers what can still be met, and a row that is
//! made of a record and one of the other side has the later one's event time.

mod as_of;
mod equi;
mod fields;
mod interval;
mod joint;
mod table;
mod timed;

pub use as_of::AsOfJoin;
pub use equi::EquiJoin;
pub use interval::IntervalJoin;
pub use joint::{Joint, Of};
pub use table::{TableJoin, TableSide};

use crate::error::Result;
use crate::operator::{Emitter, KeyOf, Output};
use crate::record::Record;
use crate::state::Loader;
use crate::time::{Timestamp, Watermark};
use fields::Fields;
use timed::Timed;

/// Records that have come before the first look for what can be forgotten.
const SWEEP_MIN: usize = 1024;

/// Says when to look through a table for what can be forgotten: when as many records have come as
/// were left the last time. A record then costs O(1) to be forgotten, however many keys there are,
/// and a table holds at most twice what it must.
#[derive(Debug, Default)]
struct Sweep {
    added: usize,
    kept: usize,
}

impl Sweep {
    /// A record is remembered.
    #[inline(always)]
    fn added(&mut self) {
        self.added += 1;
    }

    /// Whether it is time.
    fn due(&self) -> bool {
        self.added >= self.kept.max(SWEEP_MIN)
    }

    /// It has been done and left so many records.
    fn done(&mut self, kept: usize) {
        *self = Sweep { added: 0, kept };
    }
}

/// Moves a time by microseconds, saturating.
fn shift(at: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_micros(at.micros().saturating_add(by))
}

/// The last time of which no record comes any more: a record at the watermark's own time may
/// still come, except at the end.
fn over(at: Watermark) -> Timestamp {
    if at == Timestamp::MAX { at } else { shift(at, -1) }
}

/// Whether the shard that loads owns the key of a record.
fn owns<R: Record, B: KeyOf<R>>(from: &Loader<'_>, by: &B, record: R::View<'_>) -> bool {
    from.owns(B::hash(&by.part(record)))
}

/// Gives what `row` makes of each record, with the record's event time or `at`, whichever is
/// later; says whether there was a record.
#[inline(always)]
fn give_each<'r, R: Record, O: Record>(
    records: impl Iterator<Item = &'r (Timestamp, R)>,
    at: Timestamp,
    mut row: impl FnMut(R::View<'_>) -> Option<O>,
    emitter: &mut Emitter<O>,
    out: &mut Output<'_>,
) -> Result<bool> {
    let mut any = false;
    for (other, record) in records {
        any = true;
        if let Some(row) = record.lend(&mut row) {
            emitter.give(at.max(*other), &row, out)?;
        }
    }
    Ok(any)
}

#[cfg(test)]
mod evict_tests;
