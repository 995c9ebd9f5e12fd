//! Jobs of joins. Where times count, their records have event times.

use super::{Event, Events, source};
use crate::api::{Job, Offset, Stream};
use crate::connector::Files;
use crate::operator::Chain;
use crate::testing::{Cuts, OUT};
use crate::time::Units;
use crate::window::Tumbling;

/// Even values, and odd ones of the same key up to five milliseconds before or after.
pub(super) fn interval<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .between(Offset::Before(5.millis()), Offset::After(5.millis()))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn interval_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.1.abs_diff(right.1) <= 5)
}

pub(super) fn join(job: &Job, cuts: Cuts, events: &Events) {
    let events = source(job, cuts, events);
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, value)| (key, value / 4))
        .join(odd.key_by(|(key, _, value)| (key, value / 4)))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn join_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.2 / 4 == right.2 / 4)
}

pub(super) fn window_join<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .window(Tumbling::of(10.millis()))
        .inner(|left, right| format!("{left:?} {right:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn window_join_expected(events: &[Event]) -> Vec<String> {
    pairs(events, |left, right| left.1 / 10 == right.1 / 10)
}

/// Even values with each odd one of the same key up to two milliseconds later, or alone.
pub(super) fn left_join<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .between(Offset::After(0.millis()), Offset::After(2.millis()))
        .left(|left, right| format!("{left:?} {:?}", right.map(|(_, ms, value)| (ms, value))))
        .sink(Files::to_lines(OUT));
}

pub(super) fn left_join_expected(events: &[Event]) -> Vec<String> {
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

/// Even values, and the time of the newest odd one of the same key up to ten milliseconds before.
pub(super) fn as_of<C: Chain<Out = Event>>(events: Stream<Event, C>) {
    let even = events.clone().filter(|(_, _, value)| value % 2 == 0);
    let odd = events.filter(|(_, _, value)| value % 2 == 1);
    even.key_by(|(key, _, _)| key)
        .join(odd.key_by(|(key, _, _)| key))
        .as_of(10.millis())
        .left(|left, right| format!("{left:?} {:?}", right.map(|(_, ms, value)| (ms, value))))
        .sink(Files::to_lines(OUT));
}

pub(super) fn as_of_expected(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for left in events.iter().filter(|event| event.2 % 2 == 0) {
        let meets = |right: &&Event| {
            right.2 % 2 == 1 && right.0 == left.0 && (right.1..=right.1 + 10).contains(&left.1)
        };
        let newest = events.iter().filter(meets).map(|(_, ms, value)| (*ms, *value)).max();
        rows.push(format!("{left:?} {newest:?}"));
    }
    rows
}
