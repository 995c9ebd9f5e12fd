//! Several runs in a few numbers, and what a run cost the machine.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::procfs::{Procfs, kib};

/// A difference between runs, in percent of the median, that deserves a word.
const SPREAD_PERCENT_MAX: f64 = 10.0;

/// Below this, a run cannot be told to be out of line with the others.
const RUNS_FOR_OUTLIERS: usize = 5;

/// Modified z-score beyond which a run is an outlier: Iglewicz and Hoaglin, "How to Detect and
/// Handle Outliers" (1993), who propose 3.5.
const Z_SCORE_MAX: f64 = 3.5;

/// The median absolute deviation of a normal distribution, in standard deviations.
const MAD_OF_NORMAL: f64 = 0.6745;

/// The times of several runs, in the unit that they came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// How many runs there were.
    pub runs: usize,
    /// How many of them are out of line with the others; needs at least five runs.
    pub outliers: usize,
}

impl Summary {
    /// Sums up; `None` without runs or if one is not a number.
    ///
    /// ```
    /// use thalweg_cli::bench::stats::Summary;
    ///
    /// let summary = Summary::of(&[1.0, 1.2, 1.1]).expect("three numbers");
    /// assert_eq!((summary.median, summary.min, summary.max), (1.1, 1.0, 1.2));
    /// ```
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: median(&sorted),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            runs: sorted.len(),
            outliers: outliers(&sorted),
        })
    }

    /// From least to greatest, in percent of the median.
    pub fn spread_percent(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.max - self.min) / self.median * 100.0
    }

    /// What a reader of the median should know, if anything, and what can be done.
    pub fn note(&self) -> Option<String> {
        let spread = self.spread_percent();
        if self.outliers > 0 {
            let (outliers, runs) = (self.outliers, self.runs);
            return Some(format!("{outliers} of {runs} runs out of line; is the machine busy?"));
        }
        if spread > SPREAD_PERCENT_MAX {
            let advice = if self.runs < RUNS_FOR_OUTLIERS { "try --runs 5" } else { "noisy" };
            return Some(format!("runs differ by {spread:.0} %; {advice}"));
        }
        None
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn outliers(sorted: &[f64]) -> usize {
    if sorted.len() < RUNS_FOR_OUTLIERS {
        return 0;
    }
    let centre = median(sorted);
    let mut deviations: Vec<f64> = sorted.iter().map(|value| (value - centre).abs()).collect();
    deviations.sort_by(f64::total_cmp);
    let mad = median(&deviations);
    let beyond = |deviation: &&f64| MAD_OF_NORMAL * **deviation > Z_SCORE_MAX * mad;
    // Where more than half are equal the measure of distance is 0 and says nothing.
    if mad == 0.0 { 0 } else { deviations.iter().filter(beyond).count() }
}

/// What a piece of work cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Time on the clock.
    pub wall: Duration,
    /// Processor time of all threads, in user code and in the kernel.
    pub cpu: Option<Duration>,
    /// The most memory that was resident at once, in bytes.
    pub peak_bytes: Option<u64>,
    /// Whether that peak is the work's own; if not, it is the greatest since the process began.
    pub peak_is_own: bool,
}

impl Usage {
    /// Processor time in percent of the time on the clock: 200 is two busy cores.
    pub fn cpu_percent(&self) -> Option<f64> {
        let wall = self.wall.as_secs_f64();
        self.cpu.filter(|_| wall > 0.0).map(|cpu| cpu.as_secs_f64() / wall * 100.0)
    }

    /// Several pieces of work, one after the other, as one; `None` without any.
    pub fn total(all: &[Self]) -> Option<Self> {
        let both = |one: Self, other: &Self| Self {
            wall: one.wall + other.wall,
            cpu: one.cpu.zip(other.cpu).map(|(one, other)| one + other),
            peak_bytes: one.peak_bytes.max(other.peak_bytes),
            peak_is_own: one.peak_is_own && other.peak_is_own,
        };
        let (first, rest) = all.split_first()?;
        Some(rest.iter().fold(*first, both))
    }

    /// The peak in MiB.
    pub fn peak_mib(&self) -> Option<f64> {
        self.peak_bytes.map(|bytes| bytes as f64 / (1 << 20) as f64)
    }
}

/// Measures what this process costs from `start` to `stop`.
///
/// ```
/// use thalweg_cli::bench::stats::Meter;
///
/// let meter = Meter::start();
/// let usage = meter.stop();
/// assert!(usage.peak_bytes.is_none_or(|bytes| bytes > 0));
/// ```
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    cpu: Option<Duration>,
    peak_is_own: bool,
}

impl Meter {
    /// Begins, with the peak set back to what is resident now where the kernel allows it.
    pub fn start() -> Self {
        let peak_is_own = reset_peak();
        Self { cpu: cpu_time(), peak_is_own, began: Instant::now() }
    }

    /// Ends.
    pub fn stop(self) -> Usage {
        let wall = self.began.elapsed();
        let cpu = self.cpu.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before));
        Usage { wall, cpu, peak_bytes: peak_bytes(), peak_is_own: self.peak_is_own }
    }
}

/// Sets the peak of resident memory back; whether the kernel did. The number is explained in
/// proc_pid_clear_refs(5).
fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Memory that is resident now, in MiB.
pub fn resident_mib() -> Option<f64> {
    let resident = Procfs::here().field("proc/self/status", "VmRSS")?;
    Some(kib(&resident)? as f64 / (1 << 20) as f64)
}

fn peak_bytes() -> Option<u64> {
    let from_proc = Procfs::here().field("proc/self/status", "VmHWM").and_then(|text| kib(&text));
    from_proc.or_else(|| {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        u64::try_from(usage.max_rss()).ok().map(|kib| kib * 1024)
    })
}

fn cpu_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let total = usage.user_time() + usage.system_time();
    let seconds = u64::try_from(total.tv_sec()).ok()?;
    let micros = u64::try_from(total.tv_usec()).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).expect("four numbers");
        assert_eq!((summary.median, summary.min, summary.max), (2.5, 1.0, 4.0));
        assert_eq!(summary.spread_percent(), 120.0);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn what_is_unusual_is_noted() {
        let note = |values: &[f64]| Summary::of(values).expect("numbers").note();
        assert_eq!(note(&[1.0, 1.01, 1.02]), None);
        assert_eq!(note(&[1.0, 1.01, 1.2]).as_deref(), Some("runs differ by 20 %; try --runs 5"));
        let odd = note(&[1.0, 1.01, 1.02, 0.99, 0.98, 3.0]).expect("a note");
        assert!(odd.starts_with("1 of 6 runs"), "{odd}");
        assert_eq!(note(&[1.0, 1.0, 1.0, 1.0, 1.05]), None);
    }

    #[test]
    fn usages_add_up() {
        let usage = |wall, cpu, peak| Usage {
            wall: Duration::from_secs(wall),
            cpu: Some(Duration::from_secs(cpu)),
            peak_bytes: Some(peak),
            peak_is_own: true,
        };
        let total = Usage::total(&[usage(1, 2, 5 << 20), usage(3, 2, 3 << 20)]).expect("two");
        assert_eq!(total, usage(4, 4, 5 << 20));
        assert_eq!((total.cpu_percent(), total.peak_mib()), (Some(100.0), Some(5.0)));
        assert_eq!(Usage::total(&[]), None);
    }

    /// One test, since the peak belongs to the whole process and tests run beside each other.
    #[test]
    fn a_meter_tells_time_and_memory_of_its_own_work() {
        const BYTES: usize = 64 << 20;
        let meter = Meter::start();
        drop(black_box(vec![1_u8; BYTES]));
        let began = Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(50) {
            sum = black_box(sum.wrapping_add(1));
        }
        let busy = meter.stop();
        let idle = Meter::start().stop();

        assert!(busy.wall >= Duration::from_millis(50));
        assert!(busy.cpu.expect("getrusage") > Duration::from_millis(5), "{busy:?}");
        assert!(busy.cpu_percent().expect("a share") > 10.0, "{busy:?}");
        let peak = |usage: &Usage| usage.peak_bytes.expect("procfs");
        assert!(peak(&busy) > BYTES as u64);
        if idle.peak_is_own {
            assert!(peak(&idle) + BYTES as u64 / 2 < peak(&busy), "{idle:?} {busy:?}");
        }
    }
}
