//! Sockets of all kinds, and what becomes of them when peers or the job come and go.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::thread::sleep;
use std::time::Instant;

use thalweg::connector::Message;
use thalweg::operator::Source;
use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
use peers::{Sale, in_time, json, sales, send, until};

/// Runs a job that gathers what a source gives, while `peers` do their part.
fn gathered<S: Source>(source: S, peers: impl FnOnce(&Running) + Send + 'static) -> Vec<S::Record>
where
    S::Record: Ord,
{
    in_time(move || {
        let job = Job::new("gathered").shards(2).pin(false);
        let (sink, all) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        peers(&running);
        running.join().unwrap();
        all.sorted()
    })
}

fn failing<S: Source>(source: S) -> String {
    in_time(move || {
        let job = Job::new("failing").shards(2).pin(false);
        job.source(source).sink(Discard);
        job.run().unwrap_err().to_string()
    })
}

#[test]
fn a_source_that_connects_does_so_again() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = Tcp::connect(server.local_addr().unwrap().to_string()).json::<Sale>();
    let traffic = source.traffic();
    let found = gathered(source.ends_after(3), move |_| {
        for shop in 0..3 {
            let (mut peer, _) = server.accept().unwrap();
            peer.write_all(json(&sales(shop, 10)).as_bytes()).unwrap();
        }
    });
    assert_eq!(found, [sales(0, 10), sales(1, 10), sales(2, 10)].concat());
    assert_eq!((traffic.accepted(), traffic.failed()), (3, 2));
}

#[test]
fn a_peer_that_is_away_for_too_long_ends_the_job() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = failing(Tcp::connect(free.clone()).lines().give_up_after(300.millis()));
    let named = format!("source lines tcp {free}");
    let cause = format!("refused (os error 111): tcp {free} can't be reached, for ");
    for part in ["job failing", &*named, &*cause] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert!(said.ends_with("ms; start the peer") || said.ends_with("s; start the peer"), "{said}");
}

#[test]
fn what_can_not_be_listened_on_is_said_before_the_job_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = failing(Tcp::listen(address.clone()).lines());
    assert!(said.contains(&format!("listening on tcp {address}")), "{said}");
    assert!(said.contains("another program listens there"), "{said}");
    let said = failing(Tcp::listen("nowhere").lines());
    assert!(said.contains("\"nowhere\" is no host and port"), "{said}");
    let said = failing(Tcp::connect("nowhere").lines());
    assert!(said.contains("\"nowhere\" is no host and port"), "{said}");
    let said = failing(Udp::connect("127.0.0.1:9").lines());
    assert!(said.contains("Udp::listen"), "{said}");
    let said = failing(Unix::listen("/no/such/place").lines());
    assert!(said.contains("unix /no/such/place") && said.contains("check the path"), "{said}");
}

#[test]
fn a_path_that_a_dead_process_left_is_taken_over_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("words.sock");
    // The listener is gone, the path is not.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let source = Unix::listen(&path).csv::<Sale>().ends_after(2);
    let peer = path.clone();
    let found = gathered(source, move |_| {
        for shop in 0..2 {
            let mut peer = UnixStream::connect(&peer).unwrap();
            let rows: String = sales(shop, 5)
                .iter()
                .map(|s| format!("{},{},{}\n", s.amount, s.shop, s.number))
                .collect();
            peer.write_all(format!("amount,shop,number\n{rows}").as_bytes()).unwrap();
        }
    });
    assert_eq!(found, [sales(0, 5), sales(1, 5)].concat());
    assert!(!path.exists(), "it is removed in the end");

    let living = UnixListener::bind(&path).unwrap();
    let said = failing(Unix::listen(&path).lines());
    assert!(said.contains("another program listens there"), "{said}");
    drop(living);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "no socket").unwrap();
    let said = failing(Unix::listen(&path).lines());
    assert!(said.contains("something else is in the way"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "no socket");
}

#[test]
fn a_source_connects_to_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("words.sock");
    let server = UnixListener::bind(&path).unwrap();
    let found = gathered(Unix::connect(&path).lines().ends_after(1), move |_| {
        let (mut peer, _) = server.accept().unwrap();
        peer.write_all(b"to\nflow\n").unwrap();
    });
    assert_eq!(found, ["flow", "to"]);
}

#[test]
fn datagrams_have_whole_rows() {
    let source = Udp::listen("127.0.0.1:0").json::<Sale>().row_bytes_max(1_000);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source.on_bad_record(OnBadRecord::Skip), move |running| {
        let peers = [0, 1, 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut sent = 0;
        for i in 0..30 {
            // Two rows, the last one without its end; what is torn does not go on.
            let rows = json(&sales(i, 2));
            let datagrams: [&[u8]; 4] =
                [rows.trim_end().as_bytes(), b"{\"shop\": 1", b"\xff\xff", &[b' '; 9_000]];
            let peer = &peers[i as usize % 3];
            for datagram in datagrams {
                sent += peer.send_to(datagram, address).unwrap() as u64;
            }
            // So that the system has none to drop.
            until(|| traffic.bytes() == sent);
        }
        until(|| running.metrics().records_read() == 60);
        until(|| running.metrics().operators.iter().map(|o| o.bad).sum::<u64>() == 90);
        running.stop();
    });
    assert_eq!(found, (0..30).flat_map(|shop| sales(shop, 2)).collect::<Vec<_>>());
}

#[test]
fn a_job_that_is_slow_reads_datagrams_one_row_at_a_time() {
    let source = Udp::listen("127.0.0.1:0").json::<Sale>();
    let address = source.local_addr().unwrap();
    let found = in_time(move || {
        let job = Job::new("slow").shards(1).pin(false);
        let (sink, all) = Collect::new();
        job.source(source).inspect(|_| sleep(20.millis())).sink(sink);
        let running = job.start().unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for shop in 0..40 {
            peer.send_to(json(&sales(shop, 2)).as_bytes(), address).unwrap();
        }
        until(|| running.metrics().records_read() == 80);
        running.stop();
        running.join().unwrap();
        all.sorted()
    });
    assert_eq!(found, (0..40).flat_map(|shop| sales(shop, 2)).collect::<Vec<_>>());
}

#[test]
fn messages_of_any_bytes_are_told_apart_by_their_length() {
    let source = Tcp::listen("127.0.0.1:0").messages().ends_after(1);
    let address = source.local_addr().unwrap();
    let found = in_time(move || {
        let job = Job::new("messages").shards(1);
        let (sink, all) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        send(address, b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x02\xff\xfe", &[1]);
        running.join().unwrap();
        all.take()
    });
    let bytes = found.iter().map(|Message { bytes }| &**bytes).collect::<Vec<_>>();
    assert_eq!(bytes, [&b"a\nb"[..], b"", b"\xff\xfe"]);
}

#[test]
fn a_silent_connection_is_closed_when_that_was_asked_for() {
    let source = Tcp::listen("127.0.0.1:0").lines().idle_timeout(2.seconds()).ends_after(2);
    let address = source.local_addr().unwrap();
    let found = gathered(source, move |_| {
        let mut silent = TcpStream::connect(address).unwrap();
        // A byte now and then is no silence, whatever it is worth.
        let mut slow = TcpStream::connect(address).unwrap();
        slow.set_nodelay(true).unwrap();
        for byte in b"one at a time\n" {
            slow.write_all(&[*byte]).unwrap();
            sleep(20.millis());
        }
        assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    });
    assert_eq!(found, ["one at a time"]);
}

#[test]
fn a_job_that_is_stopped_reads_what_was_taken_and_lets_its_peers_go() {
    let source = Tcp::listen("127.0.0.1:0").lines();
    let address = source.local_addr().unwrap();
    let found = gathered(source, move |running| {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"a\nb\n").unwrap();
        until(|| running.metrics().records_read() == 2);
        running.stop();
        assert_eq!(peer.read(&mut [0]).unwrap_or(0), 0);
    });
    assert_eq!(found, ["a", "b"]);
    until(|| TcpStream::connect(address).is_err());
}

/// The counts of windows of 10 ms, of numbers that are times in ms; what a window gives is told at
/// once.
fn windows(source: impl Source<Record = Sale>, idle: std::time::Duration) -> (Running, Seen) {
    let job = Job::new("windows").shards(2).pin(false).idle_after(idle);
    let (sink, receiver) = Channel::sink::<u64>(64);
    job.source(source)
        .event_time(|sale| Timestamp::from_millis(sale.number as i64), 0.seconds())
        .window(Tumbling::of(10.millis()))
        .aggregate(|sales| sales.count())
        .map(|window| window.value)
        .sink(sink);
    (job.start().unwrap(), receiver)
}

type Seen = thalweg::connector::Receiver<u64>;

#[test]
fn splits_without_a_connection_and_silent_ones_hold_no_window_open() {
    in_time(|| {
        let source = Tcp::listen("127.0.0.1:0").json::<Sale>();
        let address = source.local_addr().unwrap();
        // One connection: the other shard has none, and is not waited for.
        let (running, mut seen) = windows(source, 1.hours());
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(json(&sales(1, 25)).as_bytes()).unwrap();
        assert_eq!([seen.recv(), seen.recv()], [Some(10), Some(10)]);
        running.stop();
        running.join().unwrap();

        let source = Tcp::listen("127.0.0.1:0").json::<Sale>();
        let address = source.local_addr().unwrap();
        let (running, mut seen) = windows(source, 300.millis());
        // It has said something, and then nothing more.
        let mut silent = TcpStream::connect(address).unwrap();
        silent.write_all(json(&sales(1, 5)).as_bytes()).unwrap();
        until(|| running.metrics().records_read() == 5);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(json(&sales(1, 25)).as_bytes()).unwrap();
        assert_eq!([seen.recv(), seen.recv()], [Some(15), Some(10)]);
        running.stop();
        running.join().unwrap();
    });
}

#[test]
fn a_job_that_restarts_listens_at_the_same_place() {
    in_time(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = Tcp::listen("127.0.0.1:0").lines();
        let address = source.local_addr().unwrap();
        let job = Job::new("restarts").shards(2).pin(false).restart(Restart::times(1));
        let job = job.checkpoints(directory.path(), 1.hours());
        let (sink, seen) = Collect::new();
        job.source(source).inspect(|line| assert!(line != "fail", "as it was told")).sink(sink);
        assert!(job.explain().to_string().contains("at most once"), "{}", job.explain());
        let running = job.start().unwrap();
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"before\n").unwrap();
        until(|| running.metrics().records_read() == 1);
        running.checkpoint().unwrap();
        peer.write_all(b"fail\n").unwrap();
        // The connection is closed, a new one waits until somebody takes it.
        assert_eq!(peer.read(&mut [0]).unwrap_or(0), 0);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(b"after\n").unwrap();
        until(|| seen.take().contains(&"after".to_owned()));
        running.stop();
        running.join().unwrap();
    });
}

#[test]
fn many_come_and_go_at_once() {
    let source = Tcp::listen("127.0.0.1:0").json::<Sale>().ends_after(200);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let begin = Instant::now();
    let found = gathered(source, move |_| {
        thread::scope(|scope| {
            for part in 0..4 {
                scope.spawn(move || {
                    for shop in part * 50..(part + 1) * 50 {
                        send(address, json(&sales(shop, 20)).as_bytes(), &[11, 300]);
                    }
                });
            }
        });
    });
    assert_eq!(found, (0..200).flat_map(|shop| sales(shop, 20)).collect::<Vec<_>>());
    assert_eq!((traffic.open(), traffic.accepted()), (0, 200), "{:?}", begin.elapsed());
}

#[test]
fn a_peer_that_sends_garbage_without_end_keeps_nobody_waiting() {
    let source = Tcp::listen("127.0.0.1:0").json::<Sale>().queue_blocks(4);
    let address = source.local_addr().unwrap();
    let found = in_time(move || {
        let job = Job::new("flooded").shards(1).pin(false);
        let (sink, all) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        let floods = ["x\n", "\n"].map(|garbage| {
            let garbage = garbage.repeat(32 << 10);
            thread::spawn(move || {
                let mut peer = TcpStream::connect(address).unwrap();
                while peer.write_all(garbage.as_bytes()).is_ok() {}
            })
        });
        until(|| running.metrics().operators.iter().any(|o| o.bad > 100_000));
        send(address, json(&sales(1, 10)).as_bytes(), &[1 << 10]);
        until(|| running.metrics().records_read() == 10);
        running.stop();
        running.join().unwrap();
        floods.into_iter().for_each(|flood| flood.join().unwrap());
        all.sorted()
    });
    assert_eq!(found, sales(1, 10));
}

#[test]
fn a_row_may_be_as_long_as_can_be() {
    let source = Tcp::listen("127.0.0.1:0").lines().row_bytes_max(usize::MAX).ends_after(1);
    let address = source.local_addr().unwrap();
    let found = gathered(source, move |_| send(address, b"one\ntwo\n", &[1]));
    assert_eq!(found, ["one", "two"]);
}

#[test]
fn a_job_that_runs_tells_what_its_sockets_have_counted() {
    in_time(|| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Tcp::listen("127.0.0.1:0").lines();
        let address = source.local_addr().unwrap();
        let sink = Tcp::connect(server.local_addr().unwrap().to_string()).to_lines();
        let job = Job::new("relay").shards(2).pin(false);
        job.source(source).map(|line| format!("{line}!")).sink(sink);
        let running = job.start().unwrap();
        let peers = [0, 1].map(|_| TcpStream::connect(address).unwrap());
        peers.iter().for_each(|mut peer| peer.write_all(b"four\n").unwrap());
        let (mut reader, _) = server.accept().unwrap();
        reader.read_exact(&mut [0; 12]).unwrap();
        let of = |side: &str| {
            let all = running.metrics().operators;
            all.into_iter().find(|o| o.name.contains(side)).unwrap()
        };
        let count = |side: &str, what: &str| {
            let counts = of(side).counts;
            counts.iter().find(|(name, _)| *name == what).unwrap().1
        };
        // What is written is counted behind it.
        until(|| count("sink", "bytes_total") == 12);
        assert_eq!(["connections_total", "failures_total"].map(|what| count("sink", what)), [1, 0]);
        let read = ["connections_open", "connections_total", "bytes_total", "partial_bytes"];
        assert_eq!(read.map(|what| count("source", what)), [2, 2, 10, 0]);
        let text = running.metrics().prometheus();
        let line = |side: &str, what: &str, count| {
            let name = of(side).name;
            let line =
                format!("thalweg_operator_{what}{{job=\"relay\",operator=\"{name}\"}} {count}");
            assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
        };
        line("source", "connections_open", 2);
        line("source", "bytes_total", 10);
        line("sink", "connections_total", 1);
        line("sink", "bytes_total", 12);
        drop(peers);
        until(|| count("source", "connections_open") == 0);
        assert_eq!(count("source", "connections_total"), 2);
        running.stop();
        running.join().unwrap();
    });
}
