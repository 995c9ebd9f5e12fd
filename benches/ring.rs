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
#![allow(unsafe_code)]

use std::{
    hint::{black_box, spin_loop},
    mem::MaybeUninit,
    sync::{Arc, Barrier, LazyLock},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};

/// As large as a cache line and as a compact event.
#[derive(Clone, Copy)]
#[repr(C)]
struct Record([u64; 8]);

const CAPACITY: usize = 8192;
const BATCHES: [usize; 5] = [1, 16, 256, 1024, 4096];
const RECORDS: usize = 1 << 18;
const ROUND_TRIPS: u32 = 5_000;

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
        move |records| records.iter().take_while(|record| producer.push(**record).is_ok()).count(),
        move |max, sum| {
            let records = std::iter::from_fn(|| consumer.pop()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}

fn rtrb_chunk() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    pair(
        move |records| producer.push_partial_slice(records).0.len(),
        move |max, sum| {
            let count = match consumer.read_chunk(max) {
                Ok(_) => max,
                Err(rtrb::chunks::ChunkError::TooFewSlots(count)) => count,
            };
            let Ok(chunk) = consumer.read_chunk(count) else {
                return 0;
            };
            let (first, second) = chunk.as_slices();
            first.iter().for_each(|record| look(*record, sum));
            second.iter().for_each(|record| look(*record, sum));
            chunk.commit_all();
            count
        },
    )
}

fn rtrb_slice() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    let mut buffer = vec![MaybeUninit::uninit(); 4096];
    pair(
        move |records| producer.push_partial_slice(records).0.len(),
        move |max, sum| {
            let count = consumer.pop_partial_slice_uninit(&mut buffer[..max]).0.len();
            look_at(&buffer[..count], sum);
            count
        },
    )
}

fn rtrb_single() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    pair(
        move |records| records.iter().take_while(|record| producer.push(**record).is_ok()).count(),
        move |max, sum| {
            let records = std::iter::from_fn(|| consumer.pop().ok()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}

fn array_queue() -> Pair {
    let giver = Arc::new(crossbeam_queue::ArrayQueue::new(CAPACITY));
    let taker = Arc::clone(&giver);
    pair(
        move |records| records.iter().take_while(|record| giver.push(**record).is_ok()).count(),
        move |max, sum| {
            let records = std::iter::from_fn(|| taker.pop()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}

fn channel() -> Pair {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    pair(
        move |records| {
            records.iter().take_while(|&&record| sender.try_send(record).is_ok()).count()
        },
        move |max, sum| {
            let records = std::iter::from_fn(|| receiver.try_recv().ok()).take(max);
            records.map(|record| look(record, sum)).count()
        },
    )
}

struct Rival {
    name: &'static str,
    make: fn() -> Pair,
}

const RIVALS: [Rival; 8] = [
    Rival { name: "ours push_slice/drain", make: ours_drain },
    Rival { name: "rtrb push_slice/chunk", make: rtrb_chunk },
    Rival { name: "ours push_slice/pop_slice", make: ours_slice },
    Rival { name: "rtrb push_slice/pop_slice", make: rtrb_slice },
    Rival { name: "ours push/pop", make: ours_single },
    Rival { name: "rtrb push/pop", make: rtrb_single },
    Rival { name: "crossbeam ArrayQueue", make: array_queue },
    Rival { name: "crossbeam channel", make: channel },
];

/// Asked for once: a thread that is pinned is told its own core only.
static CORES: LazyLock<Vec<core_affinity::CoreId>> =
    LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());

fn pin(nth: usize) {
    if let Some(core) = CORES.get(nth) {
        core_affinity::set_for_current(*core);
    }
}

/// Runs both on a core each, from a common start, and says how long the slower took.
fn together(a: impl FnOnce() + Send, b: impl FnOnce() + Send) -> Duration {
    let start = Barrier::new(2);
    let timed = |nth: usize, work: &mut dyn FnMut()| {
        pin(nth);
        start.wait();
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    let (mut a, mut b) = (Some(a), Some(b));
    thread::scope(|scope| {
        let other = scope.spawn(|| timed(1, &mut || a.take().into_iter().for_each(|a| a())));
        let here = scope.spawn(|| timed(0, &mut || b.take().into_iter().for_each(|b| b())));
        let times = [other.join(), here.join()];
        times.into_iter().map(|time| time.expect("no queue panics")).max().unwrap_or_default()
    })
}

/// Moves `records` records in batches of `batch`.
fn transfer(make: fn() -> Pair, batch: usize, records: usize) -> Duration {
    let (mut give, mut take) = make();
    let source: Vec<_> = (0..4096).map(|number| Record([number; 8])).collect();
    together(
        || {
            let mut given = 0;
            while given < records {
                let from = given % batch;
                let count = give.give(&source[from..batch.min(from + records - given)]);
                given += count;
                if count == 0 {
                    spin_loop();
                }
            }
        },
        || {
            let (mut taken, mut sum) = (0, 0);
            while taken < records {
                let count = take.take(batch, &mut sum);
                taken += count;
                if count == 0 {
                    spin_loop();
                }
            }
            black_box(sum);
        },
    )
}

/// Sends one record there and back, again and again, while both sides spin.
fn round_trips(make: fn() -> Pair, count: u32) -> Duration {
    let ((mut there, mut arrive), (mut back, mut home)) = (make(), make());
    let record = [Record([1; 8])];
    let mut sums = [0, 0];
    let [near, far] = &mut sums;
    let wait = |take: &mut Box<dyn Take>, sum: &mut u64| {
        while take.take(1, sum) == 0 {
            spin_loop();
        }
    };
    let time = together(
        || {
            for _ in 0..count {
                there.give(&record);
                wait(&mut home, near);
            }
        },
        || {
            for _ in 0..count {
                wait(&mut arrive, far);
                back.give(&record);
            }
        },
    );
    black_box(sums);
    time
}

/// Rivals in turn, best of `runs`: millions of records a second, and the best of ours by the best
/// of rtrb.
fn table(runs: usize) {
    let mut rates = [[0.0_f64; BATCHES.len()]; RIVALS.len()];
    let mut trips = [f64::INFINITY; RIVALS.len()];
    for _ in 0..runs {
        for (column, batch) in BATCHES.into_iter().enumerate() {
            for (rival, rates) in RIVALS.iter().zip(&mut rates) {
                let time = transfer(rival.make, batch, RECORDS);
                rates[column] = rates[column].max(RECORDS as f64 / time.as_secs_f64() / 1e6);
            }
        }
        for (rival, best) in RIVALS.iter().zip(&mut trips) {
            let time = round_trips(rival.make, ROUND_TRIPS) / ROUND_TRIPS;
            *best = best.min(time.as_nanos() as f64);
        }
    }
    print!("{:<28}", "M records/s, batches of");
    BATCHES.iter().for_each(|batch| print!("{batch:>9}"));
    println!("   round trip ns");
    for ((rival, rates), trip) in RIVALS.iter().zip(&rates).zip(&trips) {
        print!("{:<28}", rival.name);
        rates.iter().for_each(|rate| print!("{rate:>9.1}"));
        println!("{trip:>16.0}");
    }
    let best = |name: &str, column: usize| {
        let rows = RIVALS.iter().zip(&rates).filter(|(rival, _)| rival.name.starts_with(name));
        rows.map(|(_, rates)| rates[column]).fold(0.0, f64::max)
    };
    print!("{:<28}", "best of ours / best of rtrb");
    for column in 0..BATCHES.len() {
        print!("{:>9.2}", best("ours", column) / best("rtrb", column));
    }
    println!();
    print!("{:<28}", "drain / chunk");
    (0..BATCHES.len()).for_each(|column| print!("{:>9.2}", rates[0][column] / rates[1][column]));
    println!();
    print!("{:<28}", "slice / slice");
    (0..BATCHES.len()).for_each(|column| print!("{:>9.2}", rates[2][column] / rates[3][column]));
    println!();
}

fn criteria() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for batch in BATCHES {
        let mut group = criterion.benchmark_group(format!("batches of {batch}"));
        group.throughput(Throughput::Elements(1 << 16));
        for rival in &RIVALS {
            group.bench_function(rival.name, |bencher| {
                bencher.iter_custom(|count| transfer(rival.make, batch, (count as usize) << 16));
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("round trip");
    for rival in &RIVALS {
        group.bench_function(rival.name, |bencher| {
            bencher.iter_custom(|count| round_trips(rival.make, count as u32));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--table"] => table(5),
        ["--table", runs] => table(runs.parse().unwrap_or(5)),
        [] => {
            table(3);
            criteria();
        }
        _ => criteria(),
    }
}
