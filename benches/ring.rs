//! The ring against other queues: 64-byte records between two pinned threads.
//!
//! ```text
//! cargo bench --bench ring                      table, then criterion
//! cargo bench --bench ring -- --table [turns]   the table alone: all rivals in each turn
//! cargo bench --bench ring -- push              criterion alone, filtered
//! ```
//!
//! How far two cores are from each other decides more than the queue does: two hyperthreads of one
//! core, two cores under one cache, two dies. A virtual machine says nothing true of it and moves
//! its cores about under way. So the table measures the round trip of a record before and after
//! each turn of the rivals, sorts the turns by it and drops those in which it changed. What it
//! shows is, for each distance, the median rate, and the median of ours by rtrb's *within a turn*.
//!
//! Every rival is used as its documentation recommends for batches (rtrb in all four of its ways),
//! and every consumer looks at each record.
#![allow(unsafe_code)]

mod pair;

use std::{
    hint::{black_box, spin_loop},
    mem::MaybeUninit,
    sync::Arc,
    time::Duration,
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

/// As many slots as there are now, filled by an iterator.
fn rtrb_fill() -> Pair {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    pair(
        move |records| {
            let count = producer.slots().min(records.len());
            let chunk = producer.write_chunk_uninit(count);
            chunk.map_or(0, |chunk| chunk.fill_from_iter(records.iter().copied()))
        },
        move |max, sum| {
            let count = consumer.slots().min(max);
            let chunk = consumer.read_chunk(count);
            chunk.map_or(0, |chunk| chunk.into_iter().map(|record| look(record, sum)).count())
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
    /// Which of the list it is compared to: rtrb, used in the same way.
    to: usize,
}

const RIVALS: [Rival; 9] = [
    Rival { name: "ours push_slice/drain", make: ours_drain, to: 1 },
    Rival { name: "rtrb push_slice/chunk", make: rtrb_chunk, to: 1 },
    Rival { name: "rtrb fill_from_iter/chunk", make: rtrb_fill, to: 1 },
    Rival { name: "ours push_slice/pop_slice", make: ours_slice, to: 4 },
    Rival { name: "rtrb push_slice/pop_slice", make: rtrb_slice, to: 4 },
    Rival { name: "ours push/pop", make: ours_single, to: 6 },
    Rival { name: "rtrb push/pop", make: rtrb_single, to: 6 },
    Rival { name: "crossbeam ArrayQueue", make: array_queue, to: 6 },
    Rival { name: "crossbeam channel", make: channel, to: 6 },
];

/// Moves `records` records in batches of `batch`.
fn transfer(make: fn() -> Pair, batch: usize, records: usize) -> Duration {
    let (mut give, mut take) = make();
    let source: Vec<_> = (0..4096).map(|number| Record([number; 8])).collect();
    let (time, (), ()) = pair::together(
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
    );
    time
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
    let (time, (), ()) = pair::together(
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

/// How far the two threads are from each other, by the round trip of a record.
const DISTANCES: [(&str, f64); 3] = [
    ("hyperthreads of one core (round trip under 170 ns)", 170.0),
    ("cores under one cache (round trip under 600 ns)", 600.0),
    ("cores apart", f64::INFINITY),
];

fn distance() -> usize {
    let trip = round_trips(rtrb_single, 1000).as_nanos() as f64 / 1000.0;
    DISTANCES.iter().position(|(_, limit)| trip < *limit).unwrap_or_default()
}

/// What was measured at one distance: for each batch, the rates of all rivals in each turn.
#[derive(Default)]
struct Turns {
    rates: [Vec<[f64; RIVALS.len()]>; BATCHES.len()],
    trips: Vec<[f64; RIVALS.len()]>,
}

/// The median of what `of` makes of each turn.
fn median<T>(turns: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut sorted: Vec<_> = turns.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Each rival once; none when the distance was not the same before and after. Who begins changes
/// with the turn.
fn take_turn(turn: usize, measure: impl Fn(&Rival) -> f64) -> Option<(usize, [f64; RIVALS.len()])> {
    let before = distance();
    let mut all = [0.0; RIVALS.len()];
    for nth in 0..RIVALS.len() {
        let rival = (nth + turn) % RIVALS.len();
        all[rival] = measure(&RIVALS[rival]);
    }
    (distance() == before).then_some((before, all))
}

fn table(turns: usize) {
    let mut distances = [(); DISTANCES.len()].map(|()| Turns::default());
    for turn in 0..turns {
        for (column, batch) in BATCHES.into_iter().enumerate() {
            let rate = |rival: &Rival| {
                let time = transfer(rival.make, batch, RECORDS);
                RECORDS as f64 / time.as_secs_f64() / 1e6
            };
            if let Some((distance, rates)) = take_turn(turn, rate) {
                distances[distance].rates[column].push(rates);
            }
        }
        let trip = |rival: &Rival| {
            round_trips(rival.make, ROUND_TRIPS).as_nanos() as f64 / f64::from(ROUND_TRIPS)
        };
        if let Some((distance, trips)) = take_turn(turn, trip) {
            distances[distance].trips.push(trips);
        }
    }
    for ((name, _), turns) in DISTANCES.iter().zip(&distances) {
        if turns.rates.iter().any(|turns| !turns.is_empty()) {
            show(name, turns);
        }
    }
}

fn show(distance: &str, turns: &Turns) {
    println!("\n{distance}");
    print!("{:<28}", "M records/s, batches of");
    BATCHES.iter().for_each(|batch| print!("{batch:>9}"));
    println!("   round trip ns");
    for (nth, rival) in RIVALS.iter().enumerate() {
        print!("{:<28}", rival.name);
        turns.rates.iter().for_each(|turns| print!("{:>9.1}", median(turns, |turn| turn[nth])));
        println!("{:>16.0}", median(&turns.trips, |turn| turn[nth]));
    }
    for (nth, rival) in RIVALS.iter().enumerate().filter(|(_, it)| it.name.starts_with("ours")) {
        print!("{:<28}", format!("{} to rtrb", &rival.name[5..]));
        let ratio = |turn: &[f64; RIVALS.len()]| turn[nth] / turn[rival.to];
        turns.rates.iter().for_each(|turns| print!("{:>9.2}", median(turns, ratio)));
        println!("{:>16.2}", median(&turns.trips, |turn| turn[rival.to] / turn[nth]));
    }
    print!("{:<28}", "turns");
    turns.rates.iter().for_each(|turns| print!("{:>9}", turns.len()));
    println!("{:>16}", turns.trips.len());
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
