//! `thalweg replay --resume` after a target failed: what it did not get is sent again.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use thalweg::prelude::*;

record! { struct Bid { price: u64 } }

const BIDS: u64 = 10_000;

/// A log of bids.
fn recorded() -> TempDir {
    let directory = tempfile::tempdir().expect("a folder");
    let job = Job::new("record").shards(1).executor(Executor::Threads);
    job.source(Counter::to(BIDS))
        .map(|price| Bid { price })
        .sink(RecordLog::write(directory.path()));
    job.run().expect("it is recorded");
    directory
}

fn start(log: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let command = command.arg("replay").arg(log).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn end(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text(&output.stdout) + &text(&output.stderr)
}

fn prices(text: &str) -> Vec<u64> {
    let price = |row: &str| serde_json::from_str::<Value>(row).expect("JSON")["price"].as_u64();
    text.lines().map(|row| price(row).expect("a number")).collect()
}

/// A server that takes posts; as long as it is busy, none that is whole. Gives the bodies it took.
fn server(is_busy: Arc<AtomicBool>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", listener.local_addr().expect("an address"));
    let (taken, bodies) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("it connects");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            loop {
                let (mut head, mut length) = (String::new(), 0);
                while reader.read_line(&mut head).unwrap_or(0) > 2 {
                    let line = head.to_ascii_lowercase();
                    if let Some(number) = line.strip_prefix("content-length:") {
                        length = number.trim().parse().expect("a number");
                    }
                    head.clear();
                }
                let mut body = vec![0; length];
                if length == 0 || reader.read_exact(&mut body).is_err() {
                    break;
                }
                let body = String::from_utf8(body).expect("UTF-8");
                let status = if is_busy.load(SeqCst) && body.lines().count() == 1_000 {
                    "503 Busy"
                } else {
                    taken.send(body).expect("somebody asks");
                    "200 OK"
                };
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").expect("sent");
            }
        }
    });
    (url, bodies)
}

#[test]
fn what_a_server_was_too_busy_for_until_ctrl_c_is_sent_later() {
    let log = recorded();
    let resume = log.path().join("resume.json").display().to_string();
    let is_busy = Arc::new(AtomicBool::new(true));
    let (url, bodies) = server(is_busy.clone());
    let args = ["--to", &url, "--speed", "max", "--retry", "60s", "--resume", &resume];
    let child = start(log.path(), &args);
    thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    let output = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("sent 0 ("), "{}", said(&output));
    is_busy.store(false, SeqCst);
    let output = end(start(log.path(), &args));
    assert!(output.status.success(), "{}", said(&output));
    let mut all: Vec<u64> = bodies.try_iter().flat_map(|body| prices(&body)).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..BIDS), "each once");
}

#[test]
fn what_disorder_held_back_when_a_peer_went_away_is_sent_later() {
    let log = recorded();
    let path = log.path().join("socket");
    let resume = log.path().join("resume.json").display().to_string();
    let to = format!("unix:{}", path.display());
    // No record goes by the one before it, so that each comes once.
    let args = ["--to", &to, "--rate", "50", "--disorder", "5ms", "--limit", "40"];
    let args = [&args[..], &["--retry", "0ms", "--resume", &resume]].concat();
    let listener = UnixListener::bind(&path).expect("a socket");
    let child = start(log.path(), &args);
    let (stream, _) = listener.accept().expect("it connects");
    let (mut reader, mut text) = (BufReader::new(&stream), String::new());
    for _ in 0..10 {
        reader.read_line(&mut text).expect("a record");
    }
    drop(listener);
    fs::remove_file(&path).expect("removed");
    stream.shutdown(Shutdown::Read).expect("it takes no more");
    reader.read_to_string(&mut text).expect("UTF-8");
    let output = end(child);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let listener = UnixListener::bind(&path).expect("a socket");
    let child = start(log.path(), &args);
    listener.accept().expect("it connects").0.read_to_string(&mut text).expect("UTF-8");
    let output = end(child);
    assert!(output.status.success(), "{}", said(&output));
    assert!(prices(&text).into_iter().eq(0..40), "{:?}", prices(&text));
}

#[test]
fn a_duration_goes_on_where_it_was() {
    let log = recorded();
    let file = |name: &str| log.path().join(name).display().to_string();
    let (resume, out) = (file("resume.json"), file("out.json"));
    let args = ["--to", &out, "--rate", "100", "--duration", "2s", "--resume", &resume];
    let child = start(log.path(), &args);
    thread::sleep(Duration::from_millis(1_000));
    interrupt(&child);
    assert_eq!(end(child).status.code(), Some(130));
    let output = end(start(log.path(), &args));
    assert!(output.status.success(), "{}", said(&output));
    assert!(prices(&fs::read_to_string(&out).expect("records")).into_iter().eq(0..200));
}
