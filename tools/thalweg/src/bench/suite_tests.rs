//! Queries that go wrong, and Ctrl-C.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

use super::input::Recording;
use super::interrupt::Interrupt;
use super::known::{KNOWN, Known};
use super::nexmark::{Check, Digest, Input, QUERIES, Query};
use super::report::Report;
use super::run::Setup;
use super::suite::{End, Suite};

const EVENTS: u64 = 5_000;

fn suite(shards: usize) -> Suite {
    let interrupt = Interrupt::default();
    let setup = Setup { shards, executor: Executor::Threads, interrupt };
    let input = Recording::make(EVENTS, 1, &setup).expect("made").expect("not interrupted");
    Suite { setup, input, known: KNOWN, runs: 2 }
}

fn query(name: &'static str, build: fn(&Job, &Input, Digest)) -> Query {
    Query { name, title: "A test", build, check: Check::Digest, beside: 0 }
}

fn good(job: &Job, input: &Input, rows: Digest) {
    (QUERIES[0].build)(job, input, rows);
}

fn run(suite: &Suite, queries: &[Query]) -> (End, Report) {
    let mut report = suite.report();
    let end = suite.run(queries, &mut report, |_| Ok(())).expect("saved");
    (end, report)
}

#[test]
fn a_good_query_has_its_numbers() {
    let (end, report) = run(&suite(2), &[query("good", good)]);
    assert_eq!((end, report.failed().len()), (End::Complete, 0));
    let row = &report.rows[0];
    assert_eq!((row.rows_out, report.shards, report.input.events), (4_600, 2, EVENTS));
    let times = row.times.expect("times");
    assert!(times.min_s <= times.median_s && times.median_s <= times.max_s, "{times:?}");
    assert!(times.events_per_s > 1_000.0, "{times:?}");
    assert_eq!(row.digest.as_ref().map(String::len), Some(16));
}

#[test]
fn a_result_that_changes_from_run_to_run_is_wrong() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    fn fickle(job: &Job, input: &Input, rows: Digest) {
        let run = RUNS.fetch_add(1, Relaxed);
        job.source(input.events.clone()).map(move |_| run).sink(rows);
    }
    let (end, report) = run(&suite(1), &[query("fickle", fickle), query("good", good)]);
    assert_eq!((end, report.failed()), (End::Complete, vec!["fickle"]));
    let row = &report.rows[0];
    let error = row.error.as_deref().expect("an error");
    assert!(error.starts_with("run 1 gave 5,000 rows with digest "), "{error}");
    assert!(!row.digest_ok && row.times.is_some());
    assert!(report.rows[1].digest_ok);
}

#[test]
fn a_result_other_than_the_known_one_is_wrong() {
    let (_, report) = run(&suite(1), &[query("good", good)]);
    let row = &report.rows[0];
    let digest = row.digest.as_ref().expect("a digest");
    let digest = u64::from_str_radix(digest, 16).expect("hexadecimal");
    let known = |rows, digest| -> Known {
        Known { events: EVENTS, results: Vec::leak(vec![("good", rows, digest)]) }
    };
    for (known, right) in [
        (known(row.rows_out, digest), true),
        (known(row.rows_out, digest + 1), false),
        (known(row.rows_out + 1, digest), false),
        (Known { events: EVENTS + 1, ..known(0, 0) }, true),
    ] {
        let suite = Suite { known, ..suite(2) };
        let (_, report) = run(&suite, &[query("good", good), query("other", good)]);
        let expected = if right { vec![] } else { vec!["good"] };
        assert_eq!(report.failed(), expected, "{known:?}");
        let row = &report.rows[0];
        assert_eq!(row.digest_ok, right);
        if let Some(error) = &row.error {
            assert!(error.starts_with("the run to warm up gave 4,600 rows with "), "{error}");
            assert!(error.contains(", known 4,60"), "{error}");
        }
    }
}

#[test]
fn a_result_that_depends_on_the_shards_is_wrong() {
    /// The number of shards, in a way that no user has.
    struct Shards;
    impl Source for Shards {
        type Record = u64;
        fn name(&self) -> String {
            "shards".into()
        }
        fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
            Ok(vec![Box::new(Same { value: shards as u64, left: EVENTS })])
        }
    }
    struct Same {
        value: u64,
        left: u64,
    }
    impl Split<u64> for Same {
        fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
            while feed.room() > 0 && self.left > 0 {
                self.left -= 1;
                feed.push(self.value)?;
            }
            Ok(if self.left == 0 { Progress::Done } else { Progress::Busy })
        }
    }
    fn shards(job: &Job, _: &Input, rows: Digest) {
        job.source(Shards).sink(rows);
    }
    let (_, report) = run(&suite(3), &[query("shards", shards)]);
    let error = report.rows[0].error.as_deref().expect("an error");
    assert!(error.contains("one shard 5,000 rows with digest"), "{error}");
}

#[test]
fn counts_must_add_up() {
    fn halves(job: &Job, input: &Input, rows: Digest) {
        job.source(input.events.clone()).filter_map(|event| event.bid().map(|_| ())).sink(rows);
    }
    let check = Check::Counts(|events| events);
    let (_, report) = run(&suite(2), &[Query { check, ..query("halves", halves) }]);
    let row = &report.rows[0];
    let error = row.error.as_deref().expect("an error");
    assert!(error.contains("counted ") && error.ends_with(" instead of 5,000"), "{error}");
    assert_eq!(row.digest, None);
}

#[test]
fn records_left_out_are_a_failure() {
    let queries = [Query { beside: 1, ..query("more", good) }, query("good", good)];
    let (_, report) = run(&suite(2), &queries);
    assert_eq!(report.failed(), ["more"]);
    let error = report.rows[0].error.as_deref();
    assert_eq!(error, Some("read 5000 of 5001 records"));
}

#[test]
fn a_query_that_fails_leaves_the_others_alone() {
    fn broken(job: &Job, input: &Input, rows: Digest) {
        job.source(input.events.clone())
            .map(|event| {
                assert!(event.auction().is_none(), "no auctions today");
                1_u64
            })
            .sink(rows);
    }
    let suite = suite(2);
    let saved = AtomicU64::new(0);
    let mut report = suite.report();
    let queries = [query("broken", broken), query("good", good)];
    let save = |report: &Report| {
        assert_eq!(report.rows.len() as u64, saved.fetch_add(1, Relaxed) + 1);
        Ok(())
    };
    let end = suite.run(&queries, &mut report, save).expect("saved");
    assert_eq!((end, report.failed()), (End::Complete, vec!["broken"]));
    assert_eq!(saved.load(Relaxed), 2);
    let error = report.rows[0].error.as_deref().expect("an error");
    assert!(error.contains("no auctions today"), "{error}");
    assert!(report.rows[0].times.is_none());
}

#[test]
fn late_records_are_a_failure() {
    fn late(job: &Job, input: &Input, rows: Digest) {
        job.source(input.events.clone())
            .event_time(
                |event| Timestamp::MAX - (event.date_time().millis() as u64).millis(),
                0.seconds(),
            )
            .window(Tumbling::of(1.millis()))
            .aggregate(|events| events.count())
            .map(|counted| counted.value)
            .sink(rows);
    }
    let (_, report) = run(&suite(1), &[query("late", late)]);
    let error = report.rows[0].error.as_deref().expect("an error");
    assert!(error.ends_with(" records came too late"), "{error}");
}

#[test]
fn an_interrupt_ends_the_suite_with_the_results_so_far() {
    static STOP: std::sync::OnceLock<Interrupt> = std::sync::OnceLock::new();
    fn stopping(job: &Job, input: &Input, rows: Digest) {
        STOP.wait().send();
        good(job, input, rows);
    }
    let suite = suite(2);
    STOP.get_or_init(|| suite.setup.interrupt.clone());
    let queries = [query("good", good), query("stopping", stopping), query("never", good)];
    let (end, report) = run(&suite, &queries);
    assert_eq!(end, End::Interrupted);
    let names: Vec<&str> = report.rows.iter().map(|row| row.query.as_str()).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(report.queries, 3);
}
