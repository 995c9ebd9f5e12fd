//! Joins: rows made of records of two streams that have the same key.
//!
//! Joins of windows lie with the windows.

mod as_of;
mod equi;
mod fields;
mod interval;
mod table;

pub use as_of::AsOfJoin;
pub use equi::EquiJoin;
pub use interval::IntervalJoin;
pub use table::{TableJoin, TableSide};

use crate::time::Timestamp;
use fields::Fields;

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

#[cfg(test)]
mod evict_tests;
