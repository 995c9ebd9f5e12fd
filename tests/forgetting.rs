//! Keys that are forgotten some event time after their newest record.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use thalweg::prelude::*;
use thalweg::runtime::StateDirectory;
use thalweg::testing::Verify;

/// Key, milliseconds, value.
type Event = (u64, u64, u64);

/// Milliseconds that records may come after newer ones.
const DISORDER: u64 = 20;
/// Milliseconds that a key is remembered for.
const TTL: u64 = 60;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

fn events() -> Vec<Event> {
    (0..4_000_u64).map(|n| (n * n % 61, n + n * 7919 % DISORDER, n)).collect()
}

fn sums(events: Stream<Event>) -> Stream<Event> {
    events
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, _, _)| key)
        .process_within::<u64, Event>(TTL.millis(), |sum, (key, ms, value), ctx| {
            *sum += value;
            ctx.emit((key, ms, *sum));
        })
}

/// The same by plain loops; how often something was forgotten.
fn naive() -> (Vec<Event>, usize) {
    let mut known: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut forgotten = 0;
    let row = |(key, ms, value)| {
        let (sum, until) = known.entry(key).or_insert((0, ms + TTL));
        if *until <= ms {
            (*sum, forgotten) = (0, forgotten + 1);
        }
        (*sum, *until) = (*sum + value, (ms + TTL).max(*until));
        (key, ms, *sum)
    };
    let mut rows: Vec<Event> = events().into_iter().map(row).collect();
    rows.sort_unstable();
    (rows, forgotten)
}

#[test]
fn what_is_forgotten_depends_on_the_records_alone() {
    let mut rows = Verify::of(events()).splits(1).run(sums);
    rows.sort_unstable();
    let (expected, forgotten) = naive();
    assert!(forgotten > 50, "{forgotten} times");
    assert!(rows == expected);
}

#[test]
fn what_is_forgotten_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("forgetting").shards(2).checkpoints(directory.path(), 1.days());
    // Each key comes once.
    let events = job.source(Counter::to(u64::MAX).rate(1e5)).map(|n| (n, n, n)).settle();
    sums(events).sink(Discard);
    let running = job.start().unwrap();
    while running.metrics().records_read() < 50_000 {
        assert!(!running.wait_for(1.millis()));
    }
    running.stop();
    running.join().unwrap();
    let kept = StateDirectory::read(directory.path()).unwrap();
    let parts = kept.checkpoints[0].parts.iter().filter(|part| part.operator.contains("process"));
    for part in parts.filter(|part| ["keys", "lives", "timers"].contains(&part.part.as_str())) {
        assert!((1..20_000).contains(&part.records), "{part:?}");
    }
}

#[test]
fn late_records_are_counted_and_a_time_of_nothing_is_refused() {
    for shards in [1, 2] {
        let job = Job::new("late").shards(shards);
        let (sink, rows) = Collect::new();
        let events = [(1, 0, 1), (1, 1_000, 2), (1, 5, 4), (1, 1_001, 8)];
        sums(job.source(Memory::of(events).splits(1))).sink(sink);
        let report = job.run().unwrap();
        assert_eq!(report.operators.iter().map(|operator| operator.late).sum::<u64>(), 1);
        assert_eq!(rows.sorted(), [(1, 0, 1), (1, 1_000, 2), (1, 1_001, 10)]);
    }
    let job = Job::new("nothing");
    let timed = job.source(Memory::of([1_u64])).event_time(|_| at(0), 0.seconds());
    let keyed = timed.key_by(|n| n);
    keyed.process_within::<u64, u64>(0.seconds(), |_, _, _| ()).sink(Discard);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("time that a key is remembered for"), "{error}");
}
