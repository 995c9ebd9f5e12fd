//! Connections and datagrams of peers that are broken or mean no good, beside honest ones.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Instant;

use thalweg::operator::BadRecord;
use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
use peers::{in_time, json, sales, until};

fn call(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(30.seconds())).unwrap();
    peer.set_write_timeout(Some(30.seconds())).unwrap();
    peer
}

fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(0.seconds())).unwrap();
}

#[test]
fn a_peer_that_has_said_all_and_waits_is_read_to_its_end() {
    let source = Tcp::listen("127.0.0.1:0").lines().ends_after(1);
    let address = source.local_addr().unwrap();
    let found = in_time(move || {
        let job = Job::new("lines").shards(1);
        let (sink, lines) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        let mut peer = call(address);
        peer.write_all(b"one\ntwo").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "it is closed");
        running.join().unwrap();
        lines.take()
    });
    assert_eq!(found, ["one", "two"]);
}

#[test]
fn storms_of_resets_and_of_other_protocols_leave_nothing_behind() {
    let source = Tcp::listen("127.0.0.1:0").csv::<peers::Sale>().connections_max(16);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    in_time(move || {
        let job = Job::new("sales").shards(2).pin(false);
        let (sink, found) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        let others: [&[u8]; 6] = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello of TLS",
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"shop,number,amount\n1,\"",
            b"\"\n\"\n\"\n\"",
            b"shop,shop,shop\n1,2,3\n",
            b"\0\0\0\0",
        ];
        for round in 0..200 {
            let mut peer = call(address);
            // It may be one too many, and closed.
            let _ = peer.write_all(others[round % others.len()]);
            if round % 2 == 0 {
                reset(peer);
            }
        }
        until(|| traffic.open() == 0 && traffic.partial_bytes() == 0);
        // Some of the storm may still wait to be taken, and this one be one too many.
        until(|| {
            let _ = call(address).write_all(b"shop,number,amount\n1,0,919\n");
            thread::sleep(100.millis());
            !found.take().is_empty()
        });
        running.stop();
        let report = running.join().unwrap();
        assert!(report.operators.iter().any(|operator| operator.bad > 0));
        assert_eq!((traffic.open(), traffic.partial_bytes()), (0, 0));
    });
}

#[test]
fn lengths_that_lie_are_bad_rows_and_take_no_memory() {
    let source = Tcp::listen("127.0.0.1:0").messages().ends_after(3);
    let source = source.on_bad_record(OnBadRecord::SideStream);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let (messages, bad) = in_time(move || {
        let job = Job::new("messages").shards(1);
        let ((sink, good), (side, bad)) = (Collect::new(), Collect::new());
        let (messages, rows) = job.source_with_bad(source);
        messages.sink(sink);
        rows.sink(side);
        let running = job.start().unwrap();
        // Four gigabytes are announced, and never come; so with a megabyte; and half a length.
        for lie in [&b"\xff\xff\xff\xffx"[..], b"\0\x10\0\0x", b"\0\0"] {
            let mut peer = call(address);
            peer.write_all(b"\0\0\0\x02ok").unwrap();
            peer.write_all(lie).unwrap();
            until(|| traffic.bytes() as usize >= lie.len());
            assert!(traffic.partial_bytes() < 1 << 10);
        }
        running.join().unwrap();
        (good.take().len(), bad.take())
    });
    assert_eq!(messages, 3);
    let errors: Vec<&str> = bad.iter().map(|BadRecord { error, .. }| &**error).collect();
    let within = "the connection ended within the row";
    assert_eq!(errors, ["the row is longer than 1048576 bytes", within, within]);
}

#[test]
fn the_longest_datagram_is_read_whole() {
    // A byte more is no datagram of IPv4: nothing that comes can be cut.
    let longest = 65_507;
    let source = Udp::listen("127.0.0.1:0").lines().on_bad_record(OnBadRecord::SideStream);
    let short = Udp::listen("127.0.0.1:0").lines().on_bad_record(OnBadRecord::SideStream);
    let short = short.row_bytes_max(1_000);
    let (at, short_at) = (source.local_addr().unwrap(), short.local_addr().unwrap());
    let (lines, bad) = in_time(move || {
        let job = Job::new("lines").shards(2).pin(false);
        let ((sink, lines), (side, bad)) = (Collect::new(), Collect::new());
        let ((good, _), (_, rows)) = (job.source_with_bad(source), job.source_with_bad(short));
        good.map(|line| line.len() as u64).sink(sink);
        rows.sink(side);
        let running = job.start().unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(peer.send_to(&vec![b'x'; longest + 1], at).is_err());
        peer.send_to(&vec![b'x'; longest], at).unwrap();
        peer.send_to(b"", at).unwrap();
        peer.send_to(&vec![b'x'; 1_001], short_at).unwrap();
        until(|| running.metrics().records_read() == 1);
        until(|| running.metrics().operators.iter().any(|operator| operator.bad > 0));
        running.stop();
        running.join().unwrap();
        (lines.take(), bad.take())
    });
    assert_eq!(lines, [longest as u64]);
    assert_eq!((bad.len(), &*bad[0].error), (1, "the row is longer than 1000 bytes"));
    assert!(bad[0].origin.contains("datagram from 127.0.0.1:"), "{}", bad[0].origin);
}

#[test]
fn a_sink_is_done_no_harm_by_peers_that_reset_or_talk() {
    let mut sink = Tcp::listen("127.0.0.1:0").to_json();
    let (address, traffic) = (sink.local_addr().unwrap(), sink.traffic());
    in_time(move || {
        let (mut rows, source) = Channel::source::<peers::Sale>(1 << 10);
        let job = Job::new("sales").shards(1);
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        rows.send_batch(sales(1, 3)).unwrap();
        let begin = Instant::now();
        for _ in 0..20 {
            let mut peer = call(address);
            let _ = peer.write_all(b"GET / HTTP/1.1\r\n\r\n");
            reset(peer);
        }
        // Those that went may have taken some with them; whoever stays gets what follows, whole.
        let mut peer = BufReader::new(call(address));
        let mut line = String::new();
        peer.get_ref().set_read_timeout(Some(100.millis())).unwrap();
        let row = json(&sales(2, 1)).replace(": ", ":").replace(", ", ",");
        while line != row {
            rows.send(sales(2, 1)[0]).unwrap();
            if line.ends_with('\n') {
                line.clear();
            }
            let _ = peer.read_line(&mut line);
        }
        assert!(begin.elapsed() < 20.seconds(), "they keep it waiting");
        let begins = |line: &str| line.starts_with('{') && line.ends_with("}\n");
        assert!(begins(&line) && traffic.accepted() > 0, "{line}");
        drop(rows);
        let mut rest = String::new();
        peer.get_ref().set_read_timeout(Some(30.seconds())).unwrap();
        peer.read_to_string(&mut rest).unwrap();
        running.join().unwrap();
    });
}
