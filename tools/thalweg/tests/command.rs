//! The program from outside: what it prints, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn thalweg(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_thalweg");
    Command::new(program).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn doctor_says_what_the_machine_gives() {
    let output = thalweg(&["doctor"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for name in [
        "io_uring",
        "cores",
        "affinity",
        "quota",
        "memlock",
        "huge pages",
        "THP",
        "clock",
        "frequency",
        "hypervisor",
        "memory",
        "NUMA",
        "swap",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
}

#[test]
fn doctor_writes_json() {
    let output = thalweg(&["doctor", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    for finding in findings.as_array().expect("a list") {
        let verdict = finding["verdict"].as_str().expect("a verdict");
        assert!(["ok", "warn", "bad"].contains(&verdict), "{finding}");
        assert_eq!(finding["remedy"].is_null(), verdict == "ok", "{finding}");
    }
}

#[test]
fn doctor_follows_the_switch_of_io_uring() {
    let switch = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let text = stdout(&thalweg(&["doctor"]));
    assert_eq!(switch.trim() == "2", text.contains("kernel.io_uring_disabled=2"), "{text}");
}

#[test]
fn an_unknown_query_is_refused_with_those_that_exist() {
    let output = thalweg(&["bench", "nexmark", "--query", "q5,q99"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("'q99'") && text.contains("there are q0, q1, q2"), "{text}");
}

#[test]
fn arguments_out_of_range_are_refused() {
    for (name, value) in [
        ("--shards", "0"),
        ("--shards", "257"),
        ("--runs", "0"),
        ("--events", "1.5"),
        ("--format", "xml"),
        ("--executor", "tokio"),
    ] {
        let output = thalweg(&["bench", "nexmark", name, value]);
        assert_eq!(output.status.code(), Some(2), "{name} {value}");
        assert!(stderr(&output).contains(value), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn help_names_every_argument() {
    let text = stdout(&thalweg(&["bench", "nexmark", "--help"]));
    for argument in
        ["--query", "--shards", "--events", "--runs", "--executor", "--format", "--output"]
    {
        assert!(text.contains(argument), "{argument} in\n{text}");
    }
    assert!(stdout(&thalweg(&["--version"])).starts_with("thalweg "));
}

/// The arguments of a short benchmark of two queries, and these.
fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["bench", "nexmark", "--events", "20k", "--query", "2,q5"];
    args.extend_from_slice(more);
    args
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_any_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("no/report.json");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let output = thalweg(&short(&["--output", nowhere]));
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with("thalweg: cannot write the report to "), "{text}");
    assert!(text.contains("no/report.json: No such file"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_benchmark_reports_machine_input_and_queries() {
    let output = thalweg(&short(&["--shards", "3", "--executor", "threads"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["machine: ", "seed: ", "input: 20,000 events", "generator alone: ", "│ q5 "] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let end = "┘\nall 2 results right: the same digest in every run\n";
    assert!(text.ends_with(end) || text.contains("try --runs 5"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let lines = stderr(&output);
    assert!(lines.contains("q2 Selection: ") && lines.contains("q5 Hot items: "), "{lines}");
    assert!(!lines.contains('\u{1b}'), "no progress line without a terminal: {lines}");
}

#[test]
fn every_format_has_the_same_result_for_any_number_of_shards() {
    let digest = |shards: &str| {
        let output = thalweg(&short(&["--runs", "1", "--format", "json", "--shards", shards]));
        assert!(output.status.success(), "{}", stderr(&output));
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let rows = report["rows"].as_array().expect("rows").clone();
        let names: Vec<_> = rows.iter().map(|row| row["query"].as_str()).collect();
        assert_eq!(names, [Some("q2"), Some("q5")]);
        assert!(rows.iter().all(|row| row["digest_ok"] == true && row["error"].is_null()));
        assert!(rows.iter().all(|row| row["events_per_s"].as_f64() > Some(1.0)));
        let digest = |row: &serde_json::Value| row["digest"].as_str().map(str::to_owned);
        rows.iter().map(|row| digest(row).expect("a digest")).collect::<Vec<String>>()
    };
    let digests = digest("1");
    assert_eq!(digest("4"), digests);
    for (format, separator) in [("csv", ','), ("markdown", '|')] {
        let output = thalweg(&short(&["--runs", "1", "--format", format]));
        let text = stdout(&output);
        let short = &digests[1][..8];
        let line = text.lines().find(|line| line.contains(short)).expect("the line of q5");
        assert!(line.matches(separator).count() >= 10, "{line}");
    }
}

#[test]
fn a_file_gets_the_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.csv");
    std::fs::write(&path, "what was there before").expect("written");
    let name = path.to_str().expect("UTF-8");
    let output = thalweg(&short(&["--runs", "1", "--output", name]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    let text = std::fs::read_to_string(&path).expect("read");
    assert!(text.starts_with("query,title,") && text.lines().count() == 3, "{text}");
    let lines = stderr(&output);
    let verdict = "all 2 results right: the same digest in every run; the report is in ";
    assert!(lines.ends_with(&format!("\n{verdict}{name}\n")), "{lines}");
}

#[test]
fn ctrl_c_ends_with_the_results_so_far() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["bench", "nexmark", "--events", "20k", "--runs", "20", "--format", "csv"])
        .args(["--query", "q0,q1,q2,q5,q7,q14,q17,q21,q22"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let is_first = |line: &String| line.starts_with("q0 ");
    let first = lines.by_ref().map(|line| line.expect("UTF-8")).find(is_first);
    assert!(first.is_some());
    let id = Pid::from_raw(i32::try_from(child.id()).expect("an id"));
    kill(id, Signal::SIGINT).expect("sent");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let text = stdout(&output);
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("q0,")), "{text}");
    assert!(!text.contains("q22,"), "{text}");
}

/// Ends a benchmark with Ctrl-C while its events are made; what it says after that.
fn interrupted_early(more: &[&str]) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["bench", "nexmark", "--events", "8M"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    assert_eq!(first, "making 8,000,000 events …");
    let id = Pid::from_raw(i32::try_from(child.id()).expect("an id"));
    kill(id, Signal::SIGINT).expect("sent");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(130), ""));
    lines.map(|line| line.expect("UTF-8")).collect()
}

#[test]
fn ctrl_c_before_any_run_says_that_nothing_was_measured() {
    const NOTHING: &str =
        "thalweg: interrupted before a query had ended a run: nothing was measured";
    assert_eq!(interrupted_early(&[]), [NOTHING]);
    let folder = tempfile::tempdir().expect("a folder");
    let [new, old] = ["new.json", "old.json"].map(|name| folder.path().join(name));
    let nothing = format!("{NOTHING}, and no report is written");
    let output = new.to_str().expect("UTF-8");
    assert_eq!(interrupted_early(&["--output", output]), [nothing.as_str()]);
    assert!(!new.exists(), "an empty file says less than none");
    std::fs::write(&old, "of yesterday").expect("written");
    let output = old.to_str().expect("UTF-8");
    assert_eq!(interrupted_early(&["--output", output]), [nothing.as_str()]);
    assert_eq!(std::fs::read_to_string(&old).expect("read"), "of yesterday");
}

/// Passes where io_uring works, too: the switch is the machine's, not the test's.
#[test]
fn an_executor_that_cannot_run_is_refused_with_one_that_can() {
    let works = thalweg::sys::probe::io_uring();
    let output = thalweg(&short(&["--runs", "1", "--executor", "glommio"]));
    let text = stderr(&output);
    assert_eq!(output.status.success(), works.is_ok(), "{text}");
    if let Err(why) = works {
        assert!(text.contains(&why) && text.contains("--executor threads"), "{text}");
        assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    }
}

/// A job of two shards that was stopped, with two checkpoints.
fn kept() -> tempfile::TempDir {
    use thalweg::prelude::*;
    let directory = tempfile::tempdir().expect("a folder");
    let job = Job::new("kept").shards(2).checkpoints(directory.path(), 1.days());
    let counts = job.source(Counter::endless()).key_by(|n| n % 5).aggregate_final(|ns| ns.count());
    counts.named("counts").sink(Discard);
    let running = job.start().expect("it starts");
    running.checkpoint().expect("a checkpoint");
    running.stop();
    running.join().expect("it ends well");
    directory
}

#[test]
fn inspect_shows_what_a_job_has_kept() {
    let directory = kept();
    let path = directory.path().to_str().expect("UTF-8");
    let output = thalweg(&["inspect", path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "job kept, keys in",
        "checkpoint 2 (the newest): term 1, 2 shards (begun on 2), ",
        "numbers from 1, every 2",
        "aggregate",
        "totals",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let output = thalweg(&["inspect", path, "--json"]);
    let state: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let checkpoint = &state["checkpoints"][0];
    let numbers = |list: &str, field: &str| -> Vec<u64> {
        let all = checkpoint[list].as_array().expect("a list").iter();
        all.map(|one| one[field].as_u64().expect("a number")).collect()
    };
    assert_eq!(numbers("splits", "number"), [0, 1], "{state}");
    // Of five keys, in a file or in two: the first checkpoint may come before the first record.
    assert!(matches!(numbers("parts", "records")[..], [5 | 10]), "{state}");
    let output = thalweg(&["inspect", path, "--verify"]);
    assert!(stdout(&output).starts_with("checkpoint 2: ok, 2 files, "), "{}", stdout(&output));
}

#[test]
fn inspect_tells_damage() {
    let directory = kept();
    let path = directory.path().to_str().expect("UTF-8");
    let file = directory.path().join("state-00000002-1-1");
    let mut bytes = std::fs::read(&file).expect("a file of state");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let output = thalweg(&["inspect", path, "--verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("checkpoint 1: ok") && text.contains("checkpoint 2: DAMAGED"), "{text}");
    let none = tempfile::tempdir().expect("a folder");
    let output = thalweg(&["inspect", none.path().to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds no checkpoint"), "{}", stderr(&output));
}

/// A log of ten thousand bids, every hundredth of which is late.
fn recorded() -> tempfile::TempDir {
    use thalweg::prelude::*;
    record! { struct Bid { auction: u64, price: u64, at: Timestamp } }
    let directory = tempfile::tempdir().expect("a folder");
    let at = |n: u64| Timestamp::from_millis((n - if n % 100 == 99 { 50 } else { 0 }) as i64);
    let job = Job::new("record").shards(2).executor(Executor::Threads);
    job.source(Counter::to(10_000).splits(2))
        .map(move |n| Bid { auction: n % 7, price: n, at: at(n) })
        .event_time(|bid| bid.at, 1.seconds())
        .sink(RecordLog::write(directory.path()));
    job.run().expect("it is recorded");
    directory
}

#[test]
fn logs_are_shown() {
    let directory = recorded();
    let path = directory.path().to_str().expect("UTF-8");
    let rows = |args: &[&str]| {
        let output = thalweg(&[args, &[path]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = rows(&["head", "--limit", "2"]);
    assert_eq!(first.len(), 2);
    assert!(
        first[0].starts_with(r#"{"auction":0,"price":0,"at":"1970-01-01T00:00:00"#),
        "{first:?}"
    );
    assert_eq!(rows(&["head"]).len(), 10);
    let mut prices: Vec<u64> = rows(&["cat"])
        .iter()
        .map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
            row["price"].as_u64().expect("a number")
        })
        .collect();
    prices.sort_unstable();
    assert!(prices.into_iter().eq(0..10_000));
    let second = ["--from", "1970-01-01T00:00:01Z", "--to", "1970-01-01T00:00:02Z"];
    let csv = rows(&[&["cat", "--format", "csv", "--times"], &second[..]].concat());
    assert_eq!(csv[0], "event_time,arrival,auction,price,at");
    assert_eq!(csv.len(), 1_001, "a second");
    assert!(csv[1..].iter().all(|row| row.starts_with("1970-01-01T00:00:01")));
}

#[test]
fn logs_are_summed_up_and_verified() {
    let directory = recorded();
    let path = directory.path().to_str().expect("UTF-8");
    let output = thalweg(&["info", "--json", path]);
    let info: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!((&info["records"], &info["files"]), (&10_000.into(), &2.into()), "{info}");
    assert_eq!(info["event_time"]["range"]["last"], "1970-01-01T00:00:09.998Z", "{info}");
    let disorder = info["disorder_us"]["max"].as_u64().expect("a number");
    assert!((45_000..55_000).contains(&disorder) && info["disorder_us"]["p90"] == 0, "{info}");
    // Each event time is in both files 2 ms behind the one before, but where one is late.
    let gaps = &info["event_time"]["gap_us"];
    assert_eq!((&gaps["p50"], &gaps["p99"]), (&2_000.into(), &2_000.into()), "{info}");
    let buckets = info["event_time"]["gaps"].as_array().expect("a list");
    let sum = |list: &[serde_json::Value]| -> u64 {
        list.iter().map(|one| one["records"].as_u64().expect("a number")).sum()
    };
    assert_eq!(sum(buckets), 9_998, "{info}");
    let output = thalweg(&["info", "--json", "--interval", "1s", path]);
    let info: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let rates = &info["event_time"]["rates"];
    assert_eq!(rates["records"].as_array().expect("a list").len(), 10, "{info}");
    assert_eq!((&rates["records"][1], &rates["interval_us"]), (&1_000.into(), &1_000_000.into()));
    let words = stdout(&thalweg(&["info", path]));
    for part in ["disorder   p50 0, ", "    1.0 ms to below  10.0 ms", "1970-01-01T00:00:00Z "] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(words.contains("struct Bid { auction: u64") && words.contains("10000 in 2"), "{words}");

    let output = thalweg(&["verify", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(stdout(&output).matches(": ok, 5000 records in").count(), 2);
    let file = directory.path().join("part-1.tlog");
    let whole = std::fs::read(&file).expect("a log");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let output = thalweg(&["verify", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("CUT OFF: ") && said.contains("thalweg index --cut"), "{said}");
    assert!(thalweg(&["index", "--cut", path]).status.success());
    assert!(thalweg(&["verify", path]).status.success());
    // Without its index, whose last 16 bytes say where it is.
    let place = *whole[..whole.len() - 8].last_chunk::<8>().expect("a place");
    std::fs::write(&file, &whole[..u64::from_ne_bytes(place) as usize]).expect("written");
    let output = thalweg(&["verify", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(
        said.contains("NOT FINISHED: 5000 records") && said.contains("thalweg index"),
        "{said}"
    );
    // Wherever it is, in the last frame, the index and what comes behind it, too.
    for place in (0..whole.len()).rev().step_by(whole.len() / 30) {
        let mut broken = whole.clone();
        broken[place] ^= 1;
        std::fs::write(&file, broken).expect("written");
        let output = thalweg(&["verify", path]);
        assert_eq!(output.status.code(), Some(1), "byte {place}");
        assert!(stdout(&output).contains("part-1.tlog: DAMAGED: "), "{}", stdout(&output));
    }
    let none = tempfile::tempdir().expect("a folder");
    let output = thalweg(&["cat", none.path().to_str().expect("UTF-8")]);
    assert!(stderr(&output).contains("holds no file that ends in .tlog"), "{}", stderr(&output));
}
