//! Jobs that forget keys, and jobs whose results are given again.

use std::collections::BTreeMap;

use super::{DISORDER, Event, Events, at, in_order, source};
use crate::api::{Job, Stream};
use crate::connector::Files;
use crate::operator::Chain;
use crate::record::InWindow;
use crate::testing::{Cuts, OUT};
use crate::time::Units;
use crate::window::{Session, Sliding};

/// Keys are forgotten so many milliseconds after a record.
const STAY: u64 = 9;

/// The records, in their order, with event times.
fn in_order_timed(
    job: &Job,
    cuts: Cuts,
    events: &Events,
) -> Stream<Event, impl Chain<Out = Event>> {
    in_order(job, cuts, events).event_time(|(_, ms, _)| at(ms), DISORDER.millis())
}

/// Counts the records of each key, anew when it was silent.
pub(super) fn visits(job: &Job, cuts: Cuts, events: &Events) {
    in_order_timed(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .process_within::<u64, String>(STAY.millis(), |count, (key, ms, value), context| {
            *count += 1;
            context.give(&format!("{key} {ms} {value} {count}"));
        })
        .sink(Files::to_lines(OUT));
}

pub(super) fn visits_expected(events: &[Event]) -> Vec<String> {
    let mut visits: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let row = |(key, ms, value): &Event| {
        let (until, count) = visits.entry(*key).or_default();
        *count = if *ms >= *until { 1 } else { *count + 1 };
        *until = (ms + STAY).max(*until);
        format!("{key} {ms} {value} {count}")
    };
    events.iter().map(row).collect()
}

/// The first record of each key, and the first one that is so much later.
pub(super) fn first(job: &Job, cuts: Cuts, events: &Events) {
    in_order_timed(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .first_within(STAY.millis())
        .map(|event| format!("{event:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn first_expected(events: &[Event]) -> Vec<String> {
    let mut until: BTreeMap<u64, u64> = BTreeMap::new();
    let lets = |(key, ms, _): &&Event| {
        let until = until.entry(*key).or_default();
        let lets = ms >= until;
        if lets {
            *until = ms + STAY;
        }
        lets
    };
    events.iter().filter(lets).map(|event| format!("{event:?}")).collect()
}

/// The same in the order of their times.
pub(super) fn first_by_time(job: &Job, cuts: Cuts, events: &Events) {
    in_order_timed(job, cuts, events)
        .key_by(|(key, _, _)| key)
        .first_by_time(STAY.millis())
        .map(|event| format!("{event:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn first_by_time_expected(events: &[Event]) -> Vec<String> {
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|(_, ms, _)| *ms);
    first_expected(&sorted)
}

/// The disorder that is said to be there; what is more is allowed for.
const SAID: u64 = 2;

/// Results of sessions that are given again when records come late.
pub(super) fn sessions(job: &Job, cuts: Cuts, events: &Events) {
    let results = source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), SAID.millis())
        .key_by(|(key, _, _)| key)
        .window(Session::gap(8.millis()))
        .allowed_lateness((DISORDER - SAID).millis())
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)));
    last_results(results, |key, (start, end, count, sum)| {
        format!("{key} {start} {end} {:?}", (count, sum))
    });
}

/// Results of windows that slide and are given again when records come late.
pub(super) fn sliding(job: &Job, cuts: Cuts, events: &Events) {
    let results = source(job, cuts, events)
        .event_time(|(_, ms, _)| at(ms), SAID.millis())
        .key_by(|(key, _, _)| key)
        .window(Sliding::of(20.millis(), 5.millis()))
        .allowed_lateness((DISORDER - SAID).millis())
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)));
    last_results(results, |key, (start, _, count, sum)| {
        format!("{key} {start} {:?}", (count, sum))
    });
}

/// Begin and end of a window, count and sum.
type Result = (i64, i64, u64, u64);

/// Of each key the results that no later one has replaced, when all has come.
fn last_results<C: Chain<Out = InWindow<u64, (u64, u64)>>>(
    results: Stream<InWindow<u64, (u64, u64)>, C>,
    row: fn(u64, Result) -> String,
) {
    results
        .key_by(|window| window.key)
        .process::<Vec<Result>, String>(
            |last, window, context| {
                let (start, end) = (window.start.millis(), window.end.millis());
                last.retain(|other| other.0 < start || end < other.1);
                last.push((start, end, window.value.0, window.value.1));
                context.timer_at(at(1_000_000));
            },
            move |last, _, context| {
                last.iter().for_each(|result| context.give(&row(*context.key(), *result)));
            },
        )
        .sink(Files::to_lines(OUT));
}
