//! What can be typed after `thalweg`.

mod latency;
pub(crate) mod numbers;

pub use self::latency::{Driven, Latency, Rest, Shape, Sustain};
pub(crate) use self::numbers::{count, duration, rate};

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use thalweg::connector::log::Compression;
use thalweg::connector::{Pattern, Skew};
use thalweg::limits::SHARDS;
use thalweg::testing::JOBS;
use thalweg::time::Timestamp;

use crate::bench::nexmark::QUERIES;
use crate::record::{From, TimeColumn};
use crate::replay::args::Replay;

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
    /// Give an index to a record log whose writer was killed, so that it is searched fast
    Index(Index),
    /// Say what record logs hold: type, number, times, gaps, disorder, rates
    Info(Info),
    /// Show what a job has kept in its state directory; exits with 1 when some of it is damaged
    Inspect(Inspect),
    /// Record rows from files, sockets and generators into a record log
    Record(Box<Record>),
    /// Send the records of record logs again, with their own timing or another one
    Replay(Box<Replay>),
    /// Run whole jobs on made-up machines that crash, lose what was not synced, run full; exits
    /// with 1 at the first one that gives other rows than it should
    Simulate(Simulate),
    /// Read all of record logs and say whether they are whole; exits with 1 when one is not
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

    /// At most so many records; 2M is two million
    #[arg(long, value_name = "N", value_parser = count)]
    pub limit: Option<NonZeroU64>,

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

    /// How long the parts are that rates are said for, as in 500ms, 1m30s, 2h or 7d; a twentieth of
    /// the time when left out
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<i64>,

    /// Write JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `thalweg index`.
#[derive(Clone, Debug, clap::Args)]
pub struct Index {
    /// What is mended.
    #[command(flatten)]
    pub logs: Logs,

    /// Cut off what is behind the last whole frame of a file
    #[arg(long)]
    pub cut: bool,
}

/// The arguments of `thalweg record`.
#[derive(Clone, Debug, clap::Args)]
pub struct Record {
    /// Files of CSV or JSON lines (.gz, too), - for standard input, tcp://HOST:PORT,
    /// tcp-listen://HOST:PORT, udp://HOST:PORT, unix:PATH, unix-listen:PATH; or one generator:
    /// counter, nexmark (an auction house), generate (skewed keys)
    #[arg(value_name = "FROM", required = true)]
    pub from: Vec<From>,

    /// The log: a file that ends in .tlog, or a directory
    #[arg(long, value_name = "LOG")]
    pub to: PathBuf,

    /// How rows are written; by the file's name or the first line when left out
    #[arg(long, value_enum)]
    pub format: Option<Text>,

    /// What stands between the cells of CSV, one ASCII character
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = ascii)]
    pub delimiter: char,

    /// CSV has no line of names: the schema's are taken in their order
    #[arg(long)]
    pub no_header: bool,

    /// The fields, as in `id: u64, name: text, at: time, tags: [text], price: f64?`; what the first
    /// rows look like when left out, which is shown
    #[arg(long, value_name = "SCHEMA", conflicts_with = "schema_file")]
    pub schema: Option<String>,

    /// A file with the fields, a line each if you like
    #[arg(long, value_name = "FILE")]
    pub schema_file: Option<PathBuf>,

    /// How many of the first rows the schema is inferred from
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count)]
    pub infer_rows: NonZeroU64,

    /// The column of the event time, and how times are written: at, at:s, at:ms, at:us, at:ns,
    /// 'at:%d/%m/%Y %H:%M:%S'; when the row was read when left out
    #[arg(long, value_name = "COLUMN[:HOW]")]
    pub event_time: Option<TimeColumn>,

    /// Likewise the column of the arrival, by which a replay is paced
    #[arg(long, value_name = "COLUMN[:HOW]")]
    pub arrival_time: Option<TimeColumn>,

    /// What is done about rows that do not fit the schema
    #[arg(long, value_enum, default_value_t = OnBad::Fail)]
    pub on_bad: OnBad,

    /// Compress frames: lz4, or zstd, zstd:1 to zstd:22
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = compression)]
    pub compress: Compress,

    /// No more records than this; 2M is two million. Generators have no end of their own
    #[arg(long, value_name = "N", value_parser = count)]
    pub events: Option<NonZeroU64>,

    /// What generators make.
    #[command(flatten)]
    pub generate: Generate,
}

/// What generators make.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Generators")]
pub struct Generate {
    /// How many records arrive in a second, by the log's times: it is written as fast as it can
    /// be; 10k when left out
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,

    /// How they follow one another: poisson, bursts:100 (so many at once), or constant, as when
    /// left out
    #[arg(long, value_name = "PATTERN")]
    pub arrivals: Option<Pattern>,

    /// The keys of `generate`: uniform:1000, as when left out, zipf:1.1:1000 (exponent, keys),
    /// hot:1000:10:0.9 (keys, hot ones, part of the records that is theirs)
    #[arg(long, value_name = "SKEW")]
    pub keys: Option<Skew>,

    /// What is random is made from: the same seed makes the same records; 0 when left out
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Generate {
    /// The first of the arguments that was given.
    pub fn given(&self) -> Option<&'static str> {
        let Generate { rate, arrivals, keys, seed } = self;
        let all = [
            ("--rate", rate.is_some()),
            ("--arrivals", arrivals.is_some()),
            ("--keys", keys.is_some()),
            ("--seed", seed.is_some()),
        ];
        all.into_iter().find_map(|(name, given)| given.then_some(name))
    }
}

/// What is done about rows that do not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OnBad {
    /// End with the first one; what came before is in the log
    Fail,
    /// Pass over them; the first ones are shown, all are counted
    Skip,
}

/// How frames are compressed.
#[derive(Clone, Copy, Debug)]
pub struct Compress(pub Compression);

fn compression(text: &str) -> Result<Compress, String> {
    let level = |text: &str| text.parse().ok().filter(|level| (1..=22).contains(level));
    let how = match text.split_once(':') {
        None if text == "none" => Some(Compression::None),
        None if text == "lz4" => Some(Compression::Lz4),
        None if text == "zstd" => Some(Compression::Zstd(3)),
        Some(("zstd", text)) => level(text).map(Compression::Zstd),
        _ => None,
    };
    how.map(Compress).ok_or_else(|| "there are none, lz4, zstd and zstd:1 to zstd:22".to_owned())
}

/// A time in microseconds.
fn interval(text: &str) -> Result<i64, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let micros = match days {
        Some(days) => days.checked_mul(86_400_000_000),
        None => duration(text).ok().and_then(|time| i64::try_from(time.as_micros()).ok()),
    };
    let micros = micros.filter(|micros| *micros > 0);
    micros.ok_or_else(|| "expected a time such as 500ms, 1m30s, 2h or 7d".to_owned())
}

fn ascii(text: &str) -> Result<char, String> {
    match (text, text.parse::<char>()) {
        ("\\t", _) => Ok('\t'),
        (_, Ok(char)) if char.is_ascii() && !"\"\r\n".contains(char) => Ok(char),
        _ => Err("expected one ASCII character that is no quote, or \\t".to_owned()),
    }
}

/// The name of a job that can be simulated.
fn job(name: &str) -> Result<String, String> {
    if JOBS.iter().any(|job| job.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
    Err(format!("there are {}", names.join(", ")))
}

impl std::convert::From<Executor> for thalweg::runtime::Executor {
    fn from(executor: Executor) -> Self {
        match executor {
            Executor::Auto => Self::Auto,
            Executor::Glommio => Self::Glommio,
            Executor::Threads => Self::Threads,
        }
    }
}

/// `q5`, `Q5` and `5` are the same query.
pub(crate) fn query(text: &str) -> Result<String, String> {
    let digits = text.trim().trim_start_matches(['q', 'Q']);
    let name = digits.parse::<u8>().map(|number| format!("q{number}")).ok();
    let there = |name: &String| QUERIES.iter().any(|query| query.name == name);
    name.filter(there).ok_or_else(|| {
        let names: Vec<&str> = QUERIES.iter().map(|query| query.name).collect();
        format!("there are {}", names.join(", "))
    })
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
    fn times_may_be_long() {
        assert_eq!(interval("500ms"), Ok(500_000));
        assert_eq!(interval("1m30s"), Ok(90_000_000));
        assert_eq!(interval("1min"), Ok(60_000_000));
        assert_eq!(interval("7d"), Ok(7 * 86_400_000_000));
        for bad in ["0s", "0d", "-1s", "5", "d", "999999999999d"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
