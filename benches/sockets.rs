//! Records a second by TCP: JSON lines, a window by key, a sink, on one shard and on two; and what
//! of that the parser takes, and the sockets. And how long a record is under way.
//!
//! ```text
//! cargo bench --bench sockets                   4 M records, three turns
//! cargo bench --bench sockets -- 8000000 5      so many records, so many turns
//! cargo bench --bench sockets -- latency 5      10,000 and 100,000 records/s, five turns
//! ```
//!
//! A thread of this process for each shard sends text that lies in memory; the shard reads it, cuts
//! it into rows, decodes and counts them. Where there are fewer cores than threads they share them;
//! two shards are pinned. *Parser alone* decodes the same text on one thread, *read alone* is a
//! thread that reads what the same sender sends and counts line feeds.
//!
//! A latency is from the moment before a peer writes a record until its key's newest value comes to
//! the sink. The peer writes what is due and sleeps for 100 µs.

use std::env;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use thalweg::format::read_json;
use thalweg::prelude::*;
use thalweg::ring::Idle;

record! {
    struct Bid { auction: u64, price: u64, at_ms: u64 }
}

fn text(records: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for i in 0..records {
        let (auction, price, at_ms) = (1_000 + i * 7_919 % 997, i * 31 % 100_000, i / 100);
        let row = format!("{{\"auction\":{auction},\"price\":{price},\"at_ms\":{at_ms}}}\n");
        text.extend_from_slice(row.as_bytes());
    }
    text
}

fn send(address: SocketAddr, text: &[u8]) {
    let mut peer = TcpStream::connect(address).expect("somebody listens");
    peer.write_all(text).expect("somebody reads");
}

/// Sends all to a job, once for each shard; the job counts by key and second.
fn engine(text: &[u8], records: u64, shards: usize, executor: Executor) -> Result<Duration> {
    let source = Tcp::listen("127.0.0.1:0").json::<Bid>().ends_after(shards as u64);
    let address = source.local_addr()?;
    let counted = Arc::new(AtomicU64::new(0));
    let job = Job::new("bids").shards(shards).executor(executor).pin(shards > 1);
    let counts = counted.clone();
    job.source(source)
        .event_time(|bid| Timestamp::from_millis(bid.at_ms as i64), 0.seconds())
        .key_by(|bid| bid.auction)
        .window(Tumbling::of(1.seconds()))
        .aggregate(|bids| (bids.count(), bids.max(|bid| bid.price)))
        .map(|window| window.value.0)
        .sink(Callback::new::<u64>(move |_, _, count| {
            counts.fetch_add(count, Relaxed);
        }));
    let running = job.start()?;
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..shards {
            scope.spawn(|| send(address, text));
        }
    });
    running.join()?;
    let took = begin.elapsed();
    // Of two peers that send the same times, one may come late.
    let counted = counted.load(Relaxed);
    assert!(counted == records || shards > 1, "every record is in a window");
    Ok(took)
}

/// Decodes all lines.
fn parser(text: &[u8]) -> Duration {
    let text = std::str::from_utf8(text).expect("it is text");
    let begin = Instant::now();
    for line in text.lines() {
        black_box(read_json::<Bid>(line).expect("it is a bid"));
    }
    begin.elapsed()
}

/// Reads all that is sent, and counts lines.
fn reading(text: &[u8], records: u64) -> Result<Duration> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| send(address, text));
        let (mut peer, _) = server.accept()?;
        let (mut buffer, mut lines) = (vec![0; 64 << 10], 0);
        loop {
            let read = peer.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
        }
        assert_eq!(lines, records, "every line is read");
        Ok(begin.elapsed())
    })
}

record! {
    struct Ping { key: u64, sent_ns: u64 }
}

/// Sends so many records a second, until told to stop.
fn ping(address: SocketAddr, a_second: u64, began: Instant, stop: &AtomicBool) {
    let mut peer = TcpStream::connect(address).expect("somebody listens");
    peer.set_nodelay(true).expect("it is a socket");
    let (begin, mut sent, mut rows) = (Instant::now(), 0, Vec::new());
    while !stop.load(Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * a_second as f64) as u64;
        let end = due.min(sent + 512);
        let now = began.elapsed().as_nanos();
        rows.clear();
        for i in sent..end {
            writeln!(rows, "{{\"key\":{},\"sent_ns\":{now}}}", i % 1_000).expect("memory");
        }
        sent = end;
        peer.write_all(&rows).expect("somebody reads");
        thread::sleep(Duration::from_micros(100));
    }
}

/// How long records are under way, sorted, from a peer for each shard.
fn latencies(a_second: u64, shards: usize, executor: Executor, idle: Idle) -> Result<Vec<u64>> {
    let source = Tcp::listen("127.0.0.1:0").json::<Ping>().ends_after(shards as u64);
    let address = source.local_addr()?;
    let took: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (began, took_by, warm) = (Instant::now(), took.clone(), 200_000_000);
    let job = Job::new("pings").shards(shards).executor(executor).idle(idle);
    job.source(source)
        .key_by(|ping| ping.key)
        .reduce(|last, ping| last.sent_ns = ping.sent_ns)
        .sink(Callback::new::<Ping>(move |_, _, ping| {
            if ping.sent_ns > warm {
                let now = began.elapsed().as_nanos() as u64;
                took_by.lock().expect("nobody panicked").push(now - ping.sent_ns);
            }
        }));
    let running = job.start()?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..shards {
            scope.spawn(|| ping(address, a_second / shards as u64, began, &stop));
        }
        thread::sleep(Duration::from_millis(900));
        stop.store(true, Relaxed);
    });
    running.join()?;
    let mut took = std::mem::take(&mut *took.lock().expect("nobody panicked"));
    took.sort_unstable();
    Ok(took)
}

fn latency(turns: u64) -> Result {
    println!("µs, p50 and p99: of the best turn, and medians of {turns}");
    for idle in [Idle::Spin, Idle::Backoff] {
        for (shards, a_second) in [(1, 10_000), (1, 100_000), (2, 10_000), (2, 100_000)] {
            for executor in [Executor::Threads, Executor::Auto] {
                let (mut p50, mut p99) = (Vec::new(), Vec::new());
                for _ in 0..turns {
                    let took = latencies(a_second, shards, executor, idle)?;
                    let at = |share: usize| took[(took.len() - 1) * share / 100] as f64 / 1e3;
                    p50.push(at(50));
                    p99.push(at(99));
                }
                p50.sort_by(f64::total_cmp);
                p99.sort_by(f64::total_cmp);
                let middle = p50.len() / 2;
                println!(
                    "{:8} {:8} {shards} shards {a_second:6}/s {:8.1} {:8.1} {:8.1} {:8.1}",
                    format!("{idle:?}"),
                    format!("{executor:?}"),
                    p50[0],
                    p99[0],
                    p50[middle],
                    p99[middle]
                );
            }
        }
    }
    Ok(())
}

fn main() -> Result {
    let numbers: Vec<u64> = env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let tests = !env::args().any(|arg| arg == "--bench");
    if env::args().any(|arg| arg == "latency") {
        return latency(numbers.first().copied().unwrap_or(3));
    }
    let (records, turns) = match *numbers {
        _ if tests => (20_000, 1),
        [] => (4_000_000, 3),
        [records] => (records, 3),
        [records, turns, ..] => (records, turns),
    };
    let text = text(records);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{records} records of {} bytes, {cores} cores", text.len() as u64 / records.max(1));
    println!("M records/s, best and median of {turns}");
    let mut took: [Vec<Duration>; 6] = Default::default();
    for _ in 0..turns {
        took[0].push(engine(&text, records, 1, Executor::Threads)?);
        took[1].push(engine(&text, records, 1, Executor::Auto)?);
        took[2].push(engine(&text, records, 2, Executor::Threads)?);
        took[3].push(engine(&text, records, 2, Executor::Auto)?);
        took[4].push(parser(&text));
        took[5].push(reading(&text, records)?);
    }
    let names = ["threads", "auto", "2 shards, threads", "2 shards, auto", "parser", "read alone"];
    for (name, took) in names.into_iter().zip(&mut took) {
        took.sort_unstable();
        let sent = records * if name.starts_with('2') { 2 } else { 1 };
        let rate = |took: Duration| sent as f64 / took.as_secs_f64() / 1e6;
        println!("{name:18} {:6.2} {:6.2}", rate(took[0]), rate(took[took.len() / 2]));
    }
    Ok(())
}
