//! The ring against other queues: 64-byte records between two pinned threads.
//!
//! ```text
//! cargo bench --bench ring                      table, then criterion
//! cargo bench --bench ring -- --table [runs]    the table alone: all rivals in turn, best of runs
//! cargo bench --bench ring -- push              criterion alone, filtered
//! ```
//!
//! The table is what a noisy machine can be believed: rivals alternate within one run, and the
//! best of all runs counts. Every rival is used as its documentation recommends for batches (rtrb
//! in all three of its ways), and every consumer looks at each record.

use std::{
    hint::{black_box, spin_loop},
    mem::MaybeUninit,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput};

/// As large as a cache line and as a compact event.
#[derive(Clone, Copy)]
#[repr(C)]
struct Record([u64; 8]);

const CAPACITY: usize = 8192;
const BATCHES: [usize; 5] = [1, 16, 256, 1024, 4096];
const RECORDS: usize = 1 << 22;
const ROUND_TRIPS: u32 = 20_000;

/// One end that gives batches, and one that takes them; each says how many it moved.
trait Give: Send {
    fn give(&mut self, records: &[Record]) -> usize;
}

trait Take: Send {
    fn take(&mut self, max: usize, sum: &mut u64) -> usize;
}

type Pair = (Box<dyn Give>, Box<dyn Take>);

struct Closures<F>(F);

impl<F: FnMut(&[Record]) -> usize + Send> Give for Closures<F> {
    fn give(&mut self, records: &[Record]) -> usize {
        (self.0)(records)
    }
}

impl<F: FnMut(usize, &mut u64) -> usize + Send> Take for Closures<F> {
    fn take(&mut self, max: usize, sum: &mut u64) -> usize {
        (self.0)(max, sum)
    }
}

fn pair(
    give: impl FnMut(&[Record]) -> usize + Send + 'static,
    take: impl FnMut(usize, &mut u64) -> usize + Send + 'static,
) -> Pair {
    (Box::new(Closures(give)), Box::new(Closures(take)))
}

fn look(record: Record, sum: &mut u64) {
    *sum = sum.wrapping_add(record.0[0] ^ record.0[7]);
}

/// Looks at the first `count`, which are initialised.
fn look_at(records: &[MaybeUninit<Record>], sum: &mut u64) {
    for record in records {
        // SAFETY: the queue said that it initialised so many.
        look(unsafe { record.assume_init() }, sum);
    }
}

fn ours_drain() -> Pair {
    let (mut producer, mut consumer) = thalweg::ring::ring(CAPACITY);
    pair(
        move |records| producer.push_slice(records),
        move |max, sum| consumer.drain(max, |record| look(record, sum)),
    )
}

fn ours_slice() -> Pair {
    let (mut producer, mut consumer) = thalweg::ring::ring(CAPACITY);
    let mut buffer = vec![MaybeUninit::uninit(); 4096];
    pair(
        move |records| producer.push_slice(records),
        move |max, sum| {
            let count = consumer.pop_slice(&mut buffer[..max]);
            look_at(&buffer[..count], sum);
            count
        },
    )
}

fn ours_single() -> Pair {
    let (mut producer, mut consumer) = thalweg::ring::ring(CAPACITY);
    pair(
        move |records| {
            records
                .iter()
                .take_while(|record| producer.push(**record).is_ok())
                .count()
        },
        move |max, sum| {
            let records = std::iter::from_fn(|| consumer.pop()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}

fn rtrb_chunk() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    pair(
        move |records| {
            let count = producer.slots().min(records.len());
            producer
                .write_chunk_uninit(count)
                .map_or(0, |chunk| chunk.fill_from_iter(records.iter().copied()))
        },
        move |max, sum| {
            let count = consumer.slots().min(max);
            consumer.read_chunk(count).map_or(0, |chunk| {
                let (first, second) = chunk.as_slices();
                for record in first.iter().chain(second) {
                    look(*record, sum);
                }
                chunk.commit_all();
                count
            })
        },
    )
}

fn rtrb_slice() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    let mut buffer = vec![MaybeUninit::uninit(); 4096];
    pair(
        move |records| producer.push_partial_slice(records).0.len(),
        move |max, sum| {
            let count = consumer
                .pop_partial_slice_uninit(&mut buffer[..max])
                .0
                .len();
            look_at(&buffer[..count], sum);
            count
        },
    )
}

fn rtrb_single() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    pair(
        move |records| {
            records
                .iter()
                .take_while(|record| producer.push(**record).is_ok())
                .count()
        },
        move |max, sum| {
            let records = std::iter::from_fn(|| consumer.pop().ok()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}
