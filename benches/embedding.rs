//! How long a record takes from `send` to a callback, through one exchange by key; and what a job
//! that has nothing to do takes of a core.
//!
//! ```text
//! cargo bench --bench embedding                 100,000 records a second for 5 s
//! cargo bench --bench embedding -- 50000 10     so many a second, for so many seconds
//! ```
//!
//! A record's time counts from when it was *due*: what is sent late is late.
//! Three ways to send: a thread that spins, to a job on one shard and to one on two; and from
//! within the turns of shard 0 of two, to shard 1. Shards spin, too. Where there are fewer cores
//! than threads that spin the second way measures the scheduler, and the row says so; the third
//! then shows what the engine takes. *Pause*: the longest time that the sender was away from the
//! clock. *Trips*: the median by the raw ring's round trip between two threads, measured before.

mod pair;

use std::env;
use std::fs;
use std::hint::spin_loop;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thalweg::connector::Sender;
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;
use thalweg::ring::ring;

const ROUND_TRIPS: u32 = 200_000;

record! {
    struct Ping { key: u64, due_ns: u64 }
}

/// The mean round trip of a number through two rings, between two threads of their own: this one
/// must not stay on the core that it would be pinned to, which is shard 0's.
fn round_trip() -> Duration {
    thread::scope(|scope| scope.spawn(trips).join().expect("a ring does not panic"))
}

fn trips() -> Duration {
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

/// The latencies of one shard; a clone begins anew, and each adds its own to all when dropped.
struct Latencies {
    base: Instant,
    /// Of records that were due from then on: the job's start is no latency of theirs.
    from_ns: u64,
    own: Vec<u64>,
    all: Arc<Mutex<Vec<u64>>>,
}

impl Clone for Latencies {
    fn clone(&self) -> Self {
        let Latencies { base, from_ns, all, .. } = self;
        let own = Vec::with_capacity(1 << 20);
        Latencies { base: *base, from_ns: *from_ns, own, all: all.clone() }
    }
}

impl Latencies {
    fn note(&mut self, due_ns: u64) {
        let latency = self.base.elapsed().as_nanos() as u64 - due_ns;
        if due_ns >= self.from_ns {
            self.own.push(latency);
        }
    }
}

impl Drop for Latencies {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.own);
    }
}

/// Sends what is due, again and again, and looks at the clock meanwhile.
struct Sending {
    to: Sender<Ping>,
    base: Instant,
    per_second: u64,
    count: u64,
    next: u64,
    last: Instant,
    pause: Duration,
    pauses: Arc<Mutex<Duration>>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        *self.pauses.lock().unwrap_or_else(PoisonError::into_inner) = self.pause;
    }
}

impl Sending {
    /// Sends what is due; false when all was sent.
    fn turn(&mut self) -> bool {
        let now = Instant::now();
        self.pause = self.pause.max(now - self.last);
        self.last = now;
        let now_ns = (now - self.base).as_nanos() as u64;
        while self.next < self.count {
            let due_ns = self.next * 1_000_000_000 / self.per_second;
            let ping = Ping { key: self.next % 1_000, due_ns };
            if due_ns > now_ns || self.to.try_send(ping).is_err() {
                return true;
            }
            self.next += 1;
        }
        false
    }
}

/// A source that gives nothing, and sends in its shard's turns.
struct Within(Mutex<Option<Sending>>);

impl Source for Within {
    type Record = u64;

    fn name(&self) -> String {
        "sender".into()
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let sending = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(sending.into_iter().map(|sending| Box::new(sending) as Box<dyn Split<u64>>).collect())
    }
}

impl Split<u64> for Sending {
    fn poll(&mut self, _: &mut Feed<'_, u64>) -> Result<Progress> {
        Ok(if self.turn() { Progress::Idle } else { Progress::Done })
    }
}

/// Who sends.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Thread,
    Shard,
}

/// The latencies of all records, sorted, and the longest pause of the sender.
fn measure(
    shards: usize,
    from: From,
    per_second: u64,
    seconds: u64,
) -> Result<(Vec<u64>, Duration)> {
    let (all, base, count) = (Arc::default(), Instant::now(), per_second * seconds);
    let from_ns = seconds * 1_000_000_000 / 10;
    let mut latencies = Latencies { base, from_ns, own: Vec::new(), all: Arc::clone(&all) };
    let sink = Callback::new::<Ping>(move |_, _, ping| latencies.note(ping.due_ns));
    let (first, source) = Channel::source::<Ping>(1_024);
    let job = Job::new("pings").shards(shards).idle(Idle::Spin).executor(Executor::Threads);
    job.source(source)
        .key_by(|ping| ping.key)
        .process::<(), Ping>(|(), ping, ctx| ctx.emit(ping), |_, _, _| {})
        .sink(sink);
    // The first sender belongs to shard 0, the second to another one if there is one.
    let to = match from {
        From::Thread => first,
        From::Shard => {
            let second = first.clone();
            drop(first);
            second
        }
    };
    let (pause, pauses, last) = (Duration::ZERO, Arc::default(), Instant::now());
    let mut sending =
        Sending { to, base, per_second, count, next: 0, last, pause, pauses: Arc::clone(&pauses) };
    if from == From::Shard {
        job.source(Within(Mutex::new(Some(sending)))).sink(Discard);
        job.run()?;
    } else {
        let running = job.start()?;
        while sending.turn() {
            spin_loop();
        }
        drop(sending);
        running.join()?;
    }
    let mut taken = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    taken.sort_unstable();
    let pause = *pauses.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((taken, pause))
}

/// Time on a core that all threads of this process had so far.
fn on_core() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let each = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(each.sum())
}

/// What a job takes that waits for its senders, in percent of one core.
fn idle_percent(seconds: u64) -> Result<f64> {
    let (pings, source) = Channel::source::<Ping>(1_024);
    let job = Job::new("idle").shards(2);
    job.source(source).key_by(|ping| ping.key).aggregate_final(|pings| pings.count()).sink(Discard);
    let running = job.start()?;
    running.wait_for(Duration::from_millis(500));
    let (before, begin) = (on_core(), Instant::now());
    running.wait_for(Duration::from_secs(seconds));
    let percent = (on_core() - before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    drop(pings);
    running.join()?;
    Ok(percent)
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
    println!("shards  sender    p50    p90    p99  p99.9     max   pause   trips");
    for (shards, from) in [(1, From::Thread), (2, From::Thread), (2, From::Shard)] {
        let trip = round_trip();
        let (taken, pause) = measure(shards, from, per_second, seconds)?;
        let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        let trips = p50 * 1e3 / trip.as_nanos().max(1) as f64;
        let pause = pause.as_secs_f64() * 1e6;
        let sender = if from == From::Thread { "thread" } else { "shard 0" };
        let crowded = from == From::Thread && shards + 1 > cores;
        let note = if crowded { "  more threads that spin than cores" } else { "" };
        print!("{shards:6} {sender:>7} {p50:6.1} {p90:6.1} {p99:6.1} {p999:6.1} {max:7.0}");
        println!(" {pause:7.0} {trips:7.1}{note}");
    }
    let percent = idle_percent(if tests { 1 } else { seconds })?;
    println!("a job on two shards that waits for its senders: {percent:.2} % of one core");
    Ok(())
}
