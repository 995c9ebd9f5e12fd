//! What is counted while records are sent.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Lateness up to this long is told apart: an hour.
const LATEST: u64 = 3_600_000_000_000;
/// Digits of a lateness that are kept: three, so that it is right to a thousandth.
const DIGITS: u8 = 3;
/// Seconds of a replay that have a row of their own; of a longer one, two are put together, then
/// four, and so on.
const ROWS_MAX: usize = 1_000;

/// A histogram of lateness in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATEST, DIGITS).expect("the bounds are in order")
}

/// What one connection has counted since it was asked last.
#[derive(Debug)]
pub struct Tally {
    /// Records that were sent, and their bytes.
    pub sent: u64,
    /// Bytes of them, with what tells them apart.
    pub bytes: u64,
    /// Records that could not be sent.
    pub unsent: u64,
    /// Those among them that were counted as sent before.
    pub lost: u64,
    /// As many of the bytes as come to them.
    pub lost_bytes: u64,
    /// How late they were sent, in nanoseconds.
    pub late: Histogram<u64>,
    /// Records that were due in each second since the start, from the first one that was not asked
    /// for.
    pub due: Vec<(u64, u64)>,
    /// When the record is due that comes next, in nanoseconds; none while nobody waits for it.
    pub next: Option<u64>,
    /// When something was sent last, or should have been, after the start.
    pub last: Duration,
    /// How many records were passed, sent or not: where a later replay goes on.
    pub passed: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            sent: 0,
            bytes: 0,
            unsent: 0,
            lost: 0,
            lost_bytes: 0,
            late: histogram(),
            due: Vec::new(),
            next: None,
            last: Duration::ZERO,
            passed: 0,
        }
    }
}

impl Tally {
    /// Records are due at these times after the start.
    pub fn are_due(&mut self, dues: &[Duration]) {
        for due in dues {
            match self.due.last_mut() {
                Some((second, records)) if *second == due.as_secs() => *records += 1,
                _ => self.due.push((due.as_secs(), 1)),
            }
        }
    }

    /// A record that was due then had not been sent when it all ended: as late as that at least.
    pub fn was_missed(&mut self, due: Duration, end: Duration) {
        self.are_due(&[due]);
        self.unsent += 1;
        self.late.saturating_record((end - due).as_nanos().min(LATEST.into()) as u64);
    }

    /// Records that were due at these times were sent at this one.
    pub fn were_sent(&mut self, dues: &[Duration], at: Duration) {
        self.sent += dues.len() as u64;
        for due in dues {
            let late = at.saturating_sub(*due).as_nanos().min(LATEST.into()) as u64;
            self.late.saturating_record(late);
        }
    }
}

/// A second of a replay, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Row {
    /// Seconds since the start.
    pub second: u64,
    /// Records that were due.
    pub scheduled: u64,
    /// Records that were sent.
    pub sent: u64,
    /// Of these: how late they were, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 were no later.
    pub p99_us: f64,
    /// The latest one.
    pub max_us: f64,
}

/// A replay in numbers.
#[derive(Debug)]
pub struct Sum {
    /// Records that were due.
    pub scheduled: u64,
    /// Records that were sent.
    pub sent: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Records that could not be sent.
    pub unsent: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// How it went, over time.
    pub rows: Vec<Row>,
    /// Seconds of a row.
    pub step: u64,
    late: Histogram<u64>,
}

impl Sum {
    /// Nothing yet.
    pub fn new(elapsed: Duration) -> Sum {
        let (scheduled, sent, bytes, unsent) = Default::default();
        Sum {
            scheduled,
            sent,
            bytes,
            unsent,
            elapsed,
            rows: Vec::new(),
            step: 1,
            late: histogram(),
        }
    }

    /// One record was so late.
    #[cfg(test)]
    pub fn late(&mut self, late: Duration) {
        self.late.saturating_record(late.as_nanos() as u64);
    }

    /// Takes in what one connection has counted in a second, and empties it; what is in all of
    /// them together goes to `together`.
    pub fn take(&mut self, second: u64, tally: &mut Tally, together: &mut Histogram<u64>) {
        self.sent += tally.sent;
        self.bytes += tally.bytes;
        self.unsent += tally.unsent;
        self.sent = self.sent.saturating_sub(tally.lost);
        self.bytes = self.bytes.saturating_sub(tally.lost_bytes);
        let row = self.row(second);
        row.sent = (row.sent + tally.sent).saturating_sub(tally.lost);
        for (second, records) in tally.due.drain(..) {
            self.scheduled += records;
            self.row(second).scheduled += records;
        }
        // Both have the same bounds.
        together.add(&tally.late).ok();
        (tally.sent, tally.bytes, tally.unsent) = (0, 0, 0);
        (tally.lost, tally.lost_bytes) = (0, 0);
        tally.late.reset();
    }

    /// How late all records of a second were.
    pub fn were_late(&mut self, second: u64, late: &Histogram<u64>) {
        self.late.add(late).ok();
        let row = self.row(second);
        let micros = |nanos: u64| nanos as f64 / 1e3;
        row.p50_us = row.p50_us.max(micros(late.value_at_quantile(0.5)));
        row.p99_us = row.p99_us.max(micros(late.value_at_quantile(0.99)));
        row.max_us = row.max_us.max(micros(late.max()));
    }

    fn row(&mut self, second: u64) -> &mut Row {
        while (second / self.step) as usize >= ROWS_MAX {
            self.step *= 2;
            self.rows = self.rows.chunks(2).map(merged).collect();
        }
        let number = (second / self.step) as usize;
        while self.rows.len() <= number {
            let second = self.rows.len() as u64 * self.step;
            self.rows.push(Row { second, ..Row::default() });
        }
        &mut self.rows[number]
    }

    /// The lateness that so many percent of the records did not have.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.late.value_at_percentile(percent))
    }

    /// The greatest lateness.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.late.max())
    }

    /// The mean lateness.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.late.mean() as u64)
    }

    /// All of it.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.late
    }

    /// Records that were sent in a second.
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Two rows as one; of percentiles the greater one.
fn merged(rows: &[Row]) -> Row {
    let add = |one: Row, other: &Row| Row {
        second: one.second,
        scheduled: one.scheduled + other.scheduled,
        sent: one.sent + other.sent,
        p50_us: one.p50_us.max(other.p50_us),
        p99_us: one.p99_us.max(other.p99_us),
        max_us: one.max_us.max(other.max_us),
    };
    rows.iter().skip(1).fold(rows[0], add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut sum = Sum::new(Duration::from_secs(1));
        let mut together = histogram();
        let mut all = Vec::new();
        let mut tally = Tally::default();
        for number in 0..10_000_u64 {
            let late = Duration::from_micros(number.wrapping_mul(2_654_435_761) % 50_000);
            let due = Duration::from_micros(number * 100);
            all.push(late);
            tally.are_due(&[due]);
            tally.were_sent(&[due], due + late);
        }
        sum.take(0, &mut tally, &mut together);
        sum.were_late(0, &together);
        all.sort_unstable();
        for percent in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let exact = all[(percent / 100.0 * 10_000.0) as usize - 1].as_secs_f64();
            let told = sum.percentile(percent).as_secs_f64();
            assert!((told - exact).abs() <= exact / 1_000.0 + 2e-6, "{percent}: {told}, {exact}");
        }
        assert_eq!((sum.scheduled, sum.sent, sum.rows[0].scheduled), (10_000, 10_000, 10_000));
    }

    #[test]
    fn long_replays_have_rows_of_several_seconds() {
        let mut sum = Sum::new(Duration::ZERO);
        let mut tally = Tally::default();
        for second in 0..5_000 {
            tally.are_due(&[Duration::from_secs(second)]);
            tally.were_sent(&[Duration::from_secs(second)], Duration::from_secs(second));
            sum.take(second, &mut tally, &mut histogram());
        }
        assert!(sum.rows.len() <= ROWS_MAX && sum.step == 8);
        assert!(sum.rows.iter().all(|row| (row.scheduled, row.sent) == (8, 8)));
        assert!(sum.rows.iter().zip((0..).step_by(8)).all(|(row, second)| row.second == second));
    }
}
