//! What tests of sockets have in common: patience, records, and peers that send.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    pub struct Sale { pub shop: u64, pub number: u64, pub amount: u64 }
}

/// Runs on a thread of its own, and fails when that takes longer than two minutes: nothing here may
/// hang.
pub fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = run();
        done.send(()).ok();
        result
    });
    if wait.recv_timeout(120.seconds()) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    thread.join().unwrap()
}

/// Waits, for a minute at most, until something holds.
#[track_caller]
pub fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < 60.seconds(), "waited for a minute");
        thread::sleep(1.millis());
    }
}

pub fn sales(shop: u64, count: u64) -> Vec<Sale> {
    (0..count).map(|number| Sale { shop, number, amount: (shop + number) * 7919 % 1000 }).collect()
}

pub fn json(sales: &[Sale]) -> String {
    let row = |s: &Sale| {
        let Sale { shop, number, amount } = s;
        format!("{{\"shop\": {shop}, \"number\": {number}, \"amount\": {amount}}}\n")
    };
    sales.iter().map(row).collect()
}

/// Sends bytes on a connection of its own, in pieces of the sizes given in turn.
pub fn send(address: SocketAddr, bytes: &[u8], sizes: &[usize]) {
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        peer.write_all(piece).unwrap();
        rest = after;
    }
}
