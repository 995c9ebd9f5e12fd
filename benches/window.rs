//! Windows as whole jobs of one shard: what a record costs in tumbling and sliding windows.
//!
//! `cargo bench --bench window`

use std::time::Duration;

use criterion::{Criterion, Throughput};
use thalweg::operator::{Feed, Progress, Sink, Source, Split, Writer};
use thalweg::prelude::*;

record! {
    struct Hit { key: u64, worth: u64, at: Timestamp }
}

const RECORDS: u64 = 1_000_000;
/// Records of one second of event time.
const RATE: u64 = 10_000;

/// Records with keys below a number, in order.
struct Hits(u64);

struct HitsSplit {
    next: u64,
    keys: u64,
    block: Vec<Hit>,
}

impl Source for Hits {
    type Record = Hit;
    fn name(&self) -> String {
        "hits".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Hit>>>> {
        Ok(vec![Box::new(HitsSplit { next: 0, keys: self.0, block: Vec::new() })])
    }
}

impl Split<Hit> for HitsSplit {
    fn poll(&mut self, feed: &mut Feed<'_, Hit>) -> Result<Progress> {
        let upto = (self.next + feed.room() as u64).min(RECORDS);
        self.block.clear();
        self.block.extend((self.next..upto).map(|i| {
            let worth = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let at = Timestamp::from_micros((i * 1_000_000 / RATE) as i64);
            Hit { key: worth % self.keys, worth, at }
        }));
        self.next = upto;
        feed.lend(&self.block)?;
        Ok(if upto == RECORDS { Progress::Done } else { Progress::Busy })
    }
}

/// Forgets what it is given.
struct Nothing;

impl<R: Record> Sink<R> for Nothing {
    type Writer = Nothing;
    fn name(&self) -> String {
        "nothing".into()
    }
    fn open(&mut self, _: usize, _: usize) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl<R: Record> Writer<R> for Nothing {
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        std::hint::black_box(&record);
        Ok(())
    }
}

/// Runs a job of one shard whose windows a macro's caller cuts and aggregates.
macro_rules! job {
    ($keys:expr, $windows:expr, $hits:ident => $aggregate:expr) => {{
        let job = Job::new("window").shards(1).executor(Executor::Threads);
        job.source(Hits($keys))
            .event_time(|hit| hit.at, Duration::ZERO)
            .key_by(|hit| hit.key)
            .window($windows)
            .aggregate(|$hits| $aggregate)
            .sink(Nothing);
        if let Err(error) = job.run() {
            eprintln!("{error}");
        }
    }};
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("window");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    for keys in [1_000, 100_000] {
        group.bench_function(format!("tumbling count, {keys} keys"), |b| {
            b.iter(|| job!(keys, Tumbling::of(10.seconds()), hits => hits.count()));
        });
        group.bench_function(format!("sliding count 10 s / 1 s, {keys} keys"), |b| {
            b.iter(|| job!(keys, Sliding::of(10.seconds(), 1.seconds()), hits => hits.count()));
        });
    }
    for panes in [1, 10, 100] {
        let slide = Duration::from_millis(10_000 / panes);
        group.bench_function(format!("sliding max of {panes} panes, 100 keys"), |b| {
            let windows = Sliding::of(10.seconds(), slide);
            b.iter(|| job!(100, windows, hits => hits.max(|hit| hit.worth)));
        });
    }
    group.bench_function("session count, gap 20 ms, 1000 keys", |b| {
        b.iter(|| job!(1_000, Session::gap(20.millis()), hits => hits.count()));
    });
    group.finish();
    criterion.final_summary();
}
