//! Jobs of windows. Their records have event times.

use std::collections::BTreeMap;

use super::Event;
use crate::api::Stream;
use crate::connector::Files;
use crate::operator::Chain;
use crate::testing::OUT;
use crate::time::Units;
use crate::window::{CountWindow, Cumulating, Session, Sliding, Tumbling};

pub(super) fn tumbling<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    tumbled(events, 10).sink(Files::to_lines(OUT));
}

/// The rows of windows that tumble, of so many milliseconds.
pub(super) fn tumbled<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
    size: u64,
) -> Stream<String, impl Chain<Out = String>> {
    events
        .key_by(|(key, _, _)| key)
        .window(Tumbling::of(size.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {} {:?}", window.key, window.start.millis(), window.value))
}

pub(super) fn tumbling_expected(events: &[Event]) -> Vec<String> {
    tumbled_expected(events, 10)
}

pub(super) fn tumbled_expected(events: &[Event], size: u64) -> Vec<String> {
    windows(events, |ms| vec![ms / size * size])
}

pub(super) fn sliding<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Sliding::of(20.millis(), 5.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {} {:?}", window.key, window.start.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

pub(super) fn sliding_expected(events: &[Event]) -> Vec<String> {
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

pub(super) fn session<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Session::gap(8.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| {
            let (start, end) = (window.start.millis(), window.end.millis());
            format!("{} {start} {end} {:?}", window.key, window.value)
        })
        .sink(Files::to_lines(OUT));
}

pub(super) fn session_expected(events: &[Event]) -> Vec<String> {
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

pub(super) fn cumulating<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Cumulating::of(30.millis(), 10.millis()))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {} {:?}", window.key, window.end.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

pub(super) fn cumulating_expected(events: &[Event]) -> Vec<String> {
    windows(events, |ms| {
        let (begin, step) = (ms / 30 * 30, ms / 10 * 10);
        (1..=3).map(|n| begin + n * 10).filter(|end| *end > step).collect()
    })
}

/// The last four records of each key at every second one.
pub(super) fn counted<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(CountWindow::sliding(4, 2))
        .aggregate(|events| (events.count(), events.sum(|(_, _, value)| value)))
        .map(|window| format!("{} {:?}", window.key, window.value))
        .sink(Files::to_lines(OUT));
}

pub(super) fn counted_expected(events: &[Event]) -> Vec<String> {
    let mut values: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut rows = Vec::new();
    for (key, _, value) in events {
        let values = values.entry(*key).or_default();
        values.push(*value);
        if values.len().is_multiple_of(2) {
            let last = &values[values.len().saturating_sub(4)..];
            rows.push(format!("{key} {:?}", (last.len(), last.iter().sum::<u64>())));
        }
    }
    rows
}

/// The three greatest values of each key.
pub(super) fn top<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Sliding::of(20.millis(), 10.millis()))
        .aggregate(|events| events.top_n(3, |(_, _, value)| value))
        .map(|window| {
            let values: Vec<u64> = window.value.iter().collect();
            format!("{} {} {values:?}", window.key, window.start.millis())
        })
        .sink(Files::to_lines(OUT));
}

pub(super) fn top_expected(events: &[Event]) -> Vec<String> {
    let mut values: BTreeMap<(u64, i64), Vec<u64>> = BTreeMap::new();
    for (key, ms, value) in events {
        let last = *ms as i64 / 10 * 10;
        for start in [last - 10, last] {
            values.entry((*key, start)).or_default().push(*value);
        }
    }
    let row = |((key, start), mut values): ((u64, i64), Vec<u64>)| {
        values.sort_unstable_by(|one, other| other.cmp(one));
        values.truncate(3);
        format!("{key} {start} {values:?}")
    };
    values.into_iter().map(row).collect()
}
