//! The program `thalweg`.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use nix::sys::signal::Signal;
use thalweg_cli::args::{Args, Command, Suite};
use thalweg_cli::{bench, doctor, inspect, log, record, replay, simulate};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("thalweg: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets a file that may not grow (`ulimit -f`) be an error of who writes it, as a full disk is, and
/// not the end of the process. A handler does, and is not handed on to other programs.
fn outlive_large_files() -> io::Result<()> {
    let signal = Signal::SIGXFSZ as i32;
    signal_hook::flag::register(signal, Arc::default()).map(drop)
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    outlive_large_files().context("cannot take over SIGXFSZ")?;
    match args.command {
        Command::Bench(Suite::Nexmark(args)) => bench::nexmark(&args),
        Command::Bench(Suite::State(args)) => bench::state::run(&args),
        Command::Bench(Suite::Checkpoint(args)) => bench::checkpoint::run(&args),
        Command::Bench(Suite::Latency(args)) => bench::latency::run(&args),
        Command::Bench(Suite::Sustain(args)) => bench::sustain::run(&args),
        Command::Cat(args) => log::cat(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Head(args) => log::head(&args),
        Command::Index(args) => log::index(&args),
        Command::Info(args) => log::info(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Verify(args) => log::verify(&args),
    }
}
