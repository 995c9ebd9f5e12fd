//! A source of one's own, the prime numbers, and a look at their last digits:
//! `cargo run --example custom_source -- 1000000`.

use clap::Parser;
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

/// The prime numbers below a bound. It is cut into pieces so that all shards search.
pub struct Primes {
    /// The bound.
    pub below: u64,
}

impl Source for Primes {
    type Record = u64;

    fn name(&self) -> String {
        format!("primes below {}", self.below)
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let pieces = 4 * shards as u64;
        let cut = |i| self.below * i / pieces;
        Ok((0..pieces).map(|i| Box::new(Search { next: cut(i), end: cut(i + 1) }) as _).collect())
    }
}

/// One piece: the numbers from `next` up to `end`.
struct Search {
    next: u64,
    end: u64,
}

impl Split<u64> for Search {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        while feed.room() > 0 && self.next < self.end {
            if is_prime(self.next) {
                feed.push(self.next)?;
            }
            self.next += 1;
        }
        Ok(if self.next < self.end { Progress::Busy } else { Progress::Done })
    }
}

fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// How many primes end in each digit.
#[derive(Parser)]
pub struct Options {
    /// Where the search ends.
    #[arg(default_value_t = 1_000_000)]
    pub below: u64,
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    let job = Job::new("last-digits").shards(options.shards);
    last_digits(&job, options.below).sink(Stdout::csv());
    job.run()?;
    Ok(())
}

/// How many primes below a bound end in each digit.
pub fn last_digits(job: &Job, below: u64) -> Stream<(u64, u64)> {
    job.source(Primes { below }).key_by(|prime| prime % 10).aggregate_final(|primes| primes.count())
}
