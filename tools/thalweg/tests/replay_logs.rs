//! `thalweg replay` of records as they lie: into other logs, raw, and into queries.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use thalweg::connector::log::{Recorder, Segment};
use thalweg::prelude::*;
use thalweg::record::{Value as Shown, Visitor};

record! { struct Bid { auction: u64, price: u64, at: Timestamp } }
record! { struct Call { by: String, line: u8, at: Timestamp, until: Option<Timestamp> } }

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");
const RECORDS: u64 = 3_000;

fn thalweg(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The program's whole output where it succeeds.
fn done(args: &[&str]) -> String {
    let output = thalweg(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A log of records a millisecond apart.
fn recorded<R: Record>(make: impl Fn(u64, Timestamp) -> R) -> Folder {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().join("log/part-0.tlog");
    fs::create_dir(directory.path().join("log")).expect("a folder");
    let shape = R::shape().expect("a shape");
    let (mut log, mut bytes) = (Recorder::create(&path, &shape).expect("a log"), Vec::new());
    for n in 0..RECORDS {
        let at = Timestamp::from_millis(1_700_000_000_000 + n as i64);
        let show = |to: &mut dyn Visitor| {
            make(n, at).visit(to);
            Some(())
        };
        let (value, ()) = Shown::shown(show).expect("a value");
        bytes.clear();
        shape.write(&value, &mut bytes).expect("a record");
        log.write(at, at, &bytes).expect("written");
    }
    log.finish().expect("written");
    Folder(directory)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn log(&self) -> String {
        self.0.path().join("log").display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn bids() -> Folder {
    recorded(|n, at| Bid { auction: n % 7, price: n, at })
}

fn calls() -> Folder {
    recorded(|n, at| {
        let until = n.is_multiple_of(3).then_some(at + 5.seconds());
        Call { by: "Ada ".repeat(n as usize % 5), line: n as u8, at, until }
    })
}

fn report(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a report")).expect("JSON")
}

/// Runs it where no file may have more than so many blocks of 512 bytes.
fn with_limit(blocks: u32, args: &[&str]) -> Output {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM]).args(args).output().expect("it starts")
}

#[test]
fn what_a_full_disk_leaves_of_a_log_is_what_was_sent() {
    let folder = bids();
    for (blocks, timing) in [(100, &["--speed", "max"][..]), (101, &["--rate", "200k"])] {
        let (copy, json) = (folder.file(&format!("{blocks}.tlog")), folder.file("r.json"));
        let (to, told) = (copy.display().to_string(), json.display().to_string());
        let log = folder.log();
        let args = ["replay", &log, "--to", &to, "--loop", "20", "--report", &told];
        let output = with_limit(blocks, &[&args[..], timing].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large"), "{said}");
        let mut segment = Segment::open(&copy).expect("a log");
        assert!(segment.has_index(), "{said}");
        let mut records = 0;
        while let Some(frame) = segment.next().expect("whole") {
            records += frame.len() as u64;
        }
        let report = report(&json);
        assert_eq!(report["sent"].as_u64(), Some(records), "{said}");
        let numbers = ["scheduled", "sent", "unsent"].map(|name| report[name].as_u64());
        let [Some(scheduled), Some(sent), Some(unsent)] = numbers else { panic!("{said}") };
        assert!(scheduled == sent + unsent && unsent > 0 && sent > 1_000, "{said}");
        assert_eq!(report["bytes"].as_u64(), Some(sent * 24), "{said}");
    }
}

#[test]
fn behind_its_index_a_log_takes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, at) = (folder.path().join("x.tlog"), Timestamp::from_millis(1));
    let mut log = Recorder::create(&path, &u64::shape().expect("a shape")).expect("a log");
    log.write(at, at, &7_u64.to_ne_bytes()).expect("written");
    assert_eq!(log.finish().expect("written"), 1);
    let whole = fs::metadata(&path).expect("a file").len();
    log.write(at, at, &8_u64.to_ne_bytes()).expect("gathered");
    let error = log.flush().expect_err("it has ended").to_string();
    assert!(error.contains("has been finished"), "{error}");
    assert_eq!(log.finish().expect("it is whole"), 1);
    assert_eq!(fs::metadata(&path).expect("a file").len(), whole);
    assert!(Segment::open(&path).expect("a log").has_index());
}

#[test]
fn a_datagram_that_is_too_long_is_the_only_one_that_is_not_sent() {
    let long = |n: u64| if n.is_multiple_of(500) { 17_500 } else { 1 };
    let folder =
        recorded(|n, at| Call { by: "Ada ".repeat(long(n)), line: n as u8, at, until: None });
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = format!("udp://{}", socket.local_addr().expect("an address"));
    let (log, json) = (folder.log(), folder.file("r.json"));
    let told = json.display().to_string();
    let output = thalweg(&["replay", &log, "--to", &to, "--speed", "max", "--report", &told]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("could not be sent: 6"), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "however long each is: {said}");
    let numbers = ["scheduled", "sent", "unsent"].map(|name| report(&json)[name].as_u64());
    assert_eq!(numbers, [Some(RECORDS), Some(RECORDS - 6), Some(6)], "{said}");
}

#[test]
fn a_recording_outlives_the_limit_of_a_file() {
    let folder = bids();
    let to = folder.file("x.tlog").display().to_string();
    let output = with_limit(200, &["record", "generate", "--to", &to]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert!(Segment::open(to.as_ref()).expect("a log").has_index());
}

/// Each record of a log as JSON, with its event time.
fn shown(log: &Path) -> Vec<Value> {
    let text = done(&["cat", "--times", &log.display().to_string()]);
    text.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect()
}

#[test]
fn times_within_records_move_where_they_go_as_they_lie() {
    for folder in [bids(), calls()] {
        let (log, copy) = (folder.log(), folder.file("copy.tlog"));
        let to = copy.display().to_string();
        done(&["replay", &log, "--to", &to, "--speed", "max", "--loop", "3"]);
        let json = done(&["replay", &log, "--to", "-", "--speed", "max", "--loop", "3"]);
        let rows = shown(&copy);
        assert_eq!(rows.len() as u64, 3 * RECORDS);
        for (row, json) in rows.iter().zip(json.lines()) {
            assert_eq!(row["record"], serde_json::from_str::<Value>(json).expect("JSON"));
            assert_eq!(row["event_time"], row["record"]["at"]);
        }
        // A program that knows the type reads them.
        let moved = folder.file("moved.tlog");
        let to = moved.display().to_string();
        let before = jiff::Timestamp::now().as_microsecond();
        done(&["replay", &log, "--to", &to, "--speed", "max", "--shift-to-now"]);
        let rows = shown(&moved);
        let at = |row: &Value| Timestamp::parse(row["record"]["at"].as_str().expect("a time"));
        assert!(at(&rows[0]).expect("a time").micros() >= before);
        assert!(rows.iter().all(|row| row["event_time"] == row["record"]["at"]));
    }
    let folder = calls();
    let to = folder.file("x.tlog").display().to_string();
    done(&["replay", &folder.log(), "--to", &to, "--speed", "max", "--loop", "2"]);
    let job = Job::new("read").shards(1).executor(Executor::Threads);
    let (sink, calls) = Collect::new();
    job.source(RecordLog::read::<Call>(to)).sink(sink);
    job.run().expect("it is read");
    let calls = calls.take();
    let (first, again) = calls.split_at(RECORDS as usize);
    for (call, again) in first.iter().zip(again) {
        let shift = again.at.micros() - call.at.micros();
        assert_eq!((shift, &call.by, call.line), (3_000_000, &again.by, again.line));
        let until = call.until.map(|until| until.micros() + shift);
        assert_eq!(again.until.map(|until| until.micros()), until);
    }
}

#[test]
fn times_and_keys_of_raw_records_change_too() {
    let folder = bids();
    let raw = ["--format", "raw", "--framing", "none", "--speed", "max"];
    let args = ["--loop", "2", "--key", "auction", "--key-clone", "2"];
    let log = folder.log();
    let all = [&["replay", &log, "--to", "-"], &raw[..], &args].concat();
    let output = thalweg(&all);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = done(&[&["replay", &log, "--to", "-", "--speed", "max"], &args[..]].concat());
    let mut records = output.stdout.as_chunks::<24>().0.iter();
    for row in json.lines() {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let record = records.next().expect("as many");
        let mut words: Vec<i64> =
            record.as_chunks::<8>().0.iter().map(|word| i64::from_ne_bytes(*word)).collect();
        let at = Timestamp::parse(row["at"].as_str().expect("a time")).expect("a time");
        let number = |name: &str| row[name].as_i64().expect("a number");
        let mut own = vec![number("auction"), number("price"), at.micros()];
        // In whatever order the compiler has put them.
        words.sort_unstable();
        own.sort_unstable();
        assert_eq!(words, own);
    }
    assert!(records.next().is_none());
}

#[test]
fn times_within_the_events_of_a_query_move() {
    let folder = bids();
    let events = folder.file("events.tlog").display().to_string();
    done(&["record", "nexmark", "--events", "5k", "--to", &events]);
    let copy = folder.file("copy.tlog").display().to_string();
    let twice = ["--speed", "max", "--loop", "2"];
    done(&[&["replay", &events, "--to", &copy], &twice[..]].concat());
    let digest = |args: &[&str]| {
        let output = thalweg(&[args, &["--to", "job:nexmark-q0"]].concat());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said.split_once("digest ").expect("a digest").1.to_owned()
    };
    let moved = digest(&[&["replay", &events], &twice[..]].concat());
    assert_eq!(moved, digest(&["replay", &copy, "--speed", "max"]));
    assert_eq!(shown(copy.as_ref()).len(), 10_000);
    for row in shown(copy.as_ref()) {
        let event = row["record"].as_object().expect("an event").values().next().expect("one");
        assert_eq!(row["event_time"], event["date_time"], "{row}");
    }
}

#[test]
fn keys_that_have_no_room_for_copies_are_refused() {
    let folder = calls();
    let log = folder.log();
    let to = ["replay", &log, "--to", "-", "--speed", "max", "--key", "line", "--key-clone"];
    let output = thalweg(&[&to[..], &["300"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("300 copies are too many for column line, which is u8"), "{said}");
    assert!(output.stdout.is_empty());
    // 0 to 63 four times are 0 to 255.
    let output = thalweg(&[&to[..], &["4"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let what = "key 64 times 4 is too much for column line, which is u8 (--key-clone)";
    assert!(said.contains(what), "{said}");
    assert!(said.contains("scheduled 256, sent 256"), "{said}");
    assert_eq!(text(&output.stdout).lines().count(), 256);
}

#[test]
fn a_segment_that_is_missing_is_told() {
    let directory = tempfile::tempdir().expect("a folder");
    let job = Job::new("record").shards(1).executor(Executor::Threads);
    let sink = RecordLog::write(directory.path()).segments_of(20_000);
    job.source(Counter::to(20_000)).sink(sink);
    job.run().expect("it is recorded");
    let log = directory.path().display().to_string();
    let whole = done(&["replay", &log, "--to", "-", "--speed", "max"]);
    assert_eq!(whole.lines().count(), 20_000);
    done(&["verify", &log]);
    fs::rename(directory.path().join("part-0.2.tlog"), directory.path().join("x")).expect("moved");
    let output = thalweg(&["replay", &log, "--to", "-", "--speed", "max"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("part-0.2.tlog is missing between"), "{said}");
    assert!(said.contains("bring it back"), "{said}");
    let output = thalweg(&["verify", &log]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("MISSING: "), "{}", text(&output.stdout));
    let job = Job::new("read").shards(1).executor(Executor::Threads);
    job.source(RecordLog::read::<u64>(format!("{log}/*.tlog"))).sink(Discard);
    let error = job.run().expect_err("one is missing").to_string();
    assert!(error.contains("part-0.2.tlog is missing between"), "{error}");
    // The oldest ones may have been removed.
    for name in ["part-0.tlog", "part-0.1.tlog"] {
        fs::remove_file(directory.path().join(name)).expect("removed");
    }
    assert!(done(&["replay", &log, "--to", "-", "--speed", "max"]).lines().count() > 10_000);
}
