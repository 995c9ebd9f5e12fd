//! `thalweg bench latency` and `thalweg bench sustain` from outside.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.arg("bench").args(args);
    command
}

fn thalweg(args: &[&str]) -> Output {
    command(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The arguments of a short measurement, and these. Shards do not spin: the machine may be busy.
fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["latency", "--for", "500ms", "--warmup", "100ms", "--floor", "50ms"];
    args.extend_from_slice(&["--executor", "threads", "--idle", "backoff", "--shards", "2"]);
    args.extend_from_slice(more);
    args
}

#[test]
fn help_names_every_argument() {
    let help = text(&thalweg(&["latency", "--help"]).stdout);
    for argument in [
        "--query",
        "--rate",
        "--shards",
        "--executor",
        "--idle",
        "--speed",
        "--warmup",
        "--for",
        "--floor",
        "--format",
        "--hlog",
        "--raw",
    ] {
        assert!(help.contains(argument), "{argument} in\n{help}");
    }
    let help = text(&thalweg(&["sustain", "--help"]).stdout);
    for argument in ["--query", "--p99", "--for", "--shards", "--executor", "--idle", "--format"] {
        assert!(help.contains(argument), "{argument} in\n{help}");
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    for args in [
        ["latency", "--rate", "0"],
        ["latency", "--rate", "1.5"],
        ["latency", "--query", "q6"],
        ["latency", "--for", "10"],
        ["latency", "--for", "0s"],
        ["latency", "--idle", "sleep"],
        ["latency", "--speed", "0"],
        ["latency", "--format", "xml"],
        ["latency", "--shards", "257"],
        ["sustain", "--p99", "soon"],
        ["sustain", "--query", "q99"],
    ] {
        let output = thalweg(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(args[2]), "{error}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_any_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("no/raw.csv");
    let output = thalweg(&short(&["--rate", "1k", "--raw", nowhere.to_str().expect("UTF-8")]));
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with("thalweg: cannot write to "), "{error}");
    assert!(error.contains("no/raw.csv: No such file"), "{error}");
}

#[test]
fn a_measurement_shows_floor_table_and_knee() {
    let output = thalweg(&short(&["--rate", "2k,1k", "--query", "keyed,q1"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for part in ["machine: ", "clock: ", "ring: ", "(machine)", "\nkeyed Source", "\nq1 Curr"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    assert_eq!(table.matches("knee: ").count(), 2, "{table}");
    let lower = table.find("1.0 k").expect("1,000 records/s");
    assert!(lower < table.find("2.0 k").expect("2,000 records/s"), "{table}");
}

/// The latency that at least this share of all does not exceed, by sorting.
fn naive(latencies: &mut [u64], share: f64) -> u64 {
    latencies.sort_unstable();
    latencies[((share * latencies.len() as f64).ceil().max(1.0) as usize) - 1]
}

/// Percentiles, as they are told and as the log has them, against the raw times, one by one.
#[test]
fn percentiles_are_those_of_the_raw_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (raw, hlog) = (path("raw.csv"), path("latency.hlog"));
    let files = ["--raw", &raw, "--hlog", &hlog, "--format", "json", "--rate", "2k,10k"];
    let output = thalweg(&short(&files));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["jobs"][0]["rows"].as_array().expect("rows");
    let mut logged = Vec::new();
    let bytes = fs::read(&hlog).expect("the log");
    for entry in IntervalLogIterator::new(&bytes) {
        if let Ok(LogEntry::Interval(interval)) = entry {
            let packed = STANDARD.decode(interval.encoded_histogram()).expect("base64");
            logged.push(Deserializer::new().deserialize::<u64, _>(&mut &*packed).expect("one"));
        }
    }
    assert_eq!((rows.len(), logged.len()), (2, 2));
    let mut lines = csv::Reader::from_path(&raw).expect("raw times");
    let lines: Vec<(String, f64, u64, u64)> =
        lines.deserialize().map(|line| line.expect("a line")).collect();
    for (row, logged) in rows.iter().zip(logged) {
        let rate = row["rate"].as_f64().expect("a rate");
        let own = lines.iter().filter(|line| line.1 == rate);
        let mut latencies: Vec<u64> = own.map(|(_, _, due, left)| left - due).collect();
        assert_eq!(latencies.len() as f64, rate / 2.0, "one for each record of half a second");
        assert_eq!(row["count"], latencies.len());
        for (name, share) in [
            ("p50_ns", 0.5),
            ("p90_ns", 0.9),
            ("p99_ns", 0.99),
            ("p999_ns", 0.999),
            ("max_ns", 1.0),
        ] {
            let exact = naive(&mut latencies, share);
            let told = [row[name].as_u64().expect("ns"), logged.value_at_quantile(share)];
            for told in told {
                let off = told.abs_diff(exact) as f64 / exact as f64;
                assert!(off <= 0.001, "{name} at {rate}: {told}, and {exact} by the raw times");
            }
        }
    }
}

#[test]
fn a_rate_that_is_sustained_is_found() {
    let args = ["sustain", "--for", "300ms", "--warmup", "100ms", "--p99", "60s", "--shards", "1"];
    let more = ["--executor", "threads", "--idle", "backoff", "--format", "json"];
    let output = thalweg(&[&args[..], &more[..]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let runs = report["runs"].as_array().expect("runs");
    assert!(runs.len() >= 2, "{report}");
    assert_eq!(report["complete"], true);
    let good = runs.iter().filter(|run| run["failure"].is_null());
    let most = good.map(|run| run["rate"].as_f64().expect("a rate")).fold(0.0, f64::max);
    match report["sustained"].as_f64() {
        Some(rate) => assert!(rate <= most, "{report}"),
        None => assert_eq!(output.status.code(), Some(1)),
    }
}

#[test]
fn a_bound_that_nothing_meets_is_told() {
    let args = ["sustain", "--for", "100ms", "--warmup", "1ms", "--p99", "1ns", "--shards", "1"];
    let output = thalweg(&[&args[..], &["--executor", "threads"][..]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    assert!(report.contains("not sustained: latency above the bound"), "{report}");
    assert!(report.ends_with("sustained: no rate, p99 under 1 ns for 0.1 s\n"), "{report}");
}

#[test]
fn an_interrupt_ends_with_the_rows_so_far() {
    let args = ["latency", "--rate", "1k,2k", "--for", "3s", "--floor", "50ms", "--format", "json"];
    let more = ["--executor", "threads", "--idle", "backoff", "--shards", "2"];
    let mut child = command(&[&args[..], &more[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stderr = child.stderr.take().expect("piped");
    let mut lines = std::io::BufReader::new(stderr);
    std::io::BufRead::read_line(&mut lines, &mut line).expect("a line after the first row");
    assert!(line.starts_with("keyed at 1.0 k records/s: "), "{line}");
    thread::sleep(Duration::from_millis(200));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("sent");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["jobs"][0]["rows"].as_array().map(Vec::len), Some(1), "{report}");
}
