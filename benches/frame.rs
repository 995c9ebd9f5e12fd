//! Frames of records that are read in place, against owned values: both in batches of the same
//! number through the same kind of ring, between two pinned threads.
//!
//! ```text
//! cargo bench --bench frame                     table, then criterion
//! cargo bench --bench frame -- --table [turns]  the table alone: all ways in each turn
//! ```
//!
//! Each way makes every record from the same 70 bytes of text (or four numbers), sends it, and
//! looks at its number, its length and its first byte at the other end. Emptied batches come home
//! through a second ring and are filled again, for all ways.

mod pair;

use std::hint::spin_loop;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use mimalloc::MiMalloc;
use thalweg::limits::RING_FRAMES;
use thalweg::prelude::*;
use thalweg::record::{Archived, Block};
use thalweg::ring::ring;

/// Kind to owned values: it frees on one thread what another took at little cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

record! { struct Line { number: u64, text: String } }
record! { struct Four { number: u64, a: u64, b: u64, c: u64 } }

const TEXT: &str = "a line of seventy bytes, as long as the text of a bid in the suite is.";
const RECORDS: u64 = 1 << 16;

/// What the far end makes of a record: it has looked at it.
fn seen(number: u64, text: &str) -> u64 {
    number ^ text.len() as u64 ^ u64::from(text.as_bytes()[0])
}

/// Sends `RECORDS` records in frames: `fill` fills one from a number on and says how many it took,
/// `look` sums up one and empties it.
fn transfer<F: Send>(
    fresh: impl Fn() -> F + Send,
    mut fill: impl FnMut(&mut F, u64) -> u64 + Send,
    mut look: impl FnMut(&mut F) -> (u64, u64) + Send,
) -> (Duration, u64) {
    let (mut there, mut arriving) = ring::<F>(RING_FRAMES);
    let (mut empties, mut home) = ring::<F>(2 * RING_FRAMES);
    let send = move || {
        let mut sent = 0;
        while sent < RECORDS {
            let mut frame = home.pop().unwrap_or_else(&fresh);
            sent += fill(&mut frame, sent);
            while let Err(back) = there.push(frame) {
                frame = back;
                spin_loop();
            }
        }
    };
    let receive = move || {
        let (mut taken, mut sum) = (0, 0_u64);
        while taken < RECORDS {
            let Some(mut frame) = arriving.pop() else {
                spin_loop();
                continue;
            };
            let (count, part) = look(&mut frame);
            taken += count;
            sum = sum.wrapping_add(part);
            drop(empties.push(frame));
        }
        sum
    };
    let (time, (), sum) = pair::together(send, receive);
    (time, sum)
}

/// Looks at all records of a block and empties it: how many, and the sum of what was seen.
fn look_through<R: Record>(block: &mut Block<R>, look: impl Fn(R::View<'_>) -> u64) -> (u64, u64) {
    let records = block.batch().records::<R>();
    let (count, mut sum) = (records.len() as u64, 0_u64);
    for (_, view) in records {
        sum = sum.wrapping_add(look(view));
    }
    block.clear();
    (count, sum)
}

/// Frames of records that `give` pushes into a block, by their number.
fn made<R: Record>(
    mut give: impl FnMut(&mut Block<R>, u64) -> bool + Send,
    look: impl Fn(R::View<'_>) -> u64 + Sync,
) -> (Duration, u64) {
    let fill = |block: &mut Box<Block<R>>, from: u64| {
        let mut next = from;
        while next < RECORDS && !give(block, next) {
            next += 1;
        }
        block.len() as u64
    };
    let fresh = || Box::new(Block::new());
    transfer(fresh, fill, |block| look_through::<R>(block, &look))
}

/// Frames of records that lie in a frame already, as an exchange makes them: bytes are copied.
fn copied<R: Record>(
    of: impl Fn(u64) -> R,
    look: impl Fn(R::View<'_>) -> u64 + Sync,
) -> (Duration, u64) {
    let mut kept = Block::<R>::new();
    for number in 0..per_frame(&of(0)) as u64 {
        of(number).lend(|view| kept.push(Timestamp::MIN, view));
    }
    let fill = |block: &mut Box<Block<R>>, from: u64| {
        let count = (RECORDS - from).min(kept.len() as u64);
        for (at, view) in kept.batch().records::<R>().take(count as usize) {
            block.push(at, view);
        }
        count
    };
    let fresh = || Box::new(Block::new());
    transfer(fresh, fill, |block| look_through::<R>(block, &look))
}

/// Vectors of owned values, as many in each as records fill a frame.
fn moved<T: Record + Clone>(
    make: impl Fn(u64) -> T + Sync,
    look: impl Fn(&T) -> u64 + Sync,
) -> (Duration, u64) {
    let full = per_frame(&make(0));
    let fill = |values: &mut Vec<T>, from: u64| {
        let count = (RECORDS - from).min(full as u64);
        values.extend((from..from + count).map(&make));
        count
    };
    transfer(|| Vec::with_capacity(full), fill, |values| look_over(values, &look))
}

/// As [`moved`], each value pushed alone, as records are into a block.
fn pushed<T: Record + Clone>(
    make: impl Fn(u64) -> T + Sync,
    look: impl Fn(&T) -> u64 + Sync,
) -> (Duration, u64) {
    let full = per_frame(&make(0));
    let fill = |values: &mut Vec<T>, from: u64| {
        let mut next = from;
        while next < RECORDS && values.len() < full {
            values.push(make(next));
            next += 1;
        }
        next - from
    };
    transfer(|| Vec::with_capacity(full), fill, |values| look_over(values, &look))
}

/// Looks at all values of a vector and empties it.
fn look_over<T>(values: &mut Vec<T>, look: impl Fn(&T) -> u64) -> (u64, u64) {
    let sum = values.iter().fold(0_u64, |sum, value| sum.wrapping_add(look(value)));
    let count = values.len() as u64;
    values.clear();
    (count, sum)
}

/// How many records like this one fill a frame.
fn per_frame<R: Record>(record: &R) -> usize {
    let mut block = Block::<R>::new();
    while !record.lend(|view| block.push(Timestamp::MIN, view)) {}
    block.len()
}

fn line(number: u64) -> Line {
    Line { number: number % 64, text: TEXT.to_owned() }
}

fn four(number: u64) -> Four {
    let number = number % 64;
    Four { number, a: number, b: number, c: number }
}

fn look_at_line(line: &Archived<Line>) -> u64 {
    seen(line.number.to_native(), line.text.as_str())
}

fn look_at_pair((number, text): (u64, &str)) -> u64 {
    seen(number, text)
}

fn look_at_four(four: &Four) -> u64 {
    four.number ^ four.a ^ four.b.wrapping_add(four.c)
}

fn lines_owned() -> (Duration, u64) {
    moved(line, |line| seen(line.number, &line.text))
}

/// The text is copied into a record that is used again, and that is archived into the frame.
fn lines_archived() -> (Duration, u64) {
    let mut kept = line(0);
    let give = move |block: &mut Block<Line>, number| {
        kept.number = number % 64;
        kept.text.clear();
        kept.text.push_str(TEXT);
        kept.lend(|view| block.push(Timestamp::MIN, view))
    };
    made::<Line>(give, look_at_line)
}

fn lines_copied() -> (Duration, u64) {
    copied(line, look_at_line)
}

/// A tuple is written by its view, without rkyv: the text goes into the frame at once.
fn pairs_by_view() -> (Duration, u64) {
    let give = |block: &mut Block<(u64, String)>, number: u64| {
        block.push(Timestamp::MIN, (number % 64, TEXT))
    };
    made::<(u64, String)>(give, look_at_pair)
}

fn fours_owned() -> (Duration, u64) {
    moved(four, look_at_four)
}

fn fours_pushed() -> (Duration, u64) {
    pushed(four, look_at_four)
}

/// Each with an event time of its own.
fn fours_timed() -> (Duration, u64) {
    let give = |block: &mut Block<Four>, number: u64| {
        block.push(Timestamp::from_micros(number as i64), &four(number))
    };
    made::<Four>(give, look_at_four)
}

fn fours_made() -> (Duration, u64) {
    let give = |block: &mut Block<Four>, number| block.push(Timestamp::MIN, &four(number));
    made::<Four>(give, look_at_four)
}

fn fours_copied() -> (Duration, u64) {
    copied(four, look_at_four)
}

struct Way {
    name: &'static str,
    run: fn() -> (Duration, u64),
    /// Which way of the list it is compared to: the owned values.
    owned: usize,
    /// Which way of the list it must see the same as; frames that are copied repeat their numbers.
    same: usize,
}

const WAYS: [Way; 9] = [
    Way { name: "70 bytes of text, owned", run: lines_owned, owned: 0, same: 0 },
    Way { name: "70 bytes of text, archived", run: lines_archived, owned: 0, same: 0 },
    Way { name: "70 bytes of text, a tuple by view", run: pairs_by_view, owned: 0, same: 0 },
    Way { name: "70 bytes of text, copied as an archive", run: lines_copied, owned: 0, same: 3 },
    Way { name: "32 bytes, owned", run: fours_owned, owned: 4, same: 4 },
    Way { name: "32 bytes, owned, pushed one by one", run: fours_pushed, owned: 4, same: 4 },
    Way { name: "32 bytes, in frames", run: fours_made, owned: 4, same: 4 },
    Way { name: "32 bytes, in frames, each its own time", run: fours_timed, owned: 4, same: 4 },
    Way { name: "32 bytes, copied from a frame", run: fours_copied, owned: 4, same: 8 },
];

/// Runs a way; all that send the same records must have seen the same.
fn run(way: &Way, seen: &mut [Option<u64>]) -> Duration {
    let (time, sum) = (way.run)();
    let expected = *seen[way.same].get_or_insert(sum);
    assert!(sum == expected, "{}: saw {sum}, not {expected}", way.name);
    time
}

/// Ways in turn: the median of nanoseconds a record, and of how many times as fast as owned values
/// *of the same turn*: a virtual machine moves its cores apart and together under way, which
/// changes all of a turn alike.
fn table(turns: usize) {
    let mut times = [const { Vec::new() }; WAYS.len()];
    let mut seen = [None; WAYS.len()];
    for _ in 0..turns {
        for (way, times) in WAYS.iter().zip(&mut times) {
            times.push(run(way, &mut seen).as_secs_f64() * 1e9 / RECORDS as f64);
        }
    }
    println!("{:<42}{:>12}{:>12}", "medians", "ns a record", "to owned");
    for (way, ns) in WAYS.iter().zip(&times) {
        let ratios = times[way.owned].iter().zip(ns).map(|(owned, ns)| owned / ns);
        let (ns, ratio) = (median(ns.iter().copied()), median(ratios));
        println!("{:<42}{ns:>12.1}{ratio:>11.2}x", way.name);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn criteria() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(RECORDS));
    for way in &WAYS {
        group.bench_function(way.name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| (way.run)().0).sum());
        });
    }
    group.finish();
    criterion.final_summary();
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--table"] => table(9),
        ["--table", turns] => table(turns.parse().unwrap_or(9)),
        [] => {
            table(5);
            criteria();
        }
        _ => criteria(),
    }
}
