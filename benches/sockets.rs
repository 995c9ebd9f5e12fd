//! Records a second by TCP: JSON lines, a window by key, a sink, on one shard; and what of that the
//! parser takes, and the sockets.
//!
//! ```text
//! cargo bench --bench sockets                   4 M records, three turns
//! cargo bench --bench sockets -- 8000000 5      so many records, so many turns
//! ```
//!
//! A thread of this process sends text that lies in memory; a thread of the source's reads it; the
//! shard cuts it into rows, decodes and counts them. Three threads: where there are fewer cores
//! they share them. *Parser alone* decodes the same text on one thread, *read alone* is a thread
//! that reads what the same sender sends and counts line feeds.

use std::env;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use thalweg::format::read_json;
use thalweg::prelude::*;

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

/// Sends all to a job, which counts by key and second.
fn engine(text: &[u8], records: u64, executor: Executor) -> Result<Duration> {
    let source = Tcp::listen("127.0.0.1:0").json::<Bid>().ends_after(1);
    let address = source.local_addr()?;
    let counted = Arc::new(AtomicU64::new(0));
    let job = Job::new("bids").shards(1).executor(executor).pin(false);
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
    thread::scope(|scope| scope.spawn(|| send(address, text)).join().expect("all is sent"));
    running.join()?;
    let took = begin.elapsed();
    assert_eq!(counted.load(Relaxed), records, "every record is in a window");
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

fn main() -> Result {
    let numbers: Vec<u64> = env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let tests = !env::args().any(|arg| arg == "--bench");
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
    let mut took: [Vec<Duration>; 4] = Default::default();
    for _ in 0..turns {
        took[0].push(engine(&text, records, Executor::Threads)?);
        took[1].push(engine(&text, records, Executor::Auto)?);
        took[2].push(parser(&text));
        took[3].push(reading(&text, records)?);
    }
    let names = ["engine, threads", "engine, auto", "parser alone", "read alone"];
    for (name, took) in names.into_iter().zip(&mut took) {
        took.sort_unstable();
        let rate = |took: Duration| records as f64 / took.as_secs_f64() / 1e6;
        println!("{name:16} {:6.2} {:6.2}", rate(took[0]), rate(took[took.len() / 2]));
    }
    Ok(())
}
