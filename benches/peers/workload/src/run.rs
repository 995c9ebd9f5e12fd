//! What every engine's program takes and prints: the command line and the JSON line.

use crate::digest::Digest;
use crate::input::input_mib;
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The command line of an engine's program.
#[derive(Clone, Debug, Parser)]
#[command(about = "Runs one query once and prints one JSON line")]
pub struct Args {
    /// The query: q0-q5, q7 or q8
    #[arg(long, default_value = "q0")]
    pub query: String,
    /// Workers (threads)
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    pub workers: usize,
    /// Events of input
    #[arg(long, default_value = "10000000")]
    pub events: usize,
    /// Folder that keeps the generated input between runs (nothing is kept without it)
    #[arg(long)]
    pub cache: Option<PathBuf>,
    /// Events per batch, where the engine has batches
    #[arg(long)]
    pub batch: Option<usize>,
    /// Another plan for the same query, where the engine has one
    #[arg(long)]
    pub variant: Option<String>,
    /// What drives the workers, where the engine has a choice: threads or glommio
    #[arg(long)]
    pub executor: Option<String>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

impl Args {
    /// The arguments of this process; ends it with a message when they are wrong.
    pub fn parse() -> Args {
        <Args as Parser>::parse()
    }

    /// Name of query and variant together, as in `q5-raw`.
    pub fn name(&self) -> String {
        match &self.variant {
            Some(v) => format!("{}-{v}", self.query),
            None => self.query.clone(),
        }
    }
}

/// The JSON line: one run of one query on one engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The engine.
    pub engine: String,
    /// The query, with its variant.
    pub query: String,
    /// Workers.
    pub workers: usize,
    /// Events of input.
    pub events: usize,
    /// Wall time from the start of the workers to the last row, in seconds.
    pub seconds: f64,
    /// Events of input per second.
    pub events_per_s: f64,
    /// Peak resident memory of the process in MiB, the input included.
    pub peak_rss_mib: u64,
    /// Memory of the input in MiB.
    pub input_mib: u64,
    /// Rows of the result.
    pub rows: u64,
    /// Digest of the rows, 16 hexadecimal digits.
    pub digest: String,
}

/// Peak resident memory of this process in MiB; 0 where the system does not tell.
pub fn peak_rss_mib() -> u64 {
    let kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |u| u.max_rss());
    u64::try_from(kib).unwrap_or(0) / 1024
}

/// Prints the JSON line of a run.
///
/// # Panics
///
/// When standard output is closed.
pub fn report(engine: &str, args: &Args, seconds: f64, digest: Digest) {
    let line = Measurement {
        engine: engine.into(),
        query: args.name(),
        workers: args.workers,
        events: args.events,
        seconds,
        events_per_s: (args.events as f64 / seconds).round(),
        peak_rss_mib: peak_rss_mib(),
        input_mib: input_mib(args.events),
        rows: digest.rows,
        digest: format!("{:016x}", digest.hash),
    };
    println!("{}", serde_json::to_string(&line).expect("a measurement has only finite numbers"));
}
