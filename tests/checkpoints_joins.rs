//! Joins and process functions are cut anywhere by checkpoints: what they give before and after,
//! on whatever number of shards, is what they give when nothing is cut.

#![allow(clippy::unwrap_used)]

#[path = "support/cuts.rs"]
mod cuts;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use proptest::prelude::{ProptestConfig, proptest};
use thalweg::prelude::*;

use cuts::{Cut, DISORDER, Event, Law, check, cuts, events};

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

/// A shard that is ahead of another one in event time, which gives nothing, must not wait for it
/// before a checkpoint is made, and must still hear that the job is stopped.
#[test]
fn no_shard_waits_for_others_in_event_time_at_a_checkpoint_or_when_stopped() {
    let event = Event { side: 0, key: 1, at: Timestamp::from_micros(1), id: 1 };
    let program = |_: &Job, e: Stream<Event>| {
        let timed = e.event_time(|event| event.at, 1.seconds());
        let table = timed.clone().filter(|event| event.side == 1);
        let left = timed.filter(|event| event.side == 0);
        left.join_table(table, |l| l.key, |r| r.key, |l, r| (l.id, id(r)))
    };
    let law = Law { events: Arc::new(vec![event; 3]), splits: 2, program: &program };
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("ahead").shards(2).checkpoints(directory.path(), 1.days());
    let (running, _, given) = law.start(job, 1);
    while given[0].load(Relaxed) < 1 || given[1].load(Relaxed) < 1 {
        assert!(!running.wait_for(1.millis()));
    }
    let begun = Instant::now();
    running.checkpoint().unwrap();
    assert!(begun.elapsed() < 15.seconds(), "{:?}", begun.elapsed());
    running.stop();
    if !running.wait_for(20.seconds()) {
        std::mem::forget(running);
        panic!("it hangs");
    }
}

/// Timers by processing time are due at the time that they were set for, before a stop or after;
/// no stop fires one.
#[test]
fn alarms_outlive_a_stop() {
    let delays = |id: u64| if id == 1 { 1.seconds() } else { 1.hours() };
    let program = |_: &Job, e: Stream<Event>| {
        e.key_by(|event| event.key).process::<u64, (u64, u64)>(
            move |id, event, ctx| {
                *id = event.id;
                ctx.timer_after(delays(event.id));
            },
            |id, _, ctx| ctx.emit((*ctx.key(), *id)),
        )
    };
    let event = |n: u64| Event { side: 0, key: n, at: Timestamp::MIN, id: 1 + n % 2 };
    let law = Law { events: Arc::new((0..9).map(event).collect()), splits: 2, program: &program };
    let directory = tempfile::tempdir().unwrap();
    let cut = |shards| {
        let (rows, _) = law.cut(Cut { shards, limit: 8, crash_after: None }, directory.path());
        rows.into_iter().map(|(_, key, _)| key).collect::<Vec<_>>()
    };
    let mut due = [cut(1), cut(4)].concat();
    let job = Job::new("cut").shards(2).checkpoints(directory.path(), 1.days());
    let (running, all, _) = law.start(job, 8);
    std::thread::sleep(1_200.millis());
    running.stop();
    running.join().unwrap();
    due.extend(all.lock().unwrap().values().flatten().map(|row| row.1));
    due.sort_unstable();
    assert_eq!(due, [0, 2, 4, 6], "those that are due, once");
    let job = Job::new("cut").shards(3).checkpoints(directory.path(), 1.days());
    let mut left: Vec<_> = law.finish(job).into_iter().map(|(_, key, _)| key).collect();
    left.sort_unstable();
    assert_eq!(left, [1, 3, 5, 7, 8], "the others at the end");
}

/// A life of a key that begins after a restart is another than those before, whose timers are over.
#[test]
fn timers_that_were_cancelled_stay_so_after_a_restart() {
    let program = |_: &Job, e: Stream<Event>| {
        let timed = e.event_time(|event| event.at, 0.seconds());
        timed.key_by(|event| event.key).process::<u64, (u64, u64)>(
            |_, event, ctx| {
                ctx.timer_at(Timestamp::from_millis(1_000 * event.id as i64));
                if event.id == 1 {
                    ctx.cancel_timers();
                }
            },
            |_, at, ctx| ctx.emit((*ctx.key(), at.millis() as u64)),
        )
    };
    let event =
        |n: u64| Event { side: 0, key: n % 8, at: Timestamp::from_micros(n as i64), id: 1 + n / 8 };
    let law = Law { events: Arc::new((0..16).map(event).collect()), splits: 1, program: &program };
    for shards in [1, 2, 4] {
        let directory = tempfile::tempdir().unwrap();
        let cut = Cut { shards: 2, limit: 8, crash_after: None };
        let (before, state) = law.cut(cut, directory.path());
        assert!(before.is_empty(), "{before:?}");
        let job = Job::new("cut").shards(shards).checkpoints(state, 1.days());
        let mut fired: Vec<_> = law.finish(job).into_iter().map(|(_, key, at)| (key, at)).collect();
        fired.sort_unstable();
        assert!(fired.into_iter().eq((0..8).map(|key| (key, 2_000))));
    }
}

record! {
    struct Padded { wide: u64, narrow: u8 }
}

#[test]
fn state_that_cannot_be_kept_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("padded").checkpoints(directory.path(), 1.days());
    let padded = job.source(Memory::of([1_u64])).map(|n| Padded { wide: n, narrow: 1 });
    let other = job.source(Memory::of([1_u64])).map(|n| (n, n));
    let joined = padded.key_by(|n| n.wide).join(other.key_by(|(n, _)| n));
    joined.inner(|l, _| l.wide).sink(Discard);
    let error = job.start().err().expect("it is refused");
    assert!(error.to_string().contains("there is padding"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn incremental_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        check("inner", &events, splits, &cuts, |_, e| join!(e).inner(|l, r| (l.id, r.id)));
        check("full", &events, splits, &cuts, |_, e| join!(e).full(|l, r| (id(l), id(r))));
    }

    #[test]
    fn interval_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        let (from, to) = (Offset::Before(3.micros()), Offset::After(6.micros()));
        check("full", &events, splits, &cuts, |_, e| {
            join!(e).between(from, to).full(|l, r| (id(l), id(r)))
        });
    }

    #[test]
    fn as_of_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        check("left", &events, splits, &cuts, |_, e| {
            join!(e).as_of(9.micros()).left(|l, r| (l.id, id(r)))
        });
    }

    #[test]
    fn window_joins(
        events in events(),
        splits in 1_usize..4,
        cuts in cuts(),
        lateness in 0_u64..15,
    ) {
        let late = lateness.saturating_sub(5).micros();
        check("tumbling", &events, splits, &cuts, |_, e| {
            join!(e).window(Tumbling::of(10.micros())).allowed_lateness(late)
                .full(|l, r| (id(l), id(r)))
        });
        check("sliding", &events, splits, &cuts, |_, e| {
            join!(e).window(Sliding::of(10.micros(), 4.micros())).allowed_lateness(late)
                .full(|l, r| (id(l), id(r)))
        });
        check("semi", &events, splits, &cuts, |_, e| {
            join!(e).window(Sliding::of(10.micros(), 4.micros())).allowed_lateness(late)
                .semi(|l| (l.id, 0))
        });
    }

    #[test]
    fn table_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        // The one table is whole at the end, the other one soon.
        check("slow", &events, splits, &cuts, |_, e| {
            let timed = e.event_time(|event| event.at, (DISORDER as u64).micros());
            let table = timed.clone().filter(|event| event.side == 1);
            timed.filter(|event| event.side == 0)
                .join_table(table, |l| l.key, |r| r.key, |l, r| (l.id, id(r)))
        });
        check("small", &events, splits, &cuts, |job, e| {
            let table = job.source(Memory::of([(1_u64, 7_u64), (2, 8)]));
            e.join_table(table, |l| l.key, |(key, _)| key, |l, r| (l.id, r.map_or(0, |r| r.1)))
        });
    }

    #[test]
    fn process_functions(events in events(), splits in 1_usize..4, cuts in cuts()) {
        // Every record comes out seven microseconds later, with timers set by timers meanwhile.
        check("delayed", &events, splits, &cuts, |_, e| {
            keyed!(e).process::<Vec<(Timestamp, u64)>, (u64, u64)>(
                |waiting, event, ctx| {
                    waiting.push((ctx.time() + 7.micros(), event.id));
                    ctx.timer_at(ctx.time() + 3.micros());
                },
                |waiting, at, ctx| {
                    let (due, left) = waiting.iter().partition(|(due, _)| *due <= at);
                    *waiting = left;
                    for (due, id) in due {
                        ctx.emit_at(due, (*ctx.key(), id));
                    }
                    match waiting.iter().min() {
                        Some((due, _)) => ctx.timer_at(*due),
                        None => ctx.clear(),
                    }
                },
            )
        });
        // Behind it event times are taken anew: nothing is late, and windows end with the input.
        check("again", &events, splits, &cuts, |_, e| {
            let seen = keyed!(e).process::<u64, (u64, u64)>(
                |_, event, ctx| ctx.emit((ctx.time().micros() as u64, event.id)),
                |_, _, _| (),
            );
            let again = |(at, _): (u64, u64)| Timestamp::from_micros(at as i64);
            seen.event_time(again, 1.seconds())
                .key_by(|(_, id)| id)
                .window(Tumbling::of(10.micros()))
                .aggregate(|seen| seen.count())
                .map(|count| (count.key, count.value))
                .rebalance()
        });
        // What was cancelled stays so, and each key ends once.
        check("last", &events, splits, &cuts, |_, e| {
            keyed!(e).process::<u64, (u64, u64)>(
                |count, _, ctx| {
                    *count += 1;
                    ctx.cancel_timers();
                    ctx.timer_at(Timestamp::MAX);
                },
                |count, _, ctx| ctx.emit((*ctx.key(), *count)),
            )
        });
    }

    #[test]
    fn what_depends_on_the_order_of_records(events in events(), cuts in cuts()) {
        let row = |event: &Event| (event.key, event.id);
        check("reduce", &events, 1, &cuts, |_, e| {
            e.map(|e| (e.key, e.id)).key_by(|(key, _)| key).reduce(|sum, (_, id)| sum.1 += id)
        });
        check("running", &events, 1, &cuts, |_, e| {
            keyed!(e).aggregate_running(|events| events.sum(|event| event.id))
        });
        check("first", &events, 1, &cuts, |_, e| keyed!(e).first().map(row).shuffle(1));
        check("first within", &events, 1, &cuts, |_, e| {
            keyed!(e).first_within(9.micros()).map(row).shuffle(1)
        });
        check("process within", &events, 1, &cuts, |_, e| {
            keyed!(e).process_within::<u64, (u64, u64)>(7.micros(), |sum, event, ctx| {
                *sum += event.id;
                ctx.emit((event.key, *sum));
                if *sum > 9 {
                    ctx.clear();
                }
            }).shuffle(1)
        });
        check("first by time", &events, 1, &cuts, |_, e| {
            keyed!(e).first_by_time(9.micros()).map(row).shuffle(1)
        });
    }
}
