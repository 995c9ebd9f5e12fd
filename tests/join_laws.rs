//! Every kind of join against nested loops, whatever shards and batches: with disorder, late
//! records, duplicates, sides that lack a key and sides that are empty. The event times of the
//! rows are checked by a window of a microsecond behind the join, which would lose late rows.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};
use thalweg::prelude::*;
use thalweg::testing::Verify;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Event { side: u64, key: u64, at: Timestamp, id: u64 }
}

/// Microseconds that records may come after newer ones without being late.
const DISORDER: i64 = 4;

/// Left id, right id (0 is none) and event time of a row, and how many there are of it.
type Row = (u64, u64, i64, u64);

/// Both sides in one stream; some records are late, and few ids make duplicates.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_u64..2, 0_u64..4, 0_i64..5, 0_i64..3 * DISORDER, 1_u64..4);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let mut now = 0;
        let event = |(side, key, step, back, id)| {
            now += step;
            Event { side, key, at: Timestamp::from_micros(now - back), id }
        };
        all.into_iter().map(event).collect()
    })
}

/// A record of a side with the time that it counts as.
#[derive(Clone, Copy)]
struct Counted {
    key: u64,
    at: i64,
    id: u64,
}

/// Both sides' records that are not late by a rule, which is given time and watermark of the
/// record's split: record `i` belongs to split `i % splits`.
fn on_time(
    events: &[Event],
    splits: usize,
    rule: impl Fn(i64, i64) -> Option<i64>,
) -> [Vec<Counted>; 2] {
    let mut newest = vec![i64::MIN; splits];
    let mut sides = [Vec::new(), Vec::new()];
    for (i, Event { side, key, at, id }) in events.iter().enumerate() {
        let newest = &mut newest[i % splits];
        if let Some(at) = rule(at.micros(), newest.saturating_sub(DISORDER)) {
            sides[*side as usize].push(Counted { key: *key, at, id: *id });
        }
        *newest = (*newest).max(at.micros());
    }
    sides
}

/// The events with those that would be late at the watermark instead.
fn punctual(events: &[Event], splits: usize) -> Vec<Event> {
    let mut newest = vec![i64::MIN; splits];
    let moved = |(i, event): (usize, &Event)| {
        let newest = &mut newest[i % splits];
        let at = event.at.micros().max(newest.saturating_sub(DISORDER));
        *newest = (*newest).max(at);
        Event { at: Timestamp::from_micros(at), ..*event }
    };
    events.iter().enumerate().map(moved).collect()
}

fn not_behind(at: i64, mark: i64) -> Option<i64> {
    (at >= mark).then_some(at)
}

/// All rows of a full outer join, `alone` saying the event time of a record that stays alone.
fn nested(
    [left, right]: &[Vec<Counted>; 2],
    meet: impl Fn(&Counted, &Counted) -> bool,
    alone: [&dyn Fn(i64) -> i64; 2],
) -> Vec<(u64, u64, i64)> {
    let meet = |l: &Counted, r: &Counted| l.key == r.key && meet(l, r);
    let mut rows = Vec::new();
    for l in left {
        rows.extend(right.iter().filter(|r| meet(l, r)).map(|r| (l.id, r.id, l.at.max(r.at))));
        if !right.iter().any(|r| meet(l, r)) {
            rows.push((l.id, 0, alone[0](l.at)));
        }
    }
    let alone_right = right.iter().filter(|r| !left.iter().any(|l| meet(l, r)));
    rows.extend(alone_right.map(|r| (0, r.id, alone[1](r.at))));
    rows
}

/// The rows of a full outer join of windows `[end - size, end)`, one every step.
fn windowed(sides: &[Vec<Counted>; 2], size: i64, step: i64) -> Vec<(u64, u64, i64)> {
    let mut rows = Vec::new();
    for end in (-20..200).map(|n| n * step) {
        let holds = |event: &&Counted| (end - size..end).contains(&event.at);
        let inside = sides.each_ref().map(|all| all.iter().filter(holds).copied().collect());
        let found = nested(&inside, |_, _| true, [&|at| at, &|at| at]);
        rows.extend(found.into_iter().map(|(l, r, _)| (l, r, end - 1)));
    }
    rows
}

/// The rule by which a record is late for windows of this size, one after the other.
fn in_open_window(size: i64, lateness: i64) -> impl Fn(i64, i64) -> Option<i64> {
    move |at, mark| (mark < (at.div_euclid(size) + 1) * size + lateness).then_some(at)
}

fn counted(rows: impl IntoIterator<Item = (u64, u64, i64)>) -> Vec<Row> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row).or_default() += 1;
    }
    counts.into_iter().map(|((l, r, at), n)| (l, r, at, n)).collect()
}

/// What a program makes of the events, after it has been verified that it always makes that.
fn run(
    events: &[Event],
    splits: usize,
    program: impl Fn(Stream<Event>) -> Stream<(u64, u64)>,
) -> Vec<Row> {
    let mut rows =
        Verify::of(events.to_vec()).splits(splits).patience(90.seconds()).run(|events| {
            program(events)
                .key_by(|row| row)
                .window(Tumbling::of(1.micros()))
                .aggregate(|rows| rows.count())
                .map(|row| (row.key.0, row.key.1, row.start.micros(), row.value))
        });
    rows.sort_unstable();
    rows
}

/// The two sides of a stream of events, keyed, to be joined.
macro_rules! join {
    ($events:expr) => {{
        let timed = $events.event_time(|event| event.at, (DISORDER as u64).micros());
        let left = timed.clone().filter(|event| event.side == 0).key_by(|event| event.key);
        left.join(timed.filter(|event| event.side == 1).key_by(|event| event.key))
    }};
}

fn id(of: Option<&Event>) -> u64 {
    of.map_or(0, |event| event.id)
}

/// Checks inner, left and, where there is one, full join of a kind.
macro_rules! check {
    (full: $rows:expr, $events:expr, $splits:expr, $($how:tt)*) => {
        check!(left: $rows, $events, $splits, $($how)*);
        let got = run($events, $splits, |e| join!(e)$($how)*.full(|l, r| (id(l), id(r))));
        assert_eq!(got, counted($rows.iter().copied()), "full");
    };
    (left: $rows:expr, $events:expr, $splits:expr, $($how:tt)*) => {
        let got = run($events, $splits, |e| join!(e)$($how)*.inner(|l, r| (l.id, r.id)));
        let inner = $rows.iter().copied().filter(|(l, r, _)| *l > 0 && *r > 0);
        assert_eq!(got, counted(inner), "inner");
        let got = run($events, $splits, |e| join!(e)$($how)*.left(|l, r| (l.id, id(r))));
        let left = $rows.iter().copied().filter(|(l, _, _)| *l > 0);
        assert_eq!(got, counted(left), "left");
    };
}

fn incremental(events: &[Event], splits: usize) {
    let sides = on_time(events, splits, |at, mark| Some(at.max(mark)));
    let rows = nested(&sides, |_, _| true, [&|at| at, &|at| at]);
    check!(full: rows, events, splits,);
}

fn windows(events: &[Event], splits: usize, lateness: i64) {
    let late = lateness.unsigned_abs().micros();
    let rows = windowed(&on_time(events, splits, in_open_window(10, lateness)), 10, 10);
    check!(full: rows, events, splits, .window(Tumbling::of(10.micros())).allowed_lateness(late));
    // A record must be on time for all of its windows, the first of which ends at its step's end.
    let rows = windowed(&on_time(events, splits, in_open_window(4, lateness)), 10, 4);
    let sliding = Sliding::of(10.micros(), 4.micros());
    check!(full: rows, events, splits, .window(sliding).allowed_lateness(late));
}

/// What comes too late for a window join leaves on the side stream of its side.
fn too_late(events: &[Event], splits: usize, lateness: i64) {
    let late = lateness.unsigned_abs().micros();
    let in_time = in_open_window(10, lateness);
    let rule = |at, mark| if in_time(at, mark).is_some() { None } else { Some(at) };
    let sides = (0_u64..).zip(on_time(events, splits, rule));
    let all = sides.flat_map(|(side, late)| late.into_iter().map(move |e| (side, e.id, e.at)));
    let mut expected: Vec<_> = all.collect();
    expected.sort_unstable();
    let mut got = Verify::of(events.to_vec()).splits(splits).run(|events| {
        let windows = join!(events).window(Tumbling::of(10.micros())).allowed_lateness(late);
        let (_, left, right) = windows.full_with_late(|l, r| (id(l), id(r)));
        let left = left.map(|event| (0_u64, event.id, event.at.micros()));
        left.union(right.map(|event| (1_u64, event.id, event.at.micros())))
    });
    got.sort_unstable();
    assert_eq!(got, expected);
}

fn semi(events: &[Event], splits: usize, lateness: i64) {
    let late = lateness.unsigned_abs().micros();
    let check = |events: &[Event], windows: Sliding, sides: [Vec<Counted>; 2], step: i64| {
        let [left, right] = sides;
        let mut rows = Vec::new();
        for end in (-50..200).map(|n| n * step) {
            let holds = |event: &&Counted| (end - 10..end).contains(&event.at);
            let seen = |l: &&Counted| right.iter().filter(holds).any(|r| r.key == l.key);
            rows.extend(left.iter().filter(holds).filter(seen).map(|l| (l.id, 0, end - 1)));
        }
        let got = run(events, splits, |e| {
            join!(e).window(windows).allowed_lateness(late).semi(|l| (l.id, 0))
        });
        assert_eq!(got, counted(rows));
    };
    let sides = on_time(events, splits, in_open_window(10, lateness));
    check(events, Sliding::of(10.micros(), 10.micros()), sides, 10);
    let sides = on_time(events, splits, in_open_window(4, lateness));
    check(events, Sliding::of(10.micros(), 4.micros()), sides, 4);
}

fn intervals(events: &[Event], splits: usize, lower: i64, upper: i64) {
    let offset = |us: i64| {
        let by = us.unsigned_abs().micros();
        if us < 0 { Offset::Before(by) } else { Offset::After(by) }
    };
    let rows = nested(
        &on_time(events, splits, not_behind),
        |l, r| (lower..=upper).contains(&(r.at - l.at)),
        [&|at| at.max(at + upper), &|at| at.max(at - lower)],
    );
    check!(full: rows, events, splits, .between(offset(lower), offset(upper)));
}

fn versions(events: &[Event], splits: usize, tolerance: i64) {
    let [left, right] = on_time(events, splits, not_behind);
    let newest = |l: &Counted| {
        let valid = |r: &&Counted| r.key == l.key && (0..=tolerance).contains(&(l.at - r.at));
        right.iter().filter(valid).max_by_key(|r| (r.at, r.id)).map_or(0, |r| r.id)
    };
    let rows: Vec<_> = left.iter().map(|l| (l.id, newest(l), l.at)).collect();
    check!(left: rows, events, splits, .as_of((tolerance as u64).micros()));
}

fn tables(events: &[Event], splits: usize) {
    let events = &punctual(events, splits);
    let [left, right] = on_time(events, splits, not_behind);
    let newest = |l: &Counted| {
        let rows = right.iter().filter(|r| r.key == l.key);
        rows.max_by_key(|r| (r.at, r.id)).map_or(0, |r| r.id)
    };
    let rows: Vec<_> = left.iter().map(|l| (l.id, newest(l), l.at)).collect();
    let got = run(events, splits, |events| {
        let timed = events.event_time(|event| event.at, (DISORDER as u64).micros());
        let table = timed.clone().filter(|event| event.side == 1);
        let left = timed.filter(|event| event.side == 0);
        left.join_table(table, |l| l.key, |r| r.key, |l, r| (l.id, id(r)))
    });
    assert_eq!(got, counted(rows));
}

/// Some records are late for every rule, some rows have no partner, and some rows are doubled:
/// what the properties draw is worth its name.
fn hostile() -> Vec<Event> {
    let event = |i: u64| {
        let back = if i % 11 == 5 { 40 } else { i as i64 * 7 % DISORDER };
        let at = Timestamp::from_micros(i as i64 - back);
        Event { side: i * i % 3 % 2, key: i % 5, at, id: 1 + i % 2 }
    };
    (0..150).map(event).collect()
}

/// Checks a kind of join with both sides, one, and none.
fn with_empty_sides(check: impl Fn(&[Event])) {
    let all = hostile();
    for sides in [[true, true], [true, false], [false, true], [false, false]] {
        let some: Vec<_> = all.iter().filter(|e| sides[e.side as usize]).copied().collect();
        check(&some);
    }
}

#[test]
fn empty_sides() {
    with_empty_sides(|events| incremental(events, 3));
    with_empty_sides(|events| windows(events, 3, 0));
    with_empty_sides(|events| windows(events, 3, 30));
    with_empty_sides(|events| semi(events, 3, 30));
    with_empty_sides(|events| too_late(events, 3, 30));
    with_empty_sides(|events| intervals(events, 3, -3, 6));
    with_empty_sides(|events| versions(events, 3, 9));
    with_empty_sides(|events| tables(events, 3));
}

/// The watermark promises nothing older than itself: one of its own time may still come.
#[test]
fn records_at_the_watermark_still_meet() {
    let event = |side, key, at| Event { side, key, at: Timestamp::from_micros(at), id: 1 };
    intervals(&[event(0, 1, 10), event(0, 2, 14 + DISORDER), event(1, 1, 14)], 1, 0, 4);
    intervals(&[event(1, 1, 10), event(0, 2, 14 + DISORDER), event(0, 1, 14)], 1, -4, 0);
    versions(&[event(0, 1, 14), event(0, 2, 14 + DISORDER), event(1, 1, 14)], 1, 5);
}

#[test]
fn what_is_drawn_has_late_records_and_lonely_ones() {
    let all = hostile();
    let [left, right] = on_time(&all, 3, in_open_window(10, 30));
    assert!(left.len() + right.len() < all.len());
    let [fewer, _] = on_time(&all, 3, in_open_window(10, 0));
    assert!(fewer.len() < left.len());
    let sides = on_time(&all, 3, not_behind);
    let rows = counted(nested(&sides, |l, r| (l.at - r.at).abs() < 4, [&|at| at, &|at| at]));
    let has = |is: &dyn Fn(&Row) -> bool| rows.iter().any(is);
    assert!(has(&|row| row.0 == 0) && has(&|row| row.1 == 0) && has(&|row| row.3 > 1));
}

/// Out of reach for what is swept: many keys, a long time.
#[test]
fn lonely_records_are_not_forgotten_before_they_are_given() {
    let event = |i: u64| {
        let at = Timestamp::from_micros(i as i64 / 2 - i as i64 * 7 % DISORDER);
        Event { side: i % 2, key: i * i % 997, at, id: i + 1 }
    };
    let events: Vec<_> = (0..6_000).map(event).collect();
    intervals(&events, 2, -40, 60);
    intervals(&events, 2, -60, -40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn incremental_joins(events in events(), splits in 1_usize..4) {
        incremental(&events, splits);
    }

    #[test]
    fn window_joins(
        events in events(),
        splits in 1_usize..4,
        lateness in prop_oneof![Just(0_i64), 1_i64..15],
    ) {
        windows(&events, splits, lateness);
        semi(&events, splits, lateness);
        too_late(&events, splits, lateness);
    }

    #[test]
    fn interval_joins(
        events in events(),
        splits in 1_usize..4,
        lower in -8_i64..8,
        length in 0_i64..9,
    ) {
        intervals(&events, splits, lower, lower + length);
    }

    #[test]
    fn as_of_joins(events in events(), splits in 1_usize..4, tolerance in 0_i64..12) {
        versions(&events, splits, tolerance);
    }

    #[test]
    fn table_joins(events in events(), splits in 1_usize..4) {
        tables(&events, splits);
    }
}
