//! What can be typed after `thalweg bench latency` and `thalweg bench sustain`.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, value_parser};
use jiff::SignedDuration;
use thalweg::limits::SHARDS;

use super::{Executor, count};
use crate::bench::latency::{Speed, WORKS, Work};

/// What both have: what runs the jobs.
#[derive(Clone, Debug, clap::Args)]
pub struct Driven {
    /// How many shards; as many as there are cores when left out
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=SHARDS as i64))]
    pub shards: Option<u16>,

    /// What drives the shards
    #[arg(long, value_enum, default_value_t = Executor::Auto)]
    pub executor: Executor,

    /// What a shard without work does
    #[arg(long, value_enum, default_value_t = Rest::Spin)]
    pub idle: Rest,

    /// How many times as fast as the clock event time goes: windows close as much more often;
    /// `suite` for 10,000 records a second of event time whatever the rate, as Nexmark has it
    #[arg(long, value_name = "N|suite", default_value = "1", value_parser = speed)]
    pub speed: Speed,

    /// How long each run goes before it is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span)]
    pub warmup: Duration,
}

/// The arguments of `thalweg bench latency`.
#[derive(Clone, Debug, clap::Args)]
pub struct Latency {
    /// The jobs to measure: keyed, send, q0, q1, q2, q3, q5, q7, q8
    #[arg(long, value_name = "JOB", value_delimiter = ',', value_parser = work)]
    #[arg(default_value = "keyed")]
    pub query: Vec<Work>,

    /// Records a second, such as 100k; when left out a ladder up to what the job can take
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    pub rate: Vec<NonZeroU64>,

    /// What runs the jobs.
    #[command(flatten)]
    pub driven: Driven,

    /// How long each rate is measured
    #[arg(long = "for", value_name = "TIME", default_value = "5s", value_parser = span)]
    pub measured: Duration,

    /// How long the machine's own stalls are measured before
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = span)]
    pub floor: Duration,

    /// How the results are written
    #[arg(long, value_enum, default_value_t = Shape::Table)]
    pub format: Shape,

    /// Where an HdrHistogram log goes, one interval a rate, in nanoseconds
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,

    /// Where the raw times go, as CSV: of each result when it was due and when it left, in
    /// nanoseconds. They take 16 bytes of memory each; 50 million a shard and rate at most
    #[arg(long, value_name = "FILE")]
    pub raw: Option<PathBuf>,
}

impl Latency {
    /// The jobs, each once.
    pub fn works(&self) -> Vec<Work> {
        let wanted = |work: &Work| self.query.contains(work);
        WORKS.into_iter().filter(wanted).collect()
    }
}

/// The arguments of `thalweg bench sustain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Sustain {
    /// The job to measure: keyed, send, q0, q1, q2, q3, q5, q7, q8
    #[arg(long, value_name = "JOB", value_parser = work, default_value = "keyed")]
    pub query: Work,

    /// What the 99th percentile of latency must stay under
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = span)]
    pub p99: Duration,

    /// What runs the job.
    #[command(flatten)]
    pub driven: Driven,

    /// How long a rate must be sustained
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = span)]
    pub measured: Duration,

    /// How the results are written
    #[arg(long, value_enum, default_value_t = Shape::Table)]
    pub format: Shape,
}

/// What a shard without work does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Rest {
    /// Looks again at once: the lowest latency, and a whole core for each shard
    Spin,
    /// Spins for some microseconds, then sleeps
    Backoff,
    /// Sleeps at once
    Park,
}

impl From<Rest> for thalweg::ring::Idle {
    fn from(rest: Rest) -> Self {
        match rest {
            Rest::Spin => Self::Spin,
            Rest::Backoff => Self::Backoff,
            Rest::Park => Self::Park,
        }
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Backoff => "backoff",
            Self::Park => "park",
        })
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Shape {
    /// For a terminal
    Table,
    /// Everything, for programs
    Json,
}

/// A job's name; `Q5` and `5` are `q5`.
fn work(text: &str) -> Result<Work, String> {
    let name = text.trim().to_ascii_lowercase();
    let name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("q{name}") } else { name };
    Work::named(&name).ok_or_else(|| {
        let names: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// A whole number above 0, or `suite`.
fn speed(text: &str) -> Result<Speed, String> {
    let times = text.parse::<u32>().ok().filter(|times| *times > 0).map(Speed::Times);
    let suite = (text == "suite").then_some(Speed::Suite);
    times.or(suite).ok_or_else(|| "expected a whole number above 0, or suite".to_owned())
}

/// A time above 0 and up to an hour: `10s`, `500ms`, `1m 30s`.
fn span(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    parsed
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero() && *span <= Duration::from_secs(3_600))
        .ok_or_else(|| "expected a time above 0 and up to an hour, such as 10s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(span("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["0s", "-1s", "10", "2h", "soon", ""] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn speeds_are_whole_or_the_suites() {
        assert_eq!(speed("12"), Ok(Speed::Times(12)));
        assert_eq!(speed("suite"), Ok(Speed::Suite));
        for bad in ["0", "1.5", "-1", "fast", ""] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn jobs_have_one_name() {
        for text in ["q5", "Q5", "5"] {
            assert_eq!(work(text).map(|work| work.name), Ok("q5"));
        }
        assert_eq!(work("keyed").map(|work| work.name), Ok("keyed"));
        assert!(work("q6").expect_err("not there").starts_with("there are keyed, send, q0"));
    }
}
