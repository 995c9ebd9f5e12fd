//! `thalweg bench latency`: how long after the time at which it was meant to come a record's result
//! leaves the last operator, over a ladder of rates.
//!
//! ```text
//! schedule ──▶ load ──▶ the job ──▶ recorder ──▶ row, knee ──▶ report
//!  due(i)      a source  (jobs)      histogram                  files: raw times, HdrHistogram
//! ```

mod files;
mod floor;
mod jobs;
mod knee;
mod live;
mod load;
mod recorder;
mod report;
mod row;
mod schedule;
mod trial;
#[cfg(test)]
mod trial_tests;

pub use floor::Floor;
pub use jobs::{WORKS, Work};
pub use live::{Live, Round};
pub use recorder::Recorder;
pub use report::{JobReport, Report, facts, write_out};
pub use row::{Percentiles, Row, readable_ns};
pub use schedule::{Due, Schedule, Speed};
pub use trial::{Plan, Trial};

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use thalweg::sys::probe;

use self::files::{Files, Label};
use super::INTERRUPTED;
use super::interrupt::Interrupt;
use super::machine::Machine;
use super::report::readable_rate;
use super::run::Setup;
use crate::args::{self, Driven};

/// The ladder, as shares of saturation: twice as much each time, and half as much again at the top.
const LADDER: [f64; 8] =
    [1.0 / 64.0, 1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 3.0 / 4.0, 1.0];

/// How long saturation is measured: at least so that there are some looks at the job, and at most.
const SATURATION: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(3)];

/// What runs jobs, as it was asked for.
///
/// # Errors
/// When that can't be had here.
pub fn setup(driven: &Driven) -> anyhow::Result<Setup> {
    let executor = thalweg::runtime::Executor::from(driven.executor)
        .choose()
        .context("try --executor threads, or leave --executor out")?;
    let shards = driven.shards.map_or_else(probe::cores, usize::from);
    Ok(Setup { shards, executor, interrupt: Interrupt::on_ctrl_c()? })
}

/// Measures jobs and prints what was found. The exit code is 130 after Ctrl-C, with the rows so
/// far.
///
/// # Errors
/// What makes it impossible to measure: a file that can't be written, an executor that can't run
/// here, a job that fails.
pub fn run(args: &args::Latency) -> anyhow::Result<ExitCode> {
    let mut files = Files::make(args.hlog.as_deref(), args.raw.as_deref())?;
    let setup = setup(&args.driven)?;
    let floor = Floor::measure(setup.shards, args.floor)?;
    let mut report = Report {
        machine: Machine::here(),
        shards: setup.shards,
        executor: setup.executor.to_string(),
        idle: args.driven.idle.to_string(),
        speed: args.driven.speed.to_string(),
        measured_s: args.measured.as_secs_f64(),
        floor,
        jobs: Vec::new(),
    };
    let round = Round::make(setup.shards);
    for work in args.works() {
        let plan = Plan {
            setup: setup.clone(),
            idle: args.driven.idle.into(),
            work,
            speed: args.driven.speed,
            warmup: args.driven.warmup,
            measured: args.measured,
            raw: files.wants_raw(),
        };
        measure(&plan, &round, args, &mut files, &mut report)?;
        if setup.interrupt.came() {
            break;
        }
    }
    report.jobs.retain(|job| !job.rows.is_empty());
    if report.jobs.is_empty() {
        eprintln!("thalweg: interrupted before a rate was measured");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    report.print(args.format)?;
    let interrupted = setup.interrupt.came();
    Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Measures one job at all its rates, until Ctrl-C.
fn measure(
    plan: &Plan,
    round: &Round,
    args: &args::Latency,
    files: &mut Files,
    report: &mut Report,
) -> anyhow::Result<()> {
    let work = plan.work;
    let mut job = JobReport {
        job: work.name.to_owned(),
        title: work.title.to_owned(),
        saturation: None,
        rows: Vec::new(),
        knee: String::new(),
    };
    let mut rates: Vec<f64> = args.rate.iter().map(|rate| rate.get() as f64).collect();
    if rates.is_empty() {
        let most = saturation(plan, round)?;
        let Some(most) = most else { return Ok(()) };
        job.saturation = Some(most);
        rates = LADDER.iter().map(|share| (most * share).max(1.0).round()).collect();
    }
    rates.sort_by(f64::total_cmp);
    for rate in rates {
        let Some(trial) = plan.run(rate, round)? else { break };
        files.add(Label { job: work.name, rate, measured: plan.measured }, &trial.results)?;
        let row = Row::of(rate, &trial, report.floor.round_trip_ns);
        eprintln!("{} {}", work.name, row.line());
        job.rows.push(row);
    }
    job.name_knee();
    report.jobs.push(job);
    Ok(())
}

/// How many records a second a job takes, told on standard error. `None` if it was interrupted.
///
/// # Errors
/// When the job fails.
pub fn saturation(plan: &Plan, round: &Round) -> anyhow::Result<Option<f64>> {
    let [least, most] = SATURATION;
    let measured = plan.measured.clamp(least, most);
    let most = Plan { measured, ..plan.clone() }.saturation(round)?;
    if let Some(most) = most {
        eprintln!("{} saturated at {} records/s", plan.work.name, readable_rate(most));
    }
    Ok(most)
}
