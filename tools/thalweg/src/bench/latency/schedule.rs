//! When each record is meant to enter the job, and when a result is due.

use std::fmt;
use std::time::{Duration, Instant};

use thalweg::connector::nexmark::BASE_TIME;
use thalweg::prelude::Timestamp;

/// The times at which records are meant to enter a job, whatever the job does: record `i` of all
/// splits is due `i / rate` seconds after the beginning. All times are nanoseconds since then.
///
/// The event time of a record is when it is due, in whole microseconds after the base time of
/// Nexmark, `speed` times as fast as the clock.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    begun: Instant,
    /// From one record to the next; `None` when each is due as soon as it can be taken.
    interval_ns: Option<f64>,
    splits: u64,
    speed: u32,
}

/// How the due time of a result follows from its event time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// The result of a record, or of several the newest of which has that time.
    Record,
    /// The result of a window, whose last microsecond it is: due with the record that closes it,
    /// the first one of every split from the window's end on.
    Window,
}

/// How fast event time goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speed {
    /// So many times as fast as the clock.
    Times(u32),
    /// As in the suite: 10,000 records share a second of event time, whatever the rate.
    Suite,
}

/// Records that share a second of event time in the suite.
const SUITE_RECORDS: f64 = 10_000.0;

impl Speed {
    /// How many times as fast as the clock at this rate: a whole number, 1 at least.
    pub fn at(self, rate: f64) -> u32 {
        match self {
            Self::Times(times) => times,
            Self::Suite => (rate / SUITE_RECORDS).round().max(1.0) as u32,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::Suite => f.write_str("suite"),
        }
    }
}

impl Schedule {
    /// Begins now: `rate` records a second in all, or as fast as they can be taken.
    pub fn begin(rate: Option<f64>, splits: usize, speed: u32) -> Self {
        let interval_ns = rate.map(|rate| 1e9 / rate);
        Self { begun: Instant::now(), interval_ns, splits: splits as u64, speed }
    }

    /// The time now.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// When a record is due, by its number among those of all splits; `now` where there is no rate.
    #[inline]
    pub fn due_ns(&self, number: u64, now: u64) -> u64 {
        self.interval_ns.map_or(now, |interval| (number as f64 * interval) as u64)
    }

    /// The event time of what is due then.
    #[inline]
    pub fn event_time(&self, due_ns: u64) -> Timestamp {
        let us = (due_ns / 1_000) as i64 * i64::from(self.speed);
        Timestamp::from_micros(BASE_TIME.micros() + us)
    }

    /// When a result with this event time is due. What comes of a record is taken to be due at the
    /// record's whole microsecond, so it may look up to a microsecond later than it is.
    #[inline]
    pub fn result_due_ns(&self, due: Due, at: Timestamp) -> u64 {
        let after_us = (at.micros() - BASE_TIME.micros()).max(0) as u64;
        match due {
            Due::Record => after_us / u64::from(self.speed) * 1_000,
            Due::Window => {
                let end_us = (after_us + 1).div_ceil(u64::from(self.speed));
                self.due_ns(self.first_at(end_us * 1_000) + self.splits - 1, 0)
            }
        }
    }

    /// The number of the first record that is due at `at` nanoseconds or later.
    fn first_at(&self, at: u64) -> u64 {
        let Some(interval) = self.interval_ns else { return 0 };
        let mut number = (at as f64 / interval) as u64;
        // What was rounded is off by one at most.
        while number > 0 && self.due_ns(number - 1, 0) >= at {
            number -= 1;
        }
        while self.due_ns(number, 0) < at {
            number += 1;
        }
        number
    }

    /// How many records are due within so long.
    pub fn records_in(&self, span: Duration) -> u64 {
        let at = span.as_nanos() as u64;
        if self.interval_ns.is_some() { self.first_at(at) } else { u64::MAX }
    }

    /// For how long the next record has been due when so many were read.
    pub fn lag_ns(&self, read: u64) -> u64 {
        let now = self.now_ns();
        now.saturating_sub(self.due_ns(read, now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a walk over the records, one by one.
        #[test]
        fn a_window_is_due_with_the_record_that_closes_it(
            rate in 1.0_f64..5_000_000.0,
            splits in 1_usize..5,
            speed in 1_u32..200,
            number in 0_u64..2_000,
            length_us in 1_i64..100_000,
        ) {
            let schedule = Schedule::begin(Some(rate), splits, speed);
            let time = |number: u64| schedule.event_time(schedule.due_ns(number, 0));
            let start = time(number);
            let end = Timestamp::from_micros(start.micros() + length_us);
            let mut open: Vec<bool> = vec![true; splits];
            let mut closes = number;
            loop {
                if time(closes) >= end {
                    open[closes as usize % splits] = false;
                    if !open.contains(&true) {
                        break;
                    }
                }
                closes += 1;
                prop_assume!(closes < number + 2_000_000);
            }
            let last = Timestamp::from_micros(end.micros() - 1);
            let due = schedule.result_due_ns(Due::Window, last);
            prop_assert_eq!(due, schedule.due_ns(closes, 0));
        }

        #[test]
        fn a_record_is_due_when_it_was(rate in 1.0_f64..5e6, number in 0_u64..1_000_000_000) {
            let schedule = Schedule::begin(Some(rate), 2, 7);
            let due = schedule.due_ns(number, 0);
            let told = schedule.result_due_ns(Due::Record, schedule.event_time(due));
            prop_assert!(told <= due && due - told < 1_000, "{told} for {due}");
        }

        #[test]
        fn the_number_of_records_is_that_of_due_times(rate in 1.0_f64..5e6, ms in 1_u64..100) {
            let schedule = Schedule::begin(Some(rate), 1, 1);
            let span = Duration::from_millis(ms);
            let counted = (0..).take_while(|n| schedule.due_ns(*n, 0) < ms * 1_000_000).count();
            prop_assert_eq!(schedule.records_in(span), counted as u64);
        }
    }

    #[test]
    fn event_time_goes_as_fast_as_in_the_suite() {
        assert_eq!(Speed::Suite.at(1e6), 100);
        assert_eq!(Speed::Suite.at(500.0), 1);
        assert_eq!(Speed::Times(7).at(1e6), 7);
    }

    #[test]
    fn without_a_rate_each_record_is_due_when_it_is_taken() {
        let schedule = Schedule::begin(None, 2, 1);
        assert_eq!(schedule.due_ns(1_000, 5), 5);
        assert_eq!(schedule.records_in(Duration::from_secs(1)), u64::MAX);
        assert_eq!(schedule.lag_ns(7), 0);
    }
}
