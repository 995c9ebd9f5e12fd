//! State directories of older versions of the engine, which every later one must take up.
//!
//! `THALWEG_GOLDEN=state-v3 cargo test --test golden -- --nocapture` adds the directory of a new
//! version to `tests/data`, `THALWEG_GOLDEN=process-v3` that of process functions.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use thalweg::connector::Collected;
use thalweg::prelude::*;
use thalweg::runtime::{Compression, StateDirectory};

const END: u64 = 100_000;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

type Row = (String, u64, u64);

/// Totals of numbers by text keys, in a table and in lists: what each gives comes at the end, so
/// that it does not depend on where the checkpoint was made.
fn job(shards: usize, state: &Path, per_second: f64) -> (Job, Collected<Row>, Collected<u64>) {
    let job = Job::new("golden").shards(shards).checkpoints(state, 1.days());
    let (sink, rows) = Collect::new();
    let numbers = job.source(Counter::to(END).rate(per_second).splits(2));
    numbers
        .clone()
        .key_by(|n| format!("key {}", n % 300))
        .aggregate_final(|ns| (ns.count(), ns.max(|n| n)))
        .map(|(key, (count, max))| (key.to_owned(), count, max))
        .sink(sink);
    let (sink, joined) = Collect::new();
    let few = numbers.clone().filter(|n| n % 1000 == 0);
    few.clone().key_by(|n| n / 2000).join(few.key_by(|n| n / 2000)).inner(|l, r| l + r).sink(sink);
    numbers
        .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
        .key_by(|n| n % 100)
        .window(Tumbling::of(100.days()))
        .aggregate(|ns| ns.sum(|n| n))
        .sink(Discard);
    (job, rows, joined)
}

/// Counts of numbers by text keys in a process function, told by a timer that is due at the end.
/// The one that is set first is cancelled, and some keys are cleared again and again.
fn process(shards: usize, state: &Path, per_second: f64) -> (Job, Collected<(String, u64)>) {
    let job = Job::new("golden").shards(shards).checkpoints(state, 1.days());
    let (sink, rows) = Collect::new();
    job.source(Counter::to(END).rate(per_second).splits(2))
        .key_by(|n| format!("key {}", n % 300))
        .process::<u64, (String, u64)>(
            |count, n, ctx| {
                *count += 1;
                match (*count, n % 300 < 10) {
                    (1, _) => ctx.timer_at(Timestamp::from_millis(1)),
                    (100, true) => ctx.clear(),
                    (150, _) => {
                        ctx.cancel_timers();
                        ctx.timer_at(Timestamp::from_millis(2));
                    }
                    _ => {}
                }
            },
            |count, _, ctx| ctx.emit((ctx.key(), *count)),
        )
        .sink(sink);
    (job, rows)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Makes the directory of a new version.
fn write(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let of_process = name.starts_with("process");
    let job = match of_process {
        true => process(2, directory.path(), 30_000.0).0,
        false => job(2, directory.path(), 30_000.0).0,
    };
    let lz4 = name.ends_with("lz4");
    let job = job.compress_checkpoints(if lz4 { Compression::Lz4 } else { Compression::None });
    let running = job.start().unwrap();
    for part in 1..4 {
        while running.metrics().records_read() < part * END / 5 {
            assert!(!running.wait_for(1.millis()), "it has ended");
        }
        running.checkpoint().unwrap();
    }
    running.stop();
    running.join().unwrap();
    let to = data().join(name);
    fs::create_dir(&to).unwrap();
    copy(directory.path(), &to);
}

/// The directories whose names begin so, each of which is whole.
fn versions(of: &str) -> Vec<PathBuf> {
    if let Some(name) = std::env::var("THALWEG_GOLDEN").ok().filter(|name| name.starts_with(of)) {
        write(&name);
    }
    let versions: Vec<PathBuf> = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(of))
        .collect();
    assert!(!versions.is_empty());
    for version in &versions {
        let kept = StateDirectory::read(version).unwrap();
        assert!(kept.checkpoints.iter().all(|checkpoint| checkpoint.damage.is_none()));
    }
    versions
}

#[test]
fn process_functions_of_older_versions_are_taken_up() {
    for version in versions("process-v") {
        for shards in [2, 3] {
            let directory = tempfile::tempdir().unwrap();
            copy(&version, directory.path());
            let (job, rows) = process(shards, directory.path(), 1e9);
            let report = job.run().unwrap();
            assert!(report.records_read() < END * 4 / 5, "{version:?}: it began anew");
            let row = |key: u64| {
                let cleared = if key < 10 { 300 } else { 0 };
                (format!("key {key}"), count(key) - cleared)
            };
            let mut expected: Vec<_> = (0..300).map(row).collect();
            expected.sort_unstable();
            assert_eq!(rows.sorted(), expected, "{version:?} on {shards} shards");
        }
    }
}

#[test]
fn directories_of_older_versions_are_taken_up() {
    for version in versions("state-v") {
        for shards in [2, 3] {
            let directory = tempfile::tempdir().unwrap();
            copy(&version, directory.path());
            let (job, rows, joined) = job(shards, directory.path(), 1e9);
            let report = job.run().unwrap();
            assert!(report.records_read() < END * 4 / 5, "{version:?}: it began anew");
            let key =
                |key: u64| (format!("key {key}"), count(key), END - 1 - (END - 1 - key) % 300);
            let mut expected: Vec<Row> = (0..300).map(key).collect();
            expected.sort_unstable();
            assert_eq!(rows.sorted(), expected, "{version:?} on {shards} shards");
            // Pairs of which both came before the checkpoint were given then.
            assert!(joined.sorted().len() >= 10, "{version:?} on {shards} shards");
        }
    }
}

/// How many numbers have this remainder.
fn count(key: u64) -> u64 {
    (0..END).filter(|n| n % 300 == key).count() as u64
}
