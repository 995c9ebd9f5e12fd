//! A job whose peers are silent uses no time of a core. Alone in its process, whose time is
//! measured.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread::sleep;

use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
use peers::in_time;

#[path = "support/ticks.rs"]
mod ticks;
use ticks::ticks;

#[test]
fn silent_peers_cost_nothing_and_are_heard() {
    for executor in [Executor::Threads, Executor::Auto] {
        in_time(move || silent_and_heard(executor));
    }
}

fn silent_and_heard(executor: Executor) {
    let tcp = Tcp::listen("127.0.0.1:0").lines().idle_timeout(1.minutes());
    let http = Http::ingest("127.0.0.1:0").lines();
    let udp = Udp::listen("127.0.0.1:0").lines();
    let (at, to) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = Tcp::connect(server.local_addr().unwrap().to_string()).to_lines();
    let job = Job::new("silent").shards(4).executor(executor).pin(false);
    job.source(tcp).union(job.source(udp)).union(job.source(http)).sink(sink);
    let running = job.start().unwrap();
    let mut peers: Vec<_> = (0..50).map(|_| TcpStream::connect(at).unwrap()).collect();
    peers[0].write_all(b"first\n").unwrap();
    let mut read = BufReader::new(server.accept().unwrap().0).lines();
    assert_eq!(read.next().unwrap().unwrap(), "first");
    sleep(300.millis());
    let before = ticks();
    sleep(2.seconds());
    let used = ticks() - before;
    // Of 200 a core.
    assert!(used <= 4, "{used} ticks while nothing came, on {executor}");
    peers[49].write_all(b"second\n").unwrap();
    assert_eq!(read.next().unwrap().unwrap(), "second");
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"third", to).unwrap();
    assert_eq!(read.next().unwrap().unwrap(), "third");
    running.stop();
    assert!(read.next().is_none());
    running.join().unwrap();
}
