//! What `thalweg replay` says of itself: its report, its end, what it refuses, where it goes on.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use thalweg::connector::log::Recorder;
use thalweg::prelude::*;

#[path = "support/child.rs"]
mod child;
use child::{end, start};

record! { struct Bid { auction: u64, price: u64 } }

const BIDS: u64 = 10_000;

/// A folder with a log of bids in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let directory = tempfile::tempdir().expect("a folder");
        let job = Job::new("record").shards(1).executor(Executor::Threads);
        job.source(Counter::to(BIDS))
            .map(|n| Bid { auction: n % 7, price: n })
            .sink(RecordLog::write(directory.path().join("log")));
        job.run().expect("it is recorded");
        Folder(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn start(&self, args: &[&str]) -> Child {
        start(&self.path("log"), args)
    }

    fn replay(&self, args: &[&str]) -> Output {
        end(self.start(args))
    }

    fn report(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(name)).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The prices in a file of JSON lines.
    fn prices(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(name)).expect("records");
        let price = |row: &str| serde_json::from_str::<Value>(row).expect("JSON")["price"].as_u64();
        text.lines().map(|row| price(row).expect("a number")).collect()
    }
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is there");
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text(&output.stdout) + &text(&output.stderr)
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().expect("a number")
}

#[test]
fn what_was_passed_before_is_passed_over_before_the_clock_runs() {
    let folder = Folder::new();
    let (resume, json) = (folder.file("position"), folder.file("r.json"));
    let args = ["--to", "/dev/null", "--rate", "1M", "--loop", "1000", "--limit", "6_010_000"];
    let args = [&args[..], &["--resume", &resume, "--report", &json]].concat();
    let child = folder.start(&args);
    thread::sleep(Duration::from_millis(500));
    interrupt(&child);
    assert_eq!(end(child).status.code(), Some(130));
    // As if it had gone on for six seconds.
    let mut position: Value =
        serde_json::from_slice(&fs::read(&resume).expect("a position")).expect("JSON");
    (position["passed"], position["due"]) = (json!([6_000_000]), json!(6.0));
    fs::write(&resume, position.to_string()).expect("written");
    let output = folder.replay(&args);
    assert!(output.status.success(), "{}", said(&output));
    let report = folder.report("r.json");
    assert_eq!(number(&report, "sent"), 10_000, "{}", said(&output));
    let max = report["lateness_us"]["max"].as_f64().expect("a number");
    assert!(max < 600_000.0, "{max}: {}", said(&output));
}

#[test]
fn a_log_that_is_damaged_ends_it_with_a_report_and_what_was_read_is_sent() {
    let folder = Folder::new();
    let log = folder.path("log/part-0.tlog");
    let mut bytes = fs::read(&log).expect("a log");
    let place = bytes.len() * 6 / 10;
    bytes[place] ^= 1;
    fs::write(&log, bytes).expect("written");
    for (name, timing) in
        [("max", &["--speed", "max"][..]), ("rate", &["--rate", "20k", "--disorder", "100ms"])]
    {
        let (out, json) = (folder.file(name), folder.file("r.json"));
        let args = [&["--to", &out, "--report", &json], timing].concat();
        let output = folder.replay(&args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("ended before, as ") && text.contains("frame at byte"), "{text}");
        let mut prices = folder.prices(name);
        prices.sort_unstable();
        let sent = number(&folder.report("r.json"), "sent");
        assert!(sent > 1_000 && prices.into_iter().eq(0..sent), "{sent}: {text}");
    }
}

#[test]
fn a_position_that_cannot_be_noted_ends_it_with_a_report() {
    let folder = Folder::new();
    let output = folder.replay(&["--to", "-", "--resume", "/no/such/folder/position"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(output.stdout.is_empty() && said(&output).contains("writing /no/such/folder"));
    fs::create_dir(folder.path("notes")).expect("a folder");
    let (out, resume) = (folder.file("out"), folder.file("notes/position"));
    let (json, lost) = (folder.file("r.json"), folder.file("notes/r.json"));
    let args = ["--to", &out, "--rate", "1k", "--resume", &resume, "--report", &lost];
    let child = folder.start(&[&args[..], &["--report", &json]].concat());
    thread::sleep(Duration::from_millis(500));
    fs::remove_dir_all(folder.path("notes")).expect("removed");
    let output = end(child);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("ended before, as writing"), "{text}");
    // One report has no place any more, the other one has.
    assert!(text.contains("cannot write the report"), "{text}");
    let report = folder.report("r.json");
    // On a busy machine some may have had no turn.
    let unsent = number(&report, "scheduled") - number(&report, "sent");
    assert!(unsent < 500 && number(&report, "unsent") == unsent, "{text}");
    assert_eq!(text.matches("note: ").count(), 0, "the cause is told once: {text}");
    assert!(folder.prices("out").into_iter().eq(0..number(&report, "sent")), "{text}");
}

#[test]
fn a_start_that_is_refused_leaves_no_reports() {
    let folder = Folder::new();
    fs::write(folder.path("old.json"), "old").expect("written");
    let names = ["r.json", "r.html", "old.json"].map(|name| folder.file(name));
    let reports: Vec<&str> = names.iter().flat_map(|name| ["--report", name.as_str()]).collect();
    for to in ["tcp://127.0.0.1:1", "/no/such/folder/x"] {
        let output = folder.replay(&[&["--to", to], &reports[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(!folder.path("r.json").exists() && !folder.path("r.html").exists());
        assert_eq!(fs::read_to_string(folder.path("old.json")).expect("it is there"), "old");
    }
}

#[test]
fn nothing_is_sent_in_a_second_before_it_was_due() {
    let folder = Folder::new();
    let json = folder.file("r.json");
    let args = ["--to", "/dev/null", "--rate", "100k", "--loop", "30", "--report", &json];
    let output = folder.replay(&args);
    assert!(output.status.success(), "{}", said(&output));
    let report = folder.report("r.json");
    let rows = report["rows"].as_array().expect("rows");
    let (mut scheduled, mut sent) = (0, 0);
    for row in rows {
        scheduled += number(row, "scheduled");
        sent += number(row, "sent");
        assert!(sent <= scheduled, "{report}");
    }
    assert_eq!((scheduled, sent), (300_000, 300_000), "{report}");
    assert!(rows[..3].iter().all(|row| number(row, "scheduled") == 100_000), "{report}");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let folder = Folder::new();
    for (args, words) in [
        (&["--speed", "100", "--pattern", "poisson"][..], "--pattern says how"),
        (&["--ramp", "1k..2k/1s", "--pattern", "bursts:10"], "--pattern says how"),
        (&["--speed", "max", "--fail-if", "p99>1ns"], "--fail-if 'p99>1ns': with --speed max"),
        (&["--batch", "10"], "--batch says how many records a POST takes"),
        (&["--loop", "0"], "expected a whole number above 0, such as 500, 1_000, 20k or 10M"),
        (&["--connections", "2k"], "above 0 and up to 1024"),
        (&["--rate", "1__000"], "expected a number of records a second, such as 500, 1_000"),
    ] {
        let output = folder.replay(&[&["--to", "-"], args].concat());
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(said(&output).contains(words), "{args:?}: {}", said(&output));
    }
    for to in ["http://", "http://h:99999/", "http://:80/", "http://no.such.host.invalid/"] {
        let begin = Instant::now();
        let output = folder.replay(&["--to", to, "--retry", "30s"]);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(begin.elapsed() < Duration::from_secs(25), "{to}: {}", said(&output));
    }
    let args = ["--to", "-", "--rate", "1_000k/s", "--limit", "1_0", "--loop", "1k"];
    let output = folder.replay(&args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 10);
}

#[test]
fn a_log_that_nobody_finished_is_told() {
    let folder = Folder::new();
    let path = folder.path("going-on.tlog");
    let shape = u64::shape().expect("a shape");
    let mut log = Recorder::create(&path, &shape).expect("a log");
    for n in 0..100_u64 {
        log.write(Timestamp::MIN, Timestamp::from_millis(n as i64), &n.to_ne_bytes())
            .expect("written");
    }
    log.flush().expect("written");
    let output = end(start(&path, &["--to", "/dev/null", "--speed", "max"]));
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("sent 100 (") && text.contains("going-on.tlog is not finished"),
        "{text}"
    );
    log.finish().expect("written");
    let output = end(start(&path, &["--to", "/dev/null", "--speed", "max"]));
    assert!(output.status.success() && !said(&output).contains("note"), "{}", said(&output));
}

#[test]
fn what_is_not_due_at_ctrl_c_is_not_sent_and_comes_later() {
    let folder = Folder::new();
    let (out, resume, json) = (folder.file("out"), folder.file("position"), folder.file("r.json"));
    let args = ["--to", &out, "--rate", "10k", "--limit", "5000", "--disorder", "4s"];
    let args = [&args[..], &["--resume", &resume, "--report", &json]].concat();
    let mut sent = 0;
    // Twice, so that what was held back is held back once more.
    for _ in 0..2 {
        let child = folder.start(&args);
        thread::sleep(Duration::from_millis(1_200));
        interrupt(&child);
        let output = end(child);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(130), "{text}");
        let report = folder.report("r.json");
        sent += number(&report, "sent");
        assert_eq!(folder.prices("out").len() as u64, sent, "{text}");
        let part = number(&report, "sent") as f64 / report["seconds"].as_f64().expect("a number");
        assert!((300.0..2_000.0).contains(&part), "{part} a second: {text}");
    }
    let output = folder.replay(&args);
    assert!(output.status.success(), "{}", said(&output));
    let mut all = folder.prices("out");
    all.sort_unstable();
    assert!(all.into_iter().eq(0..5_000), "each once");
}

#[test]
fn a_record_that_waits_is_not_sent_early() {
    let folder = Folder::new();
    let child = folder.start(&["--to", "-", "--rate", "0.1"]);
    thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    let output = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(said(&output).contains("scheduled 1, sent 1 "), "{}", said(&output));
}

#[test]
fn the_report_names_what_was_asked_for() {
    let folder = Folder::new();
    let (json, html) = (folder.file("r.json"), folder.file("r.html"));
    let args = ["--rate", "1M", "--jitter", "1ms", "--sample", "0.5", "--loop", "2", "--seed", "7"];
    let reports = ["--to", "/dev/null", "--report", &json, "--report", &html];
    let output = folder.replay(&[&reports[..], &args].concat());
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let what = "--jitter 1ms, --sample 0.5, --loop 2, --seed 7";
    assert!(text.contains(&format!("constant, {what}: all was sent")), "{text}");
    assert!(fs::read_to_string(&html).expect("a page").contains(what));
    let choices = ["--jitter 1ms", "--sample 0.5", "--loop 2", "--seed 7"];
    assert_eq!(folder.report("r.json")["choices"], json!(choices));
}

#[test]
fn a_reader_of_the_report_that_has_gone_changes_nothing() {
    let folder = Folder::new();
    let mut child = folder.start(&["--to", "/dev/null", "--rate", "10k", "--limit", "5000"]);
    drop(child.stdout.take());
    let output = end(child);
    assert!(output.status.success(), "{}", said(&output));
}
