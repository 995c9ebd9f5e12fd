//! Windows of which a checkpoint keeps only what has changed: panes that open, close, turn over and
//! go between the files of a chain. A job that goes on from it, on other shards, is the job that
//! was never stopped.
#![allow(clippy::unwrap_used)]

use thalweg::connector::Collected;
use thalweg::prelude::*;

#[path = "support/chains.rs"]
mod chains;
use chains::{Gated, files};

const END: u64 = 300_000;
/// Numbers of a pane, by their event time. Its table takes more pages than are saved at once.
const PANE: u64 = 10_000;

/// Which window it is of, its end, a key, and what there is of it.
type Row = ((u64, i64), (u64, u64));

fn row(which: u64, end: Timestamp, key: u64, value: u64) -> Row {
    ((which, end.micros()), (key, value))
}

/// Windows of all kinds over the same numbers.
fn job(job: &Job, numbers: Gated) -> Collected<Row> {
    let (sink, rows) = Collect::new();
    let numbers = job.source(numbers.splits(1));
    let timed = numbers.event_time(|n| Timestamp::from_micros(n as i64), 0.micros());
    let of = |n: u64| (n * PANE).micros();
    let key = |n: u64| n * 7919 % 3001;
    let by = || timed.clone().key_by(key);
    let tumbling = by().window(Tumbling::of(of(2))).aggregate(|ns| ns.sum(|n| n));
    let sliding = by().window(Sliding::of(of(8), of(1))).aggregate(|ns| ns.sum(|n| n));
    let greatest = by().window(Sliding::of(of(8), of(1))).aggregate(|ns| ns.max(|n| n));
    let cumulating = by().window(Cumulating::of(of(6), of(1))).aggregate(|ns| ns.count());
    let kept = by().window(Tumbling::of(of(1))).allowed_lateness(of(4));
    let kept = kept.aggregate(|ns| ns.max(|n| n));
    let so_far = by().window(Global::trigger(Trigger::every(of(5)))).aggregate(|ns| ns.count());
    let some = |of: u64| timed.clone().filter(move |n| n % 7 == of).key_by(key);
    let joined = some(0).join(some(1)).window(Sliding::of(of(2), of(1)));
    tumbling
        .map(|w| row(0, w.end, w.key, w.value))
        .union(sliding.map(|w| row(1, w.end, w.key, w.value)))
        .union(greatest.map(|w| row(2, w.end, w.key, w.value)))
        .union(cumulating.map(|w| row(3, w.end, w.key, w.value)))
        .union(kept.map(|w| row(4, w.end, w.key, w.value)))
        .union(so_far.map(|w| row(5, w.end, w.key, w.value)))
        .union(joined.inner(|l, r| row(6, Timestamp::MIN, l, r)))
        .sink(sink);
    rows
}

fn runs(shards: [usize; 5], in_file: bool) {
    let whole = Job::new("whole").shards(1);
    let expected = job(&whole, Gated::opened(END));
    whole.run().unwrap();
    let expected = expected.sorted();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let begin = |shards| {
        let job = Job::new("cut").shards(shards).checkpoints(&state, 1.days());
        if in_file { job.state_in(directory.path()).state_memory(0) } else { job }
    };
    let (mut all, mut longest) = (Vec::new(), 0);
    let [cut @ .., last] = shards;
    let gate = Gated::to(END, 0);
    for shards in cut {
        let cut = begin(shards);
        let rows = job(&cut, gate.clone());
        let running = cut.start().unwrap();
        for _ in 0..9 {
            gate.pass(&running, PANE * 3 / 10);
            running.checkpoint().unwrap();
        }
        longest = longest.max(files(&state) / shards);
        running.stop();
        running.join().unwrap();
        all.extend(rows.sorted());
    }
    assert!(longest >= 4, "{longest} files of a shard: what has changed was not kept by itself");
    let cut = begin(last);
    let rows = job(&cut, Gated::opened(END));
    cut.run().unwrap();
    all.extend(rows.sorted());
    all.sort_unstable();
    assert_eq!(all.len(), expected.len());
    for (got, expected) in all.iter().zip(&expected) {
        assert_eq!(got, expected, "the first row that is another one");
    }
}

#[test]
fn on_the_same_shards_and_on_less() {
    runs([2, 2, 2, 1, 1], false);
}

#[test]
fn on_more_shards_in_a_file() {
    runs([1, 2, 3, 3, 4], true);
}
