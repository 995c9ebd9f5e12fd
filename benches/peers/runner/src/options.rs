//! The command line, and the runs that it asks for.

use crate::engine::Engine;
use clap::Parser;
use std::fmt;
use std::path::PathBuf;

const QUERIES: &str = "q0,q1,q2,q3,q4,q5,q7,q8";
/// Enough that every query gives rows, in a second or so for each.
const EVENTS_QUICK: usize = 200_000;

/// Measures thalweg next to other engines and to hand-written code
#[derive(Debug, Parser)]
#[command(name = "run")]
pub struct Options {
    /// Repetitions of every run; all engines take turns within each
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,

    /// Events of input
    #[arg(long, default_value = "10000000", value_parser = events)]
    events: usize,

    /// Engines, with commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "thalweg,thalweg-glommio,handwritten,timely,renoir"
    )]
    pub engines: Vec<Engine>,

    /// Queries, with commas; also q5-raw, where every bid crosses the exchange
    #[arg(long, value_delimiter = ',', default_value = QUERIES, value_parser = query)]
    queries: Vec<String>,

    /// Numbers of workers, with commas; each worker gets a core
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = workers)]
    workers: Vec<usize>,

    /// The cores to use, with commas [default: those this process may use]
    #[arg(long, value_delimiter = ',')]
    pub cores: Vec<usize>,

    /// Folder for results.jsonl (one line a run) and results.md (the tables)
    #[arg(long, default_value = "target/results")]
    pub output: PathBuf,

    /// One repetition with 200,000 events: checks that all is well, measures nothing
    #[arg(long, conflicts_with_all = ["reps", "events"])]
    pub quick: bool,

    /// Take the engines as they were built last
    #[arg(long)]
    pub no_build: bool,

    /// Seconds after which a run is stopped and counts as failed
    #[arg(long, default_value = "600")]
    pub timeout_s: u64,
}

/// One run of one query on one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// From 0.
    pub repetition: u32,
    /// Query, with the variant after a dash.
    pub query: String,
    pub workers: usize,
    pub engine: Engine,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W={} {}", self.query, self.workers, self.engine)
    }
}

impl Options {
    pub fn events(&self) -> usize {
        if self.quick { EVENTS_QUICK } else { self.events }
    }

    /// All runs in order. The engines take turns in every repetition, and another one begins each
    /// time: what the machine does meanwhile meets all of them alike.
    pub fn runs(&self, engines: &[Engine]) -> Vec<Run> {
        let mut runs = Vec::new();
        for repetition in 0..if self.quick { 1 } else { self.reps } {
            let mut turn = engines.to_vec();
            turn.rotate_left(repetition as usize % engines.len());
            for query in &self.queries {
                let variant = query.split_once('-').map(|(_, v)| v);
                let able = |e: &&Engine| variant.is_none_or(|v| e.has_variant(v));
                for &workers in &self.workers {
                    runs.extend(turn.iter().filter(able).map(|&engine| Run {
                        repetition,
                        query: query.clone(),
                        workers,
                        engine,
                    }));
                }
            }
        }
        runs
    }
}

fn query(text: &str) -> Result<String, String> {
    if QUERIES.split(',').chain(["q5-raw"]).any(|q| q == text) {
        Ok(text.into())
    } else {
        Err(format!("one of {QUERIES} or q5-raw"))
    }
}

fn events(text: &str) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(n) if (1..=workload::EVENTS_MAX).contains(&n) => Ok(n),
        Ok(_) => Err(format!("from 1 to {}", workload::EVENTS_MAX)),
        Err(e) => Err(format!("{e}")),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_take_turns_and_each_begins_once() {
        let line = "run --reps 2 --queries q0,q5-raw --workers 2";
        let options = Options::parse_from(line.split(' '));
        let runs = options.runs(&[Engine::Renoir, Engine::Timely]);
        let seen: Vec<_> = runs.iter().map(|r| (&*r.query, r.engine)).collect();
        // Renoir has no other plan of q5.
        assert_eq!(
            seen,
            [
                ("q0", Engine::Renoir),
                ("q0", Engine::Timely),
                ("q5-raw", Engine::Timely),
                ("q0", Engine::Timely),
                ("q0", Engine::Renoir),
                ("q5-raw", Engine::Timely),
            ]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in ["--queries q6", "--workers 0", "--events 99000000", "--engines flink"] {
            let line = format!("run {wrong}");
            assert!(Options::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
