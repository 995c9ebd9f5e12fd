//! What is counted while records are sent.

use std::collections::BTreeMap;
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
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that were sent.
    pub sent: u64,
    /// Bytes of them, with what tells them apart.
    pub bytes: u64,
    /// Records that could not be sent.
    pub unsent: u64,
    /// Those among them that were counted as sent before.
    pub lost: u64,
    /// As many of the bytes as come to them.
    pub lost_bytes: u64,
    /// The seconds since the start in which something was due or was sent.
    seconds: Vec<Second>,
    /// Histograms that are empty again.
    spare: Vec<Histogram<u64>>,
    /// When the record is due that comes next, in nanoseconds; none while nobody waits for it.
    pub next: Option<u64>,
    /// When something was sent last, or should have been, after the start.
    pub last: Duration,
    /// How many records were passed, sent or not: where a later replay goes on.
    pub passed: u64,
    /// The numbers of those that were passed and are still to be sent, in their order.
    pub held: Vec<u64>,
}

/// What belongs to a second.
#[derive(Debug)]
struct Second {
    number: u64,
    /// Records that were due in it.
    scheduled: u64,
    /// Records that were sent in it.
    sent: u64,
    /// How late these were, in nanoseconds.
    late: Option<Histogram<u64>>,
}

impl Tally {
    /// The second of a time, which is most often among the last ones.
    fn second(&mut self, at: Duration) -> &mut Second {
        let number = at.as_secs();
        let place = self.seconds.iter().rposition(|second| second.number == number);
        let place = place.unwrap_or_else(|| {
            self.seconds.push(Second { number, scheduled: 0, sent: 0, late: None });
            self.seconds.len() - 1
        });
        &mut self.seconds[place]
    }

    /// Records are due at these times after the start.
    pub fn are_due(&mut self, dues: &[Duration]) {
        for due in dues {
            self.second(*due).scheduled += 1;
        }
    }

    /// A record that was due then had not been sent when it all ended: as late as that at least.
    pub fn was_missed(&mut self, due: Duration, end: Duration) {
        self.are_due(&[due]);
        self.unsent += 1;
        self.were_late(&[due], end);
    }

    /// Records were sent at this time.
    pub fn were_sent(&mut self, records: u64, at: Duration) {
        self.sent += records;
        self.second(at).sent += records;
    }

    /// Records that were due at these times had to wait until this one.
    pub fn were_late(&mut self, dues: &[Duration], at: Duration) {
        if dues.is_empty() {
            return;
        }
        let spare = self.spare.pop();
        let second = self.second(at);
        let late = second.late.get_or_insert_with(|| spare.unwrap_or_else(histogram));
        for due in dues {
            let late_by = at.saturating_sub(*due).as_nanos().min(LATEST.into()) as u64;
            late.saturating_record(late_by);
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
    /// Of these: how late they were, in microseconds; none where there are none.
    pub p50_us: Option<f64>,
    /// 99 of 100 were no later.
    pub p99_us: Option<f64>,
    /// The latest one.
    pub max_us: Option<f64>,
}

/// How late the records of each second were, in nanoseconds.
pub type Lateness = BTreeMap<u64, Histogram<u64>>;

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

    /// Takes in what one connection has counted, of seconds only those before `before`; how late
    /// the records of each were goes to `late`.
    pub fn take(&mut self, before: u64, tally: &mut Tally, late: &mut Lateness) {
        self.sent = (self.sent + tally.sent).saturating_sub(tally.lost);
        self.bytes = (self.bytes + tally.bytes).saturating_sub(tally.lost_bytes);
        self.unsent += tally.unsent;
        let Tally { seconds, spare, .. } = tally;
        for second in seconds.extract_if(.., |second| second.number < before) {
            self.scheduled += second.scheduled;
            let row = self.row(second.number);
            row.scheduled += second.scheduled;
            row.sent += second.sent;
            if let Some(mut own) = second.late {
                // All have the same bounds.
                late.entry(second.number).or_insert_with(histogram).add(&own).ok();
                own.reset();
                spare.push(own);
            }
        }
        // What only seemed to have been sent was sent last.
        let mut lost = tally.lost;
        for row in self.rows.iter_mut().rev() {
            let of_row = row.sent.min(lost);
            row.sent -= of_row;
            lost -= of_row;
        }
        (tally.sent, tally.bytes, tally.unsent) = (0, 0, 0);
        (tally.lost, tally.lost_bytes) = (0, 0);
    }

    /// How late all records of a second were.
    pub fn were_late(&mut self, second: u64, late: &Histogram<u64>) {
        self.late.add(late).ok();
        let row = self.row(second);
        let most = |was: Option<f64>, nanos: u64| {
            let is = nanos as f64 / 1e3;
            Some(was.map_or(is, |was| was.max(is)))
        };
        row.p50_us = most(row.p50_us, late.value_at_quantile(0.5));
        row.p99_us = most(row.p99_us, late.value_at_quantile(0.99));
        row.max_us = most(row.max_us, late.max());
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

    /// The lateness that so many percent of the records did not have; none of no records.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        self.of_late(|late| late.value_at_percentile(percent))
    }

    /// The greatest lateness.
    pub fn max(&self) -> Option<Duration> {
        self.of_late(Histogram::max)
    }

    /// The mean lateness.
    pub fn mean(&self) -> Option<Duration> {
        self.of_late(|late| late.mean() as u64)
    }

    fn of_late(&self, nanos: impl FnOnce(&Histogram<u64>) -> u64) -> Option<Duration> {
        (!self.late.is_empty()).then(|| Duration::from_nanos(nanos(&self.late)))
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
        p50_us: greater(one.p50_us, other.p50_us),
        p99_us: greater(one.p99_us, other.p99_us),
        max_us: greater(one.max_us, other.max_us),
    };
    rows.iter().skip(1).fold(rows[0], add)
}

/// The greater one, of what there is.
fn greater(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut sum = Sum::new(Duration::from_secs(1));
        let mut late_ones = Lateness::new();
        let mut all = Vec::new();
        let mut tally = Tally::default();
        for number in 0..10_000_u64 {
            let late = Duration::from_micros(number.wrapping_mul(2_654_435_761) % 50_000);
            let due = Duration::from_micros(number * 100);
            all.push(late);
            tally.are_due(&[due]);
            tally.were_sent(1, due + late);
            tally.were_late(&[due], due + late);
        }
        sum.take(u64::MAX, &mut tally, &mut late_ones);
        late_ones.iter().for_each(|(second, late)| sum.were_late(*second, late));
        all.sort_unstable();
        for percent in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let exact = all[(percent / 100.0 * 10_000.0) as usize - 1].as_secs_f64();
            let told = sum.percentile(percent).expect("records").as_secs_f64();
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
            tally.were_sent(1, Duration::from_secs(second));
            sum.take(second + 1, &mut tally, &mut Lateness::new());
        }
        assert!(sum.rows.len() <= ROWS_MAX && sum.step == 8);
        assert!(sum.rows.iter().all(|row| (row.scheduled, row.sent) == (8, 8)));
        assert!(sum.rows.iter().zip((0..).step_by(8)).all(|(row, second)| row.second == second));
    }

    #[test]
    fn what_was_sent_belongs_to_the_second_in_which_it_was() {
        let (mut sum, mut tally, mut late) =
            (Sum::new(Duration::ZERO), Tally::default(), Lateness::new());
        let at = Duration::from_millis;
        tally.are_due(&[at(100), at(900), at(1_000)]);
        tally.were_sent(2, at(950));
        tally.were_late(&[at(100), at(900)], at(950));
        tally.were_sent(1, at(1_001));
        tally.were_late(&[at(1_000)], at(1_001));
        // The second that goes on is left, whenever it is asked.
        sum.take(1, &mut tally, &mut late);
        let rows = |sum: &Sum| -> Vec<(u64, u64)> {
            sum.rows.iter().map(|row| (row.scheduled, row.sent)).collect()
        };
        assert_eq!((rows(&sum), late.len(), sum.sent), (vec![(2, 2)], 1, 3));
        // What was lost was sent last.
        (tally.lost, tally.unsent) = (2, 2);
        sum.take(u64::MAX, &mut tally, &mut late);
        assert_eq!((rows(&sum), late[&1].len()), (vec![(2, 1), (1, 0)], 1));
        assert_eq!((sum.scheduled, sum.sent, sum.unsent), (3, 1, 2));
        assert_eq!(sum.rows[1].p50_us, None);
    }
}
