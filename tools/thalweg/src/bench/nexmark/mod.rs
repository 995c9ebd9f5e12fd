//! The queries of the Nexmark suite, each a job on the public API.
//!
//! What they compute is what the suite's SQL text for Flink says. Where a table changes for ever
//! there, its final rows are given here: when their window ends, or the input.

mod digest;
mod q0;
mod q1;
mod q14;
mod q17;
mod q2;
mod q21;
mod q22;
mod q5;
mod q7;

pub use digest::Digest;

use std::path::PathBuf;

use thalweg::connector::nexmark::{Event, Recorded};
use thalweg::prelude::*;

/// What every query reads, and where it may write.
#[derive(Clone, Debug)]
pub struct Input {
    /// The events.
    pub events: Recorded,
    /// An empty folder of this run's own; removed when the run has ended.
    pub folder: PathBuf,
}

/// How a run is known to be right.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The rows and their digest are the same on every run.
    Digest,
    /// The rows depend on the clock. [`Digest::hash`] is the sum of the rows' counts, and that sum
    /// is this function of the number of events.
    Counts(fn(u64) -> u64),
}

/// A query of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// `q0` to `q22`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Adds the query's streams to a job, from the events to the digest of its rows.
    pub build: fn(&Job, &Input, Digest),
    /// How its result is checked.
    pub check: Check,
}

macro_rules! check {
    () => {
        Check::Digest
    };
    ($check:expr) => {
        $check
    };
}

macro_rules! queries {
    ($($name:ident: $title:literal $(check $check:expr)?,)*) => {
        /// All queries, in their order.
        pub const QUERIES: &[Query] = &[$(
            Query {
                name: stringify!($name),
                title: $title,
                build: $name::$name,
                check: check!($($check)?),
            },
        )*];
    };
}

queries! {
    q0: "Pass through",
    q1: "Currency conversion",
    q2: "Selection",
    q5: "Hot items",
    q7: "Highest bid",
    q14: "Calculation",
    q17: "Auction statistics",
    q21: "Channel id",
    q22: "Url directories",
}

/// The least price that is not cheap.
const MIDDLING: u64 = 10_000;
/// The least price that is dear.
const DEAR: u64 = 1_000_000;

/// The stream of events, each at its own time. They come in order.
fn timed(job: &Job, input: &Input) -> Stream<Event, impl Chain<Out = Event>> {
    job.source(input.events.clone()).event_time(|event| event.date_time(), 0.seconds())
}
