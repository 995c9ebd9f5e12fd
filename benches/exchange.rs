//! What an exchange costs: hashing keys, and a stream that crosses from shard to shard.
//!
//! ```text
//! cargo bench --bench exchange                     table, then criterion
//! cargo bench --bench exchange -- --table [runs]   the table alone: all in turn, best of runs
//! ```
//!
//! Two pinned shards read a slice each. In the first form each record is counted where it was
//! read, in the second it goes to the shard that its key's hash names, half of them across.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use mimalloc::MiMalloc;
use thalweg::key;
use thalweg::prelude::*;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

record! { struct Four { number: u64, a: u64, b: u64, c: u64 } }

const RECORDS: usize = 1 << 22;
const KEYS: usize = 1 << 20;

/// Time for the shard of each key: hash, group, owner.
fn owners<K: Hash>(keys: &[K], hash: impl Fn(&K) -> u64) -> Duration {
    let begin = Instant::now();
    let owner = |key| key::owner(key::group(hash(key)), 8);
    black_box(keys.iter().map(owner).sum::<usize>());
    begin.elapsed()
}

/// What there is to measure, made once.
struct Input {
    numbers: Vec<u64>,
    texts: Vec<String>,
    /// What each of two shards reads.
    slices: [Arc<[Four]>; 2],
    std: RandomState,
}

impl Input {
    fn new() -> Input {
        let four = |number| Four { number, a: number, b: number, c: number };
        let slice = |from: usize| (from..RECORDS).step_by(2).map(|n| four(n as u64)).collect();
        Input {
            numbers: (0..KEYS as u64).map(|n| n * 100).collect(),
            texts: (0..KEYS).map(|n| format!("a key of twenty {n:07}")).collect(),
            slices: [slice(0), slice(1)],
            std: RandomState::new(),
        }
    }

    /// Runs a job over both slices; the digest tells that no record was lost.
    fn job(&self, exchanged: bool) -> Duration {
        let job = Job::new("exchange").shards(2).executor(Executor::Threads);
        let (sink, digest) = Digest::new();
        let stream = job.source(Memory::slices(self.slices.clone()));
        if exchanged {
            let half = |four: &Four| key::hash(&four.number) >> 63;
            stream.partition_by_range(half, [1]).map(|four| four.number).sink(sink);
        } else {
            stream.map(|four| four.number).sink(sink);
        }
        let begin = Instant::now();
        job.run().expect("the job runs");
        let time = begin.elapsed();
        assert_eq!(digest.rows(), RECORDS as u64);
        time
    }
}

struct Measure {
    name: &'static str,
    units: usize,
    run: fn(&Input) -> Duration,
}

const MEASURES: [Measure; 6] = [
    Measure { name: "owner of a u64", units: KEYS, run: |input| owners(&input.numbers, key::hash) },
    Measure {
        name: "the same by SipHash (std)",
        units: KEYS,
        run: |input| owners(&input.numbers, |key| input.std.hash_one(key)),
    },
    Measure {
        name: "owner of 23 bytes of text",
        units: KEYS,
        run: |input| owners(&input.texts, key::hash),
    },
    Measure {
        name: "the same by SipHash (std)",
        units: KEYS,
        run: |input| owners(&input.texts, |key| input.std.hash_one(key)),
    },
    Measure {
        name: "job of 2 shards, nothing exchanged",
        units: RECORDS,
        run: |input| input.job(false),
    },
    Measure {
        name: "job of 2 shards, all exchanged by hash",
        units: RECORDS,
        run: |input| input.job(true),
    },
];

/// All in turn, best of `runs`.
fn table(input: &Input, runs: usize) {
    let mut best = [f64::INFINITY; MEASURES.len()];
    for _ in 0..runs {
        for (measure, best) in MEASURES.iter().zip(&mut best) {
            let time = (measure.run)(input).as_secs_f64();
            *best = best.min(time * 1e9 / measure.units as f64);
        }
    }
    println!("{:<42}{:>12}", "", "ns each");
    for (measure, ns) in MEASURES.iter().zip(&best) {
        println!("{:<42}{ns:>12.2}", measure.name);
    }
}

fn criteria(input: &Input) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("exchange");
    for (number, measure) in MEASURES.iter().enumerate() {
        group.throughput(Throughput::Elements(measure.units as u64));
        group.bench_function(format!("{number} {}", measure.name), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| (measure.run)(input)).sum());
        });
    }
    group.finish();
    criterion.final_summary();
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let input = Input::new();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--table"] => table(&input, 9),
        ["--table", runs] => table(&input, runs.parse().unwrap_or(9)),
        [] => {
            table(&input, 5);
            criteria(&input);
        }
        _ => criteria(&input),
    }
}
