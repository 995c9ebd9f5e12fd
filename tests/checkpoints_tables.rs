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
use chains::{Gated, file, files, wait_for};

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

/// The sums as they grow, and how many numbers there are at the end.
type Given = (Collected<Row>, Collected<(u64, u64)>);

/// Sums by key, of text in one job and of numbers in the other, and the numbers of all keys.
fn job(shards: usize, state: &Path, text: bool, numbers: Gated) -> (Job, Given) {
    let job = Job::new("sums").shards(shards).checkpoints(state, 1.days());
    // What is written one way is taken up by runs that write the other way.
    let odd = !shards.is_multiple_of(2);
    let job = job.compress_checkpoints(if odd { Compression::Lz4 } else { Compression::None });
    // A folder that is made.
    let job = job.state_in(state.parent().unwrap().join("made/for it"));
    // All text that is not in use goes to the disk in some runs, and no table of numbers is small.
    let job = if !text || odd { job.state_memory(0) } else { job };
    let (sink, rows) = Collect::new();
    let (last, totals) = Collect::new();
    let numbers = job.source(numbers.splits(1));
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
    (job, (rows, totals))
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
    let gate = Gated::to(END, 0);
    let (mut all, mut longest) = (Vec::new(), 0);
    for shards in [2, 3, 3, 1] {
        let (job, (rows, totals)) = job(shards, &state, text, gate.clone());
        let running = job.start().unwrap();
        gate.pass(&running, if all.is_empty() { FILL + 1_000 } else { 1_000 });
        for _ in 0..4 {
            running.checkpoint().unwrap();
            gate.pass(&running, 5_000);
        }
        longest = longest.max(files(&state) / shards);
        running.stop();
        running.join().unwrap();
        all.extend(rows.sorted());
        assert!(totals.sorted().is_empty(), "it has not come to its end");
    }
    assert!(longest >= 4, "{longest} files of a shard: what has changed was not kept by itself");
    gate.open(END);
    let (job, (rows, totals)) = job(4, &state, text, gate);
    job.run().unwrap();
    all.extend(rows.sorted());
    all.sort_unstable();
    let expected = naive();
    assert_eq!(all.len(), expected.len());
    assert!(all == expected, "the sums are not those of the job that was never stopped");
    assert_eq!(totals.sorted(), (0..5).map(|key| (key, END / 5)).collect::<Vec<_>>());
}

/// Rows of a small table, of which those behind [`FILL`] change what few keys have.
const ROWS: u64 = 150_000;
const LOOKUPS: u64 = 20_000;

fn text(key: u64) -> String {
    format!("a key of some length: {key}")
}

/// The key that a number looks up, for which there may be no row.
fn wanted(n: u64) -> u64 {
    n * 31 % (2 * FILL)
}

/// Numbers, each with the newest row of its key.
type Found = Vec<(u64, u64)>;

fn lookups(shards: usize, state: &Path, of: [Gated; 2]) -> (Job, Collected<(u64, u64)>) {
    let job = Job::new("lookups").shards(shards).checkpoints(state, 1.days());
    let odd = !shards.is_multiple_of(2);
    let job = job.compress_checkpoints(if odd { Compression::Lz4 } else { Compression::None });
    let job = if odd { job.state_in(state.parent().unwrap()).state_memory(0) } else { job };
    let [rows, numbers] = of.map(|gate| gate.splits(1));
    let rows = job.source(rows).event_time(|n| Timestamp::from_millis(n as i64), 0.seconds());
    let rows = rows.map(|n| (text(key_of(n)), n));
    let (sink, found) = Collect::new();
    job.source(numbers)
        .join_table(
            rows,
            |n| text(wanted(n)),
            |(key, _)| key.to_owned(),
            |n, row| (n, row.map_or(u64::MAX, |(_, newest)| newest)),
        )
        .sink(sink);
    (job, found)
}

/// Makes checkpoints while so many more numbers come each time, and stops; says how long the last
/// file of the first shard is, in per cent of the first one.
fn stopped(running: Running, state: &Path, gate: &Gated) -> u64 {
    let saved = [(); 5].map(|()| {
        gate.open(3_000);
        let epoch = running.checkpoint().unwrap();
        std::fs::metadata(file(state, epoch, 0)).unwrap().len()
    });
    running.stop();
    running.join().unwrap();
    saved[4] * 100 / saved[0]
}

#[test]
fn a_small_table_that_every_shard_has() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (rows, numbers) = (Gated::to(ROWS, FILL), Gated::to(LOOKUPS, 1_000));
    for (shards, first) in [(2, FILL), (3, 0), (1, 0)] {
        let (job, found) = lookups(shards, &state, [rows.clone(), numbers.clone()]);
        let running = job.start().unwrap();
        wait_for(&running, first);
        let ratio = stopped(running, &state, &rows);
        assert!(found.take().is_empty(), "the table was whole too soon");
        assert!(ratio < 50, "{ratio} %: all of the table was saved, on {shards} shards");
    }
    rows.open(ROWS);
    let (job, found) = lookups(4, &state, [rows.clone(), numbers.clone()]);
    let (running, mut all) = (job.start().unwrap(), Found::new());
    while all.is_empty() {
        assert!(!running.wait_for(1.millis()), "it has ended");
        all = found.take();
    }
    let ratio = stopped(running, &state, &numbers);
    assert!(ratio < 5, "{ratio} %: a table that is whole was saved again");
    all.extend(found.take());
    numbers.open(LOOKUPS);
    let (job, found) = lookups(3, &state, [rows, numbers]);
    job.run().unwrap();
    all.extend(found.take());
    all.sort_unstable();
    let newest: HashMap<u64, u64> = (0..ROWS).map(|n| (key_of(n), n)).collect();
    let row = |n| (n, newest.get(&wanted(n)).copied().unwrap_or(u64::MAX));
    assert!(all == (0..LOOKUPS).map(row).collect::<Found>(), "other rows were found");
}

#[test]
fn numbers_in_a_file() {
    runs(false);
}

#[test]
fn text_in_memory() {
    runs(true);
}
