//! What comes late, and what comes back from a silence behind the others: results do not depend on
//! the number of shards, nothing is lost without being counted, and nothing comes that is not so.

#![allow(clippy::unwrap_used)]

mod support;

use support::{Deal, Timetable};
use thalweg::operator::{Aggregate, Chain};
use thalweg::prelude::*;

/// On so many shards, all at once: the jobs wait more than they work.
fn each(check: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let check = &check;
        let all = [1, 2, 4, 8].map(|shards| scope.spawn(move || check(shards)));
        for one in all {
            one.join().unwrap();
        }
    });
}

fn ms(n: u64) -> Timestamp {
    Timestamp::from_millis(n as i64)
}

/// Times that are up to 30 ms out of order, each with a key.
fn disordered(n: u64) -> Vec<(u64, u64)> {
    (0..n).map(|i| (i % 7, 100 + i - (i * 7_919 % 31))).collect()
}

/// The first split falls silent and comes back with what is long over; the second goes on. Both
/// are long enough apart for `idle_after(100.millis())`.
fn back_behind() -> Timetable {
    Timetable(vec![vec![(0, 1), (900, 5), (900, 6)], vec![(0, 2), (400, 95), (1_400, 96)]])
}

fn back_job(shards: usize) -> (Job, Stream<u64, impl Chain<Out = u64>>) {
    let job = Job::new("back").shards(shards).idle_after(100.millis());
    let numbers = job.source(back_behind()).event_time(ms, 0.seconds());
    (job, numbers)
}

fn corrected_job(shards: usize) -> (Job, Stream<(u64, u64), impl Chain<Out = (u64, u64)>>) {
    let job = Job::new("corrected").shards(shards);
    let source = job.source(Deal(disordered(20_000), 3));
    let events = source.event_time(|(_, at)| ms(at), 1.millis());
    (job, events)
}

/// Windows behind ones whose results are corrected, and windows behind these, get all in time.
fn all_arrive(job: Job, counts: Stream<InWindow<u64, u64>>) {
    let (sink, results) = Collect::new();
    counts
        .map(|window| ((window.key, window.start), window.value))
        .key_by(|(of, _)| of)
        .window(Tumbling::of(10.millis()))
        .aggregate(|all| all.max(|(_, count)| count))
        .map(|last| (last.key.1, last.value))
        .key_by(|(start, _)| start)
        .window(Tumbling::of(10.millis()))
        .aggregate(|all| all.sum(|(_, count)| count))
        .map(|sum| sum.value)
        .sink(sink);
    let report = job.run().unwrap();
    assert_eq!((results.take().iter().sum::<u64>(), report.late()), (20_000, 0), "{report}");
}

#[test]
fn corrected_results_are_in_time_for_the_windows_behind() {
    each(|shards| {
        let (job, events) = corrected_job(shards);
        let windows = events.key_by(|(key, _)| key).window(Tumbling::of(10.millis()));
        all_arrive(job, windows.allowed_lateness(100.millis()).aggregate(|all| all.count()));
    });
}

#[test]
fn corrected_results_of_unmerged_windows_are_in_time_for_the_windows_behind() {
    each(|shards| {
        let (job, events) = corrected_job(shards);
        let windows = events.key_by(|(key, _)| key).window(Tumbling::of(10.millis()));
        let windows = windows.allowed_lateness(100.millis());
        all_arrive(job, windows.aggregate(|all| all.fold_alone(|n: &mut u64, _| *n += 1)));
    });
}

#[test]
fn corrected_sessions_are_in_time_for_the_windows_behind() {
    // Sessions of a single key and time: each is corrected, none grows.
    each(|shards| {
        let (job, events) = corrected_job(shards);
        let (sink, results) = Collect::new();
        events
            .key_by(|(_, at)| at)
            .window(Session::gap(1.millis()))
            .allowed_lateness(100.millis())
            .aggregate(|all| all.count())
            .key_by(|session| session.key)
            .window(Tumbling::of(1.millis()))
            .aggregate(|all| all.max(|session| session.value))
            .map(|last| last.value)
            .sink(sink);
        let report = job.run().unwrap();
        assert_eq!((results.take().iter().sum::<u64>(), report.late()), (20_000, 0), "{shards}");
    });
}

#[test]
fn a_window_join_counts_what_comes_back_too_late() {
    each(|shards| {
        let (job, numbers) = back_job(shards);
        let (sink, rows) = Collect::new();
        let numbers = numbers.settle();
        let other = numbers.clone().key_by(|_| ());
        numbers
            .key_by(|_| ())
            .join(other)
            .window(Tumbling::of(10.millis()))
            .full(|left, right| (left.unwrap_or(0), right.unwrap_or(0)))
            .sink(sink);
        let report = job.run().unwrap();
        let expected = [(1, 1), (1, 2), (2, 1), (2, 2), (95, 95), (95, 96), (96, 95), (96, 96)];
        assert_eq!((rows.sorted(), report.late()), (expected.to_vec(), 4), "{shards} shards");
    });
}

/// The pairs of some numbers in a window that ends at `end`, with the time of its end.
fn pairs(of: &[u64], end: i64) -> Vec<(i64, (u64, u64))> {
    let all = of.iter().flat_map(|left| of.iter().map(|right| (*left, *right)));
    all.map(|pair| (end * 1_000 - 1, pair)).collect()
}

#[test]
fn a_sliding_join_has_no_other_windows_for_what_comes_back() {
    // At 95 the windows that end at 10 are kept, or no longer.
    let cases = [(87, &[1, 2, 5, 6][..], 0), (80, &[1, 2][..], 4)];
    each(|shards| {
        for (lateness, old, late) in cases {
            let (job, numbers) = back_job(shards);
            let (sink, rows) = Collect::new();
            let numbers = numbers.settle();
            let other = numbers.clone().key_by(|_| ());
            numbers
                .key_by(|_| ())
                .join(other)
                .window(Sliding::of(20.millis(), 10.millis()))
                .allowed_lateness(lateness.millis())
                .inner(|left, right| (left, right))
                .key_by(|row| row)
                .window(Tumbling::of(1.micros()))
                .aggregate(|rows| rows.count())
                .map(|row| (row.start.micros(), row.key))
                .sink(sink);
            let report = job.run().unwrap();
            let new = [95, 96];
            let mut expected =
                [pairs(old, 10), pairs(old, 20), pairs(&new, 100), pairs(&new, 110)].concat();
            expected.sort_unstable();
            assert_eq!((rows.sorted(), report.late()), (expected, late), "{shards} shards");
        }
    });
}

#[test]
fn joins_by_time_count_what_comes_back_too_late() {
    each(|shards| {
        let (job, numbers) = back_job(shards);
        let (sink, rows) = Collect::new();
        let numbers = numbers.settle();
        let other = numbers.clone().key_by(|_| ());
        numbers
            .key_by(|_| ())
            .join(other)
            .between(Offset::Before(1.millis()), Offset::After(1.millis()))
            .left(|left, right| (left, right.unwrap_or(0)))
            .sink(sink);
        let report = job.run().unwrap();
        let expected = [(1, 1), (1, 2), (2, 1), (2, 2), (95, 95), (95, 96), (96, 95), (96, 96)];
        assert_eq!((rows.sorted(), report.late()), (expected.to_vec(), 4), "{shards} shards");
    });
}

fn windows_of_what_comes_back<A: Aggregate<u64, Out = u64>>(
    windows: impl thalweg::api::Carried + Sync,
    aggregate: impl Fn(&thalweg::operator::Aggregates<u64>) -> A + Sync,
) {
    each(|shards| {
        let (job, numbers) = back_job(shards);
        let (sink, results) = Collect::new();
        let (side, too_late) = Collect::new();
        let windows = numbers.key_by(|_| ()).window(windows.clone());
        let (counts, late) = windows.aggregate_with_late(&aggregate);
        counts.map(|window| (window.start.millis() / 10 * 10, window.value)).sink(sink);
        late.sink(side);
        let report = job.run().unwrap();
        assert_eq!(results.sorted(), [(0, 2), (90, 2)], "{shards} shards");
        assert_eq!((too_late.sorted(), report.late()), (vec![5, 6], 2), "{shards} shards");
    });
}

#[test]
fn windows_count_what_comes_back_too_late() {
    windows_of_what_comes_back(Tumbling::of(10.millis()), |ns| ns.count());
}

#[test]
fn unmerged_windows_count_what_comes_back_too_late() {
    let windows = Tumbling::of(10.millis());
    windows_of_what_comes_back(windows, |ns| ns.fold_alone(|n: &mut u64, _| *n += 1));
}

#[test]
fn sessions_count_what_comes_back_too_late() {
    windows_of_what_comes_back(Session::gap(2.millis()), |ns| ns.count());
}

#[test]
fn what_lies_between_a_joins_windows_is_not_late() {
    each(|shards| {
        let job = Job::new("sparse").shards(shards);
        let (sink, rows) = Collect::new();
        // The last ones are between windows when they should have come, too.
        let all = Memory::of((0..100_u64).chain([13, 14])).splits(1);
        let numbers = job.source(all).event_time(ms, 0.seconds());
        let other = numbers.clone().key_by(|_| ());
        let joined = numbers.key_by(|_| ()).join(other);
        // Windows [8, 10), [18, 20), …
        let windows = joined.window(Sliding::of(2.millis(), 10.millis()));
        windows.full(|l, r| (l.unwrap_or(0), r.unwrap_or(0))).sink(sink);
        let report = job.run().unwrap();
        assert_eq!((rows.take().len(), report.late()), (40, 0), "{shards} shards");
    });
}

#[test]
fn a_split_that_gives_what_it_has_is_not_silent() {
    // The first gives a record in every look and always says that there is no more for now.
    let steady: Vec<_> = (0..40).map(|i| (i * 20, i)).collect();
    each(|shards| {
        let job = Job::new("steady").shards(shards).idle_after(100.millis());
        let (sink, results) = Collect::new();
        job.source(Timetable(vec![steady.clone(), vec![(0, 1_000), (700, 1_001)]]))
            .event_time(ms, 0.seconds())
            .window(Tumbling::of(10.millis()))
            .aggregate(|ns| ns.count())
            .map(|window| (window.start.millis(), window.value))
            .sink(sink);
        let report = job.run().unwrap();
        let expected = vec![(0, 10), (10, 10), (20, 10), (30, 10), (1_000, 2)];
        assert_eq!((results.sorted(), report.late()), (expected, 0), "{shards} shards");
    });
}
