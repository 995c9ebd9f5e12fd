//! `thalweg replay` into peers that say something, break off, refuse, or want a header: the report
//! says what they got.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use thalweg::prelude::*;

#[path = "support/child.rs"]
mod child;
use child::{end, start};

record! { struct Bid { auction: u64, price: u64 } }

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");
const BIDS: u64 = 10_000;

/// A log of bids.
fn recorded() -> TempDir {
    let directory = tempfile::tempdir().expect("a folder");
    let job = Job::new("record").shards(1).executor(Executor::Threads);
    job.source(Counter::to(BIDS))
        .map(|n| Bid { auction: n % 7, price: n })
        .sink(RecordLog::write(directory.path()));
    job.run().expect("it is recorded");
    directory
}

fn replay(log: &Path, args: &[&str]) -> Output {
    end(start(log, args))
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs it with a report; gives that, too.
fn reported(log: &Path, args: &[&str]) -> (Output, Value) {
    let json = log.join("r.json").display().to_string();
    let output = replay(log, &[args, &["--report", &json]].concat());
    let text = fs::read_to_string(&json).unwrap_or_else(|_| panic!("{}", said(&output)));
    (output, serde_json::from_str(&text).expect("JSON"))
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().expect("a number")
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    (listener, address)
}

/// Reads to the end, and slowly; how many lines there were.
fn slowly(mut stream: impl Read) -> std::io::Result<usize> {
    let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(lines),
            read => lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count(),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_peer_that_says_something_gets_all() {
    let log = recorded();
    let (listener, to) = listener();
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.write_all(b"220 hello\r\n").expect("said");
        slowly(stream)
    });
    let output = replay(log.path(), &["--to", &to, "--speed", "max"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(read.join().expect("it reads").expect("in good order"), BIDS as usize);
    let path = log.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.write_all(b"220 hello\r\n").expect("said");
        slowly(stream)
    });
    let to = format!("unix:{}", path.display());
    let output = replay(log.path(), &["--to", &to, "--speed", "max"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(read.join().expect("it reads").expect("in good order"), BIDS as usize);
}

#[test]
fn a_peer_that_says_it_all_again_is_not_held() {
    let log = recorded();
    let (listener, to) = listener();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            let read = stream.read(&mut buffer).expect("bytes");
            if read == 0 {
                return lines;
            }
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            stream.write_all(&buffer[..read]).expect("said");
        }
    });
    // More than the buffers of the system take.
    let output = replay(log.path(), &["--to", &to, "--speed", "max", "--loop", "100"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(echo.join().expect("it reads"), 100 * BIDS);
}

#[test]
fn what_a_peer_leaves_unread_was_not_sent() {
    let log = recorded();
    let (listener, to) = listener();
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.read_exact(&mut [0; 1_000]).expect("bytes");
        // By then all is in the buffers of the system.
        thread::sleep(Duration::from_millis(1_500));
    });
    let (output, report) = reported(log.path(), &["--to", &to, "--speed", "max"]);
    read.join().expect("it reads");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("broke the connection at the end"), "{text}");
    assert!(number(&report, "unsent") > 0, "{text}");
    assert_eq!(number(&report, "sent") + number(&report, "unsent"), BIDS);
}

#[test]
fn a_peer_that_closes_never_has_all_the_same() {
    let log = recorded();
    let (listener, to) = listener();
    let child = start(log.path(), &["--to", &to, "--speed", "max", "--drain-timeout", "500ms"]);
    let (stream, _) = listener.accept().expect("it connects");
    let lines = slowly(stream.try_clone().expect("a handle")).expect("in good order");
    let output = end(child);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(lines, BIDS as usize);
    drop(stream);
}

/// A server that answers each post as it is told, by its number from 0; nothing to break off.
fn server(answer: impl Fn(usize) -> Option<&'static str> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut posts = 0;
        for stream in listener.incoming() {
            let mut stream = stream.expect("it connects");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            while body(&mut reader).is_some() {
                posts += 1;
                let Some(status) = answer(posts - 1) else { break };
                let answered = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                answered.expect("sent");
            }
        }
    });
    url
}

/// The body of the next post, if there is one.
fn body(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head).unwrap_or(0) > 2 {
        if let Some(number) = head.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().expect("a number");
        }
        head.clear();
    }
    let mut body = vec![0; length];
    (length > 0 && reader.read_exact(&mut body).is_ok()).then_some(body)
}

#[test]
fn where_nothing_could_be_sent_nothing_succeeded() {
    let log = recorded();
    for status in ["400 No", "500 Oh", "307 There\r\nLocation: /"] {
        let to = server(move |_| Some(status));
        let args = ["--to", &to, "--rate", "20k", "--limit", "4k"];
        let (output, report) = reported(log.path(), &args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let what = "as many were due as were asked for (--limit), and nothing could be sent";
        assert!(text.contains(what) && text.contains("4000 records could not be sent"), "{text}");
        assert!(text.contains("late by p50 –") && text.contains("max –"), "{text}");
        assert_eq!(report["lateness_us"]["p99"], Value::Null, "{text}");
        assert_eq!((number(&report, "sent"), number(&report, "unsent")), (0, 4_000));
        let output = replay(log.path(), &[&args[..], &["--fail-if", "p99>1h"]].concat());
        assert!(said(&output).contains("failed: p99>1h"), "{}", said(&output));
    }
}

#[test]
fn what_is_due_when_a_target_has_gone_is_in_the_report() {
    let log = recorded();
    let (listener, to) = listener();
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.read_exact(&mut [0; 1_000]).expect("bytes");
    });
    let args = ["--rate", "10k", "--loop", "100", "--retry", "1s"];
    let (output, report) = reported(log.path(), &[&["--to", &to], &args[..]].concat());
    read.join().expect("it reads");
    let busy = server(|_| Some("429 Busy\r\nRetry-After: 0"));
    let (other, same) = reported(log.path(), &[&["--to", &busy], &args[..]].concat());
    for (output, report) in [(&output, &report), (&other, &same)] {
        let text = said(output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let scheduled = number(report, "scheduled");
        let due = report["seconds"].as_f64().expect("a number") * 10_000.0;
        assert!((scheduled as f64 - due).abs() < due / 100.0, "{scheduled} of {due}: {text}");
        assert_eq!(scheduled, number(report, "sent") + number(report, "unsent"), "{text}");
        // They waited for a second, and the last ones not at all.
        let p50 = report["lateness_us"]["p50"].as_f64().expect("a number");
        assert!((200_000.0..900_000.0).contains(&p50), "{p50}: {text}");
    }
}

#[test]
fn each_connection_body_and_datagram_of_csv_has_a_header() {
    let log = recorded();
    let csv = ["--format", "csv", "--speed", "max", "--limit", "3"];
    let header = "auction,price\n";
    for (more, begin) in [(&[][..], header), (&["--no-header"], "")] {
        let args = [&csv[..], more].concat();
        let (listener, to) = listener();
        let child = start(log.path(), &[&args[..], &["--to", &to]].concat());
        let mut text = String::new();
        listener.accept().expect("it connects").0.read_to_string(&mut text).expect("UTF-8");
        assert_eq!(text, format!("{begin}0,0\n1,1\n2,2\n"));
        assert!(end(child).status.success());
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        let to = format!("udp://{}", socket.local_addr().expect("an address"));
        assert!(replay(log.path(), &[&args[..], &["--to", &to]].concat()).status.success());
        let mut buffer = [0; 100];
        for row in ["0,0\n", "1,1\n", "2,2\n"] {
            let read = socket.recv(&mut buffer).expect("a datagram");
            assert_eq!(buffer[..read], *format!("{begin}{row}").as_bytes());
        }
        let http = TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = format!("http://{}/in", http.local_addr().expect("an address"));
        let child = start(log.path(), &[&args[..], &["--to", &to, "--batch", "2"]].concat());
        let (mut stream, _) = http.accept().expect("it connects");
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        for rows in ["0,0\n1,1\n", "2,2\n"] {
            let body = String::from_utf8(body(&mut reader).expect("a post")).expect("UTF-8");
            assert_eq!(body, format!("{begin}{rows}"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("sent");
        }
        assert!(end(child).status.success());
    }
    let output = replay(log.path(), &["--to", "-", "--no-header"]);
    assert!(said(&output).contains("only --format csv has"), "{}", said(&output));
}

#[test]
fn a_connection_that_is_made_again_has_a_header_again() {
    let log = recorded();
    let (listener, to) = listener();
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.read_exact(&mut [0; 1_000]).expect("bytes");
        drop(stream);
        let mut text = String::new();
        listener.accept().expect("again").0.read_to_string(&mut text).expect("UTF-8");
        text
    });
    let args = ["--to", &to, "--format", "csv", "--rate", "5k"];
    let (output, report) = reported(log.path(), &args);
    let text = said(&output);
    // What was in hand when it went away was not sent.
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("connections that were made again: 1"), "{text}");
    assert_eq!(number(&report, "reconnects"), 1);
    assert!(read.join().expect("it reads").starts_with("auction,price\n"));
}

/// `thalweg record` at a port of its own; and what it says from there on.
fn recording(from: &str, log: &Path, more: &[&str]) -> (Child, String, JoinHandle<String>) {
    let mut command = Command::new(PROGRAM);
    let schema = ["--schema", "auction: u64, price: u64", "--format", "csv", "--to"];
    let command = command.arg("record").arg(from).args(schema).arg(log).args(more);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let address = line.trim().rsplit_once(' ').expect("an address").1.to_owned();
    let rest = thread::spawn(move || {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).ok();
        rest
    });
    (child, address, rest)
}

#[test]
fn the_engines_own_receivers_take_the_csv_that_is_sent_to_them() {
    let log = recorded();
    let csv = ["--format", "csv", "--rate", "2k", "--limit", "200", "--to"];
    for (from, scheme, more) in [
        ("tcp-listen://127.0.0.1:0", "tcp", &["--connections", "2"][..]),
        ("udp://127.0.0.1:0", "udp", &["--no-header"]),
        ("tcp-listen://127.0.0.1:0", "tcp", &["--no-header"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("came.tlog");
        let taken = more.iter().copied().filter(|option| *option == "--no-header");
        let (mut child, address, rest) = recording(from, &to, &taken.collect::<Vec<_>>());
        let target = format!("{scheme}://{address}");
        let sent = replay(log.path(), &[&csv[..], &[&target], more].concat());
        thread::sleep(Duration::from_millis(500));
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
        child.wait().expect("it ends");
        let rest = rest.join().expect("it reads");
        assert!(sent.status.success(), "{}{rest}", said(&sent));
        let output = Command::new(PROGRAM).arg("cat").arg(&to).output().expect("it starts");
        let rows = said(&output);
        let mut prices: Vec<u64> = rows
            .lines()
            .map(|row| serde_json::from_str::<Value>(row).expect("JSON"))
            .map(|row| row["price"].as_u64().expect("a number"))
            .collect();
        prices.sort_unstable();
        assert!(prices.into_iter().eq(0..200), "{from} {more:?}: {rows}{rest}");
    }
}

#[test]
fn a_source_of_datagrams_takes_them_with_their_headers() {
    let log = recorded();
    let source = Udp::listen("127.0.0.1:0").csv::<Bid>();
    let to = format!("udp://{}", source.local_addr().expect("an address"));
    let job = Job::new("datagrams").shards(1).executor(Executor::Threads);
    let (sink, bids) = Collect::new();
    job.source(source).map(|bid| bid.price).sink(sink);
    let running = job.start().expect("it starts");
    let args = ["--to", &to, "--format", "csv", "--rate", "2k", "--limit", "200"];
    let output = replay(log.path(), &args);
    assert!(output.status.success(), "{}", said(&output));
    thread::sleep(Duration::from_millis(500));
    running.stop();
    running.join().expect("in good order");
    assert!(bids.sorted().into_iter().eq(0..200));
}

#[test]
fn what_was_posted_again_is_counted() {
    let log = recorded();
    let answers = [Some("503 Busy"), Some("429 Slow"), Some("502 Bad"), None];
    let to = server(move |post| answers.get(post).copied().unwrap_or(Some("200 OK")));
    let (output, report) = reported(log.path(), &["--to", &to, "--speed", "max"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let what = "posts that were tried again: 4 (2 were answered 429 or 503, 1 502 or 504, 1 had no \
                answer)";
    assert!(text.contains(what), "{text}");
    let retries = &report["retries"];
    let counts = ["posts", "busy", "gateway", "no_answer"].map(|name| retries[name].as_u64());
    assert_eq!(counts, [4, 2, 1, 1].map(Some), "{report}");
    // Where nothing was, nothing is said.
    let (output, report) = reported(log.path(), &["--to", "/dev/null", "--speed", "max"]);
    assert!(!said(&output).contains("again"), "{}", said(&output));
    assert_eq!((number(&report["retries"], "posts"), number(&report, "reconnects")), (0, 0));
}

#[test]
fn a_batch_is_as_large_as_it_says() {
    let log = recorded();
    let http = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("http://{}/in", http.local_addr().expect("an address"));
    let child = start(log.path(), &["--to", &to, "--speed", "max", "--batch", "5000"]);
    let (mut stream, _) = http.accept().expect("it connects");
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    for _ in 0..2 {
        let body = body(&mut reader).expect("a post");
        assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), 5_000);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("sent");
    }
    assert!(end(child).status.success());
}

#[test]
fn a_host_that_does_not_answer_does_not_hold_ctrl_c() {
    let log = recorded();
    let (listener, to) = listener();
    // Room for one, which is there.
    rustix::net::listen(&listener, 0).expect("it listens");
    let first = TcpStream::connect(listener.local_addr().expect("an address")).expect("there");
    let child = start(log.path(), &["--to", &to]);
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let begin = Instant::now();
    let output = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    drop(first);
}
