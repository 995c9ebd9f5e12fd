//! Jobs that the engine itself is simulated with, each beside what it comes to when it is worked
//! out by plain loops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{OUT, Survived, simulate};
use crate::api::{Job, Offset, Stream};
use crate::connector::Files;
use crate::error::Result;

use crate::testing::{Cuts, Scheduled};
use crate::time::{Timestamp, Units};
use crate::window::{Session, Sliding, Tumbling};

/// Key, milliseconds, value.
type Event = (u64, u64, u64);
type Events = Arc<Vec<Event>>;

/// A job, and what it must give.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedJob {
    /// What it is called.
    pub name: &'static str,
    build: fn(&Job, Cuts, &Events),
    expected: fn(&[Event]) -> Vec<String>,
}

impl SimulatedJob {
    /// Runs the job under a seed, which its records depend on, too; see [`simulate`].
    ///
    /// # Errors
    /// What was not right.
    ///
    /// ```
    /// use thalweg::testing::{JOBS, Survived};
    ///
    /// let survived: Survived = JOBS.iter().map(|job| job.run(7)).sum::<Result<_, _>>()?;
    /// assert_eq!(survived.runs, JOBS.len() as u64);
    /// # Ok::<(), thalweg::prelude::Error>(())
    /// ```
    pub fn run(&self, seed: u64) -> Result<Survived> {
        let events = Arc::new(events(seed));
        let run = |job: &Job, cuts: Cuts| (self.build)(job, cuts, &events);
        simulate([seed], &(self.expected)(&events), run).map_err(|error| error.within(self.name))
    }
}

/// Records come at most so many milliseconds after newer ones.
const DISORDER: u64 = 6;
/// Splits of the source.
const SPLITS: usize = 3;

fn events(seed: u64) -> Vec<Event> {
    let mut dice = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let keys = *[1, 5, 40].get(dice.gen_range(0..3)).unwrap_or(&5);
    let mut now = 0;
    let mut event = |_| {
        now += if dice.gen_ratio(1, 20) { 30 } else { dice.gen_range(0..3) };
        (dice.gen_range(0..keys), now + dice.gen_range(0..=DISORDER), dice.gen_range(0..100))
    };
    (0..300).map(&mut event).collect()
}

fn source(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event> {
    job.source(Scheduled::new(events.clone(), SPLITS, cuts))
}

/// The records in their order.
fn in_order(job: &Job, cuts: Cuts, events: &Events) -> Stream<Event> {
    job.source(Scheduled::new(events.clone(), 1, cuts))
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

/// The jobs.
pub const JOBS: &[SimulatedJob] = &[
    SimulatedJob { name: "tumbling", build: tumbling, expected: tumbling_expected },
    SimulatedJob { name: "sliding", build: sliding, expected: sliding_expected },
    SimulatedJob { name: "session", build: session, expected: session_expected },
    SimulatedJob { name: "timers", build: timers, expected: timers_expected },
    SimulatedJob { name: "totals", build: totals, expected: totals_expected },
    SimulatedJob { name: "distinct", build: distinct, expected: distinct_expected },
    SimulatedJob { name: "interval-join", build: interval, expected: interval_expected },
    SimulatedJob { name: "join", build: join, expected: join_expected },
    SimulatedJob { name: "window-join", build: window_join, expected: window_join_expected },
    SimulatedJob { name: "left-join", build: left_join, expected: left_join_expected },
    SimulatedJob { name: "running", build: running, expected: running_expected },
    SimulatedJob { name: "alarm", build: alarm, expected: alarm_expected },
    SimulatedJob { name: "silence", build: silence, expected: silence_expected },
];

fn tumbling(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, _, _)| key)
        .window(Tumbling::of(10.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {} {:?}", window.key, window.start.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

fn tumbling_expected(events: &[Event]) -> Vec<String> {
    windows(events, |ms| vec![ms / 10 * 10])
}

fn sliding(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, _, _)| key)
        .window(Sliding::of(20.millis(), 5.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {} {:?}", window.key, window.start.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

fn sliding_expected(events: &[Event]) -> Vec<String> {
    windows(events, |ms| (0..4).map(|n| (ms as i64 / 5 * 5) - n * 5).collect())
}

/// Counts and sums of keys in windows that begin so.
fn windows<S: Ord + std::fmt::Display>(
    events: &[Event],
    starts: impl Fn(u64) -> Vec<S>,
) -> Vec<String> {
    let mut sums: BTreeMap<(u64, S), (u64, u64)> = BTreeMap::new();
    for (key, ms, value) in events {
        for start in starts(*ms) {
            let (count, sum) = sums.entry((*key, start)).or_default();
            (*count, *sum) = (*count + 1, *sum + value);
        }
    }
    sums.iter().map(|((key, start), value)| format!("{key} {start} {value:?}")).collect()
}

fn session(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, _, _)| key)
        .window(Session::gap(8.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| {
            let (start, end) = (window.start.millis(), window.end.millis());
            format!("{} {start} {end} {:?}", window.key, window.value)
        })
        .sink(Files::to_lines(OUT));
}

fn session_expected(events: &[Event]) -> Vec<String> {
    let mut sorted = events.to_vec();
    sorted.sort_unstable();
    let mut sessions: Vec<(u64, u64, u64, (u64, u64))> = Vec::new();
    for (key, ms, value) in sorted {
        match sessions.last_mut() {
            Some((of, _, end, (count, sum))) if *of == key && ms < *end => {
                (*end, *count, *sum) = (ms + 8, *count + 1, *sum + value);
            }
            _ => sessions.push((key, ms, ms + 8, (1, value))),
        }
    }
    let row = |(key, start, end, value)| format!("{key} {start} {end} {value:?}");
    sessions.into_iter().map(row).collect()
}

/// A timer at the end of each ten milliseconds of a key, after which the key is forgotten.
fn timers(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, ms, _)| (key, ms / 10))
        .process::<(u64, u64), String>(
            |(count, sum), (_, ms, value), context| {
                (*count, *sum) = (*count + 1, *sum + value);
                context.timer_at(at(ms / 10 * 10 + 10));
            },
            |(count, sum), _, context| {
                let (key, tenth) = *context.key();
                context.give(&format!("{key} {} {:?}", tenth * 10, (*count, *sum)));
                context.clear();
            },
        )
        .sink(Files::to_lines(OUT));
}

fn timers_expected(events: &[Event]) -> Vec<String> {
    tumbling_expected(events)
}

fn totals(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .aggregate_final(|events| (events.count(), events.max(|(_, ms, _)| ms)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

fn totals_expected(events: &[Event]) -> Vec<String> {
    let mut totals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (key, ms, _) in events {
        let (count, max) = totals.entry(*key).or_default();
        (*count, *max) = (*count + 1, *ms.max(max));
    }
    totals.into_iter().map(|(key, value)| format!("{key} {value:?}")).collect()
}

fn distinct(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .map(|(key, _, value)| (key, value))
        .key_by(|pair| pair)
        .first()
        .map(|(key, value)| format!("{key} {value}"))
        .sink(Files::to_lines(OUT));
}

fn distinct_expected(events: &[Event]) -> Vec<String> {
    let all: BTreeSet<(u64, u64)> = events.iter().map(|(key, _, value)| (*key, *value)).collect();
    all.into_iter().map(|(key, value)| format!("{key} {value}")).collect()
}

/// Even values, and odd ones of the same key up to five milliseconds before or after.
fn interval(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events).event_time(|(_, ms, _)| at(ms), DISORDER.millis());
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .between(Offset::Before(5.millis()), Offset::After(5.millis()))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

fn interval_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.1.abs_diff(right.1) <= 5)
}

fn join(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events);
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, value)| (key, value / 4))
        .join(odd.key_by(|(key, _, value)| (key, value / 4)))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

fn join_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.2 / 4 == right.2 / 4)
}

fn window_join(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events).event_time(|(_, ms, _)| at(ms), DISORDER.millis());
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .window(Tumbling::of(10.millis()))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

fn window_join_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.1 / 10 == right.1 / 10)
}

/// Even values with each odd one of the same key up to two milliseconds later, or alone.
fn left_join(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events).event_time(|(_, ms, _)| at(ms), DISORDER.millis());
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .between(Offset::After(0.millis()), Offset::After(2.millis()))
        .left(|left, right| format!("{left:?} {:?}", right.map(|(_, ms, value)| (ms, value))))
        .sink(Files::to_lines(OUT));
}

fn left_join_expected(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for left in events.iter().filter(|event| event.2 % 2 == 0) {
        let meets = |right: &&Event| {
            right.2 % 2 == 1 && right.0 == left.0 && (left.1..=left.1 + 2).contains(&right.1)
        };
        let before = rows.len();
        for (_, ms, value) in events.iter().filter(meets) {
            rows.push(format!("{left:?} {:?}", Some((ms, value))));
        }
        if rows.len() == before {
            rows.push(format!("{left:?} None"));
        }
    }
    rows
}

fn running(job: &Job, cuts: Cuts, events: &Events) {
    in_order(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .aggregate_running(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

fn running_expected(events: &[Event]) -> Vec<String> {
    let mut totals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let row = |(key, _, value): &Event| {
        let (count, sum) = totals.entry(*key).or_default();
        (*count, *sum) = (*count + 1, *sum + value);
        format!("{key} {:?}", (*count, *sum))
    };
    events.iter().map(row).collect()
}

/// Each key once, when some time has passed on the clock since its first record.
fn alarm(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .process::<bool, String>(
            |seen, _, context| {
                if !std::mem::replace(seen, true) {
                    context.timer_after(1.millis());
                }
            },
            |_, _, context| context.give(&context.key().to_string()),
        )
        .sink(Files::to_lines(OUT));
}

fn alarm_expected(events: &[Event]) -> Vec<String> {
    let keys: BTreeSet<u64> = events.iter().map(|(key, _, _)| *key).collect();
    keys.into_iter().map(|key| key.to_string()).collect()
}

/// For so many milliseconds no record of a key comes.
const SILENCE: u64 = 9;

/// The times of each key after which it is silent; a key has several timers at once.
fn silence(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), DISORDER.millis())
        .key_by(|(key, _, _)| key)
        .process::<Vec<u64>, String>(
            |times, (_, ms, _), context| {
                times.push(ms);
                context.timer_at(at(ms + SILENCE));
            },
            |times, due, context| {
                let due = due.millis() as u64;
                let last = due - SILENCE;
                if !times.iter().any(|ms| (last + 1..due).contains(ms)) {
                    context.give(&format!("{} {last}", context.key()));
                }
                times.retain(|ms| *ms > last);
            },
        )
        .sink(Files::to_lines(OUT));
}

fn silence_expected(events: &[Event]) -> Vec<String> {
    let times: BTreeSet<(u64, u64)> = events.iter().map(|(key, ms, _)| (*key, *ms)).collect();
    let ends = |(key, ms): &&(u64, u64)| {
        times.range((*key, ms + 1)..(*key, ms + SILENCE)).next().is_none()
    };
    times.iter().filter(ends).map(|(key, ms)| format!("{key} {ms}")).collect()
}

/// Even and odd values of the same key that meet.
fn pairs(events: &[Event], meet: impl Fn(&Event, &Event) -> bool) -> Vec<String> {
    let mut rows = Vec::new();
    for left in events.iter().filter(|event| event.2 % 2 == 0) {
        for right in events.iter().filter(|event| event.2 % 2 == 1) {
            if left.0 == right.0 && meet(left, right) {
                rows.push(format!("{left:?} {right:?}"));
            }
        }
    }
    rows
}
