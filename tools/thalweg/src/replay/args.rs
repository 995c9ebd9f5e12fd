//! What can be typed after `thalweg replay`.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use thalweg::connector::Pattern;
use thalweg::time::Timestamp;

use super::outlet::Address;
use super::threshold::Threshold;
use crate::args::numbers::{connections, count, count32, duration, part, rate};

/// What the exit code says.
const EXITS: &str = "Exits with 0 when all was sent; with 1 when something could not be sent, the \
                     replay ended before, --fail-if says so, or a report can't be written; with \
                     130 after Ctrl-C";

/// The arguments of `thalweg replay`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Replay {
    /// Files of record logs, or directories of such; all are one stream
    #[arg(value_name = "LOG", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the records go: tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, http://HOST/PATH (POST),
    /// job:nexmark-q5 (a query in this process), a file's path (.tlog: another record log), - for
    /// standard output
    #[arg(long, value_name = "TARGET")]
    pub to: Address,

    /// When records are due.
    #[command(flatten)]
    pub timing: Timing,

    /// Which records go, and how often.
    #[command(flatten)]
    pub choice: Choice,

    /// What becomes of a record on its way.
    #[command(flatten)]
    pub change: Change,

    /// How records are written, and what is done when the target fails.
    #[command(flatten)]
    pub sending: Sending,

    /// What is told at the end.
    #[command(flatten)]
    pub telling: Telling,
}

/// When records are due.
#[derive(Clone, Debug, clap::Args)]
pub struct Timing {
    /// How many times as fast as recorded, 1 when left out; max: as fast as can be
    #[arg(long, value_name = "0.5|10|max", conflicts_with_all = ["rate", "ramp"])]
    pub speed: Option<Speed>,

    /// The recorded times that --speed goes by: event times where there are any, or else arrivals.
    /// The log's order stays: a record whose time is behind goes together with the one before it
    #[arg(long, value_enum, value_name = "TIMES", conflicts_with_all = ["rate", "ramp"])]
    pub by: Option<By>,

    /// Instead: so many records a second, such as 100k
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,

    /// How records follow one another at --rate: constant, poisson, bursts:100
    #[arg(long, value_name = "PATTERN")]
    pub pattern: Option<Pattern>,

    /// Instead: a rate that grows, such as 10k..1M/60s, and stays
    #[arg(long, value_name = "FROM..TO/TIME", conflicts_with = "rate")]
    pub ramp: Option<Ramp>,

    /// Each record up to so much later than it is due, in their order
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub jitter: Option<Duration>,

    /// Each record up to so much later than it is due, in the order in which they are due then
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "jitter")]
    pub disorder: Option<Duration>,

    /// What all that is random is made from: the same seed gives the same replay
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// Which records go, and how often.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// Only records with this event time or a later one
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub from_time: Option<Timestamp>,

    /// Only records with an event time before this one
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub to_time: Option<Timestamp>,

    /// At most so many records
    #[arg(long, value_name = "N", value_parser = count)]
    pub limit: Option<NonZeroU64>,

    /// Only records that are due within so much time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// The whole so often, one after the other; the times in later ones go on from those before
    #[arg(long = "loop", value_name = "N", default_value = "1", value_parser = count)]
    pub passes: NonZeroU64,

    /// Only this part of the records, such as 0.1, chosen at random
    #[arg(long, value_name = "PART", value_parser = part)]
    pub sample: Option<f64>,
}

/// What becomes of a record on its way.
#[derive(Clone, Debug, clap::Args)]
pub struct Change {
    /// Moves all times within records so that the first record's event time is now
    #[arg(long)]
    pub shift_to_now: bool,

    /// Each record so often, at the same time, each with a key of its own: a number k becomes
    /// k*N, k*N+1, …, text t becomes t-0, t-1, …
    #[arg(long, value_name = "N", requires = "key", default_value = "1", value_parser = count32)]
    pub key_clone: NonZeroU32,

    /// The column that is the key
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,
}

/// How records are written, and what is done when the target fails.
#[derive(Clone, Debug, clap::Args)]
pub struct Sending {
    /// How a record is written
    #[arg(long, value_enum, default_value_t = Form::Json)]
    pub format: Form,

    /// How records are told apart
    #[arg(long, value_enum, default_value_t = Framing::Lines)]
    pub framing: Framing,

    /// So many connections, each with a thread of its own; records are dealt to them in turn, or
    /// by --key
    #[arg(long, value_name = "N", default_value = "1", value_parser = connections)]
    pub connections: NonZeroU16,

    /// CSV without the columns' names; else each connection, file, POST and datagram begins with
    /// them
    #[arg(long)]
    pub no_header: bool,

    /// A POST takes at most so many records, 1000 when left out, and at most 4 MiB
    #[arg(long, value_name = "N", value_parser = count32)]
    pub batch: Option<NonZeroU32>,

    /// How long a target that went away is tried again, whatever --drain-timeout says
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub retry: Duration,

    /// How long a target that is behind may go on once nothing more falls due: after --duration in
    /// all, else as long as it takes nothing and is not tried again (--retry)
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub drain_timeout: Duration,

    /// Notes in this file how far it has come, every second; when the file is there, goes on from
    /// there
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}

/// What is told at the end.
#[derive(Clone, Debug, clap::Args)]
pub struct Telling {
    /// Writes the report to a file, as its name ends: .json, .html, .hlog (HdrHistogram), or text;
    /// may be said several times
    #[arg(long, value_name = "FILE")]
    pub report: Vec<PathBuf>,

    /// Exits with 1 when this is so at the end, such as 'p99>5ms', 'max>1s', 'unsent>0',
    /// 'rate<90k'; may be said several times
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Threshold>,
}

/// How many times as fast as recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times.
    Times(f64),
    /// Nothing waits.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        let times = text.parse().ok().filter(|times: &f64| (1e-6..=1e9).contains(times));
        times.map(Speed::Times).ok_or_else(|| "expected a number such as 0.5 or 10, or max".into())
    }
}

/// The times that records were recorded with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum By {
    /// When what a record tells happened
    Event,
    /// When the record came to the log
    Arrival,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Form {
    /// A JSON object
    Json,
    /// A row of CSV; the columns' names come first
    Csv,
    /// The engine's own encoding, as it lies in the log
    Raw,
}

/// How records are told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Framing {
    /// Each ends with a line break
    Lines,
    /// Before each its length in bytes: 4 bytes, the greatest first
    Length,
    /// Not at all
    None,
}

/// A rate that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Records a second at the start.
    pub from: f64,
    /// Records a second at its end, and from then on.
    pub to: f64,
    /// How long it grows.
    pub over: Duration,
}

impl FromStr for Ramp {
    type Err = String;

    fn from_str(text: &str) -> Result<Ramp, String> {
        let parsed = text.split_once('/').and_then(|(rates, over)| {
            let (from, to) = rates.split_once("..")?;
            let ramp =
                Ramp { from: rate(from).ok()?, to: rate(to).ok()?, over: duration(over).ok()? };
            (!ramp.over.is_zero()).then_some(ramp)
        });
        parsed.ok_or_else(|| "expected two rates and a time, such as 10k..1M/60s".into())
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {} records/s in {:?}", self.from, self.to, self.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        let ramp = Ramp { from: 1e4, to: 1e6, over: Duration::from_secs(60) };
        assert_eq!("10k..1M/60s".parse(), Ok(ramp));
        for bad in ["", "0", "-1", "nan", "inf", "1x", "k"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
        for bad in ["", "10k", "10k..1M", "1M/60s", "1..2/0s", "1..2/-1s"] {
            assert!(bad.parse::<Ramp>().is_err(), "{bad}");
        }
    }
}
