//! Sinks of files in jobs with checkpoints: whatever stops a job, and on however many shards it
//! goes on, every row shows once, and none before its checkpoint is made.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tempfile::TempDir;
use thalweg::operator::Source;
use thalweg::prelude::*;

#[path = "support/chains.rs"]
mod chains;
use chains::{Gated, wait_for};

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Square { n: u64, square: u64 }
}

/// A job's directories: `state`, and one for each of its sinks.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names that show in a directory, or that are hidden there.
    fn names(&self, directory: &str, hidden: bool) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with('.') == hidden).collect();
        names.sort_unstable();
        names
    }

    /// The numbers whose squares show.
    fn shown(&self) -> Vec<u64> {
        if self.names("csv", false).is_empty() {
            return Vec::new();
        }
        let rows = read(Files::csv::<Square>(self.pattern("csv")));
        assert!(rows.iter().all(|row| row.square == row.n * row.n));
        rows.into_iter().map(|row| row.n).collect()
    }

    fn pattern(&self, directory: &str) -> String {
        self.path(directory).join("*").to_str().unwrap().to_owned()
    }
}

/// What a source gives, in order.
fn read<S: Source>(source: S) -> Vec<S::Record>
where
    S::Record: Ord,
{
    let job = Job::new("reader").shards(1).pin(false);
    let (sink, rows) = Collect::new();
    job.source(source).sink(sink);
    job.run().unwrap();
    rows.sorted()
}

/// A job that squares numbers.
fn squares(
    shards: usize,
    at: &Path,
    every: Duration,
    numbers: impl Source<Record = u64> + 'static,
) -> Job {
    squares_but(shards, at, every, numbers, |_| false)
}

/// One that fails at a number.
fn squares_but(
    shards: usize,
    at: &Path,
    every: Duration,
    numbers: impl Source<Record = u64> + 'static,
    fails: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> Job {
    let job = Job::new("squares").shards(shards).pin(false).checkpoints(at.join("state"), every);
    job.source(numbers)
        .inspect(move |n| assert!(!fails(n), "as was asked for"))
        .map(|n| Square { n, square: n * n })
        .sink(Files::to_csv(at.join("csv")));
    job
}

#[test]
fn a_job_that_is_stopped_shows_what_one_does_that_is_not() {
    let end = 1_000_000;
    for shards in [1, 2, 4] {
        let (at, gate) = (Place::new(), Gated::to(end, 0));
        let mut before = 0;
        for shards in [shards, 1 + shards % 3, shards] {
            let running = squares(shards, at.0.path(), 1.days(), gate.clone()).start().unwrap();
            assert_eq!(at.shown().len(), before, "nothing shows before its checkpoint");
            for _ in 0..2 {
                gate.pass(&running, 5_000);
                running.checkpoint().unwrap();
                let shown = at.shown();
                assert!(shown.len() > before && shown.iter().is_sorted_by(|a, b| a < b));
                before = shown.len();
            }
            running.stop();
            running.join().unwrap();
            before = at.shown().len();
        }
        gate.open(end);
        squares(shards, at.0.path(), 1.days(), gate.clone()).run().unwrap();
        assert!(at.shown().into_iter().eq(0..end));
        assert_eq!(at.names("csv", true), [".part.csv.lock"]);
        // It has ended: there is nothing to do.
        squares(shards, at.0.path(), 1.days(), gate).run().unwrap();
        assert!(at.shown().into_iter().eq(0..end));
    }
}

#[test]
fn a_job_that_fails_shows_what_one_does_that_does_not() {
    let end = 200_000;
    for shards in [1, 2, 4] {
        let at = Place::new();
        for fails_from in [0, 10_000, 10_001, 60_000, end - 1] {
            let fails = move |n| n >= fails_from;
            let job =
                squares_but(shards, at.0.path(), 3.millis(), Counter::to(end).rate(5e5), fails);
            let error = job.run().unwrap_err().to_string();
            assert!(error.contains("as was asked for"), "{error}");
            let shown = at.shown();
            assert!(shown.iter().is_sorted_by(|a, b| a < b));
            assert!(shown.last().is_none_or(|n| *n < fails_from));
        }
        squares(shards, at.0.path(), 3.millis(), Counter::to(end).rate(5e5)).run().unwrap();
        assert!(at.shown().into_iter().eq(0..end));
        assert_eq!(at.names("csv", true), [".part.csv.lock"]);
    }
}

#[test]
fn a_job_that_is_restarted_shows_what_one_does_that_is_not() {
    let end = 200_000;
    for shards in [1, 2, 4] {
        let (at, failed) = (Place::new(), Arc::new(AtomicBool::new(false)));
        let fails = move |n| n == 100_000 && !failed.swap(true, Relaxed);
        let job = squares_but(shards, at.0.path(), 3.millis(), Counter::to(end).rate(5e5), fails);
        let report = job.restart(Restart::times(1)).run().unwrap();
        assert_eq!(report.failures.len(), 1);
        assert!(at.shown().into_iter().eq(0..end));
    }
}

/// Numbers counted by key, into files of two kinds: a row for every number, one a key at the end.
fn counts(shards: usize, at: &Path, end: u64, fails_from: u64) -> Job {
    let job =
        Job::new("counts").shards(shards).pin(false).checkpoints(at.join("state"), 3.millis());
    let numbers = job.source(Counter::to(end).rate(5e5));
    let numbers = numbers.inspect(move |n| assert!(n < fails_from, "as was asked for"));
    let keyed = numbers.key_by(|n| n % 7);
    keyed.clone().aggregate_running(|ns| ns.count()).sink(RecordLog::write(at.join("log")));
    keyed.aggregate_final(|ns| ns.sum(|n| n)).sink(Files::to_json(at.join("json")));
    job
}

#[test]
fn what_is_counted_goes_on_with_what_is_shown() {
    let end = 70_000;
    for shards in [1, 2, 4] {
        let at = Place::new();
        for fails_from in [20_000, 50_000] {
            counts(1 + shards, at.0.path(), end, fails_from).run().unwrap_err();
        }
        counts(shards, at.0.path(), end, end).run().unwrap();
        let rows = read(RecordLog::read::<(u64, u64)>(at.pattern("log")));
        assert!(rows.into_iter().eq((0..7).flat_map(|key| (1..=10_000).map(move |n| (key, n)))));
        let files = at.names("json", false).len();
        assert!((1..=shards).contains(&files), "a file where there are rows");
    }
}

/// More numbers than are squared before the last kill.
const KILLED_END: u64 = 1_000_000;

/// Not a test by itself: what the next one kills.
#[test]
#[ignore = "run by another test"]
fn runs_until_it_is_killed() {
    let (Ok(at), Ok(shards)) = (std::env::var("EXACTLY_ONCE"), std::env::var("SHARDS")) else {
        return;
    };
    let shards = shards.parse().unwrap();
    squares(shards, Path::new(&at), 1.millis(), Counter::to(KILLED_END).rate(3e5)).run().unwrap();
}

#[test]
fn a_process_that_is_killed_shows_what_it_would_have_shown() {
    let at = Place::new();
    let mut before = 0;
    for i in 0..12 {
        let (shards, lives) = ([1, 2, 4][i % 3], 100 + i as u64 * 37 % 100);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "runs_until_it_is_killed", "--ignored"])
            .env("EXACTLY_ONCE", at.0.path())
            .env("SHARDS", shards.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(lives.millis());
        child.kill().unwrap();
        child.wait().unwrap();
        if at.path("csv").is_dir() {
            let shown = at.shown();
            assert!(shown.len() >= before && shown.iter().is_sorted_by(|a, b| a < b));
            before = shown.len();
        }
    }
    assert!(before > 1_000, "it came to checkpoints");
    squares(2, at.0.path(), 1.days(), Counter::to(KILLED_END)).run().unwrap();
    assert!(at.shown().into_iter().eq(0..KILLED_END));
    assert_eq!(at.names("csv", true), [".part.csv.lock"]);
}

#[test]
fn what_could_not_be_shown_is_shown_when_the_job_goes_on() {
    let end = 100_000;
    for shards in [1, 2] {
        let (at, gate) = (Place::new(), Gated::to(end, 0));
        let running = squares(shards, at.0.path(), 1.days(), gate.clone()).start().unwrap();
        gate.open(2_000);
        wait_for(&running, 2_000);
        // In the way of a file that the checkpoint has prepared.
        let way = at.path("csv/part-0-00000001.csv");
        fs::create_dir_all(way.join("full")).unwrap();
        running.checkpoint().unwrap_err();
        let error = running.join().unwrap_err().to_string();
        let (csv, to) = (at.path("csv"), way.display());
        let sink = format!("sink csv files in {}", csv.display());
        let wanted = format!("job squares: checkpoint 1: {sink}: writing {to}: Is a directory");
        assert!(error.starts_with(&wanted), "{error}");
        let error = refusal(squares(shards, at.0.path(), 1.days(), gate.clone()));
        assert!(error.contains(&format!("{sink}: writing {to}: Is a directory")), "{error}");
        fs::remove_dir_all(way).unwrap();
        gate.open(end);
        squares(1, at.0.path(), 1.days(), gate).run().unwrap();
        assert!(at.shown().into_iter().eq(0..end));
    }
}

#[test]
fn what_can_not_be_prepared_ends_the_job_with_sink_path_and_cause() {
    let at = Place::new();
    let running = squares(1, at.0.path(), 1.days(), Counter::endless().rate(1e4)).start().unwrap();
    wait_for(&running, 10);
    running.checkpoint().unwrap();
    fs::remove_dir_all(at.path("csv")).unwrap();
    wait_for(&running, 1_000);
    let _ = running.checkpoint();
    let error = running.join().unwrap_err().to_string();
    let csv = at.path("csv");
    let wanted = format!("sink csv files in {0}: writing {0}/.part-0-0000", csv.display());
    assert!(error.contains(&wanted), "{error}");
    assert!(error.contains(".csv.pending: No such file or directory"), "{error}");
}

fn refusal(job: Job) -> String {
    job.start().err().expect("it is refused").to_string()
}

#[test]
fn results_are_not_mixed_with_others() {
    let at = Place::new();
    squares(2, at.0.path(), 1.days(), Counter::to(1_000)).run().unwrap();
    let names = at.names("csv", false);
    fs::rename(at.path("state"), at.path("old")).unwrap();
    let error = refusal(squares(2, at.0.path(), 1.days(), Counter::to(1_000)));
    assert!(error.contains(&format!("{} is there, and the job begins anew", names[0])), "{error}");
    let without = Job::new("without").shards(2);
    without.source(Counter::to(10)).sink(Files::to_csv(at.path("csv")));
    let error = refusal(without);
    assert!(error.contains("is of an earlier run with checkpoints; remove it first"), "{error}");
    assert_eq!(at.names("csv", false), names);
    // A state that can't be read is no reason to throw results away.
    fs::remove_dir_all(at.path("state")).unwrap();
    fs::write(at.path("state"), "").unwrap();
    let error = refusal(squares(2, at.0.path(), 1.days(), Counter::to(1_000)));
    assert!(error.starts_with("job squares: opening the state directory"), "{error}");
    // The state of before is.
    fs::remove_file(at.path("state")).unwrap();
    fs::rename(at.path("old"), at.path("state")).unwrap();
    squares(3, at.0.path(), 1.days(), Counter::to(1_000)).run().unwrap();
    assert!(at.shown().into_iter().eq(0..1_000));
}

#[test]
fn a_directory_that_another_job_uses_is_all_that_is_said() {
    let at = Place::new();
    let running = squares(2, at.0.path(), 1.days(), Counter::endless()).start().unwrap();
    let error = refusal(squares(2, at.0.path(), 1.days(), Counter::endless()));
    assert!(error.starts_with("job squares: another job uses the state directory"), "{error}");
    running.stop();
    running.join().unwrap();
}

#[test]
fn a_file_of_state_that_is_missing_is_named() {
    let at = Place::new();
    let running = counts(2, at.0.path(), 1_000_000_000, u64::MAX).start().unwrap();
    running.checkpoint().unwrap();
    running.stop();
    running.join().unwrap();
    let state = fs::read_dir(at.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("state-");
    let gone = state.filter(|path| named(path)).max().unwrap();
    fs::remove_file(&gone).unwrap();
    let error = refusal(counts(2, at.0.path(), 1_000_000_000, u64::MAX));
    let name = gone.file_name().unwrap().to_str().unwrap();
    assert!(error.contains("the manifest names it, and it is not there; restore"), "{error}");
    assert!(error.contains(name), "{error}");
}

#[test]
fn a_job_that_goes_on_from_an_older_state_is_refused() {
    let at = Place::new();
    let running = squares(2, at.0.path(), 1.days(), Counter::endless().rate(1e5)).start().unwrap();
    wait_for(&running, 1_000);
    running.savepoint(at.path("kept")).unwrap();
    wait_for(&running, 5_000);
    running.checkpoint().unwrap();
    drop(running);
    fs::remove_dir_all(at.path("state")).unwrap();
    fs::rename(at.path("kept"), at.path("state")).unwrap();
    let error = refusal(squares(2, at.0.path(), 1.days(), Counter::endless().rate(1e5)));
    assert!(error.contains("of epoch 2, and the job goes on after epoch 1"), "{error}");
}

#[test]
fn an_explanation_says_how_often_sinks_get_a_record() {
    let explained = |job: Job| {
        let numbers = job.source(Counter::to(10));
        numbers.clone().sink(Files::to_csv("out"));
        numbers.sink(Discard);
        job.explain().to_string()
    };
    let plain = explained(Job::new("explained").shards(1));
    let with = explained(Job::new("explained").shards(1).checkpoints("state", 1.days()));
    assert!(!plain.contains("once"));
    let wanted = "#1 sink csv files in out\n   #0\n   exactly once\n\
                  #2 sink discard\n   #0\n   at least once";
    assert!(with.ends_with(wanted), "{with}");
}
