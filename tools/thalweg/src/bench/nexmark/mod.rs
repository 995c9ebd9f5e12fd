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

use thalweg::connector::nexmark::{Event, Recorded};
use thalweg::prelude::*;

/// A query of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// `q0` to `q22`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Adds the query's streams to a job, from the events to the digest of its rows.
    pub build: fn(&Job, Recorded, Digest),
}

macro_rules! queries {
    ($($name:ident: $title:literal,)*) => {
        /// All queries, in their order.
        pub const QUERIES: &[Query] = &[$(
            Query { name: stringify!($name), title: $title, build: $name::$name },
        )*];
    };
}

queries! {
    q0: "pass through",
    q1: "currency conversion",
    q2: "selection",
    q5: "hot items",
    q7: "highest bid",
    q14: "calculation",
    q17: "auction statistics",
    q21: "channel id",
    q22: "url directories",
}

/// The least price that is not cheap.
const MIDDLING: u64 = 10_000;
/// The least price that is dear.
const DEAR: u64 = 1_000_000;

/// The stream of events, each at its own time. They come in order.
fn timed(job: &Job, input: Recorded) -> Stream<Event, impl Chain<Out = Event>> {
    job.source(input)
        .event_time(|event| event.date_time(), 0.seconds())
}
