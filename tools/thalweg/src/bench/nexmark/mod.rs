//! The queries of the Nexmark suite, each a job on the public API.
//!
//! What they compute is what the suite's SQL text for Flink says. Where a table changes for ever
//! there, its final rows are given here: when their window ends, or the input.

mod digest;
mod events;
mod q0;
mod q1;
mod q10;
mod q11;
mod q12;
mod q13;
mod q14;
mod q15;
mod q16;
mod q17;
mod q18;
mod q19;
mod q2;
mod q20;
mod q21;
mod q22;
mod q3;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;
mod q9;
mod winning;

pub use digest::Digest;
pub use events::Events;

use std::path::PathBuf;
use std::time::Duration;

use thalweg::connector::nexmark::Event;
use thalweg::prelude::*;

/// What every query reads, and where it may write.
#[derive(Clone, Debug)]
pub struct Input {
    /// The events.
    pub events: Events,
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
    /// How many records it reads besides the events.
    pub beside: u64,
}

macro_rules! either {
    ($default:expr,) => {
        $default
    };
    ($default:expr, $value:expr) => {
        $value
    };
}

macro_rules! queries {
    ($($name:ident: $title:literal $(check($check:expr))? $(beside($beside:expr))?,)*) => {
        /// All queries, in their order.
        pub const QUERIES: &[Query] = &[$(
            Query {
                name: stringify!($name),
                title: $title,
                build: $name::$name,
                check: either!(Check::Digest, $($check)?),
                beside: either!(0, $($beside)?),
            },
        )*];
    };
}

queries! {
    q0: "Pass through",
    q1: "Currency conversion",
    q2: "Selection",
    q3: "Local item suggestion",
    q4: "Average price for a category",
    q5: "Hot items",
    q6: "Average selling price by seller",
    q7: "Highest bid",
    q8: "Monitor new users",
    q9: "Winning bids",
    q10: "Log to file system",
    q11: "User sessions",
    q12: "Processing time windows" check(Check::Counts(q12::bids_in)),
    q13: "Bounded side input join" beside(q13::SIDE),
    q14: "Calculation",
    q15: "Bidding statistics",
    q16: "Channel statistics",
    q17: "Auction statistics",
    q18: "Find last bid",
    q19: "Auction top 10 price",
    q20: "Expand bid with auction",
    q21: "Add channel id",
    q22: "Get url directories",
}

/// The least price that is not cheap.
const MIDDLING: u64 = 10_000;
/// The least price that is dear.
const DEAR: u64 = 1_000_000;

/// The stream of events, each at its own time. They come in order.
fn timed(job: &Job, input: &Input) -> Stream<Event, impl Chain<Out = Event>> {
    job.source(input.events.clone()).event_time(|event| event.date_time(), 0.seconds())
}

/// One window for all time: its rows are given when the input has ended.
fn always() -> Tumbling {
    Tumbling::of(36_500.days())
}

/// How long after its end an auction is remembered: the generator bids for auctions that have long
/// ended, but only for the newest few hundred.
const LINGER: Duration = Duration::from_secs(10);
