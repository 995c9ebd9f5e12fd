//! How many records there are in each part of a time.

use std::fmt::Write as _;

use serde::Serialize;
use thalweg::time::{Timestamp, in_words};

use super::info::Range;

/// Parts that a time is divided into at most, unless it is said how long they are.
const PARTS: u64 = 20;
/// There are no more of them; what is said would make more is made longer.
const PARTS_MAX: u64 = 10_000;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long parts may be, in microseconds: what a clock shows as round; then days.
const ROUND: &[i64] = &[
    1,
    10,
    100,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
];

/// The least round length that is no less.
fn round(micros: i64) -> i64 {
    let found = ROUND.iter().copied().find(|length| *length >= micros);
    found.unwrap_or_else(|| micros.saturating_add(DAY - 1) / DAY * DAY)
}

/// Counts by time.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// How long each part is.
    interval_us: i64,
    /// When the first one begins.
    start: Timestamp,
    records: Vec<u64>,
}

impl Rates {
    /// Of parts of such length, or of no more than twenty.
    pub fn over(range: Option<Range>, interval: Option<i64>) -> Rates {
        let Some(range) = range else {
            return Rates { interval_us: 0, start: Timestamp::MIN, records: Vec::new() };
        };
        let span = range.micros();
        let part = |parts: u64| i64::try_from(span / parts + 1).unwrap_or(i64::MAX);
        let even = || round(part(PARTS - 1));
        let interval_us = interval.unwrap_or_else(even).max(part(PARTS_MAX));
        let start = range.first.align_down(interval_us, 0);
        let whole = range.last.micros().abs_diff(start.micros());
        let parts = whole / interval_us.unsigned_abs() + 1;
        Rates { interval_us, start, records: vec![0; parts as usize] }
    }

    /// Counts a record.
    pub fn count(&mut self, at: i64) {
        let part = at.abs_diff(self.start.micros()) / self.interval_us.unsigned_abs().max(1);
        if let Some(records) = self.records.get_mut(part as usize) {
            *records += 1;
        }
    }

    /// How long a part is.
    pub fn interval_in_words(&self) -> String {
        in_words(self.interval_us)
    }

    /// A line for each part.
    pub fn in_words(&self) -> String {
        let most = self.records.iter().copied().max().unwrap_or(0);
        let (mut text, mut start) = (String::new(), self.start);
        for records in &self.records {
            let rate = per_second(*records, self.interval_us.unsigned_abs());
            let bar = bar(*records as f64 / most as f64);
            // A string takes whatever is written.
            let _ = writeln!(text, "{:27} {rate:>13.1} records/s {bar}", start.to_string());
            start = Timestamp::from_micros(start.micros().saturating_add(self.interval_us));
        }
        text
    }
}

/// Records a second.
pub(super) fn per_second(records: u64, micros: u64) -> f64 {
    records as f64 / (micros.max(1) as f64 / 1e6)
}

/// A bar for a part of the greatest one; something for all that is not nothing.
pub(super) fn bar(part: f64) -> String {
    let length = if part > 0.0 { (part * 40.0).round().max(1.0) } else { 0.0 };
    "#".repeat(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_part() {
        let at = Timestamp::from_micros;
        for (first, last) in [(0, 0), (-7, 5), (1_234_567, 98_765_432_101), (0, i64::MAX / 2)] {
            for interval in [None, Some(1), Some(HOUR)] {
                let mut rates =
                    Rates::over(Some(Range { first: at(first), last: at(last) }), interval);
                for time in [first, last, first + (last - first) / 3] {
                    rates.count(time);
                }
                assert_eq!(rates.records.iter().sum::<u64>(), 3, "{first} {last} {interval:?}");
                assert!(rates.records.len() <= if interval.is_none() { 20 } else { 10_002 });
                assert!(*rates.records.last().expect("a part") > 0);
            }
        }
        assert_eq!(round(47 * HOUR), 2 * DAY);
        assert!(ROUND.is_sorted());
    }
}
