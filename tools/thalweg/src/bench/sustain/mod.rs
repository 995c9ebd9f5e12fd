//! `thalweg bench sustain`: the highest rate at which the 99th percentile of a job's latency stays
//! under a bound for a given time, and the job does not fall behind.

mod search;

use std::process::ExitCode;

use serde::Serialize;

use self::search::Search;
use super::INTERRUPTED;
use super::latency::{Plan, Round, Row, facts, readable_ns, saturation, setup, write_out};
use super::machine::Machine;
use super::report::readable_rate;
use crate::args::{self, Shape};

/// Why a rate was not sustained.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Failure {
    /// The records that were due and not read became ever more.
    Backlog,
    /// Latency was above the bound.
    Latency,
    /// No result was due in the measured time.
    NoResults,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Run {
    #[serde(flatten)]
    row: Row,
    /// Why it failed; nothing if it did not.
    failure: Option<Failure>,
}

impl Run {
    fn of(row: Row, bound_ns: u64) -> Self {
        let failure = match &row {
            row if row.fell_behind => Some(Failure::Backlog),
            row if row.latency.count == 0 => Some(Failure::NoResults),
            row if row.latency.p99_ns > bound_ns => Some(Failure::Latency),
            _ => None,
        };
        Self { row, failure }
    }

    fn line(&self) -> String {
        let Self { row, failure } = self;
        let why = match failure {
            None => "sustained".to_owned(),
            Some(Failure::Backlog) => {
                format!("not sustained: the backlog grew, to {}", readable_ns(row.lag_ns_max))
            }
            Some(Failure::Latency) => "not sustained: latency above the bound".to_owned(),
            Some(Failure::NoResults) => {
                "not sustained: no result was due; give it longer by --for".to_owned()
            }
        };
        format!("{}, {why}", row.line())
    }
}

/// All that was found out.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    shards: usize,
    executor: String,
    idle: String,
    speed: String,
    job: &'static str,
    title: &'static str,
    p99_ns_max: u64,
    measured_s: f64,
    saturation: f64,
    /// The highest rate that was sustained, records a second.
    sustained: Option<f64>,
    /// Whether the search came to its end.
    complete: bool,
    runs: Vec<Run>,
}

/// Searches and prints what was found. The exit code is 1 when no rate is sustained, and 130 after
/// Ctrl-C, with the runs so far.
///
/// # Errors
/// What makes it impossible to measure: an executor that can't run here, a job that fails.
pub fn run(args: &args::Sustain) -> anyhow::Result<ExitCode> {
    let setup = setup(&args.driven)?;
    let round = Round::make(setup.shards);
    let plan = Plan {
        setup,
        idle: args.driven.idle.into(),
        work: args.query,
        speed: args.driven.speed,
        warmup: args.driven.warmup,
        measured: args.measured,
        raw: false,
    };
    let Some(most) = saturation(&plan, &round)? else {
        eprintln!("thalweg: interrupted before a rate was measured");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let (mut search, mut runs) = (Search::from(most), Vec::new());
    let bound_ns = args.p99.as_nanos() as u64;
    while let Some(rate) = search.next() {
        let Some(trial) = plan.run(rate.round(), &round)? else { break };
        let run = Run::of(Row::of(rate.round(), &trial, None), bound_ns);
        eprintln!("{} {}", args.query.name, run.line());
        search.tell(run.failure.is_none());
        runs.push(run);
    }
    let report = Report {
        machine: Machine::here(),
        shards: plan.setup.shards,
        executor: plan.setup.executor.to_string(),
        idle: args.driven.idle.to_string(),
        speed: plan.speed.to_string(),
        job: args.query.name,
        title: args.query.title,
        p99_ns_max: bound_ns,
        measured_s: args.measured.as_secs_f64(),
        saturation: most,
        sustained: search.found().map(f64::round),
        complete: search.next().is_none(),
        runs,
    };
    report.print(args.format)?;
    Ok(match report.sustained {
        _ if !report.complete => ExitCode::from(INTERRUPTED),
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

impl Report {
    fn print(&self, shape: Shape) -> anyhow::Result<()> {
        write_out(&match shape {
            Shape::Table => self.text(),
            Shape::Json => serde_json::to_string_pretty(self)? + "\n",
        })
    }

    fn text(&self) -> String {
        let mut text = facts(&self.machine, self.shards, &self.executor, &self.idle);
        text += &format!("job: {} {}\n", self.job, self.title);
        text += &format!("saturated at: {} records/s\n", readable_rate(self.saturation));
        for run in &self.runs {
            text += &format!("{}\n", run.line());
        }
        let (bound, time) = (readable_ns(self.p99_ns_max), self.measured_s);
        let rule = format!("p99 under {bound} for {time} s");
        let so_far = if self.complete { "" } else { ", as far as the search came" };
        text + &match self.sustained {
            Some(rate) => format!("sustained: {} records/s, {rule}{so_far}\n", readable_rate(rate)),
            None => format!("sustained: no rate, {rule}{so_far}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::Percentiles;
    use super::*;

    #[test]
    fn a_run_says_why_it_failed() {
        let row = |fell_behind, count, p99_ns| Row {
            rate: 1_000.0,
            latency: Percentiles { count, p99_ns, ..Percentiles::default() },
            lag_ns_max: 3_000_000,
            fell_behind,
            median_trips: None,
        };
        let failure = |row| Run::of(row, 10).failure;
        assert_eq!(failure(row(false, 5, 10)), None);
        assert_eq!(failure(row(false, 5, 11)), Some(Failure::Latency));
        assert_eq!(failure(row(true, 5, 10)), Some(Failure::Backlog));
        assert_eq!(failure(row(false, 0, 0)), Some(Failure::NoResults));
        let line = Run::of(row(true, 5, 10), 10).line();
        assert!(line.ends_with("the backlog grew, to 3.00 ms"), "{line}");
    }
}
