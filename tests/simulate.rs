//! Whole jobs on machines that go wrong: the right rows under every seed, and the same run each
//! time under one.
#![allow(clippy::unwrap_used)]

use thalweg::testing::{JOBS, Survived};

/// Seeds of each job; more are run by `thalweg simulate`.
const SEEDS: u64 = 40;

fn run(seeds: std::ops::Range<u64>) -> Survived {
    let all = seeds.flat_map(|seed| JOBS.iter().map(move |job| job.run(seed)));
    all.sum::<thalweg::prelude::Result<Survived>>().unwrap()
}

#[test]
fn all_jobs_survive() {
    let survived = run(0..SEEDS);
    println!("{survived}");
    assert_eq!(survived.runs, SEEDS * JOBS.len() as u64);
    // What does not happen proves nothing.
    let Survived { crashes, kills, checkpoints, pages_lost, pages_torn, names_lost, .. } = survived;
    let Survived { restarts_within, operators_failed, .. } = survived;
    let happened = [crashes, kills, checkpoints, pages_lost, pages_torn, names_lost];
    let mut happened = happened.into_iter().chain([restarts_within, operators_failed]);
    assert!(happened.all(|count| count > 100), "{survived}");
    let Survived { disks_full, syncs_failed, reads_failed, clocks_set, .. } = survived;
    let happened = [disks_full, syncs_failed, reads_failed, clocks_set];
    assert!(happened.iter().all(|count| *count > 10), "{survived}");
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(run(1000..1003), run(1000..1003));
}
