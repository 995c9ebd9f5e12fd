//! How much a shard takes in a turn.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::limits::{SOURCE_RECORDS, TURN};

/// How many records a source of a shard hands on between two looks at the rings: few at first, then
/// as many as keep turns short. Where closures are slow it is what they can do in a turn, so that
/// a stop and a checkpoint do not wait for thousands of records.
#[derive(Clone, Debug)]
pub struct Pace(Arc<AtomicUsize>);

/// To begin with.
const FEW: usize = 64;

impl Default for Pace {
    fn default() -> Self {
        Pace(Arc::new(AtomicUsize::new(FEW)))
    }
}

impl Pace {
    /// How many records it is now, from 1 to [`SOURCE_RECORDS`].
    pub fn records(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Begins with few again, unless it is fewer already: what comes next may be slow.
    pub fn slow_down(&self) {
        self.0.store(self.records().min(FEW), Relaxed);
    }

    /// A turn with work took so long.
    #[inline]
    pub fn took(&self, turn: Duration) {
        let records = self.records();
        let next = if turn > TURN {
            (records / 2).max(1)
        } else if turn < TURN / 2 {
            (records * 2).min(SOURCE_RECORDS)
        } else {
            records
        };
        if next != records {
            self.0.store(next, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_records_are_taken_one_by_one_and_fast_ones_by_thousands() {
        let (pace, ms) = (Pace::default(), Duration::from_millis);
        (0..20).for_each(|_| pace.took(ms(pace.records() as u64 * 20)));
        assert_eq!(pace.records(), 1);
        pace.slow_down();
        assert_eq!(pace.records(), 1, "it is no faster for that");
        (0..20).for_each(|_| pace.took(ms(pace.records() as u64) / 10));
        assert_eq!(pace.records(), 16);
        (0..20).for_each(|_| pace.took(Duration::from_nanos(pace.records() as u64 * 50)));
        assert_eq!(pace.records(), SOURCE_RECORDS);
        pace.slow_down();
        assert_eq!(pace.records(), FEW);
    }
}
