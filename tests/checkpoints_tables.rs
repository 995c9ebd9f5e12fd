//! Tables of which a checkpoint keeps only what has changed: a job that goes on from a chain of
//! such files, on other shards, is the job that was never stopped.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use thalweg::connector::Collected;
use thalweg::prelude::*;
use thalweg::record::Key;
use thalweg::runtime::Compression;

#[path = "support/chains.rs"]
mod chains;
use chains::{files, wait_for};

/// Numbers that have a key of their own; those behind them share few.
const FILL: u64 = 60_000;
const END: u64 = 1_000_000;

fn key_of(n: u64) -> u64 {
    if n < FILL { n } else { n * 7919 % 101 * 31 }
}

/// Whether a number lets its key be forgotten.
fn forgets(n: u64) -> bool {
    n % 17 == 3
}

/// A key, the sum of its numbers since it was forgotten, how many they are.
type Row = (u64, u64, u64);

fn naive() -> Vec<Row> {
    let mut sums: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut rows = Vec::new();
    for n in 0..END {
        let key = key_of(n);
        let (sum, count) = sums.entry(key).or_default();
        (*sum, *count) = (*sum + n, *count + 1);
        rows.push((key, *sum, *count));
        if forgets(n) {
            sums.remove(&key);
        }
    }
    rows.sort_unstable();
    rows
}

/// Sums by key, of text in one job and of numbers in the other, and the numbers of all keys.
fn job(shards: usize, state: &Path, text: bool) -> (Job, Collected<Row>, Collected<(u64, u64)>) {
    let job = Job::new("sums").shards(shards).checkpoints(state, 1.days());
    // What is written one way is taken up by runs that write the other way.
    let odd = !shards.is_multiple_of(2);
    let job = job.compress_checkpoints(if odd { Compression::Lz4 } else { Compression::None });
    let job = job.state_in(state.parent().unwrap());
    // All text that is not in use goes to the disk in some runs.
    let job = if text && odd { job.state_memory(0) } else { job };
    let (sink, rows) = Collect::new();
    let (last, totals) = Collect::new();
    let numbers = job.source(Counter::to(END).rate(2e5).splits(1));
    numbers.clone().key_by(|n| n % 5).aggregate_final(|ns| ns.count()).sink(last);
    if text {
        let keyed = numbers.key_by(|n| format!("a key of some length: {}", key_of(n)));
        keyed.process_each(add).sink(sink);
    } else {
        let keyed = numbers.key_by(key_of);
        if odd {
            keyed.process_each(add).sink(sink);
        } else {
            // As if it had timers: what one function keeps the other takes up.
            let each = |sum: &mut (u64, u64), n, ctx: &mut Context<'_, u64, Row>| {
                add(sum, n, &mut Moment::of(ctx));
            };
            keyed.process(each, |_, _, _| ()).sink(sink);
        }
    }
    (job, rows, totals)
}

fn add<K: Key>((sum, count): &mut (u64, u64), n: u64, context: &mut Moment<'_, '_, K, Row>) {
    (*sum, *count) = (*sum + n, *count + 1);
    context.emit((key_of(n), *sum, *count));
    if forgets(n) {
        context.clear();
    }
}

fn runs(text: bool) {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (mut all, mut longest) = (Vec::new(), 0);
    for shards in [2, 3, 3, 1] {
        let (job, rows, totals) = job(shards, &state, text);
        let running = job.start().unwrap();
        wait_for(&running, if all.is_empty() { FILL + 1_000 } else { 1_000 });
        for _ in 0..4 {
            running.checkpoint().unwrap();
            let read = running.metrics().records_read();
            wait_for(&running, read + 5_000);
        }
        longest = longest.max(files(&state) / shards);
        running.stop();
        running.join().unwrap();
        all.extend(rows.sorted());
        assert!(totals.sorted().is_empty(), "it has not come to its end");
    }
    assert!(longest >= 4, "{longest} files of a shard: what has changed was not kept by itself");
    let (job, rows, totals) = job(4, &state, text);
    job.run().unwrap();
    all.extend(rows.sorted());
    all.sort_unstable();
    let expected = naive();
    assert_eq!(all.len(), expected.len());
    assert!(all == expected, "the sums are not those of the job that was never stopped");
    assert_eq!(totals.sorted(), (0..5).map(|key| (key, END / 5)).collect::<Vec<_>>());
}

#[test]
fn numbers_in_a_file() {
    runs(false);
}

#[test]
fn text_in_memory() {
    runs(true);
}
