//! `thalweg simulate`: jobs on made-up machines that go wrong.

use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use thalweg::prelude::Result;
use thalweg::sys::{at_once, probe};
use thalweg::testing::{JOBS, SimulatedJob, Survived};

use crate::args;

/// Runs the jobs under all seeds, on all cores, and prints what they have been through. The exit
/// code is 1 when one of them gave other rows than it should.
///
/// # Errors
///
/// None so far.
pub fn run(args: &args::Simulate) -> anyhow::Result<ExitCode> {
    let wanted =
        |job: &&SimulatedJob| args.job.is_empty() || args.job.iter().any(|n| n == job.name);
    let jobs: Vec<&SimulatedJob> = JOBS.iter().filter(wanted).collect();
    let (begin, end) = (args.from, args.from.saturating_add(args.seeds.get()));
    let bar = ProgressBar::new((end - begin) * jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos} of {len} runs, {per_sec}, {eta}")?);
    let shards: Vec<usize> = args.shards.iter().map(|shards| usize::from(*shards)).collect();
    let (next, started) = (AtomicU64::new(begin), Instant::now());
    let results = at_once(0..probe::cores(), |_| work(&jobs, &shards, &next, end, &bar));
    bar.finish_and_clear();
    let mut all = Survived::default();
    for result in results {
        match result {
            Ok(survived) => all += survived,
            Err((job, seed, error)) => {
                eprintln!(
                    "thalweg: {error}\nrepeat it by: simulate --job {job} --from {seed} --seeds 1 \
                     --shards {}",
                    shards.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
                );
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    println!(
        "{all}\nseeds {begin} to {} of {} jobs in {:.1?}",
        end - 1,
        jobs.len(),
        started.elapsed()
    );
    Ok(ExitCode::SUCCESS)
}

type Failure = (&'static str, u64, thalweg::prelude::Error);

/// Takes one seed after the other until there is none left, or another thread has failed.
fn work(
    jobs: &[&SimulatedJob],
    shards: &[usize],
    next: &AtomicU64,
    end: u64,
    bar: &ProgressBar,
) -> Result<Survived, Failure> {
    let mut all = Survived::default();
    loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= end {
            return Ok(all);
        }
        for job in jobs {
            all += job.run_on(shards, seed).map_err(|error| {
                next.store(end, Relaxed);
                (job.name, seed, error)
            })?;
            bar.inc(1);
        }
    }
}
