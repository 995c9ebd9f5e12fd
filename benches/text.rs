//! Records to text and back, on one core, without files: what a record costs in CSV and in JSON.
//!
//! `cargo bench --bench text`

use criterion::{BatchSize, Criterion, Throughput};
use thalweg::connector::Encoder;
use thalweg::format::{CsvReader, CsvText, FromText, JsonText, Row, read_json};
use thalweg::prelude::*;
use thalweg::record::Block;

record! {
    /// Numbers alone.
    struct Trade { id: u64, price: u64, amount: f64 }
}

record! {
    /// Numbers and a time.
    struct Bid { auction: u64, bidder: u64, price: u64, at: Timestamp }
}

record! {
    /// Text, which makes it an archive.
    struct Person { id: u64, name: String, city: String, at: Timestamp }
}

const RECORDS: u64 = 1_000;

fn at(i: u64) -> Timestamp {
    Timestamp::from_micros(1_500_000_000_000_000 + (i * 7_919_000) as i64)
}

fn trade(i: u64) -> Trade {
    Trade { id: 1_000 + i, price: i * 31 % 100_000, amount: i as f64 / 8.0 }
}

fn bid(i: u64) -> Bid {
    Bid { auction: 1_000 + i % 97, bidder: 2_000 + i % 89, price: i * 31 % 100_000, at: at(i) }
}

fn person(i: u64) -> Person {
    let city = ["Phoenix", "Los Angeles", "Portland", "Boise"][i as usize % 4];
    Person { id: i, name: format!("Peter Jones {i}"), city: city.into(), at: at(i) }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    formats(&mut criterion, "trade", trade);
    formats(&mut criterion, "bid", bid);
    formats(&mut criterion, "person", person);
    criterion.final_summary();
}

/// Writes and reads records of one type.
fn formats<R: FromText>(criterion: &mut Criterion, name: &str, make: impl Fn(u64) -> R) {
    let blocks = framed(&(0..RECORDS).map(make).collect::<Vec<R>>());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(RECORDS));
    let (mut csv, mut json) = (CsvText::<R>::new(b','), JsonText::<R>::new());
    write_all(&mut csv, &blocks);
    let rows = String::from_utf8_lossy(csv.text()).into_owned();
    write_all(&mut json, &blocks);
    let lines = String::from_utf8_lossy(json.text()).into_owned();
    group.bench_function("write csv", |bench| bench.iter(|| write_all(&mut csv, &blocks)));
    group.bench_function("write json", |bench| bench.iter(|| write_all(&mut json, &blocks)));
    group.bench_function("read csv", |bench| {
        let read = |mut reader: CsvReader<R>| {
            rows.lines().filter(|row| matches!(reader.read(row), Row::Record(_))).count()
        };
        assert_eq!(read(CsvReader::new(b',')), RECORDS as usize);
        bench.iter_batched(|| CsvReader::new(b','), read, BatchSize::SmallInput);
    });
    group.bench_function("read json", |bench| {
        let read = || lines.lines().filter(|line| read_json::<R>(line).is_ok()).count();
        assert_eq!(read(), RECORDS as usize);
        bench.iter(read);
    });
    group.finish();
}

/// Records as they lie in frames.
fn framed<R: Record>(records: &[R]) -> Vec<Block<R>> {
    let mut blocks = vec![Block::new()];
    for record in records {
        let full =
            blocks.last_mut().map(|block| record.lend(|view| block.push(Timestamp::MIN, view)));
        if full == Some(true) {
            blocks.push(Block::new());
        }
    }
    blocks
}

/// As a sink does it: from views.
fn write_all<R: Record>(encoder: &mut impl Encoder<R>, blocks: &[Block<R>]) {
    encoder.clear();
    for block in blocks {
        block.batch().records::<R>().for_each(|(_, view)| encoder.push(view));
    }
}
