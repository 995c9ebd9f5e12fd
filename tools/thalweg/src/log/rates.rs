//! How many records there are in each part of a time.

use std::fmt::Write as _;

use serde::Serialize;
use thalweg::time::{Timestamp, in_words};

use super::info::Range;

/// Parts that a time is divided into, unless it is said how long they are.
const PARTS: i64 = 20;
/// There are no more of them; what is said would make more is made longer.
const PARTS_MAX: u64 = 10_000;

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
    /// Of parts of such length, or of some twenty.
    pub fn over(range: Option<Range>, interval: Option<i64>) -> Rates {
        let Some(range) = range else {
            return Rates { interval_us: 0, start: Timestamp::MIN, records: Vec::new() };
        };
        let span = range.micros();
        let least = i64::try_from(span / PARTS_MAX + 1).unwrap_or(i64::MAX);
        let even = i64::try_from(span / PARTS.unsigned_abs() + 1).unwrap_or(i64::MAX);
        let interval_us = interval.unwrap_or(even).max(least);
        let parts = span / interval_us.unsigned_abs() + 1;
        Rates { interval_us, start: range.first, records: vec![0; parts as usize] }
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
