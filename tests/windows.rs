//! Windows against an oracle that knows no shards, no frames and no panes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::Result;
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Hit { key: u64, worth: u64, at: Timestamp }
}

/// Records dealt out to splits in turn, so many a batch.
#[derive(Clone, Debug)]
struct Cut {
    hits: Vec<Hit>,
    splits: usize,
    batch: usize,
}

struct CutSplit(std::vec::IntoIter<Hit>, usize);

impl Source for Cut {
    type Record = Hit;
    fn name(&self) -> String {
        "cut".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Hit>>>> {
        let split = |i| self.of(i).collect::<Vec<_>>().into_iter();
        Ok((0..self.splits).map(|i| Box::new(CutSplit(split(i), self.batch)) as _).collect())
    }
}

impl Cut {
    fn of(&self, split: usize) -> impl Iterator<Item = Hit> + '_ {
        self.hits.iter().skip(split).step_by(self.splits).copied()
    }

    /// Every record with its split's watermark before it.
    fn marked(&self, disorder: i64) -> Vec<(i64, Hit)> {
        let mut all = Vec::new();
        for split in 0..self.splits {
            let mut newest = i64::MIN;
            for hit in self.of(split) {
                all.push((newest.saturating_sub(disorder), hit));
                newest = newest.max(hit.at.micros());
            }
        }
        all
    }
}

impl Split<Hit> for CutSplit {
    fn poll(&mut self, feed: &mut Feed<'_, Hit>) -> Result<Progress> {
        for _ in 0..self.1 {
            let Some(hit) = self.0.next() else {
                return Ok(Progress::Done);
            };
            feed.push(&hit)?;
        }
        Ok(Progress::Busy)
    }
}

const DISORDER: i64 = 5;

/// Key, window, `(count, sum, greatest)`.
type Found = InWindow<u64, (u64, u64, u64)>;

/// The results and late records of a job, in the order of arrival.
macro_rules! run {
    ($shards:expr, $cut:expr, $keyed:ident => $build:expr) => {{
        let job = Job::new("windows").shards($shards).executor(Executor::Threads);
        let (sink, results) = Collect::new();
        let (side, late) = Collect::new();
        let $keyed = job
            .source($cut.clone())
            .event_time(|hit| hit.at, Duration::from_micros(DISORDER as u64))
            .key_by(|hit| hit.key);
        let (found, too_late) = $build;
        found.sink(sink);
        too_late.sink(side);
        let report = job.run().unwrap();
        let mut late: Vec<Hit> = late.take();
        assert_eq!(report.late(), late.len() as u64, "late records are counted");
        late.sort();
        let results: Vec<Found> = results.take();
        (results, late)
    }};
}

/// The last result of every key and window.
fn last(results: Vec<Found>) -> Vec<Found> {
    let bounds = |found: &Found| (found.key, found.end, found.start);
    let last: BTreeMap<_, _> = results.into_iter().map(|found| (bounds(&found), found)).collect();
    last.into_values().collect()
}

fn us(at: i64) -> Timestamp {
    Timestamp::from_micros(at)
}

fn span(us: i64) -> Duration {
    Duration::from_micros(us as u64)
}

/// Count, sum and greatest worth of each key and window `[start, end)`.
#[derive(Default)]
struct Oracle {
    windows: BTreeMap<(u64, i64, i64), (u64, u64, u64)>,
    late: Vec<Hit>,
}

impl Oracle {
    fn count(&mut self, hit: &Hit, start: i64, end: i64) {
        let found = self.windows.entry((hit.key, end, start)).or_default();
        *found = (found.0 + 1, found.1 + hit.worth, found.2.max(hit.worth));
    }

    /// Windows by what holds a time: `(start, end)`s.
    fn of(cut: &Cut, lateness: i64, holding: impl Fn(i64) -> Vec<(i64, i64)>) -> Oracle {
        let mut oracle = Oracle::default();
        for (mark, hit) in cut.marked(DISORDER) {
            let all = holding(hit.at.micros());
            let open = |(_, end): &&(i64, i64)| mark < end.saturating_add(lateness);
            let open: Vec<_> = all.iter().filter(open).collect();
            if open.is_empty() && !all.is_empty() {
                oracle.late.push(hit);
            }
            open.into_iter().for_each(|(start, end)| oracle.count(&hit, *start, *end));
        }
        oracle.late.sort();
        oracle
    }

    fn sessions(cut: &Cut, lateness: i64, gap: i64) -> Oracle {
        let mut oracle = Oracle::default();
        let mut kept: BTreeMap<u64, Vec<Hit>> = BTreeMap::new();
        for (mark, hit) in cut.marked(DISORDER) {
            if hit.at.micros() < mark.saturating_sub(lateness) {
                oracle.late.push(hit);
            } else {
                kept.entry(hit.key).or_default().push(hit);
            }
        }
        for hits in kept.values_mut() {
            hits.sort_by_key(|hit| hit.at);
            let near = |a: &Hit, b: &Hit| b.at.micros() - a.at.micros() < gap;
            for session in hits.chunk_by(near) {
                let start = session[0].at.micros();
                let end = session[session.len() - 1].at.micros() + gap;
                session.iter().for_each(|hit| oracle.count(hit, start, end));
            }
        }
        oracle.late.sort();
        oracle
    }

    fn results(&self) -> Vec<Found> {
        let found = |(&(key, end, start), &value): (&(u64, i64, i64), &(u64, u64, u64))| InWindow {
            key,
            start: us(start),
            end: us(end),
            value,
        };
        self.windows.iter().map(found).collect()
    }
}

/// The windows of `size` that end at every multiple of `slide` and hold a time.
fn sliding(size: i64, slide: i64) -> impl Fn(i64) -> Vec<(i64, i64)> {
    move |at| {
        let first = at.div_euclid(slide) * slide + slide;
        let ends = std::iter::successors(Some(first), |end| Some(end + slide));
        ends.take_while(|end| end - size <= at).map(|end| (end - size, end)).collect()
    }
}

fn cumulating(size: i64, step: i64) -> impl Fn(i64) -> Vec<(i64, i64)> {
    move |at| {
        let start = at.div_euclid(size) * size;
        let first = at.div_euclid(step) * step + step;
        let ends = std::iter::successors(Some(first), |end| Some(end + step));
        ends.take_while(|end| *end <= start + size).map(|end| (start, end)).collect()
    }
}

/// Mostly rising times, some far behind, now and then a leap.
fn cuts() -> impl Strategy<Value = Cut> {
    let step = prop_oneof![8 => 0..4_i64, 1 => Just(300_i64), 1 => Just(40_000_000_i64)];
    let back = prop_oneof![6 => Just(0_i64), 3 => 0..12_i64, 1 => 0..80_i64];
    let hit = (0..4_u64, 0..50_u64, step, back);
    let hits = proptest::collection::vec(hit, 0..120).prop_map(|rows| {
        let mut now = -20;
        let hit = |(key, worth, step, back): (u64, u64, i64, i64)| {
            now += step;
            Hit { key, worth, at: us(now - back) }
        };
        rows.into_iter().map(hit).collect::<Vec<_>>()
    });
    let (splits, batch) = (prop_oneof![Just(1_usize), Just(3)], prop_oneof![1..6_usize, Just(500)]);
    (hits, splits, batch).prop_map(|(hits, splits, batch)| Cut { hits, splits, batch })
}

const SHARDS: [usize; 4] = [1, 2, 4, 8];

/// Checks the kind of windows on all numbers of shards against the oracle.
macro_rules! check {
    ($cut:expr, $oracle:expr, $keyed:ident => $windowed:expr) => {
        let (cut, oracle) = ($cut, $oracle);
        for shards in SHARDS {
            let (results, late) = run!(shards, cut, $keyed => $windowed.aggregate_with_late(|hits| {
                (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
            }));
            prop_assert_eq!(&late, &oracle.late, "late on {} shards", shards);
            prop_assert_eq!(last(results), oracle.results(), "on {} shards", shards);
        }
    };
}

/// The same for an aggregate that can't be merged.
macro_rules! check_alone {
    ($cut:expr, $oracle:expr, $keyed:ident => $windowed:expr) => {
        let (cut, oracle) = ($cut, $oracle);
        for shards in SHARDS {
            let add = |all: &mut (u64, u64, u64), hit: &Hit| {
                *all = (all.0 + 1, all.1 + hit.worth, all.2.max(hit.worth));
            };
            let (results, late) = run!(shards, cut, $keyed => $windowed
                .aggregate_with_late(|hits| hits.fold_alone(add)));
            prop_assert_eq!(&late, &oracle.late, "late on {} shards", shards);
            prop_assert_eq!(last(results), oracle.results(), "on {} shards", shards);
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn tumbling(cut in cuts(), size in 1..30_i64, late in prop_oneof![Just(0), 0..40_i64]) {
        let oracle = Oracle::of(&cut, late, sliding(size, size));
        check!(&cut, &oracle, keyed => keyed
            .window(Tumbling::of(span(size)))
            .allowed_lateness(span(late)));
    }

    #[test]
    fn sliding_that_inverts_or_not(
        cut in cuts(),
        (size, slide) in (1..40_i64, 1..20_i64),
        late in prop_oneof![Just(0), 0..40_i64],
    ) {
        let oracle = Oracle::of(&cut, late, sliding(size, slide));
        check!(&cut, &oracle, keyed => keyed
            .window(Sliding::of(span(size), span(slide)))
            .allowed_lateness(span(late)));
    }

    #[test]
    fn cumulating_windows(
        cut in cuts(),
        (steps, step) in (1..8_i64, 1..9_i64),
        late in prop_oneof![Just(0), 0..40_i64],
    ) {
        let oracle = Oracle::of(&cut, late, cumulating(steps * step, step));
        check!(&cut, &oracle, keyed => keyed
            .window(Cumulating::of(span(steps * step), span(step)))
            .allowed_lateness(span(late)));
    }

    #[test]
    fn aggregates_that_cannot_be_merged(
        cut in cuts(),
        (size, slide) in (1..40_i64, 1..20_i64),
        late in prop_oneof![Just(0), 0..40_i64],
    ) {
        let oracle = Oracle::of(&cut, late, sliding(size, slide));
        check_alone!(&cut, &oracle, keyed => keyed
            .window(Sliding::of(span(size), span(slide)))
            .allowed_lateness(span(late)));
    }

    #[test]
    fn sessions(cut in cuts(), gap in 1..25_i64) {
        let oracle = Oracle::sessions(&cut, 0, gap);
        check!(&cut, &oracle, keyed => keyed.window(Session::gap(span(gap))));
    }

    #[test]
    fn late_sessions_replace_those_within_them(
        cut in cuts(),
        gap in 1..25_i64,
        late in 0..40_i64,
    ) {
        let oracle = Oracle::sessions(&cut, late, gap);
        for shards in SHARDS {
            let (results, too_late) = run!(shards, cut, keyed => keyed
                .window(Session::gap(span(gap)))
                .allowed_lateness(span(late))
                .aggregate_with_late(|hits| {
                    (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
                }));
            let all = last(results);
            let within = |a: &Found, b: &Found| {
                a.key == b.key && a.start >= b.start && a.end <= b.end
                    && (a.start, a.end) != (b.start, b.end)
            };
            let last: Vec<Found> =
                all.iter().filter(|a| !all.iter().any(|b| within(a, b))).copied().collect();
            prop_assert_eq!(&too_late, &oracle.late, "late on {} shards", shards);
            prop_assert_eq!(last, oracle.results(), "on {} shards", shards);
        }
    }

    #[test]
    fn early_results_hold_what_is_older_than_their_time(
        cut in ordered(),
        (size, slide, every) in (1..40_i64, 1..20_i64, 1..25_i64),
    ) {
        let oracle = Oracle::of(&cut, 0, sliding(size, slide));
        let mut given: Vec<Vec<Found>> = Vec::new();
        for shards in SHARDS {
            let (mut results, late) = run!(shards, cut, keyed => keyed
                .window(Sliding::of(span(size), span(slide)))
                .early_every(span(every))
                .aggregate_with_late(|hits| {
                    (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
                }));
            prop_assert!(late.is_empty());
            prop_assert_eq!(last(results.clone()), oracle.results(), "on {} shards", shards);
            results.sort();
            given.push(results);
        }
        prop_assert!(given.iter().all(|results| *results == early(&cut, size, slide, every)));
    }

    #[test]
    fn early_results_by_the_clock_change_no_last_result(
        cut in cuts(),
        (size, slide) in (1..40_i64, 1..20_i64),
        late in prop_oneof![Just(0), 0..40_i64],
    ) {
        let oracle = Oracle::of(&cut, late, sliding(size, slide));
        check!(&cut, &oracle, keyed => keyed
            .window(Sliding::of(span(size), span(slide)))
            .early_after(1.micros())
            .allowed_lateness(span(late)));
        check_alone!(&cut, &oracle, keyed => keyed
            .window(Sliding::of(span(size), span(slide)))
            .early_after(1.micros())
            .allowed_lateness(span(late)));
    }

    #[test]
    fn count_windows_of_one_split(cut in cuts(), (size, slide) in (1..8_u64, 1..8_u64)) {
        let cut = Cut { splits: 1, ..cut };
        let mut expected = Vec::new();
        let mut keys: BTreeMap<u64, Vec<Hit>> = BTreeMap::new();
        for hit in &cut.hits {
            let hits = keys.entry(hit.key).or_default();
            hits.push(*hit);
            if (hits.len() as u64).is_multiple_of(slide) {
                let n = hits.len().min(size as usize);
                expected.push(found(&hits[hits.len() - n..]));
            }
        }
        expected.sort();
        for shards in SHARDS {
            let add = |all: &mut (u64, u64, u64), hit: &Hit| {
                *all = (all.0 + 1, all.1 + hit.worth, all.2.max(hit.worth));
            };
            let (mut results, late) = run!(shards, cut, keyed => keyed
                .window(CountWindow::sliding(size, slide))
                .aggregate_with_late(|hits| hits.fold_alone(add)));
            results.sort();
            prop_assert!(late.is_empty());
            prop_assert_eq!(&results, &expected, "on {} shards", shards);
        }
    }

    #[test]
    fn a_global_window_counts_every_record(cut in cuts(), n in 1..6_u64, every in 1..50_i64) {
        let mut keys: BTreeMap<u64, Vec<Hit>> = BTreeMap::new();
        cut.hits.iter().for_each(|hit| keys.entry(hit.key).or_default().push(*hit));
        let all: Vec<_> = keys.values().map(|hits| found(hits).value).collect();
        for shards in SHARDS {
            for trigger in [Trigger::at_end(), Trigger::every(span(every))] {
                let (results, late) = run!(shards, cut, keyed => keyed
                    .window(Global::trigger(trigger))
                    .aggregate_with_late(|hits| {
                        (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
                    }));
                let last: BTreeMap<u64, _> =
                    results.iter().map(|found| (found.key, found.value)).collect();
                prop_assert!(late.is_empty());
                prop_assert_eq!(&last.into_values().collect::<Vec<_>>(), &all);
            }
            let (results, _) = run!(shards, cut, keyed => keyed
                .window(Global::trigger(Trigger::every_n(n)))
                .aggregate_with_late(|hits| {
                    (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
                }));
            let expected: usize = keys.values().map(|hits| hits.len() / n as usize).sum();
            prop_assert_eq!(results.len(), expected);
            prop_assert!(results.iter().all(|found| found.value.0.is_multiple_of(n)));
        }
    }
}

/// Hits whose splits keep their bound on disorder.
fn ordered() -> impl Strategy<Value = Cut> {
    cuts().prop_map(|mut cut| {
        cut.hits.sort_by_key(|hit| hit.at);
        cut
    })
}

fn found(hits: &[Hit]) -> Found {
    let at = |hit: &Hit| hit.at.micros();
    let (first, last) = (hits.iter().map(at).min().unwrap(), hits.iter().map(at).max().unwrap());
    let worth = hits.iter().map(|hit| hit.worth);
    let value = (hits.len() as u64, worth.clone().sum(), worth.max().unwrap());
    InWindow { key: hits[0].key, start: us(first), end: us(last + 1), value }
}

/// What early results every so often and the last ones are, sorted.
fn early(cut: &Cut, size: i64, slide: i64, every: i64) -> Vec<Found> {
    let mut windows: BTreeMap<(u64, i64, i64), Vec<Hit>> = BTreeMap::new();
    for hit in &cut.hits {
        for (start, end) in sliding(size, slide)(hit.at.micros()) {
            windows.entry((hit.key, start, end)).or_default().push(*hit);
        }
    }
    let mut all = Vec::new();
    for ((_, start, end), mut hits) in windows {
        hits.sort_by_key(|hit| hit.at);
        let tick = |hit: &Hit| (hit.at.micros().div_euclid(every) * every + every).min(end);
        let mut so_far = 0;
        for group in hits.chunk_by(|a, b| tick(a) == tick(b)) {
            so_far += group.len();
            let result = found(&hits[..so_far]);
            all.push(InWindow { start: us(start), end: us(end), ..result });
        }
    }
    all.sort();
    all
}

#[test]
fn records_without_event_time_and_at_its_ends_are_counted_once() {
    for at in [Timestamp::MIN, us(i64::MAX), us(i64::MAX - 1), us(0)] {
        let hits = vec![Hit { key: 1, worth: 1, at }; 3];
        let cut = Cut { hits, splits: 1, batch: 1 };
        for shards in SHARDS {
            let (results, _) = run!(shards, cut, keyed => keyed
            .window(Tumbling::of(1.seconds()))
            .aggregate_with_late(|hits| {
                (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
            }));
            assert_eq!(results.len(), 1, "{at} on {shards} shards");
            assert_eq!(results[0].value, (3, 3, 1));
            let (results, _) = run!(shards, cut, keyed => keyed
            .window(Sliding::of(1.seconds(), 300.millis()))
            .aggregate_with_late(|hits| {
                (hits.count(), hits.sum(|hit| hit.worth), hits.max(|hit| hit.worth))
            }));
            // The last second of all time has no whole windows; that it ends is enough.
            assert!(results.len() <= 4, "{at} on {shards} shards");
            let all = results.iter().all(|found| found.value == (3, 3, 1));
            assert!(at > us(0) || (all && !results.is_empty()), "{at} on {shards} shards");
        }
    }
}

#[test]
fn sessions_refuse_an_aggregate_that_does_not_merge() {
    for shards in [1, 2] {
        let job = Job::new("sessions").shards(shards).executor(Executor::Threads);
        let (sink, _) = Collect::new();
        job.source(Cut { hits: Vec::new(), splits: 1, batch: 1 })
            .key_by(|hit| hit.key)
            .window(Session::gap(1.seconds()))
            .aggregate(|hits| hits.fold_alone(|n: &mut u64, _| *n += 1))
            .sink(sink);
        let error = job.run().unwrap_err().to_string();
        assert!(error.contains("use fold with a merge"), "{error}");
    }
}

/// Gives two records and then nothing for a while.
struct Quiet;

struct QuietSplit(u64, std::time::Instant);

impl Source for Quiet {
    type Record = u64;
    fn name(&self) -> String {
        "quiet".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        Ok(vec![Box::new(QuietSplit(0, std::time::Instant::now()))])
    }
}

impl Split<u64> for QuietSplit {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        if self.0 < 2 {
            self.0 += 1;
            feed.push(self.0)?;
            return Ok(Progress::Busy);
        }
        let over = self.1.elapsed() > Duration::from_secs(2);
        Ok(if over { Progress::Done } else { Progress::Idle })
    }
}

/// The stream is silent for most of the time that it lasts, so its end gives no result in time.
#[test]
fn open_windows_give_early_results_while_nothing_comes() {
    let run = |shards: usize, alone: bool| {
        let job = Job::new("early").shards(shards).executor(Executor::Threads).pin(false);
        let (sink, results) = Collect::new();
        let begun = Timestamp::now();
        let windowed = job
            .source(Quiet)
            .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
            .window(Tumbling::of(1.hours()))
            .early_after(20.millis());
        let counts = match alone {
            true => windowed.aggregate(|ns| ns.fold_alone(|n: &mut u64, _| *n += 1)),
            false => windowed.aggregate(|ns| ns.count()),
        };
        counts.map(move |count| (count.value, Timestamp::now().micros())).sink(sink);
        job.run().unwrap();
        let in_time = |(_, at): &(u64, i64)| *at < (begun + 1_500.millis()).micros();
        let early: Vec<_> = results.take().into_iter().filter(in_time).collect();
        let counts: Vec<u64> = early.iter().map(|(n, _)| *n).collect();
        assert_eq!(counts.last(), Some(&2), "{shards} shards, alone: {alone}");
        assert!(counts.len() <= 2, "an early result is given when it has changed: {counts:?}");
    };
    std::thread::scope(|scope| {
        for shards in SHARDS {
            scope.spawn(move || run(shards, false));
            scope.spawn(move || run(shards, true));
        }
    });
}

#[test]
fn windows_of_processing_time_end_by_the_clock() {
    for shards in [1, 2] {
        let job = Job::new("clock").shards(shards).executor(Executor::Threads);
        let (sink, results) = Collect::new();
        let begun = Timestamp::now();
        job.source(Quiet)
            .processing_time()
            .window(Tumbling::of(20.millis()))
            .aggregate(|ns| ns.count())
            .map(|count| (count.value, Timestamp::now(), count.end))
            .sink(sink);
        job.run().unwrap();
        let results: Vec<(u64, Timestamp, Timestamp)> = results.take();
        assert_eq!(results.iter().map(|(n, ..)| n).sum::<u64>(), 2);
        for (_, given, end) in results {
            assert!(end > begun && given >= end);
            assert!(given < begun + 1_500.millis(), "given only when the stream ended");
        }
    }
}
