//! Sockets that records are read from, with peers that are no more than standard sockets: some mean
//! well.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use thalweg::operator::{BadRecord, Source};
use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
use peers::{Sale, in_time, json, sales, send, until};

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

#[test]
fn what_many_peers_send_is_summed_up_on_any_number_of_shards() {
    let shops = 6;
    let mut expected: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for sale in (0..shops).flat_map(|shop| sales(shop, 5_000)) {
        let (count, sum) = expected.entry(sale.shop).or_default();
        (*count, *sum) = (*count + 1, *sum + sale.amount);
    }
    let expected: Vec<_> = expected.into_iter().collect();
    for (shards, executor) in [1, 2, 4].into_iter().flat_map(|n| EXECUTORS.map(|e| (n, e))) {
        let source = Tcp::listen("127.0.0.1:0").json::<Sale>().ends_after(shops);
        let address = source.local_addr().unwrap();
        let traffic = source.traffic();
        let found = in_time(move || {
            let job = Job::new("sales").shards(shards).executor(executor).pin(false);
            let (sink, sums) = Collect::new();
            job.source(source)
                .key_by(|sale| sale.shop)
                .aggregate_final(|sales| (sales.count(), sales.sum(|sale| sale.amount)))
                .sink(sink);
            let running = job.start().unwrap();
            thread::scope(|scope| {
                for shop in 1..shops {
                    let all = json(&sales(shop, 5_000));
                    scope.spawn(move || send(address, all.as_bytes(), &[7, 1, 4096, 130_000]));
                }
                // One byte at a time to begin with.
                let mut sizes = vec![1; 20_000];
                sizes.push(1 << 20);
                send(address, json(&sales(0, 5_000)).as_bytes(), &sizes);
            });
            running.join().unwrap();
            sums.sorted()
        });
        assert_eq!(found, expected, "{shards} shards on {executor}");
        assert_eq!((traffic.accepted(), traffic.open(), traffic.partial_bytes()), (shops, 0, 0));
    }
}

#[test]
fn what_one_peer_sends_stays_in_order() {
    let source = Tcp::listen("127.0.0.1:0").json::<Sale>().ends_after(8);
    let address = source.local_addr().unwrap();
    let wrong = in_time(move || {
        let job = Job::new("order").shards(3).pin(false);
        let (sink, wrong) = Collect::new();
        job.source(source)
            .key_by(|sale| sale.shop)
            .process::<u64, (u64, u64)>(
                |next, sale, ctx| {
                    if sale.number != *next {
                        ctx.emit((sale.shop, sale.number));
                    }
                    *next += 1;
                },
                |_, _, _| {},
            )
            .sink(sink);
        let running = job.start().unwrap();
        thread::scope(|scope| {
            for shop in 0..8 {
                let all = json(&sales(shop, 20_000));
                scope.spawn(move || send(address, all.as_bytes(), &[100_000, 3]));
            }
        });
        assert_eq!(running.join().unwrap().records_read(), 160_000);
        wrong.sorted()
    });
    assert_eq!(wrong, []);
}

/// Runs a job of lines, of which it gives all, and the bad ones; meanwhile `peer` does its part.
fn lines_of(
    source: impl Source<Record = String>,
    peer: impl FnOnce() + Send + 'static,
) -> (Vec<String>, Vec<BadRecord>) {
    in_time(move || {
        let job = Job::new("lines").shards(2).pin(false);
        let ((sink, lines), (side, bad)) = (Collect::new(), Collect::new());
        let (good, diverted) = job.source_with_bad(source);
        good.sink(sink);
        diverted.sink(side);
        let running = job.start().unwrap();
        peer();
        running.join().unwrap();
        let mut bad = bad.take();
        bad.sort_by_key(|bad| (bad.origin.clone(), bad.line));
        (lines.sorted(), bad)
    })
}

/// Memory of this process that no file is behind, in KiB.
fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_line_of_a_gigabyte_is_one_bad_record_and_takes_no_memory() {
    let source = Tcp::listen("127.0.0.1:0").lines().ends_after(1);
    let source = source.on_bad_record(OnBadRecord::SideStream);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let (lines, bad) = lines_of(source, move || {
        let before = anonymous_kib();
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"first\n").unwrap();
        let megabyte = vec![b'x'; 1 << 20];
        for _ in 0..1 << 10 {
            peer.write_all(&megabyte).unwrap();
            assert!(traffic.partial_bytes() <= 1 << 20);
        }
        let grown = anonymous_kib().saturating_sub(before);
        assert!(grown < 64 << 10, "{grown} KiB");
        peer.write_all(b"\nlast\n").unwrap();
    });
    assert_eq!(lines, ["first", "last"]);
    assert_eq!(bad.len(), 1);
    assert_eq!((bad[0].line, &*bad[0].error), (2, "the row is longer than 1048576 bytes"));
    assert_eq!(bad[0].text, "x".repeat(1024));
    assert!(bad[0].origin.contains("tcp 127.0.0.1:0, connection 0 from 127.0.0.1:"));
}

#[test]
fn a_peer_that_vanishes_leaves_a_bad_record_behind() {
    let source = Tcp::listen("127.0.0.1:0").lines().ends_after(2);
    let source = source.on_bad_record(OnBadRecord::SideStream);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let (lines, bad) = lines_of(source, move || {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"whole\ntorn").unwrap();
        until(|| traffic.partial_bytes() == 4);
        // It is reset, not closed.
        rustix::net::sockopt::set_socket_linger(&peer, Some(0.seconds())).unwrap();
        drop(peer);
        send(address, b"other\nlast", &[100]);
    });
    assert_eq!(lines, ["last", "other", "whole"]);
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((&*bad[0].text, bad[0].line), ("torn", 2));
    assert!(bad[0].error.contains("was lost"));
}

#[test]
fn garbage_neither_stops_the_job_nor_hides_what_is_none() {
    use rand::{RngCore, SeedableRng};
    for prefixed in [false, true] {
        let source = Tcp::listen("127.0.0.1:0").json::<Sale>().ends_after(20);
        let source = if prefixed { source.length_prefixed() } else { source };
        let address = source.local_addr().unwrap();
        let (found, report) = in_time(move || {
            let job = Job::new("garbage").shards(2).pin(false);
            let (sink, found) = Collect::new();
            job.source(source).sink(sink);
            let running = job.start().unwrap();
            for seed in 0..19 {
                let mut garbage = vec![0; 100_000];
                rand::rngs::SmallRng::seed_from_u64(seed).fill_bytes(&mut garbage);
                send(address, &garbage, &[10_000]);
            }
            let row = json(&sales(1, 1));
            let row = row.trim();
            let mut good = (row.len() as u32).to_be_bytes().to_vec();
            good.extend_from_slice(row.as_bytes());
            send(address, if prefixed { &good } else { row.as_bytes() }, &[1000]);
            let report = running.join().unwrap();
            (found.sorted(), report)
        });
        assert_eq!(found, sales(1, 1));
        let bad: u64 = report.operators.iter().map(|operator| operator.bad).sum();
        assert!(bad >= 19, "{bad}");
    }
}

#[test]
fn by_default_a_bad_row_is_skipped_and_it_can_end_the_job() {
    let source = Tcp::listen("127.0.0.1:0").json::<Sale>().on_bad_record(OnBadRecord::Fail);
    let address = source.local_addr().unwrap();
    let said = in_time(move || {
        let job = Job::new("strict").shards(1);
        job.source(source).sink(Discard);
        let running = job.start().unwrap();
        send(address, b"{\"shop\": 1, \"number\": 2, \"amount\": 3}\n{\"shop\": true}\n", &[99]);
        running.join().unwrap_err().to_string()
    });
    for part in ["job strict", "source json tcp 127.0.0.1:0", "line 2", "field shop", "from 127."] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let source = Tcp::listen("127.0.0.1:0").lines().connections_max(2).ends_after(3);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let (lines, _) = lines_of(source.on_bad_record(OnBadRecord::SideStream), move || {
        let mut peers = [0, 1].map(|_| TcpStream::connect(address).unwrap());
        until(|| traffic.open() == 2);
        let mut third = TcpStream::connect(address).unwrap();
        assert_eq!(third.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!((traffic.refused(), traffic.open()), (1, 2));
        peers.iter_mut().for_each(|peer| peer.write_all(b"still here\n").unwrap());
        drop(peers);
        until(|| traffic.open() == 0);
        send(address, b"next\n", &[9]);
    });
    assert_eq!(lines, ["next", "still here", "still here"]);
}

/// Counts the records and waits at a lock for each.
fn held_back(source: impl Source<Record = String>) -> (Arc<Mutex<u64>>, Running) {
    let count = Arc::new(Mutex::new(0));
    let counting = count.clone();
    let job = Job::new("slow").shards(1).pin(false);
    job.source(source).sink(Callback::new::<String>(move |_, _, _| {
        *counting.lock().unwrap() += 1;
    }));
    (count, job.start().unwrap())
}

#[test]
fn a_job_that_is_slow_holds_its_peers_back() {
    let source = Tcp::listen("127.0.0.1:0").lines().ends_after(1).queue_blocks(4);
    let address = source.local_addr().unwrap();
    let (sent, read) = in_time(move || {
        let (count, running) = held_back(source);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_nonblocking(true).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        let block = line.repeat(64);
        let held = count.lock().unwrap();
        let (mut sent, mut last) = (0_usize, Instant::now());
        // Nothing is taken for a while: it is full.
        while last.elapsed() < 2.seconds() {
            match peer.write(&block.as_bytes()[sent % 1_000..]) {
                Ok(written) => (sent, last) = (sent + written, Instant::now()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    thread::sleep(1.millis());
                }
            }
        }
        // What the system holds for both ends, and four blocks.
        assert!(sent < 32 << 20, "{sent} bytes are under way");
        drop(held);
        peer.set_nonblocking(false).unwrap();
        peer.write_all(&block.as_bytes()[sent % 1_000..]).unwrap();
        let sent = sent + block.len() - sent % 1_000;
        drop(peer);
        let report = running.join().unwrap();
        assert_eq!(*count.lock().unwrap(), report.records_read());
        (sent as u64, report.records_read())
    });
    assert_eq!(read, sent / 1_000);
}
