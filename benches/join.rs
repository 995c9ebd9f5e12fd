//! Joins of fixed-size records on one shard and on two: records a second of both sides together.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use thalweg::prelude::*;

record! {
    struct Event { key: u64, at: Timestamp, value: u64 }
}

/// Records of either side.
const RECORDS: u64 = 500_000;

/// Two splits of a side.
type Side = [Arc<[Event]>; 2];

/// Keys come back after a while, in no order.
fn events(step: u64) -> Side {
    let event = |i: u64| Event {
        key: i.wrapping_mul(step) % 65_536,
        at: Timestamp::from_micros(i as i64),
        value: i,
    };
    [0, 1].map(|split| (split..RECORDS).step_by(2).map(event).collect())
}

fn run(shards: usize, [left, right]: &[Side; 2], kind: &str) -> u64 {
    let job = Job::new("join").shards(shards).pin(false);
    let side = |events: &Side| job.source(Memory::slices(events.clone()));
    let sum = |l: &Event, r: &Event| l.value + r.value;
    if kind == "table" {
        let rows = job.source(Memory::of(right[0][..1_000].to_vec()));
        let key = |event: &Event| event.key;
        let row = move |l: &Event, r: Option<&Event>| r.map_or(0, |r| sum(l, r));
        side(left).join_table(rows, key, key, row).sink(Discard);
        return job.run().unwrap().records_read();
    }
    let left = side(left).event_time(|event| event.at, 0.seconds()).key_by(|event| event.key);
    let right = side(right).event_time(|event| event.at, 0.seconds()).key_by(|event| event.key);
    let joined = left.join(right);
    let windows = Tumbling::of(100.millis());
    match kind {
        "inner" => joined.inner(sum).sink(Discard),
        "window" => joined.window(windows).inner(sum).sink(Discard),
        "semi" => joined.window(windows).semi(|l| l.value).sink(Discard),
        "between" => {
            let near = 10.millis();
            joined.between(Offset::Before(near), Offset::After(near)).inner(sum).sink(Discard);
        }
        _ => joined.as_of(100.millis()).inner(sum).sink(Discard),
    }
    job.run().unwrap().records_read()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let sides = [events(7_919), events(104_729)];
    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(2 * RECORDS)).sample_size(10);
    for kind in ["inner", "window", "semi", "between", "as_of", "table"] {
        for shards in [1, 2] {
            let id = BenchmarkId::new(kind, shards);
            group.bench_with_input(id, &shards, |b, &shards| b.iter(|| run(shards, &sides, kind)));
        }
    }
    group.finish();
    criterion.final_summary();
}
