//! Sockets that records are written to, with peers that are no more than standard sockets.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::thread::sleep;
use std::time::Instant;

use thalweg::connector::SocketSink;
use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
use peers::{Sale, in_time, json, sales, until};

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

/// The numbers below `count`, as text, in the order of text.
fn numbers(count: u64) -> Vec<String> {
    let mut numbers: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    numbers.sort();
    numbers
}

fn sorted_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn all_shards_write_whole_records_to_one_connection() {
    for (shards, executor) in [1, 2, 4].into_iter().flat_map(|n| EXECUTORS.map(|e| (n, e))) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Tcp::connect(server.local_addr().unwrap().to_string()).to_lines();
        let text = in_time(move || {
            let job = Job::new("numbers").shards(shards).executor(executor).pin(false);
            job.source(Counter::to(200_000)).sink(sink);
            let running = job.start().unwrap();
            let mut text = String::new();
            server.accept().unwrap().0.read_to_string(&mut text).unwrap();
            running.join().unwrap();
            text
        });
        assert_eq!(sorted_lines(&text), numbers(200_000), "{shards} shards on {executor}");
    }
}

#[test]
fn what_is_written_can_be_read_by_a_source() {
    for prefixed in [false, true] {
        let found = in_time(move || {
            let source = Tcp::listen("127.0.0.1:0").json::<Sale>().ends_after(1);
            let address = source.local_addr().unwrap().to_string();
            let sink = Tcp::connect(address).to_json();
            let (source, sink) = match prefixed {
                true => (source.length_prefixed(), sink.length_prefixed()),
                false => (source, sink),
            };
            let (reads, writes) = (Job::new("reads").shards(1), Job::new("writes").shards(1));
            let (all, found) = Collect::new();
            reads.source(source).sink(all);
            writes.source(Memory::of(sales(3, 10_000)).splits(1)).sink(sink);
            let running = reads.start().unwrap();
            writes.run().unwrap();
            running.join().unwrap();
            found.take()
        });
        assert_eq!(found, sales(3, 10_000));
    }
}

#[test]
fn a_header_has_its_length_before_it_as_rows_have() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = Tcp::connect(server.local_addr().unwrap().to_string()).to_csv().length_prefixed();
    let bytes = in_time(move || {
        let job = Job::new("sales").shards(1);
        job.source(Memory::of(sales(1, 1))).sink(sink);
        let running = job.start().unwrap();
        let mut bytes = Vec::new();
        server.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        running.join().unwrap();
        bytes
    });
    assert_eq!(bytes, b"\0\0\0\x12shop,number,amount\0\0\0\x071,0,919");
}

#[test]
fn a_sink_that_listens_writes_to_one_peer_after_the_other() {
    in_time(|| {
        let mut sink = Tcp::listen("127.0.0.1:0").to_csv();
        let address = sink.local_addr().unwrap();
        let (mut sales_in, source) = Channel::source::<Sale>(16);
        let job = Job::new("sales").shards(1);
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        // It waits for somebody to take it.
        sales_in.send(sales(1, 1)[0]).unwrap();
        let read = |peer: &mut BufReader<TcpStream>| {
            let mut line = String::new();
            peer.read_line(&mut line).unwrap();
            line
        };
        let mut first = BufReader::new(TcpStream::connect(address).unwrap());
        assert_eq!(read(&mut first), "shop,number,amount\n");
        assert_eq!(read(&mut first), "1,0,919\n");
        drop(first);
        let mut second = BufReader::new(TcpStream::connect(address).unwrap());
        sleep(100.millis());
        sales_in.send(sales(2, 1)[0]).unwrap();
        assert_eq!(read(&mut second), "shop,number,amount\n");
        assert_eq!(read(&mut second), "2,0,838\n");
        drop(sales_in);
        assert_eq!(read(&mut second), "", "the job has ended");
        running.join().unwrap();
    });
}

#[test]
fn a_connection_that_is_lost_is_made_anew_and_no_record_is_torn() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = Tcp::connect(server.local_addr().unwrap().to_string()).to_lines();
    let traffic = sink.traffic();
    let (parts, sent) = in_time(move || {
        let job = Job::new("numbers").shards(2).pin(false);
        let count = 10_000_000;
        job.source(Counter::to(count)).sink(sink);
        let running = job.start().unwrap();
        let mut parts = Vec::new();
        for _ in 0..3 {
            // A peer that goes in the middle, without having read all that was sent.
            let (mut peer, _) = server.accept().unwrap();
            let mut some = vec![0; 300_000];
            peer.read_exact(&mut some).unwrap();
            parts.push(String::from_utf8(some).unwrap());
        }
        let mut rest = String::new();
        server.accept().unwrap().0.read_to_string(&mut rest).unwrap();
        parts.push(rest);
        running.join().unwrap();
        (parts, count)
    });
    assert!(traffic.failed() >= 3);
    let whole = |line: &str| line.parse::<u64>().is_ok_and(|n| n < sent);
    for part in &parts {
        // What was read of a connection may end anywhere, it begins with a record.
        let (lines, _torn) = part.rsplit_once('\n').unwrap();
        assert!(lines.lines().all(whole));
    }
    // The last one has all that the system had not taken for the others.
    let last = parts[3].lines().count() as u64;
    assert!(last > sent / 4, "{last}");
}

#[test]
fn a_peer_that_does_not_read_holds_the_job_back_and_is_given_up_in_the_end() {
    let said = in_time(|| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let sink = Tcp::connect(address).to_lines().queue_blocks(2).give_up_after(2.seconds());
        let job = Job::new("numbers").shards(2).pin(false);
        job.source(Counter::endless()).sink(sink);
        let running = job.start().unwrap();
        let _peer = server.accept().unwrap();
        sleep(1.seconds());
        let (before, begin) = (running.metrics().records_read(), Instant::now());
        sleep(300.millis());
        assert_eq!(running.metrics().records_read(), before, "it is held back");
        assert!(before < 20_000_000, "{before} records are under way");
        let said = running.join().unwrap_err().to_string();
        assert!(begin.elapsed() < 30.seconds());
        said
    });
    for part in ["job numbers", "sink", "tcp 127.0.0.1:", "for 2.", "give_up_after"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[test]
fn nobody_who_comes_to_a_sink_that_listens_ends_the_job() {
    let text = in_time(|| {
        let sink = Tcp::listen("127.0.0.1:0").to_lines();
        let mut sink = sink.queue_blocks(2).give_up_after(1.seconds());
        let (address, traffic) = (sink.local_addr().unwrap(), sink.traffic());
        let job = Job::new("numbers").shards(1);
        job.source(Counter::to(10_000_000)).sink(sink);
        let running = job.start().unwrap();
        // It does not read.
        let deaf = TcpStream::connect(address).unwrap();
        until(|| traffic.failed() == 1);
        // They go at once, and there is more time between them than a peer may be away.
        for failed in 2..4 {
            drop(TcpStream::connect(address).unwrap());
            until(|| traffic.failed() >= failed);
            sleep(1_100.millis());
        }
        let mut text = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
        running.join().unwrap();
        drop(deaf);
        text
    });
    let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers.ends_with(&[9_999_998, 9_999_999]));
}

#[test]
fn a_sink_to_which_nobody_comes_lets_its_job_be_stopped() {
    for shards in [1, 2] {
        let (read, said) = in_time(move || {
            let sink = Tcp::listen("127.0.0.1:0").to_lines();
            let sink = sink.queue_blocks(1).give_up_after(500.millis());
            let job = Job::new("numbers").shards(shards).pin(false);
            // A batch of them is more than the queue takes.
            job.source(Counter::endless()).map(|n| format!("{n:0>40000}")).sink(sink);
            let running = job.start().unwrap();
            until(|| running.metrics().records_read() > 0);
            // Longer than a peer may be away, and it is waited for.
            sleep(1_500.millis());
            let read = running.metrics().records_read();
            running.stop();
            (read, running.join().unwrap_err().to_string())
        });
        let left = format!("{read} records are not delivered");
        for part in ["job numbers", "sink", "no peer at tcp 127.0.0.1:0", "stopped", &*left] {
            assert!(said.contains(part), "{part} is missing: {said}");
        }
    }
}

#[test]
fn a_peer_that_is_not_there_ends_the_job() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let running = |sink: SocketSink<thalweg::connector::Lines>| {
        in_time(move || {
            let job = Job::new("numbers").shards(2).pin(false);
            job.source(Counter::to(10)).sink(sink.give_up_after(300.millis()));
            job.run().unwrap_err().to_string()
        })
    };
    let said = running(Tcp::connect(free.clone()).to_lines());
    // The cause, what it comes to, what to do.
    let cause = format!("tcp {free}: Connection refused (os error 111): no peer at tcp {free} has");
    for part in ["job numbers", &*cause, " taken anything for ", "ms, 10 records are not"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert!(said.ends_with(" delivered; start the peer"), "{said}");
    // One that listens waits for as long when the job has come to its end.
    let said = running(Tcp::listen("127.0.0.1:0").to_lines());
    assert!(said.contains("no peer at tcp 127.0.0.1:0"), "{said}");
    let said = running(Tcp::connect("nowhere").to_lines());
    assert!(said.contains("is no host and port"), "{said}");
    let said = running(Udp::listen("127.0.0.1:0").to_lines());
    assert!(said.contains("Udp::connect"), "{said}");
    let job = Job::new("empty").shards(1);
    job.source(Counter::to(0)).sink(Tcp::connect(free).to_lines());
    assert!(job.run().is_ok(), "what has nothing to say needs nobody");
}

#[test]
fn datagrams_have_a_record_each() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(60.seconds())).unwrap();
    let sink = Udp::connect(peer.local_addr().unwrap().to_string()).to_json();
    in_time(move || {
        let job = Job::new("sales").shards(1);
        job.source(Memory::of(sales(1, 20)).splits(1)).sink(sink);
        job.run().unwrap();
        for sale in sales(1, 20) {
            let mut datagram = [0; 1_000];
            let read = peer.recv(&mut datagram).unwrap();
            let expected = json(&[sale]).replace(": ", ":").replace(", ", ",");
            assert_eq!(std::str::from_utf8(&datagram[..read]).unwrap(), expected.trim());
        }
        let long = Job::new("long").shards(1);
        let sink = Udp::connect(peer.local_addr().unwrap().to_string()).to_lines();
        long.source(Memory::of(["x".repeat(70_000)])).sink(sink);
        let said = long.run().unwrap_err().to_string();
        assert!(said.contains("70000 bytes") && said.contains("datagram"), "{said}");
    });
}

#[test]
fn a_path_is_written_to_and_what_the_peer_says_is_of_no_interest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.sock");
    let server = UnixListener::bind(&path).unwrap();
    in_time(move || {
        let (mut numbers, source) = Channel::source::<u64>(16);
        let job = Job::new("numbers").shards(1);
        let sink = Unix::connect(&path).to_lines();
        let traffic = sink.traffic();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        numbers.send(1).unwrap();
        let (mut peer, _) = server.accept().unwrap();
        let talk = thread::spawn({
            let mut peer = peer.try_clone().unwrap();
            move || peer.write_all(&vec![b'!'; 4 << 20])
        });
        talk.join().unwrap().unwrap();
        numbers.send(2).unwrap();
        until(|| traffic.bytes() == 4);
        drop(numbers);
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1\n2\n");
        running.join().unwrap();
    });
}

#[test]
fn a_source_that_ends_while_nobody_comes_ends_its_job() {
    // All of it in one turn, and more than the queue takes; through the rings of an exchange.
    for (shards, count) in [(1, 40_u64), (2, 40), (2, 1_000)] {
        let (said, took) = in_time(move || {
            let sink = Tcp::listen("127.0.0.1:0").to_lines();
            let sink = sink.queue_blocks(1).give_up_after(1.seconds());
            let job = Job::new("numbers").shards(shards).pin(false);
            job.source(Memory::of((0..count).collect::<Vec<u64>>()))
                .key_by(|n| n % 7)
                .process::<u64, u64>(|_, n, ctx| ctx.emit(n), |_, _, _| {})
                .map(|n| format!("{n:0>40000}"))
                .sink(sink);
            let (running, begin) = (job.start().unwrap(), Instant::now());
            assert!(running.wait_for(30.seconds()), "it does not end");
            (running.join().unwrap_err().to_string(), begin.elapsed())
        });
        let left = format!("{count} records are not delivered");
        for part in ["job numbers", "sink", "tcp 127.0.0.1:0", "for 1.", &*left, "give_up_after"] {
            assert!(said.contains(part), "{part} is missing: {said}");
        }
        assert!(took >= 1.seconds() && took < 10.seconds(), "{took:?}");
    }
}

#[test]
fn a_source_that_ends_while_whoever_comes_takes_nothing_ends_its_job() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.sock");
    let said = in_time(move || {
        let sink = Unix::listen(&path).to_lines().queue_blocks(1).give_up_after(2.seconds());
        let traffic = sink.traffic();
        let job = Job::new("numbers").shards(1).pin(false);
        // One is more than the system takes, and all of them are more than the queue does.
        job.source(Memory::of((0..40).collect::<Vec<u64>>()))
            .map(|n| format!("{n:0>40000}").repeat(10))
            .sink(sink);
        let running = job.start().unwrap();
        // Late, but not for too long: since nobody was there, all the time will have passed when
        // this one is given up.
        sleep(500.millis());
        let deaf = UnixStream::connect(&path).unwrap();
        until(|| traffic.failed() == 1);
        assert!(running.wait_for(30.seconds()), "it does not end");
        drop(deaf);
        running.join().unwrap_err().to_string()
    });
    for part in ["job numbers", "no peer at unix", "for 2.", "40 records are not delivered"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[test]
fn a_stop_ends_a_job_at_once_to_whose_sink_nobody_comes() {
    in_time(|| {
        let job = |count: u64| {
            let job = Job::new("numbers").shards(2).pin(false);
            let (mut numbers, source) = Channel::source::<u64>(1 << 16);
            numbers.send_batch(0..count).unwrap();
            job.source(source).sink(Tcp::listen("127.0.0.1:0").to_lines());
            let running = job.start().unwrap();
            until(|| running.metrics().records_read() == count);
            let begin = Instant::now();
            running.stop();
            assert!(running.wait_for(10.seconds()), "it does not end");
            (running.join(), begin.elapsed())
        };
        let (failed, took) = job(3);
        let said = failed.unwrap_err().to_string();
        for part in ["sink", "no peer at tcp 127.0.0.1:0", "stopped", "3 records are not delivered"]
        {
            assert!(said.contains(part), "{part} is missing: {said}");
        }
        assert!(took < 3.seconds(), "{took:?}");
        assert!(job(0).0.is_ok(), "nothing is lost");
    });
}

#[test]
fn a_peer_that_is_away_holds_a_stopped_job_for_seconds_and_not_for_a_minute() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let stopped = |peer: Option<String>| {
        let sink = Tcp::connect(free.clone()).to_lines();
        in_time(move || {
            let traffic = sink.traffic();
            let job = Job::new("numbers").shards(1);
            let (mut numbers, source) = Channel::source::<u64>(16);
            job.source(source).sink(sink);
            let running = job.start().unwrap();
            numbers.send_batch(0..3).unwrap();
            until(|| traffic.failed() > 0);
            let begin = Instant::now();
            running.stop();
            // One that comes back in time is written to.
            let text = peer.map(|address| {
                sleep(500.millis());
                let mut text = String::new();
                let server = TcpListener::bind(address).unwrap();
                server.accept().unwrap().0.read_to_string(&mut text).unwrap();
                text
            });
            (running.join().map_err(|error| error.to_string()), text, begin.elapsed())
        })
    };
    let (failed, _, took) = stopped(None);
    let said = failed.unwrap_err();
    assert!(took >= 4.seconds() && took < 20.seconds(), "{took:?}: {said}");
    let left = "s and the job is stopped, 3 records are not delivered; start the peer";
    assert!(said.contains("refused") && said.ends_with(left), "{said}");
    let (ended, text, took) = stopped(Some(free.clone()));
    ended.unwrap();
    assert_eq!(text.unwrap(), "0\n1\n2\n");
    assert!(took < 20.seconds(), "{took:?}");
}

#[test]
fn a_job_that_restarts_has_given_its_sinks_listener_back() {
    for _ in 0..5 {
        let text = in_time(|| {
            let directory = tempfile::tempdir().unwrap();
            let mut sink = Tcp::listen("127.0.0.1:0").to_lines();
            let address = sink.local_addr().unwrap();
            let job = Job::new("numbers").shards(1).pin(false).restart(Restart::times(1));
            let job = job.checkpoints(directory.path(), 1.hours());
            let failed = Arc::new(AtomicBool::new(false));
            job.source(Counter::to(20_000))
                .inspect(move |n| assert!(n < 9_000 || failed.swap(true, Relaxed), "as told"))
                .sink(sink);
            let running = job.start().unwrap();
            // What was written before waits for a peer.
            until(|| running.metrics().restarts == 1);
            let mut text = String::new();
            let mut peer = TcpStream::connect(address).unwrap();
            peer.set_read_timeout(Some(30.seconds())).unwrap();
            peer.read_to_string(&mut text).unwrap();
            running.join().unwrap();
            text
        });
        assert_eq!(sorted_lines(&text), numbers(20_000));
    }
}

#[test]
fn a_datagram_that_was_refused_takes_no_other_with_it() {
    in_time(|| {
        let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sink = Udp::connect(place.to_string()).to_lines();
        let traffic = sink.traffic();
        let (mut numbers, source) = Channel::source::<u64>(16);
        let job = Job::new("numbers").shards(1);
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        // Nobody is there: the system says so of a datagram when it is gone.
        numbers.send(1).unwrap();
        until(|| traffic.refused() == 1);
        let peer = UdpSocket::bind(place).unwrap();
        peer.set_read_timeout(Some(10.seconds())).unwrap();
        numbers.send_batch([2, 3]).unwrap();
        let mut datagram = [0; 10];
        for number in [b"2", b"3"] {
            let read = peer.recv(&mut datagram).unwrap();
            assert_eq!(&datagram[..read], number);
        }
        // The other way round: the last of several is refused, and the sum is right.
        drop(peer);
        numbers.send_batch([4, 5, 6]).unwrap();
        until(|| traffic.refused() == 4);
        drop(numbers);
        running.join().unwrap();
        assert_eq!((traffic.failed(), traffic.bytes()), (0, 6));
    });
}

#[test]
fn what_is_promised_is_said_of_a_job_with_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("numbers").shards(1).checkpoints(directory.path(), 1.hours());
    job.source(Counter::to(1)).sink(Tcp::connect("127.0.0.1:9").to_lines());
    assert!(job.explain().to_string().ends_with("best effort"), "{}", job.explain());
}
