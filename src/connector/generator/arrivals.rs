//! When records are due.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::Exp1;

use crate::error::{Error, Kind, Result};

/// How the records of a stream follow one another, at whatever rate.
///
/// It prints and parses as `constant`, `poisson`, `bursts:100`.
///
/// ```
/// use thalweg::connector::Pattern;
///
/// assert_eq!("bursts:100".parse(), Ok(Pattern::Bursts(100)));
/// assert!("burst".parse::<Pattern>().unwrap_err().contains("bursts:100"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// One as long after the other as the next one after it.
    #[default]
    Constant,
    /// Each by itself, at any time as likely as at any other: the time in between is exponentially
    /// distributed.
    Poisson,
    /// So many (at least one) at the same time, and then none until as many are due again.
    Bursts(u64),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Constant => f.write_str("constant"),
            Pattern::Poisson => f.write_str("poisson"),
            Pattern::Bursts(records) => write!(f, "bursts:{records}"),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let burst = |text: &str| text.parse().ok().filter(|records| *records > 0);
        match text {
            "constant" => Some(Pattern::Constant),
            "poisson" => Some(Pattern::Poisson),
            _ => text.strip_prefix("bursts:").and_then(burst).map(Pattern::Bursts),
        }
        .ok_or_else(|| {
            format!("expected constant, poisson or bursts:100 (so many at once), found {text:?}")
        })
    }
}

/// When the records of a stream are due: for each one, in their order, the time since the start.
///
/// There is no clock in it: whoever uses it waits, or does not. What is computed for the n-th
/// record does not depend on when the ones before were taken, and rounding does not add up to a
/// microsecond in 10^9 records. The same pattern, rate and seed give the same times in every run of
/// one build. It never ends.
///
/// ```
/// use std::time::Duration;
/// use thalweg::connector::{Arrivals, Pattern};
///
/// let due: Vec<Duration> = Arrivals::new(Pattern::Constant, 1_000.0, 0)?.take(3).collect();
/// assert_eq!(due, [0, 1, 2].map(Duration::from_millis));
/// let due: Vec<Duration> = Arrivals::new(Pattern::Bursts(2), 1_000.0, 0)?.take(5).collect();
/// assert_eq!(due, [0, 0, 2, 2, 4].map(Duration::from_millis));
/// let due = Arrivals::new(Pattern::Poisson, 1_000.0, 7)?.nth(1_000_000);
/// assert!(due.is_some_and(|due| due.as_secs().abs_diff(1_000) < 10));
/// # Ok::<(), thalweg::prelude::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arrivals {
    pattern: Pattern,
    per_second: f64,
    /// The number of the next record.
    next: u64,
    random: SmallRng,
    /// Of a Poisson process: the time so far, in mean times between two records.
    passed: f64,
}

impl Arrivals {
    /// So many records a second, on average. Only [`Pattern::Poisson`] makes use of the seed.
    ///
    /// # Errors
    /// When the rate is no number above 0.
    pub fn new(pattern: Pattern, per_second: f64, seed: u64) -> Result<Arrivals> {
        if !per_second.is_normal() || per_second < 0.0 {
            let what = format!("a rate is a number of records a second above 0, not {per_second}");
            return Err(Error::new(Kind::Plan, what));
        }
        let random = SmallRng::seed_from_u64(seed);
        Ok(Arrivals { pattern, per_second, next: 0, random, passed: 0.0 })
    }

    /// Records a second, on average.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    #[inline]
    fn next(&mut self) -> Option<Duration> {
        let number = self.next;
        self.next += 1;
        let gaps = match self.pattern {
            Pattern::Constant => number as f64,
            Pattern::Poisson => {
                self.passed += self.random.sample::<f64, _>(Exp1);
                self.passed
            }
            Pattern::Bursts(records) => (number - number % records.max(1)) as f64,
        };
        // A cast saturates: a time that is too far away is never.
        Some(Duration::from_nanos((gaps / self.per_second * 1e9).round() as u64))
    }

    /// In one step, but for a Poisson process.
    fn nth(&mut self, n: usize) -> Option<Duration> {
        if self.pattern == Pattern::Poisson {
            for _ in 0..n {
                self.next();
            }
        } else {
            self.next = self.next.saturating_add(n as u64);
        }
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(pattern: Pattern, per_second: f64, seed: u64) -> Arrivals {
        Arrivals::new(pattern, per_second, seed).unwrap()
    }

    #[test]
    fn the_times_between_poisson_arrivals_are_exponential() {
        const RECORDS: usize = 200_000;
        for (per_second, seed) in [(1_000.0, 1), (7.5, 2), (3e6, 3)] {
            let due: Vec<Duration> =
                arrivals(Pattern::Poisson, per_second, seed).take(RECORDS).collect();
            assert!(due.is_sorted());
            let gap = |two: &[Duration]| (two[1] - two[0]).as_secs_f64() * per_second;
            let mut gaps: Vec<f64> = due.windows(2).map(gap).collect();
            gaps.sort_unstable_by(f64::total_cmp);
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            // Of so many gaps the mean has a standard deviation of 1/√200,000 = 0.0022.
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
            // Kolmogorov and Smirnov: in one of 10^6 cases the distance is above 2.7/√n. What is
            // rounded to nanoseconds is a step of up to 0.003 at 3 M a second.
            let distance = gaps.iter().enumerate().fold(0.0_f64, |most, (below, gap)| {
                let expected = 1.0 - (-gap).exp();
                most.max((expected - below as f64 / gaps.len() as f64).abs())
            });
            assert!(distance < 2.7 / (RECORDS as f64).sqrt() + 0.003, "{distance}");
            // How many come in each of many equal times varies as much as it is on average.
            let mut counts = vec![0.0; RECORDS / 100];
            for due in &due {
                let slot = due.as_secs_f64() * per_second / 100.0;
                if let Some(count) = counts.get_mut(slot as usize) {
                    *count += 1.0;
                }
            }
            counts.truncate(counts.len() - 20);
            let mean = counts.iter().sum::<f64>() / counts.len() as f64;
            let square = |count: &f64| (count - mean).powi(2);
            let variance = counts.iter().map(square).sum::<f64>() / counts.len() as f64;
            assert!((variance / mean - 1.0).abs() < 0.15, "{variance} {mean}");
        }
    }

    #[test]
    fn the_mean_rate_holds_however_long_it_takes() {
        for pattern in [Pattern::Constant, Pattern::Bursts(7)] {
            let mut due = arrivals(pattern, 3.0, 0);
            let last = due.nth(3_000_000_000).unwrap().as_secs_f64();
            assert!((last - 1e9).abs() <= 7.0 / 3.0, "{pattern}: {last}");
        }
        let two: Vec<_> = arrivals(Pattern::Poisson, 10.0, 5).take(1_000).collect();
        assert_eq!(arrivals(Pattern::Poisson, 10.0, 5).nth(999).unwrap(), two[999]);
        assert_ne!(arrivals(Pattern::Poisson, 10.0, 6).nth(999).unwrap(), two[999]);
    }

    #[test]
    fn what_is_no_rate_or_no_pattern_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Arrivals::new(Pattern::Constant, rate, 0).unwrap_err().to_string();
            assert!(error.contains("above 0"), "{error}");
        }
        for text in ["constant", "poisson", "bursts:12"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for text in ["", "bursts", "bursts:0", "bursts:-1", "Poisson "] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
