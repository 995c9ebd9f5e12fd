//! Builds every engine, runs each query on each of them in turn, checks that all digests agree and
//! prints the ratios.

mod engine;
mod floor;
mod known;
mod machine;
mod measure;
mod options;
mod results;
mod table;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use measure::Cores;
use options::{Options, Run};
use results::Results;
use std::fs::{self, File};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when every run succeeded and all digests agree.
fn run(options: &Options) -> Result<bool> {
    let cores = Cores::allowed(&options.cores)?;
    let mut engines = engine::present(&options.engines);
    if !options.no_build {
        engine::build(&engines)?;
    }
    engines = engine::built(&engines);
    ensure!(!engines.is_empty(), "none of the engines asked for is here");
    let input = engine::target_dir().join("input");
    eprintln!("input: {} events", options.events());
    workload::prepare(&input, options.events()).context("cannot prepare the input")?;

    let runs = options.runs(&engines);
    let (results, failed) = measure_all(&runs, options, &cores)?;
    finish(&results, failed, options)
}

/// Runs everything, appending each result to `results.jsonl` at once: a later run may fail.
fn measure_all(runs: &[Run], options: &Options, cores: &Cores) -> Result<(Results, usize)> {
    let folder = &options.output;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("results.jsonl");
    let context = || format!("cannot write {}", path.display());
    let mut file = File::create(&path).with_context(context)?;
    let (mut results, mut failed) = (Results::default(), 0);
    for (i, run) in runs.iter().enumerate() {
        let place = format!("[{}/{}] {run}", i + 1, runs.len());
        match measure::once(run, options, cores) {
            Ok(m) => {
                let memory = format!("{} MiB", m.peak_rss_mib);
                eprintln!("{place}: {:.2} M events/s, {memory}", m.events_per_s / 1e6);
                let line = results.add(run, m);
                writeln!(file, "{}", serde_json::to_string(line)?).with_context(context)?;
            }
            Err(error) => {
                failed += 1;
                eprintln!("{place}: failed: {error:#}");
            }
        }
    }
    Ok((results, failed))
}

/// Prints and writes the tables; true when nothing failed and nothing disagrees.
fn finish(results: &Results, failed: usize, options: &Options) -> Result<bool> {
    let path = options.output.join("results.md");
    let markdown = table::markdown(results, &machine::describe(), !options.quick);
    fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", table::terminal(results, !options.quick));
    println!("results: {}", options.output.display());
    let disagreements = results.disagreements();
    for line in &disagreements {
        eprintln!("error: {line}");
    }
    if failed > 0 {
        eprintln!("error: {failed} runs failed, see above");
    }
    Ok(failed == 0 && disagreements.is_empty())
}
