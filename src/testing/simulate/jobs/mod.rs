//! Jobs that the engine itself is simulated with, each beside what it comes to when it is worked
//! out by plain loops.

mod awaited;
mod files;
mod idle;
mod joins;
mod keys;
mod windows;
mod within;

use std::path::PathBuf;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::patient::Patient;
use super::play::{ACT, Acts, Play};
use super::run::Trial;
use super::{SHARDS, Survived, once};
use crate::api::{Job, Stream};
use crate::error::Result;
use crate::operator::Chain;
use crate::testing::{Cuts, Scheduled};
use crate::time::{Timestamp, Units};

/// Key, milliseconds, value.
pub(super) type Event = (u64, u64, u64);
type Events = Arc<Vec<Event>>;

/// A job, and what it must give.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedJob {
    /// What it is called.
    pub name: &'static str,
    build: Build,
    expected: fn(&[Event]) -> Vec<String>,
}

/// How a job gets its streams.
#[derive(Clone, Copy, Debug)]
enum Build {
    /// From a source whose splits are never idle.
    Scheduled(fn(&Job, Cuts, &Events)),
    /// From one whose splits are, and come back.
    Played(fn(&Job, Play)),
    /// From one that waits for so many rows.
    Awaited(fn(&Job, Patient), fn(&[Event]) -> usize),
    /// From files, and which these are.
    Read(fn(&[Event]) -> Inputs, fn(&Job)),
    /// From what the first of two jobs has written.
    Handed(fn(&Job, Cuts, &Events), fn(&Job)),
}

/// Files that are there before a job begins.
type Inputs = Vec<(PathBuf, Vec<u8>)>;

impl SimulatedJob {
    /// Runs the job under a seed, which its records depend on, too, on 1 to 4 shards; see
    /// [`simulate`](super::simulate()). At one start in four its tables are in a file without a
    /// name in the folder of temporary files, of the real machine.
    ///
    /// # Errors
    /// What was not right.
    ///
    /// ```
    /// use thalweg::testing::{JOBS, Survived};
    ///
    /// let survived: Survived = JOBS.iter().map(|job| job.run(7)).sum::<Result<_, _>>()?;
    /// assert_eq!(survived.runs, JOBS.len() as u64);
    /// # Ok::<(), thalweg::prelude::Error>(())
    /// ```
    pub fn run(&self, seed: u64) -> Result<Survived> {
        self.run_on(SHARDS, seed)
    }

    /// As [`run`](Self::run), on one of these numbers of shards at each start.
    ///
    /// # Errors
    /// What was not right; that there is no number, or that one is none of shards.
    pub fn run_on(&self, shards: &[usize], seed: u64) -> Result<Survived> {
        let count = if matches!(self.build, Build::Read(..)) { EVENTS_READ } else { EVENTS };
        let events = Arc::new(events(seed, count));
        let build = |job: &Job, cuts: Cuts, acts: &Arc<Acts>| match self.build {
            Build::Scheduled(build) => build(job, cuts, &events),
            Build::Played(build) => build(job, Play::new(&events, seed, cuts, acts)),
            Build::Awaited(build, rows) => {
                build(job, Patient::new(&events, cuts, rows(&events), acts));
            }
            Build::Read(_, build) | Build::Handed(_, build) => build(job),
        };
        let mut expected = (self.expected)(&events);
        expected.sort_unstable();
        let directory = std::env::temp_dir();
        let mut trial = Trial::of(&expected, shards);
        trial.state_in = Some(&directory);
        trial.idles = matches!(self.build, Build::Played(_) | Build::Awaited(..));
        let inputs = if let Build::Read(files, _) = self.build { files(&events) } else { vec![] };
        trial.inputs = &inputs;
        let before = |job: &Job, cuts: Cuts| {
            if let Build::Handed(first, _) = self.build {
                first(job, cuts, &events);
            }
        };
        if matches!(self.build, Build::Handed(..)) {
            trial.before = Some(&before);
        }
        once(seed, trial, &build).map_err(|error| error.within(self.name))
    }
}

/// Records come at most so many milliseconds after newer ones.
const DISORDER: u64 = 6;
/// Splits of the source.
const SPLITS: usize = 3;

/// Records of a job, and of one that reads them from files: more, since a source of files gives
/// many at once.
const EVENTS: usize = 300;
const EVENTS_READ: usize = 2_000;

fn events(seed: u64, count: usize) -> Vec<Event> {
    let mut dice = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let keys = *[1, 5, 40].get(dice.gen_range(0..3)).unwrap_or(&5);
    let mut now = 0;
    let mut event = |_| {
        now += if dice.gen_ratio(1, 20) { 30 } else { dice.gen_range(0..3) };
        (dice.gen_range(0..keys), now + dice.gen_range(0..=DISORDER), dice.gen_range(0..100))
    };
    (0..count).map(&mut event).collect()
}

fn source(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event> {
    job.source(Scheduled::new(events.clone(), SPLITS, cuts))
}

/// The records with their event times.
fn timed(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event, impl Chain<Out = Event>> {
    source(job, cuts, events).event_time(|(_, ms, _)| at(ms), DISORDER.millis())
}

/// The records of a play with their event times.
fn acted(job: &Job, play: Play) -> Stream<Event, impl Chain<Out = Event>> {
    job.source(play).event_time(|(_, ms, _)| at(ms), ACT.millis())
}

/// The records in their order.
fn in_order(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event> {
    job.source(Scheduled::new(events.clone(), 1, cuts))
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

/// The jobs.
pub const JOBS: &[SimulatedJob] = &[
    job(
        "tumbling",
        |job, cuts, events| windows::tumbling(timed(job, cuts, events)),
        windows::tumbling_expected,
    ),
    job(
        "sliding",
        |job, cuts, events| windows::sliding(timed(job, cuts, events)),
        windows::sliding_expected,
    ),
    job(
        "session",
        |job, cuts, events| windows::session(timed(job, cuts, events)),
        windows::session_expected,
    ),
    job("timers", keys::timers, keys::timers_expected),
    job("totals", keys::totals, keys::totals_expected),
    job("distinct", keys::distinct, keys::distinct_expected),
    job(
        "interval-join",
        |job, cuts, events| joins::interval(timed(job, cuts, events)),
        joins::interval_expected,
    ),
    job("join", joins::join, joins::join_expected),
    job(
        "window-join",
        |job, cuts, events| joins::window_join(timed(job, cuts, events)),
        joins::window_join_expected,
    ),
    job(
        "left-join",
        |job, cuts, events| joins::left_join(timed(job, cuts, events)),
        joins::left_join_expected,
    ),
    job("running", keys::running, keys::running_expected),
    job("alarm", keys::alarm, keys::alarm_expected),
    job("silence", keys::silence, keys::silence_expected),
    job(
        "cumulating",
        |job, cuts, events| windows::cumulating(timed(job, cuts, events)),
        windows::cumulating_expected,
    ),
    job("as-of", |job, cuts, events| joins::as_of(timed(job, cuts, events)), joins::as_of_expected),
    job("threes", keys::threes, keys::threes_expected),
    job("branches", keys::branches, keys::branches_expected),
    job(
        "count-windows",
        |job, cuts, events| windows::counted(in_order(job, cuts, events)),
        windows::counted_expected,
    ),
    job("top", |job, cuts, events| windows::top(timed(job, cuts, events)), windows::top_expected),
    job("visits", within::visits, within::visits_expected),
    job("first-within", within::first, within::first_expected),
    job("first-by-time", within::first_by_time, within::first_by_time_expected),
    job("late-session", within::sessions, windows::session_expected),
    job("late-sliding", within::sliding, windows::sliding_expected),
    played(
        "idle-tumbling",
        |j, play| windows::tumbling(acted(j, play)),
        windows::tumbling_expected,
    ),
    played("idle-sliding", |j, play| windows::sliding(acted(j, play)), windows::sliding_expected),
    played("idle-top", |j, play| windows::top(acted(j, play)), windows::top_expected),
    played("idle-greatest", |j, play| idle::greatest(acted(j, play)), idle::greatest_expected),
    played(
        "idle-cumulating",
        |j, play| windows::cumulating(acted(j, play)),
        windows::cumulating_expected,
    ),
    played("idle-session", |j, play| windows::session(acted(j, play)), windows::session_expected),
    played(
        "idle-window-join",
        |j, play| joins::window_join(acted(j, play)),
        joins::window_join_expected,
    ),
    played(
        "idle-interval-join",
        |j, play| joins::interval(acted(j, play)),
        joins::interval_expected,
    ),
    played("idle-left-join", |j, play| joins::left_join(acted(j, play)), joins::left_join_expected),
    played(
        "idle-two-windows",
        |j, play| idle::two_windows(acted(j, play)),
        idle::two_windows_expected,
    ),
    played("idle-table-join", idle::table_join, idle::table_join_expected),
    awaited("awaited-alarm", awaited::alarm, awaited::alarm_rows, keys::alarm_expected),
    awaited("awaited-clock", awaited::clock, awaited::clock_rows, awaited::clock_expected),
    awaited("awaited-mute", awaited::mute, awaited::mute_rows, windows::tumbling_expected),
    read("read-lines", files::texts, files::lines, files::lines_expected),
    read("read-csv", files::table, files::csv, files::csv_expected),
    read("read-json", files::objects, files::json, files::json_expected),
    read("read-gzip", files::packed, files::gzip, keys::running_expected),
    SimulatedJob {
        name: "read-log",
        build: Build::Handed(files::write_log, files::read_log),
        expected: files::log_expected,
    },
];

const fn job(
    name: &'static str,
    build: fn(&Job, Cuts, &Events),
    expected: fn(&[Event]) -> Vec<String>,
) -> SimulatedJob {
    SimulatedJob { name, build: Build::Scheduled(build), expected }
}

const fn awaited(
    name: &'static str,
    build: fn(&Job, Patient),
    rows: fn(&[Event]) -> usize,
    expected: fn(&[Event]) -> Vec<String>,
) -> SimulatedJob {
    SimulatedJob { name, build: Build::Awaited(build, rows), expected }
}

const fn read(
    name: &'static str,
    files: fn(&[Event]) -> Inputs,
    build: fn(&Job),
    expected: fn(&[Event]) -> Vec<String>,
) -> SimulatedJob {
    SimulatedJob { name, build: Build::Read(files, build), expected }
}

const fn played(
    name: &'static str,
    build: fn(&Job, Play),
    expected: fn(&[Event]) -> Vec<String>,
) -> SimulatedJob {
    SimulatedJob { name, build: Build::Played(build), expected }
}
