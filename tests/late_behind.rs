//! What is late is a matter of the records' own split, whatever stands between `event_time` and the
//! operator that asks: the same for every number of shards and however the records are cut.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use thalweg::operator::Chain;
use thalweg::prelude::*;
use thalweg::testing::{Cuts, Scheduled};

/// Times in milliseconds that are up to 60 ms out of order, where 5 are allowed.
fn times() -> Arc<Vec<i64>> {
    Arc::new((0..4_000).map(|n| 100 + n - (n * 7_919 % 61)).collect())
}

/// A window's start in milliseconds, and how many came for it.
type Rows = Vec<(i64, u64)>;

fn counted(job: Job, times: Stream<i64, impl Chain<Out = i64>>) -> (Rows, u64) {
    let (sink, rows) = Collect::new();
    times
        .key_by(|n| n % 3)
        .window(Tumbling::of(10.millis()))
        .aggregate(|all| all.count())
        .map(|window| (window.start.millis(), window.value))
        .sink(sink);
    let report = job.run().unwrap();
    (rows.sorted(), report.late())
}

/// What counts records that come from `between` must be what counts them at once.
fn same(what: &str, between: impl Fn(&Job, Stream<i64>) -> Stream<i64>) {
    let timed = |shards: usize, cuts: Cuts| {
        let job = Job::new("late").shards(shards);
        let timed = job
            .source(Scheduled::new(times(), 3, cuts))
            .event_time(Timestamp::from_millis, 5.millis());
        (job, timed)
    };
    let (job, at_once) = timed(1, Cuts::Single);
    let expected = counted(job, at_once);
    assert!(expected.1 > 1_000, "{} are late", expected.1);
    for shards in [1, 2, 4, 8] {
        for cuts in [Cuts::Single, Cuts::Small(shards as u64), Cuts::Small(77)] {
            let (job, timed) = timed(shards, cuts);
            let found = {
                let behind = between(&job, timed.settle());
                counted(job, behind)
            };
            assert!(found == expected, "{what} on {shards} shards: {} late", found.1);
        }
    }
}

#[test]
fn behind_streams_that_flow_to_other_shards() {
    same("settle", |_, times| times);
    same("rebalance", |_, times| times.rebalance());
    same("shuffle", |_, times| times.shuffle(7));
    same("gather", |_, times| times.gather());
    same("range", |_, times| times.partition_by_range(|n| n, [1_000, 2_000]));
    same("two", |_, times| times.rebalance().map(|n| n).shuffle(3));
}

#[test]
fn behind_streams_that_part_and_meet() {
    same("split", |_, times| {
        let (even, odd) = times.split(|n| n % 2 == 0);
        even.union(odd.rebalance())
    });
    same("route", |_, times| {
        let [low, high] = times.route(["low", "high"], |n| usize::from(n > 1_500));
        high.union(low)
    });
}

#[test]
fn behind_operators_with_state() {
    same("process", |_, times| {
        let keyed = times.key_by(|n| n % 7);
        keyed.process::<u64, i64>(|_, n, ctx| ctx.emit(n), |_, _, _| ())
    });
    same("running", |_, times| {
        let last = times
            .key_by(|n| n % 7)
            .aggregate_running(|all| all.fold_alone(|last: &mut i64, n| *last = n));
        last.map(|(_, n)| n).settle()
    });
    same("reduce", |_, times| times.key_by(|n| n % 7).reduce(|last, n| *last = n));
    same("table", |job, times| {
        let rows = job.source(Memory::of((0..10_i64).map(|n| (n, n * 2)).collect::<Vec<_>>()));
        times.join_table(rows, |n| n % 10, |(n, _)| n, |n, row| row.map_or(0, |_| n))
    });
}

#[test]
fn timers_are_in_time_for_windows_behind() {
    for shards in [1, 2, 4, 8] {
        let job = Job::new("timers").shards(shards);
        let (sink, rows) = Collect::new();
        job.source(Scheduled::new(times(), 3, Cuts::Small(shards as u64)))
            .event_time(Timestamp::from_millis, 60.millis())
            .key_by(|n| n)
            .process::<u64, i64>(
                |_, _, ctx| ctx.timer_at(ctx.time()),
                |_, at, ctx| ctx.emit(at.millis()),
            )
            .key_by(|_| ())
            .window(Tumbling::of(1.millis()))
            .aggregate(|all| all.count())
            .sink(sink);
        let report = job.run().unwrap();
        let mut expected = times().to_vec();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!((rows.take().len(), report.late()), (expected.len(), 0), "{shards} shards");
    }
}
