//! Windows at their edges: event times of results, alignment, triggers, a split that comes back.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg::operator::{Feed, Progress, Sink, Source, Split};
use thalweg::prelude::Result;
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Hit { key: u64, at: Timestamp }
}

const SHARDS: [usize; 4] = [1, 2, 4, 8];

fn us(at: i64) -> Timestamp {
    Timestamp::from_micros(at)
}

/// A sink of records with their event times, and where they are.
fn timed<R: Record + Sync>() -> (impl Sink<R>, Arc<Mutex<Vec<(Timestamp, R)>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&all);
    let sink = Callback::new::<R>(move |_, at, record| {
        shared.lock().unwrap().push((at, R::own(record)));
    });
    (sink, all)
}

/// Hits of two keys, one a microsecond, and a late one.
fn steady() -> Vec<Hit> {
    let hit = |i: i64| Hit { key: i as u64 % 2, at: us(i) };
    (0..200).chain([3]).map(hit).collect()
}

macro_rules! check_times {
    ($windows:expr) => {
        for shards in SHARDS {
            let job = Job::new("times").shards(shards).executor(Executor::Threads);
            let ((sink, results), (side, late)) = (timed(), timed());
            let (counts, too_late) = job
                .source(Memory::of(steady()).splits(1))
                .event_time(|hit| hit.at, 5.micros())
                .key_by(|hit| hit.key)
                .window($windows)
                .aggregate_with_late(|hits| hits.count());
            counts.sink(sink);
            too_late.sink(side);
            job.run().unwrap();
            let results = results.lock().unwrap();
            assert!(!results.is_empty());
            assert!(results.iter().all(|(at, found)| *at + 1.micros() == found.end));
            let late = late.lock().unwrap();
            assert_eq!(*late, [(us(3), Hit { key: 1, at: us(3) })]);
        }
    };
}

#[test]
fn results_happen_in_the_last_microsecond_and_late_records_when_they_did() {
    check_times!(Tumbling::of(10.micros()));
    check_times!(Sliding::of(10.micros(), 4.micros()));
    check_times!(Cumulating::of(12.micros(), 4.micros()));
    check_times!(Session::gap(3.micros()));
}

/// The counts of a stream without keys, by the window's bounds.
macro_rules! counts {
    ($shards:expr, $windows:expr) => {{
        let job = Job::new("counts").shards($shards).executor(Executor::Threads);
        let (sink, results) = Collect::new();
        job.source(Memory::of(steady()).splits(1))
            .event_time(|hit| hit.at, 1.seconds())
            .window($windows)
            .aggregate(|hits| hits.count())
            .map(|found| (found.start.micros(), found.end.micros(), found.value))
            .sink(sink);
        job.run().unwrap();
        results.sorted()
    }};
}

#[test]
fn windows_are_aligned_to_their_offset_and_steps_are_whole() {
    let hits = || steady().into_iter().map(|hit| hit.at.micros());
    let count = |start: i64, end: i64| {
        let n = hits().filter(|at| (start..end).contains(at)).count() as u64;
        (n > 0).then_some((start, end, n))
    };
    for shards in SHARDS {
        let tumbling = counts!(shards, Tumbling::of(10.micros()).offset(33.micros()));
        let expected: Vec<_> = (-1..21).filter_map(|i| count(i * 10 + 3, i * 10 + 13)).collect();
        assert_eq!(tumbling, expected, "{shards} shards");
        let sliding = counts!(shards, Sliding::of(10.micros(), 4.micros()).offset(5.micros()));
        let expected: Vec<_> = (0..60).filter_map(|i| count(i * 4 + 1 - 10, i * 4 + 1)).collect();
        assert_eq!(sliding, expected, "{shards} shards");
        let steps = counts!(shards, Cumulating::of(10.micros(), 4.micros()));
        let within = |row: i64| (1..=3).filter_map(move |i| count(row * 12, row * 12 + i * 4));
        let expected: Vec<_> = (0..20).flat_map(within).collect();
        assert_eq!(steps, expected, "{shards} shards");
    }
}

#[test]
fn a_global_window_is_everything_before_its_trigger() {
    let hits = || steady().into_iter().map(|hit| hit.at.micros());
    let so_far = |end: i64| (i64::MIN, end, hits().filter(|at| *at < end).count() as u64);
    let expected: Vec<_> = (1..=7).map(|i| so_far(i * 30)).collect();
    for shards in SHARDS {
        let found = counts!(shards, Global::trigger(Trigger::every(30.micros())));
        assert_eq!(found, expected, "{shards} shards");
    }
}

/// Two splits of one shard: the first falls silent, is idle, and comes back with an old record
/// when the second one has gone far ahead.
struct Returning;

struct ReturningSplit {
    first: bool,
    given: bool,
    /// Polls after the silence that makes a split idle.
    polls: u32,
    silent: Option<Instant>,
}

const IDLE_AFTER: Duration = Duration::from_millis(30);

impl Source for Returning {
    type Record = Hit;
    fn name(&self) -> String {
        "returning".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Hit>>>> {
        let split = |first| ReturningSplit { first, given: false, polls: 0, silent: None };
        Ok(vec![Box::new(split(true)), Box::new(split(false))])
    }
}

impl Split<Hit> for ReturningSplit {
    fn poll(&mut self, feed: &mut Feed<'_, Hit>) -> Result<Progress> {
        let hit = |at| Hit { key: 1, at: us(at) };
        if !self.given {
            self.given = true;
            let times = if self.first { vec![1, 2] } else { (0..1_000).collect() };
            times.into_iter().try_for_each(|at| feed.push(&hit(at)))?;
            return Ok(Progress::Busy);
        }
        let silent = self.silent.get_or_insert_with(Instant::now).elapsed();
        self.polls += u32::from(silent > 2 * IDLE_AFTER);
        if self.polls < if self.first { 3 } else { 6 } {
            return Ok(Progress::Idle);
        }
        if self.first {
            feed.push(&hit(5))?;
            feed.push(&hit(2_000))?;
        }
        Ok(Progress::Done)
    }
}

/// Start and count of each window, and the late records.
macro_rules! returned {
    ($windows:expr) => {{
        let job =
            Job::new("returning").shards(1).executor(Executor::Threads).idle_after(IDLE_AFTER);
        let ((sink, results), (side, late)) = (Collect::new(), Collect::new());
        let (counts, too_late) = job
            .source(Returning)
            .event_time(|hit| hit.at, 5.micros())
            .window($windows)
            .aggregate_with_late(|hits| hits.count());
        counts.map(|found| (found.start.micros(), found.value)).sink(sink);
        too_late.map(|hit| hit.at.micros()).sink(side);
        job.run().unwrap();
        (results.sorted(), late.take())
    }};
}

#[test]
fn a_split_that_was_idle_is_late_by_what_the_others_have_reached() {
    let (counts, late) = returned!(Tumbling::of(10.micros()));
    let mut expected: Vec<(i64, u64)> = (0..100).map(|i| (i * 10, 10)).collect();
    expected[0].1 = 12;
    expected.push((2_000, 1));
    assert_eq!((counts, late), (expected, vec![5]));
    let (counts, late) = returned!(Session::gap(10.micros()));
    assert_eq!((counts, late), (vec![(0, 1_002), (2_000, 1)], vec![5]));
}

#[test]
fn a_key_without_records_in_a_sliding_window_has_no_row() {
    // Key 0 always, key 1 for a while; the count is taken back as panes leave.
    let hits: Vec<Hit> = (0..100)
        .flat_map(|i| [(0, i), (1, i)].map(|(key, at)| Hit { key, at: us(at) }))
        .filter(|hit| hit.key == 0 || !(20..60).contains(&hit.at.micros()))
        .collect();
    let count = |key: u64, start: i64| {
        let of = |hit: &&Hit| hit.key == key && (start..start + 8).contains(&hit.at.micros());
        let n = hits.iter().filter(of).count() as u64;
        (n > 0).then_some((key, start, n))
    };
    let starts = || (-2..25).map(|i| i * 4);
    let mut expected: Vec<_> = starts().filter_map(|start| count(0, start)).collect();
    expected.extend(starts().filter_map(|start| count(1, start)));
    for shards in SHARDS {
        let job = Job::new("sliding").shards(shards).executor(Executor::Threads);
        let (sink, results) = Collect::new();
        job.source(Memory::of(hits.clone()).splits(1))
            .event_time(|hit| hit.at, 0.seconds())
            .key_by(|hit| hit.key)
            .window(Sliding::of(8.micros(), 4.micros()))
            .aggregate(|hits| hits.count())
            .map(|found| (found.key, found.start.micros(), found.value))
            .sink(sink);
        job.run().unwrap();
        assert_eq!(results.sorted(), expected, "{shards} shards");
    }
}
