//! Joins against nested loops, on 1 to 8 shards, from 1 and 3 splits, with disorder.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, proptest};
use support::{Deal, Gathered};
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Event { key: u64, at: Timestamp, id: u64 }
}

/// Left and right ids of a row, and the row's event time; 0 is none.
type Row = (u64, u64, i64);

/// Microseconds that records may come late.
const DISORDER: u64 = 5;

/// Few keys, times out of order within the bound, ids from 1 on.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_u64..4, 0_i64..4, 0_i64..=DISORDER as i64 / 2);
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let mut now = 0;
        let event = |(id, (key, step, back)): (u64, (u64, i64, i64))| {
            now += step;
            Event { key, at: Timestamp::from_micros(now - back), id }
        };
        (1..).zip(all).map(event).collect()
    })
}

/// The rows of a join, with their event times, in order; and how many records were late.
fn run<O: Record + Clone + Ord>(
    shards: usize,
    build: impl Fn(&Job, usize) -> Stream<O>,
    splits: usize,
) -> (Vec<O>, u64) {
    let job = Job::new("joins").shards(shards).executor(Executor::Threads).pin(false);
    let (sink, results) = Gathered::new();
    build(&job, splits).sink(sink);
    let report = job.run().unwrap();
    let mut rows = results.lock().unwrap().clone();
    rows.sort();
    (rows, report.late())
}

/// Checks a join for all numbers of shards and splits.
fn check<O: Record + Clone + Ord + std::fmt::Debug>(
    mut expected: Vec<O>,
    build: impl Fn(&Job, usize) -> Stream<O>,
) -> std::result::Result<(), proptest::test_runner::TestCaseError> {
    expected.sort();
    for shards in [1, 2, 4, 8] {
        for splits in [1, 3] {
            let (rows, late) = run(shards, &build, splits);
            prop_assert_eq!(&rows, &expected, "{} shards, {} splits", shards, splits);
            prop_assert_eq!(late, 0);
        }
    }
    Ok(())
}

/// A timed stream of events.
macro_rules! timed {
    ($job:expr, $events:expr, $splits:expr) => {
        $job.source(Deal($events.clone(), $splits))
            .event_time(|event| event.at, DISORDER.micros())
            .key_by(|event| event.key)
    };
}

fn id(of: Option<&Event>) -> u64 {
    of.map_or(0, |event| event.id)
}

/// The pairs of two lists for which `meet` holds, and what stays alone on either side.
fn pairs(
    left: &[Event],
    right: &[Event],
    meet: impl Fn(&Event, &Event) -> bool,
) -> (Vec<(Event, Event)>, Vec<Event>, Vec<Event>) {
    let meet = |l: &Event, r: &Event| l.key == r.key && meet(l, r);
    let both = left.iter().flat_map(|l| right.iter().map(move |r| (*l, *r)));
    let both = both.filter(|(l, r)| meet(l, r)).collect();
    let lefts = left.iter().filter(|l| !right.iter().any(|r| meet(l, r))).copied().collect();
    let rights = right.iter().filter(|r| !left.iter().any(|l| meet(l, r))).copied().collect();
    (both, lefts, rights)
}

/// The rows of a window join: `(left id, right id)` of every window `[end - size, end)`.
fn windowed(
    left: &[Event],
    right: &[Event],
    size: i64,
    step: i64,
    outer: (bool, bool),
) -> Vec<(u64, u64)> {
    let mut rows = Vec::new();
    for end in (-40..400).map(|n| n * step) {
        let inside = |events: &[Event]| -> Vec<Event> {
            let holds = |at: i64| end - size <= at && at < end;
            events.iter().filter(|event| holds(event.at.micros())).copied().collect()
        };
        let (both, lefts, rights) = pairs(&inside(left), &inside(right), |_, _| true);
        rows.extend(both.iter().map(|(l, r)| (l.id, r.id)));
        rows.extend(lefts.iter().filter(|_| outer.0).map(|l| (l.id, 0)));
        rows.extend(rights.iter().filter(|_| outer.1).map(|r| (0, r.id)));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn tumbling_window_joins(left in events(), right in events()) {
        let windows = || Tumbling::of(10.micros());
        check(windowed(&left, &right, 10, 10, (false, false)), |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).window(windows())
                .inner(|l, r| (l.id, r.id))
        })?;
        check(windowed(&left, &right, 10, 10, (true, false)), |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).window(windows())
                .left(|l, r| (l.id, id(r)))
        })?;
        check(windowed(&left, &right, 10, 10, (true, true)), |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).window(windows())
                .full(|l, r| (id(l), id(r)))
        })?;
    }

    #[test]
    fn sliding_window_joins(left in events(), right in events()) {
        let windows = || Sliding::of(10.micros(), 4.micros());
        check(windowed(&left, &right, 10, 4, (true, true)), |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).window(windows())
                .full(|l, r| (id(l), id(r)))
        })?;
    }

    #[test]
    fn semi_window_joins(left in events(), right in events()) {
        let mut expected = Vec::new();
        for end in (-40..400).map(|n| n * 4) {
            let holds = |event: &&Event| (end - 10..end).contains(&event.at.micros());
            for l in left.iter().filter(holds) {
                if right.iter().filter(holds).any(|r| r.key == l.key) {
                    expected.push(l.id);
                }
            }
        }
        check(expected, |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits))
                .window(Sliding::of(10.micros(), 4.micros())).semi(|l| l.id)
        })?;
    }

    #[test]
    fn incremental_joins(left in events(), right in events()) {
        let (both, lefts, rights) = pairs(&left, &right, |_, _| true);
        let inner: Vec<_> = both.iter().map(|(l, r)| (l.id, r.id)).collect();
        let mut outer = inner.clone();
        outer.extend(lefts.iter().map(|l| (l.id, 0)));
        check(inner, |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).inner(|l, r| (l.id, r.id))
        })?;
        check(outer.clone(), |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).left(|l, r| (l.id, id(r)))
        })?;
        outer.extend(rights.iter().map(|r| (0, r.id)));
        check(outer, |job, splits| {
            timed!(job, left, splits).join(timed!(job, right, splits)).full(|l, r| (id(l), id(r)))
        })?;
    }

    #[test]
    fn interval_joins(left in events(), right in events(), lower in -8_i64..8, length in 0_i64..9) {
        let upper = lower + length;
        let near = |l: &Event, r: &Event| {
            (lower..=upper).contains(&(r.at.micros() - l.at.micros()))
        };
        let (both, _, _) = pairs(&left, &right, near);
        let offset = |us: i64| {
            let by = us.unsigned_abs().micros();
            if us < 0 { Offset::Before(by) } else { Offset::After(by) }
        };
        check(both.iter().map(|(l, r)| (l.id, r.id)).collect(), |job, splits| {
            timed!(job, left, splits)
                .join(timed!(job, right, splits))
                .between(offset(lower), offset(upper))
                .inner(|l, r| (l.id, r.id))
        })?;
    }

    #[test]
    fn as_of_joins(left in events(), right in events(), tolerance in 0_u64..12) {
        let newest = |l: &Event| {
            let valid = |r: &&Event| {
                let age = l.at.micros() - r.at.micros();
                r.key == l.key && (0..=tolerance as i64).contains(&age)
            };
            right.iter().filter(valid).max_by_key(|r| (r.at, r.id)).map_or(0, |r| r.id)
        };
        let outer: Vec<_> = left.iter().map(|l| (l.id, newest(l))).collect();
        let inner = outer.iter().filter(|(_, r)| *r != 0).copied().collect();
        check(inner, |job, splits| {
            timed!(job, left, splits)
                .join(timed!(job, right, splits))
                .as_of(tolerance.micros())
                .inner(|l, r| (l.id, r.id))
        })?;
        check(outer, |job, splits| {
            timed!(job, left, splits)
                .join(timed!(job, right, splits))
                .as_of(tolerance.micros())
                .left(|l, r| (l.id, id(r)))
        })?;
    }

    #[test]
    fn table_joins(left in events(), table in events()) {
        let row = |l: &Event| {
            table.iter().filter(|r| r.key == l.key).map(|r| r.id).max().unwrap_or(0)
        };
        check(left.iter().map(|l| (l.id, row(l))).collect(), |job, splits| {
            // Without event times the row with the greatest fields counts: the id comes first.
            let rows = job.source(Deal(table.clone(), splits)).map(|r| (r.id, r.key));
            job.source(Deal(left.clone(), splits))
                .join_table(rows, |l| l.key, |(_, key)| key, |l, row| {
                    (l.id, row.map_or(0, |(id, _)| id))
                })
        })?;
    }
}

/// Intervals and versions over many keys and a long time: what is swept was not needed.
#[test]
fn forgetting_loses_nothing() {
    let event = |i: u64, step: u64| {
        let at = Timestamp::from_micros(i as i64 - i as i64 * 7 % 5);
        Event { key: i * step % 97, at, id: i + 1 }
    };
    let left: Vec<_> = (0..6_000).map(|i| event(i, 3)).collect();
    let right: Vec<_> = (0..6_000).map(|i| event(i, 5)).collect();
    let (both, _, _) =
        pairs(&left, &right, |l, r| (-40..=60).contains(&(r.at.micros() - l.at.micros())));
    check(both.iter().map(|(l, r)| (l.id, r.id)).collect(), |job, splits| {
        timed!(job, left, splits)
            .join(timed!(job, right, splits))
            .between(Offset::Before(40.micros()), Offset::After(60.micros()))
            .inner(|l, r| (l.id, r.id))
    })
    .unwrap();
    let newest = |l: &Event| {
        let valid =
            |r: &&Event| r.key == l.key && (0..=90).contains(&(l.at.micros() - r.at.micros()));
        right.iter().filter(valid).max_by_key(|r| (r.at, r.id)).map_or(0, |r| r.id)
    };
    check(left.iter().map(|l| (l.id, newest(l))).collect(), |job, splits| {
        timed!(job, left, splits)
            .join(timed!(job, right, splits))
            .as_of(90.micros())
            .left(|l, r| (l.id, id(r)))
    })
    .unwrap();
}

/// Rows with their event times, through a window of one microsecond.
#[test]
fn rows_carry_the_documented_event_time() {
    let event = |key, at, id| Event { key, at: Timestamp::from_micros(at), id };
    let left = vec![event(1, 3, 1), event(2, 14, 2)];
    let right = vec![event(1, 8, 7), event(3, 20, 8)];
    for shards in [1, 3] {
        let times = |build: &dyn Fn(&Job) -> Stream<(u64, u64)>| {
            let timed = |job: &Job, _| {
                build(job)
                    .key_by(|row| row)
                    .window(Tumbling::of(1.micros()))
                    .aggregate(|rows| rows.count())
            };
            let (rows, late) = run(shards, timed, 1);
            let row = |counted: &InWindow<(u64, u64), u64>| {
                (counted.key.0, counted.key.1, counted.start.micros())
            };
            (rows.iter().map(row).collect::<Vec<Row>>(), late)
        };
        let (rows, late) = times(&|job| {
            timed!(job, left, 1).join(timed!(job, right, 1)).full(|l, r| (id(l), id(r)))
        });
        assert_eq!((rows, late), (vec![(0, 8, 20), (1, 7, 8), (2, 0, 14)], 0), "{shards} shards");
        let (rows, late) = times(&|job| {
            timed!(job, left, 1)
                .join(timed!(job, right, 1))
                .window(Tumbling::of(10.micros()))
                .full(|l, r| (id(l), id(r)))
        });
        assert_eq!((rows, late), (vec![(0, 8, 29), (1, 7, 9), (2, 0, 19)], 0), "{shards} shards");
    }
}

/// What is late for its own split's watermark is late on any number of shards.
#[test]
fn late_records_are_counted_once_and_the_same_everywhere() {
    let event = |key, at, id| Event { key, at: Timestamp::from_micros(at), id };
    let left: Vec<_> = (0..100).map(|i| event(i % 5, i as i64 * 7 % 90, i + 1)).collect();
    macro_rules! counted {
        ($($how:tt)*) => {{
            let build = |job: &Job, splits| {
                timed!(job, left, splits).join(timed!(job, left, splits))$($how)*
                    .inner(|l, r| (l.id, r.id))
            };
            let (rows, late) = run(1, build, 3);
            assert!(late > 0 && late.is_multiple_of(2) && !rows.is_empty());
            for shards in [2, 4, 8] {
                assert_eq!(run(shards, build, 3), (rows.clone(), late), "{shards} shards");
            }
            late
        }};
    }
    // Record `i` is of split `i % 3`; both sides are the same.
    let newest = |i: usize| {
        let before = left[..i].iter().skip(i % 3).step_by(3).map(|e| e.at.micros());
        before.max().unwrap_or(i64::MIN + DISORDER as i64)
    };
    let marks = (0..left.len()).map(|i| (left[i].at.micros(), newest(i) - DISORDER as i64));
    let marks: Vec<_> = marks.collect();
    let closed = marks.iter().filter(|(at, mark)| *mark >= at.div_euclid(10) * 10 + 10).count();
    let behind = marks.iter().filter(|(at, mark)| at < mark).count();
    assert_eq!(counted!(.window(Tumbling::of(10.micros()))), 2 * closed as u64);
    let near = || 3.micros();
    let near = counted!(.between(Offset::Before(near()), Offset::After(near())));
    assert_eq!(near, 2 * behind as u64);
    assert_eq!(counted!(.as_of(3.micros())), 2 * behind as u64);
}

#[test]
fn streams_of_two_jobs_are_refused_before_the_first_record() {
    let (job, other) = (Job::new("one").shards(1), Job::new("other"));
    let (sink, _) = Gathered::new();
    let none: Vec<Event> = Vec::new();
    timed!(job, none, 1).join(timed!(other, none, 1)).inner(|l, r| (l.id, r.id)).sink(sink);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("two jobs"), "{error}");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let none: Vec<Event> = Vec::new();
    for shards in [1, 3] {
        let (job, other) = (Job::new("muddle").shards(shards), Job::new("other"));
        let (sink, _) = Gathered::new();
        let of_two = timed!(job, none, 1).join(timed!(other, none, 1)).inner(|l, r| (l.id, r.id));
        let turned = timed!(job, none, 1)
            .named("near")
            .join(timed!(job, none, 1))
            .between(Offset::After(5.micros()), Offset::Before(5.micros()))
            .left(|l, r| (l.id, id(r)));
        let missing = job.source(Files::csv::<(u64, u64)>("no/such/*.csv"));
        of_two.union(turned).union(missing).sink(sink);
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        job.source(Counter::to(3)).sink(Files::to_csv(&kept));
        let error = job.run().unwrap_err().to_string();
        let parts: Vec<_> = error.split("; (").collect();
        assert!(error.starts_with("job muddle: 3 things are wrong: (1) join: "), "{error}");
        assert!(parts[0].contains("two jobs; begin both at sources of the same job"), "{error}");
        assert!(parts[1].starts_with("2) near: no time is between"), "{error}");
        assert!(parts[1].ends_with("give the earlier one first"), "{error}");
        assert!(parts[2].starts_with("3) source ") && parts[2].contains("no/such"), "{error}");
        assert!(!kept.exists(), "a sink was opened for a job that can't run");
    }
}

/// A side that is long over does not end the other.
#[test]
fn a_short_side_does_not_close_the_windows_of_a_long_one() {
    let event = |key, at, id| Event { key, at: Timestamp::from_micros(at), id };
    let left = vec![event(1, 0, 1)];
    let right: Vec<_> = (0..20_000).map(|i| event(1, i / 100, i as u64 + 1)).collect();
    for shards in [1, 2] {
        let (rows, late) = run(
            shards,
            |job, splits| {
                timed!(job, left, splits)
                    .join(timed!(job, right, splits))
                    .window(Tumbling::of(Duration::from_micros(10)))
                    .full(|l, r| (id(l), id(r)))
            },
            1,
        );
        assert_eq!((rows.len(), late), (20_000, 0), "{shards} shards");
    }
}

/// The watermark of a split is `DISORDER` behind its newest record.
#[test]
fn late_records_meet_what_the_window_holds() {
    let events = |times: &[i64]| -> Vec<Event> {
        let event = |(id, at): (u64, &i64)| Event { key: 0, at: Timestamp::from_micros(*at), id };
        (1..).zip(times).map(event).collect()
    };
    // The window of 2 ends at 10: the first 2 comes at 25, the second one at 35.
    let (left, right) = (events(&[1, 30, 2, 40, 2]), events(&[40, 4]));
    for shards in [1, 2, 4, 8] {
        let join = |job: &Job, lateness: u64| {
            timed!(job, left, 1)
                .join(timed!(job, right, 1))
                .window(Tumbling::of(10.micros()))
                .allowed_lateness(lateness.micros())
                .full(|l, r| (id(l), id(r)))
        };
        let (rows, late) = run(shards, |job, _| join(job, 25), 1);
        assert_eq!((rows, late), (vec![(1, 0), (2, 0), (3, 0), (4, 1)], 2), "{shards} shards");
        let (rows, late) = run(shards, |job, _| join(job, 26), 1);
        assert_eq!((rows, late), (vec![(1, 2), (2, 0), (3, 2), (4, 1), (5, 2)], 0));
    }
}

record! {
    struct Named { name: String, side: u8, id: u64 }
}

/// Keys of text, more than can stay in memory, and records with text: on disk and in memory the
/// same rows come out.
#[test]
fn an_equi_join_on_disk_gives_what_it_gives_in_memory() {
    const KEYS: u64 = 20_000;
    let named = |n: u64| {
        let key = n * 7919 % KEYS;
        // Every fifth key is of the left side alone, every seventh of the right one.
        let right = key.is_multiple_of(7) || n % 2 == 1;
        let side = if key.is_multiple_of(5) { 0 } else { u8::from(right) };
        Named { name: format!("{key} {}", "long ".repeat(key as usize % 40)), side, id: n + 1 }
    };
    let rows = |shards, on_disk| {
        let job = Job::new("named").shards(shards).executor(Executor::Threads).pin(false);
        let job = if on_disk { job.state_in(std::env::temp_dir()).state_memory(0) } else { job };
        let (sink, rows) = Collect::new();
        let all = job.source(Memory::of((0..3 * KEYS).map(named)).splits(3));
        let left = all.clone().filter(|n| n.side == 0).key_by_ref(|n| n.name.as_str());
        let right = all.filter(|n| n.side == 1).key_by_ref(|n| n.name.as_str());
        left.join(right)
            .full(|l, r| {
                let part = |n: Option<<Named as Record>::View<'_>>| {
                    n.map_or((0, 0), |n| (n.id.to_native(), n.name.len() as u64))
                };
                (part(l), part(r))
            })
            .sink(sink);
        job.run().unwrap();
        rows.sorted()
    };
    let expected = rows(1, false);
    assert!(expected.len() > 30_000, "{}", expected.len());
    for shards in [1, 2, 4] {
        assert!(rows(shards, true) == expected, "{shards} shards");
    }
}
