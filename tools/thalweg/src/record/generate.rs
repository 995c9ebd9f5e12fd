//! Made-up records.

use thalweg::connector::nexmark::{BASE_TIME, Event, Nexmark};
use thalweg::connector::{Arrivals, Keys, Pattern, Skew};
use thalweg::prelude::*;
use thalweg::record::{Block, Shape};

use anyhow::ensure;

use super::from::From;
use crate::args;

record! {
    /// A record of `thalweg record generate`.
    pub struct Generated {
        /// Its number, from 0.
        pub number: u64,
        /// Its key.
        pub key: u64,
        /// When it is due: its event time.
        pub at: Timestamp,
    }
}

/// Records a second, unless said otherwise: what Nexmark's event time has.
const RATE: f64 = 10_000.0;
/// The keys of `generate`, unless said otherwise.
const KEYS: Skew = Skew::Uniform { keys: 1_000 };

/// A record that was made: event time, arrival, and its encoding.
pub type Made<'a> = (Timestamp, Timestamp, &'a [u8]);

/// Makes records without end, each due as the arrivals say, from a start on that is always the same
/// ([`BASE_TIME`]): the same arguments give the same log. `take` says whether it wants more.
///
/// # Errors
///
/// If the arguments make no distribution, and what `take` fails with.
pub fn generate(
    kind: &From,
    args: &args::Generate,
    take: impl FnMut(Made<'_>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let args::Generate { rate, arrivals: pattern, keys, seed } = *args;
    let (rate, pattern) = (rate.unwrap_or(RATE), pattern.unwrap_or(Pattern::Constant));
    let skewed = *kind == From::Generate;
    ensure!(skewed || keys.is_none(), "--keys is for generate; counter and nexmark have their own");
    let random = skewed || pattern == Pattern::Poisson;
    let why = "nothing is random about counter and nexmark but --arrivals poisson";
    ensure!(random || seed.is_none(), "--seed changes nothing here: {why}");
    let arrivals = Arrivals::new(pattern, rate, seed.unwrap_or(0))?;
    match kind {
        From::Counter => run(arrivals, |number, at| Some((at, number)), take),
        From::Nexmark => {
            // The suite's own times are those of constant arrivals at its rate.
            let moved = pattern != Pattern::Constant || rate != RATE;
            let mut events = Nexmark::generate(0..u64::MAX);
            let next = |_, at| {
                let mut event: Event = events.next()?;
                if moved {
                    event.set_date_time(at);
                }
                Some((event.date_time(), event))
            };
            run(arrivals, next, take)
        }
        _ => {
            let keys = Keys::new(keys.unwrap_or(KEYS), seed.unwrap_or(0))?;
            let make = |number, at| Some((at, Generated { number, key: keys.of(number), at }));
            run(arrivals, make, take)
        }
    }
}

/// How the records lie.
#[must_use]
pub fn shape(kind: &From) -> Option<Shape> {
    match kind {
        From::Counter => u64::shape(),
        From::Nexmark => Event::shape(),
        _ => Generated::shape(),
    }
}

fn run<R: Record>(
    arrivals: Arrivals,
    mut make: impl FnMut(u64, Timestamp) -> Option<(Timestamp, R)>,
    mut take: impl FnMut(Made<'_>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut block = Block::<R>::new();
    for (number, due) in (0..).zip(arrivals) {
        let arrival = BASE_TIME + due;
        let Some((at, record)) = make(number, arrival) else { break };
        record.lend(|view| block.push(at, view));
        let encoded = block.stored().map(|(encoded, _)| encoded).unwrap_or_default();
        if !take((at, arrival, encoded))? {
            break;
        }
        block.clear();
    }
    Ok(())
}
