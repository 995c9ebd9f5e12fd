//! Jobs that remember something of each key.

use std::collections::{BTreeMap, BTreeSet};

use super::windows::tumbling_expected;
use super::{DISORDER, Event, Events, at, in_order, source};
use crate::api::{Job, Stream};
use crate::connector::{Discard, Files};
use crate::testing::{Cuts, OUT};
use crate::time::Units;

/// A timer at the end of each ten milliseconds of a key, after which the key is forgotten.
pub(super) fn timers(job: &Job, cuts: Cuts, events: &Events) {
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

pub(super) fn timers_expected(events: &[Event]) -> Vec<String> {
    tumbling_expected(events)
}

pub(super) fn totals(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .aggregate_final(|events| (events.count(), events.max(|(_, ms, _)| ms)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn totals_expected(events: &[Event]) -> Vec<String> {
    let mut totals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (key, ms, _) in events {
        let (count, max) = totals.entry(*key).or_default();
        (*count, *max) = (*count + 1, *ms.max(max));
    }
    totals.into_iter().map(|(key, value)| format!("{key} {value:?}")).collect()
}

pub(super) fn distinct(job: &Job, cuts: Cuts, events: &Events) {
    source(job, cuts, events)
        .map(|(key, _, value)| (key, value))
        .key_by(|pair| pair)
        .first()
        .map(|(key, value)| format!("{key} {value}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn distinct_expected(events: &[Event]) -> Vec<String> {
    let all: BTreeSet<(u64, u64)> = events.iter().map(|(key, _, value)| (*key, *value)).collect();
    all.into_iter().map(|(key, value)| format!("{key} {value}")).collect()
}

pub(super) fn running(job: &Job, cuts: Cuts, events: &Events) {
    in_order(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .aggregate_running(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn running_expected(events: &[Event]) -> Vec<String> {
    let mut totals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let row = |(key, _, value): &Event| {
        let (count, sum) = totals.entry(*key).or_default();
        (*count, *sum) = (*count + 1, *sum + value);
        format!("{key} {:?}", (*count, *sum))
    };
    events.iter().map(row).collect()
}

pub(super) fn alarm(job: &Job, cuts: Cuts, events: &Events) {
    alarmed(source(job, cuts, events));
}

/// Each key once, when some time has passed on the clock since its first record.
pub(super) fn alarmed(events: Stream<Event>) {
    events
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

pub(super) fn alarm_expected(events: &[Event]) -> Vec<String> {
    let keys: BTreeSet<u64> = events.iter().map(|(key, _, _)| *key).collect();
    keys.into_iter().map(|key| key.to_string()).collect()
}

/// For so many milliseconds no record of a key comes.
const SILENCE: u64 = 9;

/// The times of each key after which it is silent; a key has several timers at once.
pub(super) fn silence(job: &Job, cuts: Cuts, events: &Events) {
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

pub(super) fn silence_expected(events: &[Event]) -> Vec<String> {
    let times: BTreeSet<(u64, u64)> = events.iter().map(|(key, ms, _)| (*key, *ms)).collect();
    let ends = |(key, ms): &&(u64, u64)| {
        times.range((*key, ms + 1)..(*key, ms + SILENCE)).next().is_none()
    };
    times.iter().filter(ends).map(|(key, ms)| format!("{key} {ms}")).collect()
}

/// Sums of three values of a key each, after which the key is forgotten, and comes back.
pub(super) fn threes(job: &Job, cuts: Cuts, events: &Events) {
    in_order(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .process::<(u64, u64), String>(
            |(count, sum), (_, _, value), context| {
                (*count, *sum) = (*count + 1, *sum + value);
                if *count == 3 {
                    context.give(&format!("{} {sum}", context.key()));
                    context.clear();
                }
            },
            |_, _, _| {},
        )
        .sink(Files::to_lines(OUT));
}

pub(super) fn threes_expected(events: &[Event]) -> Vec<String> {
    let mut values: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    events.iter().for_each(|(key, _, value)| values.entry(*key).or_default().push(*value));
    let threes = |(key, values): (&u64, &Vec<u64>)| -> Vec<String> {
        values.chunks_exact(3).map(|three| format!("{key} {}", three.iter().sum::<u64>())).collect()
    };
    values.iter().flat_map(threes).collect()
}

/// Two branches, one of which goes on while the other still waits for barriers: the tables of the
/// first change before they are saved.
pub(super) fn branches(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events);
    events
        .clone()
        .key_by(|(key, _, value)| (key, value))
        .aggregate_final(|events| events.count())
        .key_by(|(_, count)| count)
        .aggregate_final(|keys| keys.count())
        .sink(Discard);
    events
        .map(|(key, _, value)| (format!("key {key}"), value))
        .key_by_ref(|(key, _)| key)
        .process::<(u64, u64), String>(
            |(count, sum), (_, value), context| {
                (*count, *sum) = (*count + 1, *sum + value);
                context.timer_at(at(1_000_000));
            },
            |state, _, context| context.give(&format!("{} {state:?}", context.key())),
        )
        .sink(Files::to_lines(OUT));
}

pub(super) fn branches_expected(events: &[Event]) -> Vec<String> {
    let mut totals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (key, _, value) in events {
        let (count, sum) = totals.entry(*key).or_default();
        (*count, *sum) = (*count + 1, *sum + value);
    }
    totals.into_iter().map(|(key, total)| format!("key {key} {total:?}")).collect()
}
