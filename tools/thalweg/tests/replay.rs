//! `thalweg replay` from outside, into listeners that are not the program's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use thalweg::prelude::*;

record! { struct Bid { auction: u64, price: u64, at: Timestamp } }

/// The first bid's time, in milliseconds.
const FIRST: i64 = 1_700_000_000_000;
const BIDS: u64 = 10_000;

/// A log of ten thousand bids, a millisecond apart, every hundredth of which is 50 ms late.
fn recorded() -> TempDir {
    let directory = tempfile::tempdir().expect("a folder");
    let late = |n: u64| if n % 100 == 99 { 50 } else { 0 };
    let at = move |n: u64| Timestamp::from_millis(FIRST + (n - late(n)) as i64);
    let job = Job::new("record").shards(2).executor(Executor::Threads);
    job.source(Counter::to(BIDS).splits(2))
        .map(move |n| Bid { auction: n % 7, price: n, at: at(n) })
        .event_time(|bid| bid.at, 1.seconds())
        .sink(RecordLog::write(directory.path()));
    job.run().expect("it is recorded");
    directory
}

fn command(log: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.arg("replay").arg(log).args(args);
    command
}

fn replay(log: &Path, args: &[&str]) -> Output {
    command(log, args).output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// What standard output gets.
fn rows(log: &Path, args: &[&str]) -> Vec<Value> {
    let output = replay(log, &[&["--to", "-"], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect()
}

fn prices(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["price"].as_u64().expect("a number")).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// Everything that comes to so many connections.
fn listener(connections: usize) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let read = move || {
        let streams: Vec<_> =
            (0..connections).map(|_| listener.accept().expect("it connects").0).collect();
        let text = |mut stream: std::net::TcpStream| {
            thread::spawn(move || {
                let mut text = String::new();
                stream.read_to_string(&mut text).expect("UTF-8");
                text
            })
        };
        let texts: Vec<_> = streams.into_iter().map(text).collect();
        texts.into_iter().map(|thread| thread.join().expect("it reads")).collect()
    };
    (address, thread::spawn(read))
}

#[test]
fn all_records_come_in_the_order_of_their_times() {
    let log = recorded();
    let rows = rows(log.path(), &["--speed", "max"]);
    let all = prices(&rows);
    assert!(sorted(all.clone()).into_iter().eq(0..BIDS));
    // Each shard's order stays: its records are every second thousand or so.
    let mut greatest = i64::MIN;
    for row in &rows {
        let at = Timestamp::parse(row["at"].as_str().expect("a time")).expect("a time").millis();
        greatest = greatest.max(at);
        assert!(at >= greatest - 60, "{at} came {} ms late", greatest - at);
    }
}

#[test]
fn connections_share_the_records() {
    let log = recorded();
    for more in [&[][..], &["--key", "auction"]] {
        let (address, read) = listener(3);
        let args = [&["--to", &address, "--rate", "1M", "--connections", "3"], more].concat();
        let output = replay(log.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        let texts = read.join().expect("it reads");
        let parts: Vec<Vec<Value>> = texts
            .iter()
            .map(|text| text.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect())
            .collect();
        let all = parts.iter().flat_map(|rows| prices(rows)).collect();
        assert!(sorted(all).into_iter().eq(0..BIDS));
        if more.is_empty() {
            assert!(parts.iter().all(|rows| rows.len() >= 3_333));
        } else {
            for auction in 0..7 {
                let with = |rows: &&Vec<Value>| rows.iter().any(|row| row["auction"] == auction);
                assert_eq!(parts.iter().filter(with).count(), 1, "a key has one connection");
            }
        }
    }
}

#[test]
fn the_report_says_what_was_sent_and_when() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (json, html, hlog) = (file("r.json"), file("r.html"), file("r.hlog"));
    let (address, read) = listener(1);
    let args = ["--to", &address, "--speed", "5", "--report", &json, "--report", &html];
    let begin = std::time::Instant::now();
    let output = replay(log.path(), &[&args[..], &["--report", &hlog]].concat());
    let took = begin.elapsed();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read.join().expect("it reads")[0].lines().count() as u64, BIDS);
    // Ten seconds were recorded.
    assert!(took >= Duration::from_millis(1_990), "{took:?}");
    let text = std::fs::read_to_string(json).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((report["scheduled"].as_u64(), report["sent"].as_u64()), (Some(BIDS), Some(BIDS)));
    assert_eq!(report["unsent"], 0);
    let rows = report["rows"].as_array().expect("rows");
    let scheduled: u64 = rows.iter().filter_map(|row| row["scheduled"].as_u64()).sum();
    assert_eq!(scheduled, BIDS);
    let first = rows[0]["scheduled"].as_u64().expect("a number");
    assert!((4_900..=5_100).contains(&first), "{first} in the first second");
    let late = |name: &str| report["lateness_us"][name].as_f64().expect("a number");
    assert!(late("p50") <= late("p99") && late("p99") <= late("max"));
    // The log of histograms is read by whoever reads such logs.
    use hdrhistogram::serialization::{Deserializer, interval_log};
    let text = std::fs::read(hlog).expect("a log");
    let mut records = 0;
    for entry in interval_log::IntervalLogIterator::new(&text) {
        if let interval_log::LogEntry::Interval(interval) = entry.expect("it is one") {
            use base64::Engine;
            let engine = base64::engine::general_purpose::STANDARD;
            let bytes = engine.decode(interval.encoded_histogram()).expect("base64");
            let read = Deserializer::new().deserialize::<u64, _>(&mut &bytes[..]);
            records += read.expect("a histogram").len();
        }
    }
    assert_eq!(records, BIDS);
    let page = std::fs::read_to_string(html).expect("a page");
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(!page.contains("<script") && !page.contains("src="), "nothing from elsewhere");
}

#[test]
fn what_is_chosen_is_sent() {
    let log = recorded();
    let max = ["--speed", "max"];
    let of = |args: &[&str]| prices(&rows(log.path(), &[&max, args].concat()));
    assert_eq!(of(&["--limit", "1k"]).len(), 1_000);
    let at = |ms: i64| Timestamp::from_millis(FIRST + ms).to_string();
    let second = of(&["--from-time", &at(2_000), "--to-time", &at(3_000)]);
    let is = |n: &u64| (2_000..3_000).contains(&(n - if n % 100 == 99 { 50 } else { 0 }));
    assert_eq!(sorted(second), (0..BIDS).filter(is).collect::<Vec<_>>());
    let some = of(&["--sample", "0.1"]);
    assert!((800..1_200).contains(&some.len()), "{}", some.len());
    assert!(some == of(&["--sample", "0.1"]), "the same seed");
    assert!(some != of(&["--sample", "0.1", "--seed", "1"]), "another seed");
    let part = rows(log.path(), &["--rate", "10k", "--duration", "200ms"]);
    assert_eq!(part.len(), 2_000);
}

#[test]
fn passes_go_on_in_time() {
    let log = recorded();
    let rows = rows(log.path(), &["--speed", "max", "--loop", "3"]);
    assert_eq!(rows.len() as u64, 3 * BIDS);
    let times = |row: &Value| Timestamp::parse(row["at"].as_str().expect("a time")).expect("one");
    let mut counts = vec![0_u64; 4];
    for row in &rows {
        counts[((times(row).millis() - FIRST) / BIDS as i64) as usize] += 1;
    }
    // A pass begins where the one before has ended, to a millisecond or two.
    assert!(counts[..3].iter().all(|count| count.abs_diff(BIDS) < 10), "{counts:?}");
}

#[test]
fn times_may_move_to_now() {
    let log = recorded();
    let before = jiff::Timestamp::now().as_millisecond();
    let rows = rows(log.path(), &["--speed", "max", "--shift-to-now"]);
    let after = jiff::Timestamp::now().as_millisecond();
    let at = |row: &Value| Timestamp::parse(row["at"].as_str().expect("a time")).expect("one");
    let least = rows.iter().map(|row| at(row).millis()).min().expect("rows");
    assert!((before - 1..=after).contains(&least), "{before} {least} {after}");
    let most = rows.iter().map(|row| at(row).millis()).max().expect("rows");
    assert_eq!(most - least, BIDS as i64 - 2, "the last one is late");
}

#[test]
fn keys_are_multiplied() {
    let log = recorded();
    let args = ["--speed", "max", "--key", "auction", "--key-clone", "3"];
    let rows = rows(log.path(), &args);
    assert_eq!(rows.len() as u64, 3 * BIDS);
    let mut counts = [0; 21];
    for row in &rows {
        counts[row["auction"].as_u64().expect("a number") as usize] += 1;
    }
    let of = |auction: u64| (0..BIDS).filter(|n| n % 7 == auction).count();
    assert!(counts.iter().enumerate().all(|(key, count)| of(key as u64 / 3) == *count));
}

#[test]
fn disorder_is_bounded_and_jitter_keeps_the_order() {
    let log = recorded();
    let plain = prices(&rows(log.path(), &["--speed", "100"]));
    let jitter = prices(&rows(log.path(), &["--speed", "100", "--jitter", "1ms"]));
    assert!(plain == jitter, "the order is another one");
    // 1 ms at a hundred times the speed is 100 records.
    let disorder = prices(&rows(log.path(), &["--speed", "100", "--disorder", "1ms"]));
    assert!(plain != disorder, "nothing was moved");
    let mut place = vec![0; BIDS as usize];
    plain.iter().enumerate().for_each(|(at, price)| place[*price as usize] = at);
    let moved = disorder.iter().enumerate().map(|(at, price)| at.abs_diff(place[*price as usize]));
    let most = moved.max().expect("rows");
    assert!((20..=160).contains(&most), "{most}");
    assert_eq!(sorted(disorder), sorted(plain));
}

#[test]
fn lengths_and_raw_records_are_whole() {
    let log = recorded();
    let with = |args: &[&str]| {
        let args = [&["--to", "-", "--speed", "max", "--framing", "length"], args].concat();
        let output = replay(log.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        let (mut left, mut records) = (&output.stdout[..], Vec::new());
        while let Some((length, rest)) = left.split_first_chunk::<4>() {
            let (record, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            records.push(record.to_vec());
            left = rest;
        }
        assert!(left.is_empty());
        records
    };
    let json = with(&[]);
    let json: Vec<Value> =
        json.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect();
    assert!(sorted(prices(&json)).into_iter().eq(0..BIDS));
    // Three numbers of 8 bytes, in the order of the struct's memory.
    let raw = with(&["--format", "raw"]);
    assert!(raw.len() as u64 == BIDS && raw.iter().all(|record| record.len() == 24));
    let output = replay(log.path(), &["--to", "-", "--format", "raw"]);
    assert!(stderr(&output).contains("--framing length"), "{}", stderr(&output));
}

#[test]
fn datagrams_and_unix_sockets_get_them_too() {
    let log = recorded();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let address = format!("udp://{}", socket.local_addr().expect("an address"));
    let read = thread::spawn(move || {
        let mut buffer = [0; 2_000];
        let mut prices = Vec::new();
        while prices.len() < 100 {
            let bytes = socket.recv(&mut buffer).expect("a datagram");
            let row: Value = serde_json::from_slice(&buffer[..bytes]).expect("JSON");
            prices.push(row["price"].as_u64().expect("a number"));
        }
        prices
    });
    // As slowly as nothing is lost.
    let output = replay(log.path(), &["--to", &address, "--rate", "1k", "--limit", "100"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read.join().expect("it reads").len(), 100);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let read = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().expect("it connects").0.read_to_string(&mut text).expect("UTF-8");
        text.lines().count() as u64
    });
    let to = format!("unix:{}", path.display());
    let output = replay(log.path(), &["--to", &to, "--speed", "max", "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read.join().expect("it reads"), BIDS + 1, "and a header");
}

/// A server that answers each post as it is told, and gives the bodies that it took.
fn server(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", listener.local_addr().expect("an address"));
    let serve = move || {
        let mut taken = Vec::new();
        let mut answers = answers.into_iter();
        let mut answer = answers.next();
        while answer.is_some() {
            let (stream, _) = listener.accept().expect("it connects");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut stream = stream;
            while let Some(status) = answer {
                let (mut head, mut length) = (String::new(), 0);
                while reader.read_line(&mut head).unwrap_or(0) > 2 {
                    let line = head.to_ascii_lowercase();
                    if let Some(number) = line.strip_prefix("content-length:") {
                        length = number.trim().parse().expect("a number");
                    }
                    head.clear();
                }
                if length == 0 {
                    break;
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                if status.starts_with("200") {
                    taken.push(String::from_utf8(body).expect("UTF-8"));
                }
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").expect("sent");
                answer = answers.next();
            }
        }
        taken
    };
    (url, thread::spawn(serve))
}

#[test]
fn posts_are_tried_again_when_the_server_asks_for_it() {
    let log = recorded();
    let answers = ["200 OK", "503 Busy", "429 Slow down\r\nRetry-After: 0", "200 OK"];
    let (url, served) = server([&answers[..], &["200 OK"; 8]].concat());
    let output = replay(log.path(), &["--to", &url, "--speed", "max", "--batch", "1000"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let bodies = served.join().expect("it serves");
    assert_eq!(bodies.len(), 10);
    assert!(bodies.iter().all(|body| body.lines().count() == 1_000));
}

#[test]
fn what_a_server_refuses_is_counted_and_told() {
    let log = recorded();
    let (url, served) = server(["200 OK", "400 No"].repeat(5));
    let args = ["--to", &url, "--speed", "max", "--batch", "1000", "--fail-if", "unsent > 0"];
    let output = replay(log.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert!(text.contains("scheduled 10000, sent 5000"), "{text}");
    assert!(text.contains("could not be sent: 5000") && text.contains("status 400"), "{text}");
    assert!(stderr(&output).contains("failed: unsent>0"), "{}", stderr(&output));
    assert_eq!(served.join().expect("it serves").len(), 5);
}

#[test]
fn a_target_that_stops_reading_makes_records_late_and_loses_none() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        // Longer than all records are due in; buffers of the system take less than 60 MB.
        thread::sleep(Duration::from_millis(1_500));
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("UTF-8");
        text.lines().count() as u64
    });
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("r.json").display().to_string();
    let args = ["--to", &address, "--speed", "1000", "--loop", "100", "--report", &json];
    let output = replay(log.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read.join().expect("it reads"), 100 * BIDS);
    let text = std::fs::read_to_string(json).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let max = report["lateness_us"]["max"].as_f64().expect("a number");
    assert!(max > 300_000.0, "{max}: the stop is in the figures");
}

#[test]
fn what_was_due_and_had_no_turn_is_told_when_it_is_stopped() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("r.json").display().to_string();
    let args = ["--to", &address, "--rate", "500k", "--loop", "1000", "--report", &json];
    let mut child = command(log.path(), &args).spawn().expect("it starts");
    // Nobody reads, so that the buffers are full soon.
    let peer = listener.accept().expect("it connects");
    thread::sleep(Duration::from_secs(2));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is there");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    drop(peer);
    let text = std::fs::read_to_string(json).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert!(number("scheduled") > 800_000, "{text}");
    assert_eq!(number("scheduled"), number("sent") + number("unsent"));
    let p99 = report["lateness_us"]["p99"].as_f64().expect("a number");
    assert!(p99 > 1_000_000.0, "{p99}: the peer took nothing for two seconds");
}

#[test]
fn a_redirect_is_no_yes_and_the_recording_is_not_written_over() {
    let log = recorded();
    let (url, served) = server(vec!["302 Found\r\nLocation: /"]);
    let output = replay(log.path(), &["--to", &url, "--speed", "max", "--limit", "10"]);
    assert!(served.join().expect("it serves").is_empty());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("could not be sent: 10") && text.contains("302"), "{text}");
    let copy = log.path().join("copy");
    std::fs::copy(log.path().join("part-0.tlog"), &copy).expect("a copy");
    let to = copy.display().to_string();
    let output = replay(&copy, &["--to", &to, "--speed", "max"]);
    assert!(stderr(&output).contains("is what is replayed"), "{}", stderr(&output));
}

#[test]
fn a_target_that_goes_away_ends_it_with_words() {
    let log = recorded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        let mut some = [0; 1_000];
        stream.read_exact(&mut some).expect("bytes");
    });
    let args = ["--to", &address, "--speed", "1", "--retry", "100ms"];
    let output = replay(log.path(), &args);
    read.join().expect("it reads");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("went away") && said.contains("(--retry)"), "{said}");
    let nobody = replay(log.path(), &["--to", &address]);
    assert!(stderr(&nobody).contains("is somebody listening there?"), "{}", stderr(&nobody));
}

#[test]
fn ctrl_c_gives_the_report_so_far_and_it_goes_on_from_there() {
    for more in [&[][..], &["--disorder", "50ms"]] {
        stopped_and_gone_on(more);
    }
}

fn stopped_and_gone_on(more: &[&str]) {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let resume = folder.path().join("resume.json").display().to_string();
    let out = folder.path().join("out.json").display().to_string();
    let args = [&["--to", &out, "--rate", "5k", "--resume", &resume], more].concat();
    let child = command(log.path(), &args).stdout(Stdio::piped()).spawn().expect("it starts");
    thread::sleep(Duration::from_millis(700));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains(": stopped") && text.contains("late by p50"), "{text}");
    let read = || -> Vec<u64> {
        let text = std::fs::read_to_string(&out).expect("records");
        let rows: Vec<Value> =
            text.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
        prices(&rows)
    };
    let before = read();
    assert!(!before.is_empty() && before.len() < BIDS as usize);
    let output = replay(log.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let all = read();
    assert!(all.starts_with(&before), "it goes on behind what is there");
    assert!(sorted(all).into_iter().eq(0..BIDS), "each once");
    let again = replay(log.path(), &args);
    assert!(stderr(&again).contains("all was sent"), "{}", stderr(&again));
    let other = replay(log.path(), &["--to", &out, "--rate", "6k", "--resume", &resume]);
    assert!(stderr(&other).contains("of another replay"), "{}", stderr(&other));
}

#[test]
fn what_cannot_be_is_refused() {
    let log = recorded();
    for (args, said) in [
        (&["--to", "ftp://x:1"][..], "there are tcp, udp, unix and http"),
        (&["--to", "-", "--connections", "2"], "has one connection only"),
        (&["--to", "-", "--speed", "max", "--jitter", "1ms"], "with --speed max"),
        (&["--to", "-", "--rate", "1k", "--speed", "2"], "cannot be used with"),
        (&["--to", "-", "--key", "bidder"], "there are auction, price, at"),
        (&["--to", "-", "--key", "at"], "a key is a whole number or text"),
        (&["--to", "-", "--from-time", "2030-01-01T00:00:00"], "no record is to be replayed"),
        (&["--to", "/no/such/folder/x"], "cannot write to"),
        (&["--to", "x.tlog", "--resume", "r"], "can't be gone on with"),
        (&["--to", "-", "--pattern", "poisson"], "--rate"),
        (&["--to", "-", "--report", "/no/such/folder/r.json"], "cannot write the report"),
        (&["--to", "-", "--fail-if", "p99"], "expected p50"),
    ] {
        let output = replay(log.path(), args);
        assert!(!output.status.success());
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn another_log_gets_the_records_as_they_lie() {
    let log = recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.tlog").display().to_string();
    let output = replay(log.path(), &["--to", &copy, "--speed", "max", "--loop", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let job = Job::new("read").shards(1);
    let (sink, bids) = Collect::new();
    let times = Seen::default();
    let seen = times.clone();
    job.source(RecordLog::read::<Bid>(copy.clone()))
        .inspect(move |bid| seen.lock().expect("a lock").push(bid.price))
        .sink(sink);
    job.run().expect("it is read");
    assert_eq!(bids.take().len() as u64, 2 * BIDS);
    assert!(
        sorted(times.lock().expect("a lock").clone()).into_iter().eq((0..2 * BIDS).map(|n| n / 2))
    );
    let again = replay(log.path(), &["--to", &copy]);
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
}

type Seen = std::sync::Arc<std::sync::Mutex<Vec<u64>>>;

#[test]
fn a_query_of_nexmark_gives_the_rows_that_the_benchmark_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("events.tlog");
    let program = env!("CARGO_BIN_EXE_thalweg");
    let to = log.display().to_string();
    let args = ["record", "nexmark", "--events", "50k", "--to", &to];
    let output = Command::new(program).args(args).output().expect("it starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let args = ["bench", "nexmark", "--query", "q5", "--events", "50k", "--runs", "1"];
    let output = Command::new(program).args(args).args(["--format", "json"]).output();
    let text = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let digest = report["rows"][0]["digest"].as_str().expect("a digest").to_owned();
    let output = replay(&log, &["--to", "job:nexmark-q5", "--speed", "max"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("digest {digest}")), "{}", stderr(&output));
    // Bids of another kind are no events.
    let output = replay(recorded().path(), &["--to", "job:nexmark-q5"]);
    assert!(stderr(&output).contains("the log holds"), "{}", stderr(&output));
}

#[test]
fn what_is_due_does_not_wait_for_records_of_others() {
    let log = recorded();
    let (address, read) = listener(2);
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("r.json").display().to_string();
    // One of fifty records, 50 ms apart: those between are passed over.
    let args = ["--to", &address, "--rate", "20", "--limit", "20", "--sample", "0.02"];
    let args = [&args[..], &["--connections", "2"]].concat();
    let output = replay(log.path(), &[&args[..], &["--report", &json]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let texts = read.join().expect("it reads");
    let text = std::fs::read_to_string(json).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let rows: usize = texts.iter().map(|text| text.lines().count()).sum();
    assert_eq!(report["sent"].as_u64(), Some(rows as u64));
    // Each would come at the time of its connection's next one, 100 ms later.
    let p50 = report["lateness_us"]["p50"].as_f64().expect("a number");
    assert!(p50 < 50_000.0, "{p50}");
}
