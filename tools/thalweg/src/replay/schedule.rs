//! When each record is due.

use std::time::Duration;

use thalweg::connector::Arrivals;

use super::args::{Ramp, Speed, Timing};

/// When the records are due, one after the other, each after the replay's start: what one record
/// waits for does not move the next.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// As recorded.
    Recorded {
        /// How many times as fast.
        speed: f64,
        /// The recorded time that the replay starts with, in microseconds.
        first: i64,
    },
    /// At once.
    Max,
    /// At a rate.
    Rate(Arrivals),
    /// At a rate that grows.
    Ramp {
        /// How.
        ramp: Ramp,
        /// The number of the next record.
        next: u64,
    },
}

impl Schedule {
    /// What was asked for, of a log whose first record has this time, in microseconds.
    ///
    /// # Errors
    /// When the rate is none.
    pub fn new(timing: &Timing, first: i64) -> anyhow::Result<Schedule> {
        if let Some(rate) = timing.rate {
            return Ok(Schedule::Rate(Arrivals::new(
                timing.pattern.unwrap_or_default(),
                rate,
                timing.seed,
            )?));
        }
        if let Some(ramp) = timing.ramp {
            return Ok(Schedule::Ramp { ramp, next: 0 });
        }
        Ok(match timing.speed.unwrap_or(Speed::Times(1.0)) {
            Speed::Max => Schedule::Max,
            Speed::Times(speed) => Schedule::Recorded { speed, first },
        })
    }

    /// When the next record, which has this recorded time, is due; none: at once.
    pub fn due(&mut self, time: i64) -> Option<Duration> {
        match self {
            Schedule::Max => None,
            Schedule::Recorded { .. } => self.recorded(time),
            Schedule::Rate(arrivals) => arrivals.next(),
            Schedule::Ramp { ramp, next } => {
                let due = due_on(*ramp, *next as f64);
                *next += 1;
                Some(Duration::from_nanos((due * 1e9) as u64))
            }
        }
    }

    /// When a record with this recorded time is due where that depends on nothing else.
    pub fn recorded(&self, time: i64) -> Option<Duration> {
        let Schedule::Recorded { speed, first } = self else { return None };
        let micros = time.saturating_sub(*first).max(0) as f64 / *speed;
        Some(Duration::from_nanos((micros * 1e3) as u64))
    }
}

/// When, in seconds, so many records have gone at a rate that grows: where the area under the rate
/// is as large.
fn due_on(Ramp { from, to, over }: Ramp, records: f64) -> f64 {
    let over = over.as_secs_f64();
    let grows = (to - from) / over;
    let within = (from + to) / 2.0 * over;
    if records > within {
        return over + (records - within) / to;
    }
    if grows == 0.0 {
        return records / from;
    }
    // from * t + grows / 2 * t² = records, for a rate that falls as well.
    let root = (from * from + 2.0 * grows * records).max(0.0).sqrt();
    2.0 * records / (from + root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_times_are_scaled_and_never_negative() {
        let mut schedule = Schedule::Recorded { speed: 10.0, first: 1_000_000 };
        let due = [1_000_000, 2_000_000, 500_000].map(|time| schedule.due(time));
        assert_eq!(due, [0, 100, 0].map(|ms| Some(Duration::from_millis(ms))));
    }

    #[test]
    fn a_ramp_has_the_rates_that_were_asked_for() {
        for (from, to) in [(100.0, 1_000.0), (1_000.0, 100.0), (500.0, 500.0)] {
            let ramp = Ramp { from, to, over: Duration::from_secs(10) };
            let mut schedule = Schedule::Ramp { ramp, next: 0 };
            let dues: Vec<f64> =
                (0..20_000).filter_map(|_| schedule.due(0)).map(|due| due.as_secs_f64()).collect();
            assert!(dues.is_sorted());
            // The rate in each second, counted.
            for second in 0..15_u32 {
                let (begin, end) = (f64::from(second), f64::from(second) + 1.0);
                let counted = dues.iter().filter(|due| (begin..end).contains(due)).count() as f64;
                let middle = (begin + 0.5).min(10.0);
                let expected = if begin < 10.0 { from + (to - from) * middle / 10.0 } else { to };
                assert!((counted - expected).abs() <= 2.0, "{second}: {counted}, {expected}");
            }
        }
    }
}
