//! Windows against an oracle that knows no shards, no frames and no panes.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use support::Gathered;
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
        let (sink, results) = Gathered::new();
        let (side, late) = Gathered::new();
        let $keyed = job
            .source($cut.clone())
            .event_time(|hit| hit.at, Duration::from_micros(DISORDER as u64))
            .key_by(|hit| hit.key);
        let (found, too_late) = $build;
        found.sink(sink);
        too_late.sink(side);
        let report = job.run().unwrap();
        let mut late: Vec<Hit> = late.lock().unwrap().clone();
        assert_eq!(report.late(), late.len() as u64, "late records are counted");
        late.sort();
        let results: Vec<Found> = results.lock().unwrap().clone();
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
            let (results, late) =
                run!(shards, cut, $keyed => $windowed.aggregate_with_late(|hits| hits.fold_alone(add)));
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
}
