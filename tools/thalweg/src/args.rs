//! What can be typed after `thalweg`.

mod latency;

pub use self::latency::{Driven, Latency, Rest, Shape, Sustain};

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use thalweg::limits::SHARDS;
use thalweg::testing::JOBS;
use thalweg::time::Timestamp;

use crate::bench::nexmark::QUERIES;

/// A stream processing engine for one machine.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the engine
    #[command(subcommand)]
    Bench(Suite),
    /// Print the records of record logs, file by file
    Cat(Cat),
    /// Say what this machine gives the engine, and what to do about it
    Doctor(Doctor),
    /// Print the first records of record logs, ten unless --limit says otherwise
    Head(Cat),
    /// Say what record logs hold: type, number, times, gaps, disorder, rates
    Info(Info),
    /// Show what a job has kept in its state directory; exits with 1 when some of it is damaged
    Inspect(Inspect),
    /// Run whole jobs on made-up machines that crash, lose what was not synced, run full; exits
    /// with 1 at the first one that gives other rows than it should
    Simulate(Simulate),
    /// Read all of record logs and say whether they are whole; exits with 1 when one is damaged
    Verify(Logs),
}

/// The suites of measurements.
#[derive(Debug, Subcommand)]
pub enum Suite {
    /// The queries of the Nexmark suite: an auction house with people, auctions and bids
    Nexmark(Nexmark),
    /// Tables of state against a hash map
    State(State),
    /// What checkpoints cost a job that counts keys, and how fast it goes on from one
    Checkpoint(Checkpoint),
    /// How long after it was meant to come a record's result leaves a job, over a ladder of rates
    Latency(Latency),
    /// The highest rate at which the 99th percentile of latency stays under a bound
    Sustain(Sustain),
}

/// The arguments of `thalweg bench nexmark`.
#[derive(Clone, Debug, clap::Args)]
pub struct Nexmark {
    /// The queries to run, all of them when left out
    #[arg(long, value_name = "Q5,Q7", value_delimiter = ',', value_parser = query)]
    pub query: Vec<String>,

    /// How many shards; as many as there are cores when left out
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=SHARDS as i64))]
    pub shards: Option<u16>,

    /// How many events each run reads; 2M is two million. They take 256 bytes of memory each
    #[arg(long, value_name = "N", default_value = "2M", value_parser = count)]
    pub events: NonZeroU64,

    /// How many measured runs a query gets, after one to warm up
    #[arg(long, value_name = "N", default_value = "3")]
    pub runs: NonZeroU32,

    /// What drives the shards
    #[arg(long, value_enum, default_value_t = Executor::Auto)]
    pub executor: Executor,

    /// How the results are written; when left out, as the output's name ends (.json, .md, .csv),
    /// or else as a table
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Where the results go; standard output when left out
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Nexmark {
    /// How the results are written: as said, or as the output's name ends.
    pub fn format(&self) -> Format {
        let ending = self.output.as_ref().and_then(|path| path.extension());
        let ending = ending.map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        self.format.unwrap_or(match ending.as_deref() {
            Some("json") => Format::Json,
            Some("md" | "markdown") => Format::Markdown,
            Some("csv") => Format::Csv,
            Some(_) | None => Format::Table,
        })
    }
}

/// What drives the shards.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Executor {
    /// The best that works here
    Auto,
    /// One glommio executor per core, on io_uring
    Glommio,
    /// Plain pinned threads
    Threads,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For a terminal
    Table,
    /// Everything, for programs
    Json,
    /// For a document
    Markdown,
    /// One line a query, for a spreadsheet
    Csv,
}

/// The arguments of `thalweg bench state`.
#[derive(Clone, Debug, clap::Args)]
pub struct State {
    /// How many keys the tables have; 1M is a million. They take some 90 bytes of memory each
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    #[arg(default_value = "1k,10k,100k,1M,10M")]
    pub keys: Vec<NonZeroU64>,

    /// How often all take their turn
    #[arg(long, value_name = "N", default_value = "5")]
    pub runs: NonZeroU32,

    /// Where the file of the tables on disk goes; the folder of temporary files when left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The arguments of `thalweg bench checkpoint`.
#[derive(Clone, Debug, clap::Args)]
pub struct Checkpoint {
    /// How many keys have state; 10M is ten million
    #[arg(long, value_name = "N", default_value = "10M", value_parser = count)]
    pub keys: NonZeroU64,

    /// How many percent of the keys are updated; 100 is all, uniformly
    #[arg(long, value_name = "PERCENT", default_value = "100")]
    #[arg(value_parser = value_parser!(u8).range(1..=100))]
    pub hot: u8,

    /// How many milliseconds lie between two checkpoints
    #[arg(long, value_name = "MS", default_value = "1000")]
    pub every: NonZeroU32,

    /// For how many seconds each run is measured, when all keys have state
    #[arg(long, value_name = "S", default_value = "10")]
    pub seconds: NonZeroU32,

    /// How many runs there are, each once without checkpoints and once with them
    #[arg(long, value_name = "N", default_value = "3")]
    pub runs: NonZeroU32,

    /// How many shards; as many as there are cores when left out
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=SHARDS as i64))]
    pub shards: Option<u16>,

    /// What drives the shards
    #[arg(long, value_enum, default_value_t = Executor::Auto)]
    pub executor: Executor,

    /// Keep the state in a file in the folder, not in memory
    #[arg(long)]
    pub on_disk: bool,

    /// Keys are text of some 32 letters, not numbers
    #[arg(long)]
    pub text: bool,

    /// Where the checkpoints go; the folder of temporary files when left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The arguments of `thalweg doctor`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Doctor {
    /// Write JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `thalweg simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Simulate {
    /// How many seeds each job is run under; 1M is a million
    #[arg(long, value_name = "N", default_value = "1k", value_parser = count)]
    pub seeds: NonZeroU64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value = "0")]
    pub from: u64,

    /// The numbers of shards that a job is started on, one of them at each start
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2,3,4")]
    #[arg(value_parser = value_parser!(u16).range(1..=SHARDS as i64))]
    pub shards: Vec<u16>,

    /// The jobs to run, all of them when left out
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = job)]
    pub job: Vec<String>,
}

/// The arguments of `thalweg inspect`.
#[derive(Clone, Debug, clap::Args)]
pub struct Inspect {
    /// The directory that the job was given by `.checkpoints(…)`, or a savepoint
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Write JSON, for programs
    #[arg(long)]
    pub json: bool,

    /// Only say of each checkpoint whether all its checksums are right
    #[arg(long)]
    pub verify: bool,
}

/// Record logs.
#[derive(Clone, Debug, clap::Args)]
pub struct Logs {
    /// Files of record logs, or directories of such
    #[arg(value_name = "LOG", required = true)]
    pub files: Vec<PathBuf>,
}

/// The arguments of `thalweg cat` and `thalweg head`.
#[derive(Clone, Debug, clap::Args)]
pub struct Cat {
    /// Files of record logs, or directories of such
    #[arg(value_name = "LOG", required = true)]
    pub files: Vec<PathBuf>,

    /// How records are written
    #[arg(long, value_enum, default_value_t = Text::Json)]
    pub format: Text,

    /// Only records with this event time or a later one
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub from: Option<Timestamp>,

    /// Only records with an event time before this one
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub to: Option<Timestamp>,

    /// At most so many records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// With each record its event time and when it arrived
    #[arg(long)]
    pub times: bool,
}

/// How records are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Text {
    /// JSON, one record a line
    Json,
    /// CSV, with the columns' names first
    Csv,
}

/// The arguments of `thalweg info`.
#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    /// What is looked at.
    #[command(flatten)]
    pub logs: Logs,

    /// Write JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The name of a job that can be simulated.
fn job(name: &str) -> Result<String, String> {
    if JOBS.iter().any(|job| job.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
    Err(format!("there are {}", names.join(", ")))
}

impl From<Executor> for thalweg::runtime::Executor {
    fn from(executor: Executor) -> Self {
        match executor {
            Executor::Auto => Self::Auto,
            Executor::Glommio => Self::Glommio,
            Executor::Threads => Self::Threads,
        }
    }
}

/// `q5`, `Q5` and `5` are the same query.
fn query(text: &str) -> Result<String, String> {
    let digits = text.trim().trim_start_matches(['q', 'Q']);
    let name = digits.parse::<u8>().map(|number| format!("q{number}")).ok();
    let there = |name: &String| QUERIES.iter().any(|query| query.name == name);
    name.filter(there).ok_or_else(|| {
        let names: Vec<&str> = QUERIES.iter().map(|query| query.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// A whole number, with `_` between digits and K, M or G for thousands, millions, billions.
fn count(text: &str) -> Result<NonZeroU64, String> {
    let plain = text.replace('_', "");
    let digits = plain.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match plain[digits.len()..].to_ascii_uppercase().as_str() {
        "" => Some(1_u64),
        "K" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        _ => None,
    };
    let whole = digits.parse::<u64>().ok();
    whole
        .zip(scale)
        .and_then(|(whole, scale)| whole.checked_mul(scale))
        .and_then(NonZeroU64::new)
        .ok_or_else(|| "expected a whole number above 0, such as 500000, 500_000 or 10M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_its_own_definition() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn the_format_is_that_of_the_output_unless_said() {
        let format = |more: &[&str]| {
            let args = [&["thalweg", "bench", "nexmark"], more].concat();
            let Command::Bench(Suite::Nexmark(args)) = Args::parse_from(args).command else {
                panic!("not a benchmark")
            };
            args.format()
        };
        assert_eq!(format(&[]), Format::Table);
        assert_eq!(format(&["--output", "f.json"]), Format::Json);
        assert_eq!(format(&["--output", "a.csv/f.MD"]), Format::Markdown);
        assert_eq!(format(&["--output", "f.csv"]), Format::Csv);
        assert_eq!(format(&["--output", "f.txt"]), Format::Table);
        assert_eq!(format(&["--output", "json"]), Format::Table);
        assert_eq!(format(&["--output", "f.json", "--format", "csv"]), Format::Csv);
        assert_eq!(format(&["--format", "markdown"]), Format::Markdown);
    }

    #[test]
    fn queries_have_one_name() {
        assert_eq!(query("q5").as_deref(), Ok("q5"));
        assert_eq!(query("Q05").as_deref(), Ok("q5"));
        assert_eq!(query("22").as_deref(), Ok("q22"));
        for bad in ["q23", "", "five", "q5q"] {
            let error = query(bad).expect_err(bad);
            assert!(error.starts_with("there are q0, q1, q2"), "{error}");
        }
    }

    #[test]
    fn counts_may_be_short() {
        let value = |text| count(text).map(NonZeroU64::get);
        assert_eq!(value("10M"), Ok(10_000_000));
        assert_eq!(value("500_000"), Ok(500_000));
        assert_eq!(value("2k"), Ok(2_000));
        for bad in ["0", "", "M", "1.5M", "10X", "-1", "99999999999G"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }
}
