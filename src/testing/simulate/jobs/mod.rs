//! Jobs that the engine itself is simulated with, each beside what it comes to when it is worked
//! out by plain loops.

mod joins;
mod keys;
mod windows;

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Survived, simulate};
use crate::api::{Job, Stream};
use crate::error::Result;
use crate::testing::{Cuts, Scheduled};
use crate::time::Timestamp;

/// Key, milliseconds, value.
type Event = (u64, u64, u64);
type Events = Arc<Vec<Event>>;

/// A job, and what it must give.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedJob {
    /// What it is called.
    pub name: &'static str,
    build: fn(&Job, Cuts, &Events),
    expected: fn(&[Event]) -> Vec<String>,
}

impl SimulatedJob {
    /// Runs the job under a seed, which its records depend on, too; see [`simulate`].
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
        let events = Arc::new(events(seed));
        let run = |job: &Job, cuts: Cuts| (self.build)(job, cuts, &events);
        simulate([seed], &(self.expected)(&events), run).map_err(|error| error.within(self.name))
    }
}

/// Records come at most so many milliseconds after newer ones.
const DISORDER: u64 = 6;
/// Splits of the source.
const SPLITS: usize = 3;

fn events(seed: u64) -> Vec<Event> {
    let mut dice = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let keys = *[1, 5, 40].get(dice.gen_range(0..3)).unwrap_or(&5);
    let mut now = 0;
    let mut event = |_| {
        now += if dice.gen_ratio(1, 20) { 30 } else { dice.gen_range(0..3) };
        (dice.gen_range(0..keys), now + dice.gen_range(0..=DISORDER), dice.gen_range(0..100))
    };
    (0..300).map(&mut event).collect()
}

fn source(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event> {
    job.source(Scheduled::new(events.clone(), SPLITS, cuts))
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
    job("tumbling", windows::tumbling, windows::tumbling_expected),
    job("sliding", windows::sliding, windows::sliding_expected),
    job("session", windows::session, windows::session_expected),
    job("timers", keys::timers, keys::timers_expected),
    job("totals", keys::totals, keys::totals_expected),
    job("distinct", keys::distinct, keys::distinct_expected),
    job("interval-join", joins::interval, joins::interval_expected),
    job("join", joins::join, joins::join_expected),
    job("window-join", joins::window_join, joins::window_join_expected),
    job("left-join", joins::left_join, joins::left_join_expected),
    job("running", keys::running, keys::running_expected),
    job("alarm", keys::alarm, keys::alarm_expected),
    job("silence", keys::silence, keys::silence_expected),
    job("cumulating", windows::cumulating, windows::cumulating_expected),
    job("as-of", joins::as_of, joins::as_of_expected),
    job("threes", keys::threes, keys::threes_expected),
    job("branches", keys::branches, keys::branches_expected),
];

const fn job(
    name: &'static str,
    build: fn(&Job, Cuts, &Events),
    expected: fn(&[Event]) -> Vec<String>,
) -> SimulatedJob {
    SimulatedJob { name, build, expected }
}
