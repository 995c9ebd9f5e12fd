//! Requests made by hand, and what is answered.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use thalweg::connector::{HttpSource, Json};
use thalweg::operator::Source;
use thalweg::prelude::*;

use super::peers::{Sale, in_time};

/// Status, head and body of what is said.
pub struct Said {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Reads one answer, or one request: its first line and headers, and the body that they announce.
pub fn hear(from: &mut impl BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    from.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

pub fn answer(peer: &mut BufReader<TcpStream>) -> Said {
    let (head, body) = hear(peer).expect("an answer");
    Said { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
}

pub fn call(address: SocketAddr) -> BufReader<TcpStream> {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(60.seconds())).unwrap();
    peer.set_write_timeout(Some(60.seconds())).unwrap();
    BufReader::new(peer)
}

pub fn say(peer: &mut BufReader<TcpStream>, text: &str) {
    peer.get_mut().write_all(text.as_bytes()).unwrap();
}

pub fn request(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Posts on a connection of its own.
pub fn post(address: SocketAddr, path: &str, body: &str) -> Said {
    let mut peer = call(address);
    say(&mut peer, &request(path, body));
    answer(&mut peer)
}

pub fn ingest() -> HttpSource<Json<Sale>> {
    Http::ingest("127.0.0.1:0").path("/sales").json::<Sale>()
}

/// Runs a job that gathers what a source gives, while `peers` do their part, and stops it.
pub fn gathered<S: Source>(source: S, peers: impl FnOnce() + Send + 'static) -> Vec<S::Record>
where
    S::Record: Ord,
{
    in_time(move || {
        let job = Job::new("gathered").shards(2).pin(false);
        let (sink, all) = Collect::new();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        peers();
        running.stop();
        running.join().unwrap();
        all.sorted()
    })
}
