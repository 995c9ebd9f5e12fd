//! Whole jobs on a machine that is made up and goes wrong.

mod again;
mod fuse;
mod jobs;
mod machine;
mod patient;
mod play;
mod rest;
mod run;

pub use jobs::{JOBS, SimulatedJob};

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

use play::Acts;
use run::{Trial, run};

use super::Cuts;
use crate::api::Job;
use crate::error::{Error, Kind, Result};

/// The directory into which a job that is simulated writes its rows.
pub const OUT: &str = "out";

/// What jobs have been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survived {
    /// Jobs that came to their end with the right rows.
    pub runs: u64,
    /// Times that the power failed.
    pub crashes: u64,
    /// Times that only the process was killed.
    pub kills: u64,
    /// Times that a job was started again, for whatever reason.
    pub restarts: u64,
    /// Times that it was started again within the process, besides.
    pub restarts_within: u64,
    /// Operators that failed, or panicked.
    pub operators_failed: u64,
    /// Checkpoints that were made.
    pub checkpoints: u64,
    /// Pages that were lost because they were not synced.
    pub pages_lost: u64,
    /// Pages of which only some sectors were written.
    pub pages_torn: u64,
    /// Changes of names that were lost because they were not synced.
    pub names_lost: u64,
    /// Times that the disk was full.
    pub disks_full: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// Reads that failed.
    pub reads_failed: u64,
    /// Times that a shard had no turn for long.
    pub stalls: u64,
    /// Times that much time passed at once.
    pub jumps: u64,
    /// Times that the clock was set, forth or back.
    pub clocks_set: u64,
    /// Turns of shards.
    pub turns: u64,
}

impl Add for Survived {
    type Output = Survived;

    fn add(self, other: Survived) -> Survived {
        Survived {
            runs: self.runs + other.runs,
            crashes: self.crashes + other.crashes,
            kills: self.kills + other.kills,
            restarts: self.restarts + other.restarts,
            restarts_within: self.restarts_within + other.restarts_within,
            operators_failed: self.operators_failed + other.operators_failed,
            checkpoints: self.checkpoints + other.checkpoints,
            pages_lost: self.pages_lost + other.pages_lost,
            pages_torn: self.pages_torn + other.pages_torn,
            names_lost: self.names_lost + other.names_lost,
            disks_full: self.disks_full + other.disks_full,
            syncs_failed: self.syncs_failed + other.syncs_failed,
            reads_failed: self.reads_failed + other.reads_failed,
            stalls: self.stalls + other.stalls,
            jumps: self.jumps + other.jumps,
            clocks_set: self.clocks_set + other.clocks_set,
            turns: self.turns + other.turns,
        }
    }
}

impl AddAssign for Survived {
    fn add_assign(&mut self, other: Survived) {
        *self = *self + other;
    }
}

impl Sum for Survived {
    fn sum<I: Iterator<Item = Survived>>(all: I) -> Survived {
        all.fold(Survived::default(), Add::add)
    }
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Survived { runs, crashes, kills, restarts, restarts_within, checkpoints, .. } = self;
        let Survived { pages_lost, pages_torn, names_lost, .. } = self;
        let Survived { disks_full, syncs_failed, reads_failed, stalls, jumps, .. } = self;
        let Survived { operators_failed, clocks_set, turns, .. } = self;
        write!(
            f,
            "{runs} runs, all with the right rows: {crashes} crashes, {kills} kills, {restarts} \
             restarts and {restarts_within} within the process, {checkpoints} checkpoints; \
             {operators_failed} operators failed, {pages_lost} pages lost, {pages_torn} torn, \
             {names_lost} names lost, {disks_full} full disks, {syncs_failed} failed syncs, \
             {reads_failed} failed reads, {stalls} stalled shards, {jumps} jumps of time, \
             {clocks_set} times that the clock was set, {turns} turns"
        )
    }
}

/// Runs a job once for every seed, all its shards on this thread, on a machine that is made up:
/// shards have their turns in any order, some have none for long; the power fails or the process is
/// killed at any turn and at any call that changes the disk; what was not synced is lost or torn;
/// the disk is full, a sync or a read fails; hours pass at once, the clock is set back or forth; an
/// operator fails or panics, and the job is started again within the process as often as it is told
/// to ([`Job::restart`]). Each time that the process ends the job is started again, on 1 to 4
/// shards, until it comes to its end. Then the rows
/// that it has written must be the `expected` ones, in any order. The same seed gives the same run.
///
/// `build` gives the job its streams. They must begin at sources that can be read again, as
/// [`Scheduled`](super::Scheduled) does, cut as the second argument says, and end in a sink of
/// lines in the directory [`OUT`]. Results must depend on the records alone. Name, shards and
/// checkpoints are set. Gives what the runs have been through.
///
/// # Errors
/// The first seed with other rows, or with an error that nothing caused, and how to repeat it.
///
/// ```
/// use std::sync::Arc;
/// use thalweg::prelude::*;
/// use thalweg::testing::{OUT, Scheduled, simulate};
///
/// let numbers: Arc<Vec<u64>> = Arc::new((0..200).collect());
/// let expected: Vec<String> = (0..200).map(|n| format!("{}", n * n)).collect();
/// let survived = simulate(0..20, &expected, |job, cuts| {
///     job.source(Scheduled::new(numbers.clone(), 2, cuts))
///         .map(|n| format!("{}", n * n))
///         .sink(Files::to_lines(OUT));
/// })?;
/// assert_eq!(survived.runs, 20);
/// # Ok::<(), Error>(())
/// ```
pub fn simulate(
    seeds: impl IntoIterator<Item = u64>,
    expected: &[String],
    build: impl Fn(&Job, Cuts),
) -> Result<Survived> {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let trial = Trial::of(&expected, SHARDS);
    let build = |job: &Job, cuts: Cuts, _: &Arc<Acts>| build(job, cuts);
    seeds.into_iter().map(|seed| once(seed, trial, &build)).sum()
}

/// A job is started on one of these numbers of shards.
const SHARDS: &[usize] = &[1, 2, 3, 4];

/// Runs a job under one seed.
fn once(seed: u64, trial: Trial<'_>, build: &impl Fn(&Job, Cuts, &Arc<Acts>)) -> Result<Survived> {
    if trial.shards.is_empty() {
        return Err(Error::new(Kind::Plan, "there is no number of shards to start the job on"));
    }
    run(seed, trial, build)
        .map_err(|what| Error::new(Kind::Internal, what).within(format!("seed {seed}")))
}
