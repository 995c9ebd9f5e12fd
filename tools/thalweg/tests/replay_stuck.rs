//! `thalweg replay` into targets that take nothing: it ends, and says what was not sent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use thalweg::prelude::*;

#[path = "support/child.rs"]
mod child;
use child::start;

record! { struct Bid { auction: u64, price: u64, at: Timestamp } }

/// A log of ten thousand bids, a millisecond apart.
fn recorded() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a folder");
    let at = |n: u64| Timestamp::from_millis(n as i64);
    let job = Job::new("record").shards(1).executor(Executor::Threads);
    job.source(Counter::to(10_000))
        .map(move |n| Bid { auction: n % 7, price: n, at: at(n) })
        .event_time(|bid| bid.at, 1.seconds())
        .sink(RecordLog::write(directory.path()));
    job.run().expect("it is recorded");
    directory
}

/// Waits for its end, which must come; how long that took.
fn end(child: Child) -> (Output, Duration) {
    let begin = Instant::now();
    (child::end(child), begin.elapsed())
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text(&output.stdout) + &text(&output.stderr)
}

fn report(path: &str) -> (Value, u64, u64, u64) {
    let text = fs::read_to_string(path).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let number = |name: &str| report[name].as_u64().expect("a number");
    let numbers = (number("scheduled"), number("sent"), number("unsent"));
    (report, numbers.0, numbers.1, numbers.2)
}

/// Each kind of peer that connects and never reads, as a target, as long as what it gives lives.
fn peers(folder: &Path) -> Vec<(String, Box<dyn Send>)> {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", tcp.local_addr().expect("an address"));
    let path = folder.join("socket");
    let unix = UnixListener::bind(&path).expect("a socket");
    // The backlog takes the connections.
    vec![(address, Box::new(tcp)), (format!("unix:{}", path.display()), Box::new(unix))]
}

#[test]
fn a_peer_that_never_reads_has_until_the_duration_and_a_grace() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    for (to, peer) in peers(folder.path()) {
        let json = folder.path().join("r.json").display().to_string();
        let args = ["--to", &to, "--rate", "1M", "--loop", "1000", "--duration", "2s"];
        let more = ["--drain-timeout", "1s", "--report", &json];
        let child = start(log.path(), &[&args[..], &more].concat());
        let (output, took) = end(child);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(took > Duration::from_millis(2_900), "{took:?}");
        let text = said(&output);
        assert!(text.contains("1s after --duration (--drain-timeout)"), "{text}");
        assert!(text.contains("could not be sent: "), "{text}");
        let (_, scheduled, sent, unsent) = report(&json);
        // All that was due in two seconds is told, whatever was sent of it.
        assert_eq!((scheduled, sent + unsent), (2_000_000, 2_000_000), "{text}");
        assert!(unsent > 0, "{text}");
        drop(peer);
    }
}

#[test]
fn a_peer_that_never_reads_does_not_hold_what_has_a_limit() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    for (to, peer) in peers(folder.path()) {
        // As a rate, as recorded, and at once.
        for timing in [&["--rate", "2M"][..], &["--speed", "10000"], &["--speed", "max"]] {
            let json = folder.path().join("r.json").display().to_string();
            let args = ["--to", &to, "--loop", "100", "--limit", "900k", "--report", &json];
            let args = [&args[..], timing, &["--drain-timeout", "500ms"]].concat();
            let (output, _) = end(start(log.path(), &args));
            let text = said(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains("took nothing") && text.contains("(--drain-timeout)"), "{text}");
            let (_, scheduled, sent, unsent) = report(&json);
            assert_eq!(scheduled, sent + unsent, "{text}");
            assert!(unsent > 0, "{text}");
            assert!(timing[1] == "max" || scheduled == 900_000, "{text}");
        }
        drop(peer);
    }
}

#[test]
fn a_peer_that_pauses_is_waited_for_while_more_is_to_come() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("tcp://{}", listener.local_addr().expect("an address"));
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        // Longer than the grace, and shorter than the replay.
        thread::sleep(Duration::from_millis(1_500));
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("UTF-8");
        text.lines().count()
    });
    let args = ["--to", &to, "--rate", "300k", "--loop", "90", "--drain-timeout", "300ms"];
    let (output, _) = end(start(log.path(), &args));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(read.join().expect("it reads"), 900_000);
}

#[test]
fn a_server_that_never_answers_does_not_hold_ctrl_c() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("http://{}/in", listener.local_addr().expect("an address"));
    let child = start(log.path(), &["--to", &to, "--rate", "1k"]);
    let peer = listener.accept().expect("it connects");
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let (output, took) = end(child);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(text.contains(": stopped") && text.contains("gave no answer"), "{text}");
    drop(peer);
}

#[test]
fn a_server_that_never_answers_has_until_the_duration_and_a_grace() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("http://{}/in", listener.local_addr().expect("an address"));
    let args = ["--to", &to, "--rate", "1k", "--duration", "1s", "--drain-timeout", "1s"];
    let (output, took) = end(start(log.path(), &args));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(said(&output).contains("scheduled 1000, sent 0"), "{}", said(&output));
}

#[test]
fn a_reader_of_a_pipe_that_stops_does_not_hold_ctrl_c() {
    let log = recorded();
    let mut child = start(log.path(), &["--to", "-", "--speed", "max", "--loop", "10"]);
    let pipe = child.stdout.take().expect("a pipe");
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let (output, took) = end(child);
    drop(pipe);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(said(&output).contains(": stopped"), "{}", said(&output));
}

#[test]
fn what_is_moved_behind_the_duration_is_sent() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    for moved in ["--jitter", "--disorder"] {
        let out = folder.path().join(moved).display().to_string();
        let args = ["--to", &out, "--rate", "100", "--duration", "500ms", moved, "3s"];
        let child = start(log.path(), &[&args[..], &["--drain-timeout", "200ms"]].concat());
        let (output, _) = end(child);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(fs::read_to_string(&out).expect("records").lines().count(), 50);
    }
}

#[test]
fn patience_leaves_a_retry_its_time() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let to = format!("unix:{}", path.display());
    let args = ["--to", &to, "--speed", "max", "--loop", "20", "--retry", "30s"];
    let child = start(log.path(), &[&args[..], &["--drain-timeout", "300ms"]].concat());
    let (stream, _) = listener.accept().expect("it connects");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("a record");
    drop(listener);
    fs::remove_file(&path).expect("removed");
    drop(stream);
    thread::sleep(Duration::from_secs(2));
    let listener = UnixListener::bind(&path).expect("a socket");
    let read = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().expect("it connects").0.read_to_string(&mut text).expect("UTF-8");
        text.lines().count()
    });
    let (output, _) = end(child);
    let text = said(&output);
    // What was in hand when it went away was not sent.
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("connected again") && text.contains("it came to the end"), "{text}");
    assert!(read.join().expect("it reads") > 100_000, "{text}");
}

#[test]
fn a_listener_that_accepts_nobody_holds_neither_the_start_nor_ctrl_c() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    rustix::net::listen(&listener, 0).expect("room for one");
    let first = UnixStream::connect(&path).expect("it is that one");
    let to = format!("unix:{}", path.display());
    let (output, took) = end(start(log.path(), &["--to", &to]));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(took < Duration::from_secs(20), "{took:?}");
    let child = start(log.path(), &["--to", &to]);
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let (output, took) = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(took < Duration::from_secs(4), "{took:?}");
    // As soon as there is room, it comes.
    let child = start(log.path(), &["--to", &to, "--speed", "max"]);
    thread::sleep(Duration::from_millis(500));
    drop((listener.accept().expect("the first"), first));
    let mut text = String::new();
    listener.accept().expect("it connects").0.read_to_string(&mut text).expect("UTF-8");
    assert_eq!(text.lines().count(), 10_000);
    assert!(end(child).0.status.success());
}

#[test]
fn a_pipe_that_nobody_reads_does_not_hold_ctrl_c() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it starts").success());
    let to = pipe.display().to_string();
    let child = start(log.path(), &["--to", &to]);
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let (output, took) = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // A reader that comes later gets all.
    let child = start(log.path(), &["--to", &to, "--speed", "max"]);
    thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    File::open(&pipe).expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(text.lines().count(), 10_000);
    assert!(end(child).0.status.success());
}
