//! What was measured at one rate.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::trial::Trial;
use crate::bench::report::readable_rate;

/// Some percentiles of times, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Percentiles {
    /// Of how many.
    pub count: u64,
    /// At most this is half of them.
    pub p50_ns: u64,
    /// 90 of 100.
    pub p90_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// 999 of 1,000.
    pub p999_ns: u64,
    /// 9,999 of 10,000.
    pub p9999_ns: u64,
    /// All of them.
    pub max_ns: u64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds; all 0 when it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: histogram.max(),
        }
    }
}

/// What one rate did to a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Records a second that were due.
    pub rate: f64,
    /// Latencies of the results that were due in the measured time. If the job fell behind they are
    /// those of the results that came, and too small.
    #[serde(flatten)]
    pub latency: Percentiles,
    /// For how long the next record had been due, at most; in nanoseconds.
    pub lag_ns_max: u64,
    /// Whether the job was ever further behind its schedule.
    pub fell_behind: bool,
    /// How often the ring's round trip goes into the median.
    pub median_trips: Option<f64>,
}

impl Row {
    /// Of a run, beside the ring's round trip.
    pub fn of(rate: f64, trial: &Trial, round_trip_ns: Option<f64>) -> Self {
        let latency = Percentiles::of(&trial.results.histogram);
        Self {
            rate,
            latency,
            lag_ns_max: trial.lags_ns.iter().copied().max().unwrap_or(0),
            fell_behind: trial.fell_behind(),
            median_trips: round_trip_ns.map(|trip| latency.p50_ns as f64 / trip),
        }
    }
}

impl Row {
    /// One line for somebody who waits for the rest.
    pub fn line(&self) -> String {
        let Percentiles { p50_ns, p99_ns, p999_ns, .. } = self.latency;
        let [p50, p99, p999] = [p50_ns, p99_ns, p999_ns].map(readable_ns);
        let rate = readable_rate(self.rate);
        format!("at {rate} records/s: p50 {p50}, p99 {p99}, p99.9 {p999}")
    }
}

/// Nanoseconds with a unit and three digits or so: `1.23 ms`.
pub fn readable_ns(ns: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let value = ns as f64;
    let unit = UNITS.into_iter().find(|(scale, _)| value >= *scale);
    let Some((scale, unit)) = unit else { return format!("{ns} ns") };
    let value = value / scale;
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}
