//! Jobs whose splits are idle and come back, besides those that others are, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Event, Play, acted};
use crate::api::{Job, Stream};
use crate::connector::Files;
use crate::operator::Chain;
use crate::testing::{OUT, Scheduled};
use crate::time::Units;
use crate::window::{Sliding, Tumbling};

/// The greatest value of each key in windows that slide: an aggregate that does not invert.
pub(super) fn greatest<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Sliding::of(20.millis(), 5.millis()))
        .aggregate(|events| events.max(|(_, _, value)| value))
        .map(|window| format!("{} {} {}", window.key, window.start.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

pub(super) fn greatest_expected(events: &[Event]) -> Vec<String> {
    let mut greatest: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for (key, ms, value) in events {
        for n in 0..4 {
            let max = greatest.entry((*key, *ms as i64 / 5 * 5 - n * 5)).or_default();
            *max = (*max).max(*value);
        }
    }
    greatest.iter().map(|((key, start), max)| format!("{key} {start} {max}")).collect()
}

/// How many keys there are in each thirty milliseconds of windows of ten.
pub(super) fn two_windows<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    events
        .key_by(|(key, _, _)| key)
        .window(Tumbling::of(10.millis()))
        .aggregate(|events| events.count())
        .key_by(|window| window.key % 3)
        .window(Tumbling::of(30.millis()))
        .aggregate(|windows| (windows.count(), windows.sum(|window| window.value)))
        .map(|window| format!("{} {} {:?}", window.key, window.start.millis(), window.value))
        .sink(Files::to_lines(OUT));
}

pub(super) fn two_windows_expected(events: &[Event]) -> Vec<String> {
    let mut windows: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for (key, ms, _) in events {
        *windows.entry((*key, ms / 10)).or_default() += 1;
    }
    let mut sums: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    for ((key, tenth), events) in windows {
        let (count, sum) = sums.entry((key % 3, tenth / 3 * 30)).or_default();
        (*count, *sum) = (*count + 1, *sum + events);
    }
    sums.iter().map(|((key, start), value)| format!("{key} {start} {value:?}")).collect()
}

/// Values of the table's rows.
const ROWS: u64 = 5;

/// Pairs of even and odd values of a key and ten milliseconds, each with the row of a table that
/// has the remainder of its sum. Three of eight remainders are in no row.
pub(super) fn table_join(job: &Job, play: Play) {
    let rows: Arc<Vec<(u64, String)>> =
        Arc::new((0..ROWS).map(|id| (id, format!("row {id}"))).collect());
    let table = job.source(Scheduled::new(rows, 2, play.cuts()));
    let events = acted(job, play);
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .window(Tumbling::of(10.millis()))
        .inner(|left, right| (left.1 / 10 * 10, left.2 + right.2))
        .join_table(
            table,
            |(_, sum)| sum % 8,
            |(id, _)| id,
            |(start, sum), row| format!("{start} {sum} {:?}", row.map(|(_, name)| name)),
        )
        .sink(Files::to_lines(OUT));
}

pub(super) fn table_join_expected(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for left in events.iter().filter(|event| event.2 % 2 == 0) {
        for right in events.iter().filter(|event| event.2 % 2 == 1) {
            if left.0 == right.0 && left.1 / 10 == right.1 / 10 {
                let (start, sum) = (left.1 / 10 * 10, left.2 + right.2);
                let row = Some(sum % 8).filter(|id| *id < ROWS).map(|id| format!("row {id}"));
                rows.push(format!("{start} {sum} {row:?}"));
            }
        }
    }
    rows
}
