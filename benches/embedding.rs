//! How long a record takes from `send` to a callback, through one exchange by key.
//!
//! ```text
//! cargo bench --bench embedding                 100,000 records a second for 5 s, 1 and 2 shards
//! cargo bench --bench embedding -- 50000 10     so many a second, for so many seconds
//! ```
//!
//! The sender and the shards spin, so that there must be a core for each of them: where there are
//! fewer, what is measured is the system's scheduler. The *pause* beside each row is the longest
//! time that the sender, which does nothing but look at the clock, was away from it: the machine's
//! own stalls. *Trips* is the median by the raw ring's round trip between two threads, measured
//! just before.

mod pair;

use std::env;
use std::hint::spin_loop;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thalweg::prelude::*;
use thalweg::ring::ring;

const ROUND_TRIPS: u32 = 200_000;

record! {
    struct Ping { key: u64, sent_ns: u64 }
}

/// The mean round trip of a number through two rings.
fn round_trip() -> Duration {
    let ((mut there, mut arrive), (mut back, mut home)) = (ring::<u64>(64), ring::<u64>(64));
    let here = || {
        for number in 0..u64::from(ROUND_TRIPS) {
            there.push(number).expect("one is under way at a time");
            while home.pop().is_none() {
                spin_loop();
            }
        }
    };
    let far = || {
        for _ in 0..ROUND_TRIPS {
            let number = loop {
                match arrive.pop() {
                    Some(number) => break number,
                    None => spin_loop(),
                }
            };
            back.push(number).expect("one is under way at a time");
        }
    };
    let (took, (), ()) = pair::together(here, far);
    took / ROUND_TRIPS
}

/// The latencies of all records, sorted, and the longest pause of the sender.
fn measure(shards: usize, per_second: u64, seconds: u64) -> Result<(Vec<u64>, Duration)> {
    let count = per_second * seconds;
    let taken = Arc::new(Mutex::new(Vec::with_capacity(count as usize)));
    let base = Instant::now();
    let all = taken.clone();
    let sink = Callback::new::<Ping>(move |_, _, ping| {
        let latency = base.elapsed().as_nanos() as u64 - ping.sent_ns;
        all.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
    });
    let (mut pings, source) = Channel::source::<Ping>(1_024);
    let job = Job::new("pings").shards(shards).idle(Idle::Spin).executor(Executor::Threads);
    job.source(source)
        .key_by(|ping| ping.key)
        .process::<(), Ping>(|(), ping, ctx| ctx.emit(ping), |_, _, _| {})
        .sink(sink);
    let running = job.start()?;
    let mut pause = Duration::ZERO;
    let (begin, mut last) = (Instant::now(), Instant::now());
    for i in 0..count {
        let due = begin + Duration::from_nanos(i * 1_000_000_000 / per_second);
        loop {
            let now = Instant::now();
            pause = pause.max(now - last);
            last = now;
            if now >= due {
                break;
            }
            spin_loop();
        }
        pings.send(Ping { key: i % 1_000, sent_ns: base.elapsed().as_nanos() as u64 })?;
    }
    drop(pings);
    running.join()?;
    let mut taken = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
    taken.sort_unstable();
    Ok((taken, pause))
}

fn main() -> Result {
    let numbers: Vec<u64> = env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let tests = !env::args().any(|arg| arg == "--bench");
    let (per_second, seconds) = match *numbers {
        _ if tests => (10_000, 1),
        [] => (100_000, 5),
        [per_second] => (per_second, 5),
        [per_second, seconds, ..] => (per_second, seconds),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{per_second} records a second for {seconds} s, {cores} cores; times in us");
    println!("shards    p50    p90    p99  p99.9     max   pause   trips");
    for shards in [1, 2] {
        let trip = round_trip();
        let (taken, pause) = measure(shards, per_second, seconds)?;
        let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        let trips = p50 * 1e3 / trip.as_nanos().max(1) as f64;
        let pause = pause.as_secs_f64() * 1e6;
        println!(
            "{shards:6} {p50:6.1} {p90:6.1} {p99:6.1} {p999:6.1} {max:7.0} {pause:7.0} {trips:7.1}"
        );
    }
    Ok(())
}
