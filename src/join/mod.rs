//! Joins: rows made of records of two streams that have the same key.
//!
//! Joins of windows lie with the windows. Every join here has the same parts: [`Joint`] names its
//! types, a table of `state` remembers what can still be met, and a row that is made of a record
//! and one of the other side has the later one's event time.

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
use crate::key;
use crate::operator::{Emitter, KeyOf, Output, Sides};
use crate::record::{Key, Record};
use crate::state::{Held, Loader, PagedTable, Saver};
use crate::time::{Timestamp, Watermark};
use fields::Fields;
use timed::{At, Meeting, Rows};

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

/// A table of what is kept of each key's records, by their side.
type Kept<K, A, B> = PagedTable<K, Sides<Rows<A>, Rows<B>>>;

/// The part that it is saved as.
const KEPT: &str = "records of both sides";

/// How it is saved.
type KeptRow<K, A, B> = (K, Vec<A>, Vec<B>);

/// What is kept of a record's key; empty when the key is new.
#[inline(always)]
fn kept_of<'t, R: Record, K: KeyOf<R>, A: Record, B: Record>(
    by: &K,
    table: &'t mut Kept<K::Key, A, B>,
    record: R::View<'_>,
) -> &'t mut Sides<Rows<A>, Rows<B>> {
    let part = by.part(record);
    let make = || (K::own(by.part(record)), Sides::default());
    table.entry(K::hash(&part), |key| K::is(&part, key), make)
}

/// Saves some of a table; true when all is saved.
fn save_kept<K: Key, A: Record, B: Record>(
    table: &mut Kept<K, A, B>,
    to: &mut Saver,
) -> Result<bool> {
    to.table::<_, _, KeptRow<K, A, B>>(KEPT, table, |part, key, Sides { left, right }| {
        key.lend(|key| {
            left.lend_as(|left| {
                right.lend_as(|right| {
                    part.put((K::shorten(key), Vec::shorten(left), Vec::shorten(right)));
                });
            });
        });
    })
}

/// Takes up what was saved of a table.
fn load_kept<K: Key, A: Record, B: Record>(table: &mut Kept<K, A, B>, from: &Loader<'_>) -> Result {
    from.table::<_, _, KeptRow<K, A, B>>(KEPT, table, |(key, left, right)| {
        (K::own(key), Sides { left: Rows::own_as(left), right: Rows::own_as(right) })
    })
}

/// Forgets records and keys that have none left. `old` says how many records of each side of a key
/// can go; only keys of which some can are changed. Gives how many records stay.
fn forget_old<K: Key, A: Record + At, B: Record + At>(
    table: &mut Kept<K, A, B>,
    old: impl Fn(&Sides<Rows<A>, Rows<B>>) -> (usize, usize),
) -> usize {
    let (mut stay, mut forget) = (0, Vec::new());
    table.for_each(|key, sides| {
        let (left, right) = old(sides);
        let stays = sides.left.len() + sides.right.len() - left - right;
        stay += stays;
        if left + right > 0 {
            forget.push((key.clone(), (left, right), stays == 0));
        }
    });
    for (key, (left, right), all) in forget {
        let (hash, is) = (key::hash(&key), |other: &K| *other == key);
        if all {
            table.remove(hash, is);
        } else if let Some(sides) = table.get_mut(hash, is) {
            sides.left.forget(left);
            sides.right.forget(right);
        }
    }
    stay
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
