//! One job after the other in one process leaves nothing open.
#![allow(clippy::unwrap_used)]

use std::fs;

use thalweg::prelude::*;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn run(executor: Executor) {
    let job = Job::new("small").shards(2).executor(executor);
    let (sink, rows) = Collect::new();
    job.source(Counter::to(1_000)).key_by(|n| n % 3).aggregate_final(|ns| ns.count()).sink(sink);
    job.run().unwrap();
    assert_eq!(rows.sorted().len(), 3);
}

#[test]
fn jobs_leave_nothing_open() {
    // At once, each with threads of its own.
    let many = || (0..10).for_each(|_| run(Executor::Auto));
    let jobs: Vec<_> = (0..8).map(|_| std::thread::spawn(many)).collect();
    jobs.into_iter().for_each(|job| job.join().unwrap());
    // One after the other.
    for executor in [Executor::Threads, Executor::Auto] {
        run(executor);
        let before = open_files();
        (0..100).for_each(|_| run(executor));
        assert!(open_files() < before + 20, "{before} files were open, and {}", open_files());
    }
}
