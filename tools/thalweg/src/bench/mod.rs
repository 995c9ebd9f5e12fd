//! Measuring the engine.

pub mod checkpoint;
mod input;
pub(crate) mod interrupt;
mod known;
pub mod latency;
pub mod machine;
pub mod nexmark;
mod page;
pub mod progress;
pub mod report;
mod run;
pub mod state;
pub mod stats;
mod suite;
#[cfg(test)]
mod suite_tests;
pub mod sustain;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use thalweg::sys::probe;

use self::input::Recording;
use self::interrupt::Interrupt;
use self::known::KNOWN;
use self::nexmark::{QUERIES, Query};
use self::run::Setup;
use self::suite::{End, Suite};
use crate::args::Nexmark;

/// What the shell says of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the queries of the Nexmark suite and reports what they did. The exit code is 1 if one of
/// them failed or gave a wrong result, and 130 after Ctrl-C. If that came before there was anything
/// to report, it says so and writes no report.
///
/// # Errors
///
/// What makes it impossible to run any query: an output that cannot be written, an executor that
/// cannot run here, too little memory for the events.
pub fn nexmark(args: &Nexmark) -> anyhow::Result<ExitCode> {
    check_output(args.output.as_deref())?;
    let executor = thalweg::runtime::Executor::from(args.executor)
        .choose()
        .context("try --executor threads, or leave --executor out")?;
    let shards = args.shards.map_or_else(probe::cores, usize::from);
    let setup = Setup { shards, executor, interrupt: Interrupt::on_ctrl_c()? };
    let Some(input) = Recording::make(args.events.get(), args.runs.get(), &setup)? else {
        return Ok(nothing_measured(args));
    };
    let format = args.format();
    let suite = Suite { setup, input, known: KNOWN, runs: args.runs.get() };
    let mut report = suite.report();
    let end = suite.run(&chosen(&args.query), &mut report, |report| {
        args.output.as_ref().map_or(Ok(()), |path| report.write(format, Some(path)))
    })?;
    if report.rows.is_empty() && end == End::Interrupted {
        return Ok(nothing_measured(args));
    }
    report.write(format, args.output.as_deref())?;
    if let Some(path) = &args.output {
        eprintln!("{}; the report is in {}", report.verdict(), path.display());
    }
    let failed = report.failed();
    if !failed.is_empty() {
        eprintln!("thalweg: failed: {}", failed.join(", "));
    }
    Ok(match end {
        End::Interrupted => ExitCode::from(INTERRUPTED),
        End::Complete if failed.is_empty() => ExitCode::SUCCESS,
        End::Complete => ExitCode::FAILURE,
    })
}

/// Says that Ctrl-C came too early; what was in the file for the report stays.
fn nothing_measured(args: &Nexmark) -> ExitCode {
    let report = if args.output.is_some() { ", and no report is written" } else { "" };
    eprintln!("thalweg: interrupted before a query had ended a run: nothing was measured{report}");
    ExitCode::from(INTERRUPTED)
}

/// Prints on which machine something was measured.
fn print_machine() {
    for (name, value) in machine::Machine::here().lines() {
        println!("{name:<9} {value}");
    }
}

/// These queries in the order of the suite, all where none is named.
fn chosen(names: &[String]) -> Vec<Query> {
    let wanted =
        |query: &&Query| names.is_empty() || names.iter().any(|name| name.as_str() == query.name);
    QUERIES.iter().filter(wanted).copied().collect()
}

/// A file that cannot be written is better known before the runs than after them. What is in it
/// stays until there is something to replace it, and where there is none yet none is left: an
/// empty one would look like a report if the program is ended before it has any.
fn check_output(path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let made = match File::create_new(path) {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).create(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    };
    made.with_context(|| format!("cannot write the report to {}", path.display()))
}
