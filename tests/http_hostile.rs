//! Requests by peers that are slow, broken or mean no good, beside honest ones.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
#[path = "support/requests.rs"]
mod requests;
use peers::{in_time, json, sales, until};
use requests::{Said, answer, call, gathered, ingest, post, request, say};

const HEAD: &str = "POST /sales HTTP/1.1\r\nhost: a\r\n";

/// Connects again and again, and says something and then a byte now and then, until it is enough.
fn drip(address: SocketAddr, first: &str, then: &[u8], enough: &AtomicBool) {
    while !enough.load(Relaxed) {
        if let Ok(mut peer) = TcpStream::connect(address) {
            peer.set_read_timeout(Some(50.millis())).unwrap();
            let mut open = peer.write_all(first.as_bytes()).is_ok();
            while open && !enough.load(Relaxed) {
                let read = peer.read(&mut [0]);
                let closed = read.is_ok_and(|read| read == 0);
                open = !closed && peer.write_all(then).is_ok();
            }
        }
        sleep(10.millis());
    }
}

#[test]
fn many_slow_peers_keep_an_honest_one_from_nothing() {
    let source = ingest().connections_max(8);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        let enough = Arc::new(AtomicBool::new(false));
        let slow = |(first, then): (String, &'static [u8])| {
            let enough = enough.clone();
            thread::spawn(move || drip(address, &first, then, &enough))
        };
        // Of bodies, of heads, and silence.
        let bodies = (0..10).map(|_| (format!("{HEAD}content-length: 9999\r\n\r\n"), &b" "[..]));
        let heads = (0..10).map(|_| (HEAD.to_owned(), &b"a"[..]));
        let silent = (0..10).map(|_| (String::new(), &b""[..]));
        let slow: Vec<_> = bodies.chain(heads).chain(silent).map(slow).collect();
        until(|| traffic.open() >= 8);
        for shop in 0..10 {
            let begin = Instant::now();
            while try_post(address, &json(&sales(shop, 10))) != Some(200) {
                assert!(begin.elapsed() < 10.seconds(), "it is kept out");
                sleep(100.millis());
            }
            sleep(50.millis());
        }
        assert!(traffic.open() <= 16, "{}", traffic.open());
        enough.store(true, Relaxed);
        slow.into_iter().for_each(|slow| slow.join().unwrap());
    });
    assert_eq!(found, (0..10).flat_map(|shop| sales(shop, 10)).collect::<Vec<_>>());
}

/// Posts, whatever may come between; the status, if there is an answer.
fn try_post(address: SocketAddr, body: &str) -> Option<u16> {
    let mut peer = TcpStream::connect(address).ok()?;
    peer.set_read_timeout(Some(20.seconds())).unwrap();
    peer.write_all(request("/sales", body).as_bytes()).ok()?;
    let mut said = [0; 12];
    peer.read_exact(&mut said).ok()?;
    std::str::from_utf8(&said[9..]).ok()?.parse().ok()
}

/// How long it takes until the other side closes the connection, while bytes are sent to it.
fn closed_after(address: SocketAddr, first: &str, then: &[u8]) -> Duration {
    let begin = Instant::now();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(200.millis())).unwrap();
    peer.write_all(first.as_bytes()).unwrap();
    loop {
        match peer.read(&mut [0; 4096]) {
            Ok(read) if read > 0 => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(begin.elapsed() < 60.seconds(), "it is never closed");
                if peer.write_all(then).is_err() {
                    return begin.elapsed();
                }
            }
            Ok(_) | Err(_) => return begin.elapsed(),
        }
    }
}

#[test]
fn every_phase_of_a_connection_comes_to_an_end() {
    let source = ingest().within(3.seconds());
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let body = format!("{HEAD}content-length: 9999\r\n\r\n");
        let chunks = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
        let taken = request("/sales", &json(&sales(1, 1)));
        let phases = [
            ("nothing", String::new(), &b""[..], 10.0),
            ("a head", HEAD.to_owned(), b"a", 10.0),
            ("lines of a head", HEAD.to_owned(), b"a: b\r\n", 10.0),
            ("a body", body, b" ", 3.0),
            ("chunks", chunks.clone(), b"1\r\n \r\n", 3.0),
            ("the size of a chunk", chunks.clone(), b"0", 3.0),
            ("trailers", format!("{chunks}0\r\n"), b"a: b\r\n", 3.0),
            ("nothing after an answer", taken.clone(), b"", 10.0),
            ("the next head", taken, b"P", 10.0),
        ];
        let phases = phases.map(|(what, first, then, limit)| {
            thread::spawn(move || (what, limit, closed_after(address, &first, then)))
        });
        for phase in phases {
            let (what, limit, after) = phase.join().unwrap();
            let after = after.as_secs_f64();
            assert!(after < limit + 4.0, "{what} may take {after} s");
        }
    });
    assert_eq!(found, [sales(1, 1), sales(1, 1)].concat());
}

#[test]
fn those_that_come_at_once_are_never_too_many() {
    let source = ingest().connections_max(4);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    in_time(move || {
        // They wait until the job takes them, all in one go.
        let peers: Vec<_> = (0..100).map(|_| call(address)).collect();
        let job = Job::new("crowded").shards(1);
        job.source(source).sink(Discard);
        let running = job.start().unwrap();
        until(|| traffic.refused() == 96);
        until(|| traffic.open() == 4);
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
        assert_eq!((traffic.refused(), traffic.accepted()), (97, 101));
        drop(peers);
        running.stop();
        running.join().unwrap();
    });
}

/// What is answered to something that is said on a connection of its own; none when it is closed.
fn said(address: SocketAddr, text: &[u8]) -> Option<Said> {
    let mut peer = call(address);
    // It may be closed before all of it is said.
    let _ = peer.get_mut().write_all(text);
    let (head, body) = requests::hear(&mut peer)?;
    Some(Said { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body })
}

#[test]
fn lengths_that_lie_take_no_record() {
    let source = ingest();
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        let row = json(&sales(9, 1));
        let lengths = ["-1", "x", "1x", "99999999999999999999999", "1, 2", "0x10", ""];
        let lengths = lengths.map(|length| format!("content-length: {length}\r\n"));
        let two = ["content-length: 3\r\ncontent-length: 4\r\n".to_owned()];
        for lie in lengths.into_iter().chain(two) {
            let said = said(address, format!("{HEAD}{lie}\r\n{row}").as_bytes());
            assert!(said.is_none_or(|said| matches!(said.status, 400 | 413)), "{lie}");
        }
        // Whoever is between may take one for the end, and we the other.
        let both =
            format!("{HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        let mut peer = call(address);
        say(&mut peer, &both);
        assert!(matches!(answer(&mut peer).status, 200 | 400));
        let sizes = ["ffffffffffffffff", "10000000000000000", "7fffffffffffffff", "-1", "x", ""];
        for size in sizes {
            let chunk = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{size}\r\n{row}");
            let mut peer = call(address);
            let _ = peer.get_mut().write_all(chunk.as_bytes());
            let _ = peer.get_ref().shutdown(Shutdown::Write);
            let said = requests::hear(&mut peer);
            assert!(said.is_none_or(|(head, _)| !head.contains(" 200 ")), "{size}");
        }
        // More was announced than comes, and the peer goes, in good order or not.
        for reset in [false, true] {
            let mut peer = call(address);
            say(&mut peer, &format!("{HEAD}content-length: 9999\r\n\r\n{row}"));
            until(|| traffic.partial_bytes() > 0);
            if reset {
                rustix::net::sockopt::set_socket_linger(peer.get_ref(), Some(0.seconds())).unwrap();
            }
            drop(peer);
            until(|| traffic.partial_bytes() == 0);
        }
        until(|| traffic.open() == 0);
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn a_body_without_end_is_cut_off_and_none_of_it_is_kept() {
    let source = ingest();
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        let mut peer = call(address);
        say(&mut peer, &format!("{HEAD}transfer-encoding: chunked\r\n\r\n40000000\r\n"));
        let megabyte = vec![b'x'; 1 << 20];
        let sent = (0..1 << 10).take_while(|_| {
            assert!(traffic.partial_bytes() <= 8 << 20);
            peer.get_mut().write_all(&megabyte).is_ok()
        });
        let sent = sent.count();
        assert!(sent < 64, "{sent} MiB were taken");
        until(|| traffic.partial_bytes() == 0 && traffic.open() == 0);
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn what_is_said_before_a_body_is_answered_before_it_is_sent() {
    let source = ingest();
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let row = json(&sales(1, 1));
        let mut peer = call(address);
        let length = format!("expect: 100-continue\r\ncontent-length: {}\r\n\r\n", row.len());
        say(&mut peer, &format!("{HEAD}{length}"));
        assert_eq!(answer(&mut peer).status, 100);
        say(&mut peer, &row);
        assert_eq!(answer(&mut peer).status, 200);
        // What would be refused is refused before.
        let large = format!("{HEAD}expect: 100-continue\r\ncontent-length: 999999999\r\n\r\n");
        assert_eq!(said(address, large.as_bytes()).unwrap().status, 413);
        let other = large.replace("/sales", "/other");
        assert_eq!(said(address, other.as_bytes()).unwrap().status, 404);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn old_and_hasty_peers_are_answered() {
    let source = ingest();
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let old = |shop| request("/sales", &json(&sales(shop, 1))).replace("1.1", "1.0");
        let mut peer = call(address);
        say(&mut peer, &old(0));
        assert_eq!(answer(&mut peer).status, 200);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "it is closed after one");
        // Without a length a body of HTTP/1.0 has none.
        let none = said(address, b"POST /sales HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(none.body.trim(), "{\"records\":0,\"bad\":0}");
        // All at once, and then the peer says that it has said all.
        let mut peer = call(address);
        let all: String = (1..6).map(|shop| request("/sales", &json(&sales(shop, 1)))).collect();
        say(&mut peer, &all);
        for _ in 1..6 {
            assert_eq!(answer(&mut peer).status, 200);
        }
        let mut peer = call(address);
        say(&mut peer, &request("/sales", &json(&sales(6, 1))));
        peer.get_ref().shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(&mut peer).status, 200);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
    assert_eq!(found, (0..7).flat_map(|shop| sales(shop, 1)).collect::<Vec<_>>());
}

#[test]
fn what_is_no_http_is_closed() {
    let source = ingest();
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        // The hello of TLS 1.3, the preface of HTTP/2, nothing but line ends, zeros.
        let tls =
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage of a hello\r\n\r\n".to_vec();
        let other = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        let ends = b"\r\n".repeat(100_000);
        let zeros = vec![0; 1 << 20];
        let proxy = b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n".to_vec();
        let bare = b"\r\nPOST\r\n\r\n".to_vec();
        for garbage in [tls, other, ends, zeros, proxy, bare] {
            let said = said(address, &garbage);
            assert!(said.is_none_or(|said| said.status >= 400), "{:?}", &garbage[..8]);
        }
        until(|| traffic.open() == 0);
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn an_url_that_can_not_be_meant_is_refused_before_the_job_starts() {
    let urls = [
        "http:///x",
        "http://",
        "http://:80/",
        "http://host:/",
        "http://host:port/",
        "http://host:0/",
        "http://host:99999/",
        "http://ho st/",
        "http://host/a b",
        " http://host/",
        "http://me:secret@host/",
        "ftp://host/",
        "host:80/",
        "host",
        "/x",
        "",
        "http:host/x",
        "http://[::1/",
        "http://host/x#y",
        "http://@/",
    ];
    for url in urls {
        let begin = Instant::now();
        let said = in_time(move || {
            let job = Job::new("posts").shards(1);
            job.source(Counter::to(1)).sink(Http::post(url).to_lines().give_up_after(3.seconds()));
            job.start().err().map(|error| error.to_string())
        });
        let said = said.unwrap_or_else(|| panic!("{url:?} is taken"));
        let named = format!("{url:?} can't be posted to");
        assert!(said.contains(&named) && said.contains("http://host/path"), "{said}");
        assert!(begin.elapsed() < 2.seconds());
    }
}
