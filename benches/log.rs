//! The record log on one core, in the page cache: records of 64 bytes in, and out into a count.
//!
//! `cargo bench --bench log`

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput};
use thalweg::connector::LogWriter;
use thalweg::connector::log::Compression;
use thalweg::operator::{Sink, Writer};
use thalweg::prelude::*;

record! { struct Bid { auction: u64, bidder: u64, price: u64, at: Timestamp, more: [u8; 32] } }

const RECORDS: u64 = 2_000_000;

fn bid(i: u64) -> Bid {
    let at = Timestamp::from_micros(1_600_000_000_000_000 + (i * 10) as i64);
    Bid { auction: i % 97, bidder: i % 89, price: i * 31 % 100_000, at, more: [i as u8; 32] }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let directory = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(RECORDS));
    let bids: Vec<Bid> = (0..RECORDS).map(bid).collect();
    for (name, how) in [
        ("plain", Compression::None),
        ("lz4", Compression::Lz4),
        ("zstd 1", Compression::Zstd(1)),
        ("zstd 3", Compression::Zstd(3)),
    ] {
        let path = directory.path().join(name);
        group.bench_function(format!("write {name}"), |bench| {
            let open = || writer(&path, how);
            let write = |mut log| {
                put(&mut log, &bids);
                log
            };
            bench.iter_batched(open, write, BatchSize::PerIteration);
        });
        let mut log = writer(&path, how);
        put(&mut log, &bids);
        Writer::<Bid>::finish(&mut log).expect("the log is finished");
        drop(log);
        let file = path.join("part-0.tlog");
        let bytes = std::fs::metadata(&file).expect("a log").len();
        println!("{name}: {:.1} bytes a record", bytes as f64 / RECORDS as f64);
        group.bench_function(format!("read {name} into a count"), |bench| {
            bench.iter(|| assert_eq!(count(&file), RECORDS));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn writer(directory: &Path, how: Compression) -> LogWriter<Bid> {
    let mut sink = RecordLog::write(directory).compression(how);
    Sink::<Bid>::open(&mut sink, 0, 1).expect("the log is opened")
}

/// Writes the records, without the sync that ends a log.
fn put(log: &mut LogWriter<Bid>, bids: &[Bid]) {
    for bid in bids {
        log.write(bid.at, black_box(bid)).expect("it is written");
    }
    Writer::<Bid>::flush(log).expect("it is flushed");
}

/// Counts the records by a job on one shard.
fn count(file: &Path) -> u64 {
    let job = Job::new("count").shards(1).executor(Executor::Threads);
    let (sink, counts) = Collect::new();
    job.source(RecordLog::read::<Bid>(file.to_str().expect("UTF-8")))
        .key_by(|_| ())
        .aggregate_final(|bids| bids.count())
        .map(|row| row.1)
        .sink(sink);
    job.run().expect("the job runs");
    counts.take().first().copied().unwrap_or_default()
}
