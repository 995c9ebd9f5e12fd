//! What sessions, count windows, joins that go by time, and timers remember is kept as what has
//! changed: a job that goes on from a chain of such files, on other shards, while keys come and go,
//! is the job that was never stopped. Each save is made in slices.
#![allow(clippy::unwrap_used)]

use thalweg::connector::Collected;
use thalweg::join::{AsOfJoin, IntervalJoin, Of};
use thalweg::operator::{
    Aggregates, ByValue, Inner, KeyOf, Lifecycle, Node, Operator, Output, Process, Scene, Stage,
    Stamp, Timed,
};
use thalweg::prelude::*;
use thalweg::record::Batch;
use thalweg::state::{Backend, Owner, Saved, Saver};
use thalweg::window::{Counted, Sessions};

#[path = "support/chains.rs"]
mod chains;
use chains::{Gated, files};

const END: u64 = 400_000;
/// Milliseconds that records may come after newer ones.
const DISORDER: u64 = 50;

fn at(n: u64) -> Timestamp {
    Timestamp::from_millis((n + n * 7919 % DISORDER) as i64)
}

/// One of four numbers has a key that stays, the others have keys of their time.
fn key_of(n: u64) -> u64 {
    if n.is_multiple_of(4) { n % 8_000 } else { 10_000 * (n / 20_000 + 1) + n * 7919 % 997 }
}

type Row = (u64, u64, u64);

/// All that a job gives, operator by operator.
type Rows = Vec<(&'static str, Collected<Row>)>;

fn job(job: Job, numbers: Gated) -> (Job, Rows) {
    let numbers = job.source(numbers.splits(1));
    let timed = numbers.event_time(at, DISORDER.millis());
    let mut rows: Rows = Vec::new();
    let mut give = |name, stream: Stream<Row>| {
        let (sink, given) = Collect::new();
        stream.sink(sink);
        rows.push((name, given));
    };
    let keyed = || timed.clone().key_by(key_of);
    let sessions = keyed().window(Session::gap(3.seconds())).aggregate(|ns| ns.sum(|n| n));
    give("sessions", sessions.map(|w| (w.key, w.start.millis() as u64, w.value)).settle());
    let counts = keyed().window(CountWindow::sliding(5, 2)).aggregate(|ns| ns.sum(|n| n));
    give("counts", counts.map(|w| (w.key, w.start.millis() as u64, w.value)).settle());
    let side = |odd: u64| timed.clone().filter(move |n| n % 2 == odd).key_by(key_of);
    let id = |n: Option<u64>| n.map_or(END, |n| n);
    let near =
        side(0).join(side(1)).between(Offset::Before(200.millis()), Offset::After(9.millis()));
    give("interval", near.full(move |l, r| (0, id(l), id(r))).settle());
    let as_of = side(0).join(side(1)).as_of(2.seconds());
    give("as-of", as_of.left(move |l, r| (0, l, id(r))).settle());
    // Every number comes out five seconds later, and a key that waits for none is forgotten.
    let delayed = keyed().process::<Vec<(Timestamp, u64)>, Row>(
        |waiting, n, ctx| {
            waiting.push((ctx.time() + 5.seconds(), n));
            ctx.timer_at(ctx.time() + 5.seconds());
        },
        |waiting, at, ctx| {
            let (due, left) = waiting.iter().partition(|(due, _)| *due <= at);
            *waiting = left;
            for (at, n) in due {
                ctx.emit_at(at, (*ctx.key(), at.millis() as u64, n));
            }
            if waiting.is_empty() {
                ctx.clear();
            }
        },
    );
    give("delayed", delayed.settle());
    // Only the timer that was set last fires, at the end.
    let last = timed.clone().key_by(|n| format!("key {}", key_of(n))).process::<u64, Row>(
        |count, n, ctx| {
            *count += 1;
            ctx.cancel_timers();
            ctx.timer_at(Timestamp::from_millis((2 * END + n * 7919 % 10_007) as i64));
            if n % 29 == 3 {
                ctx.clear();
            }
        },
        |count, at, ctx| ctx.emit((at.millis() as u64, *count, ctx.key().len() as u64)),
    );
    give("last", last.settle());
    // One key for all, whose table is a single slot: its timers are in tables of their own.
    let end = Timestamp::from_millis(3 * END as i64);
    let beats = timed.clone().key_by(|_| ()).process::<u64, Row>(
        move |count, _, ctx| {
            *count += 1;
            ctx.timer_at(Timestamp::from_millis(ctx.time().millis() / 700 * 700 + 5_000));
            ctx.timer_at(end);
        },
        move |count, at, ctx| {
            let count = if at == end { *count } else { 0 };
            ctx.emit((at.millis() as u64, count, 0));
        },
    );
    give("beats", beats.settle());
    (job, rows)
}

#[test]
fn a_chain_of_changes_is_the_job_that_was_never_stopped() {
    let (whole, expected) = job(Job::new("keyed").shards(1), Gated::opened(END));
    whole.run().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (mut all, mut longest) = (vec![Vec::new(); expected.len()], 0);
    let gate = Gated::to(END, 0);
    for shards in [2, 3, 3, 1, 4] {
        let begun = Job::new("keyed").shards(shards).checkpoints(&state, 1.days());
        let begun =
            if shards == 3 { begun.state_in(directory.path()).state_memory(0) } else { begun };
        let (cut, rows) = job(begun, gate.clone());
        let running = cut.start().unwrap();
        if shards == 4 {
            gate.open(END);
        } else {
            gate.pass(&running, 20_000);
            for _ in 0..4 {
                running.checkpoint().unwrap();
                gate.pass(&running, 6_000);
            }
            longest = longest.max(files(&state) / shards);
            running.stop();
        }
        running.join().unwrap();
        rows.iter().zip(&mut all).for_each(|((_, rows), all)| all.extend(rows.sorted()));
    }
    assert!(longest >= 4, "{longest} files of a shard: what has changed was not kept by itself");
    for ((name, expected), mut got) in expected.iter().zip(all) {
        got.sort_unstable();
        let expected = expected.sorted();
        assert_eq!(got.len(), expected.len(), "{name}");
        assert!(got == expected, "{name}");
    }
}

/// An operator that does nothing, so that there is an output to give.
struct Nothing;

impl Operator for Nothing {
    fn process(&mut self, _: usize, _: &Batch<'_>, _: &mut Output<'_>) -> Result {
        Ok(())
    }
}

fn with_output(act: impl FnOnce(&mut Output<'_>) -> Result) {
    let counters = Default::default();
    let mut nodes = vec![Node::new("".into(), Box::new(Nothing), 0, Vec::new(), counters)];
    Output::enter(&mut nodes, 0, &Scene::default(), |_, out| act(out)).unwrap();
}

/// Makes a save, after whose first slice `meanwhile` acts; gives the number of slices, and how many
/// rows of `part` there are.
fn save<S: Lifecycle>(
    stage: &mut S,
    part: &str,
    epoch: u64,
    meanwhile: impl FnOnce(&mut S),
) -> (usize, usize) {
    let mut saver = Saver::new();
    saver.set_full(epoch == 1);
    saver.enter(epoch, &Owner { step: "it".into(), asked: "".into(), input: 0 });
    stage.save(&mut saver).unwrap();
    assert!(saver.len() < 1_200, "{} bytes while the stream stands still", saver.len());
    let (mut slices, mut done) = (1, stage.save_more(&mut saver).unwrap());
    meanwhile(stage);
    while !done {
        done = stage.save_more(&mut saver).unwrap();
        slices += 1;
    }
    let saved = Saved::read(&saver.take()).unwrap();
    let rows = saved.parts().filter(|(head, ..)| head.part == part).map(|(_, rows, _)| rows).sum();
    (slices, rows)
}

const KEYS: u64 = 20_000;

/// Feeds a record of each key, saves all while more records come, then what has changed: on pages,
/// and in memory, where tables whose entries have no memory of their own are `small`.
fn slices<S: Lifecycle>(
    name: &str,
    small: bool,
    make: impl Fn(&Backend) -> S,
    part: &str,
    feed: impl Fn(&mut S, u64, &mut Output<'_>) -> Result,
) {
    let more = |stage: &mut S, keys: std::ops::Range<u64>| {
        with_output(|out| keys.clone().try_for_each(|key| feed(stage, key, out)));
    };
    for backend in [Backend::Pages, Backend::Memory] {
        let name = format!("{name}, {backend:?}");
        let all = small && matches!(backend, Backend::Memory);
        let shown = |changed: usize| if all { KEYS as usize } else { changed };
        let mut stage = make(&backend);
        more(&mut stage, 0..KEYS);
        let (pieces, rows) = save(&mut stage, part, 1, |stage| more(stage, 0..7));
        assert!(pieces >= 4, "{name}: {pieces} slices");
        assert_eq!(rows, KEYS as usize, "{name}: all, as they were");
        let (_, rows) = save(&mut stage, part, 2, |_| ());
        assert_eq!(rows, shown(7), "{name}: what came while all was saved");
        more(&mut stage, 100..103);
        let (pieces, rows) = save(&mut stage, part, 3, |_| ());
        assert_eq!(rows, shown(3), "{name}: what has changed, in {pieces} slices");
        let (_, rows) = save(&mut stage, part, 4, |_| ());
        assert_eq!(rows, 0, "{name}: nothing has changed");
    }
}

fn stamp(at: Timestamp) -> Stamp {
    Stamp { at, mark: at }
}

type Event = (u64, u64);

fn by() -> impl KeyOf<Event, Key = u64> {
    ByValue::new(|event: Event| event.0)
}

fn pairs() -> Inner<impl FnMut(Event, Event) -> u64 + Clone + Send + 'static, u64> {
    Inner::new(|left: Event, right: Event| left.1 + right.1)
}

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

#[test]
fn windows_are_saved_in_slices() {
    let sum = || Aggregates::<Event>::default().sum(|event| event.1);
    let session = Session::gap(1.seconds());
    let sessions = |on: &Backend| Sessions::<Event, _, _>::new(by(), sum(), session, 0, on);
    slices("sessions", false, sessions, "sessions", |stage, key, out| {
        stage.record(stamp(NOW), (NOW, (key, 1)), out)
    });
    let counts = CountWindow::sliding(5, 2);
    let counted = |on: &Backend| Counted::<Event, _, _>::new(by(), sum(), counts, on);
    slices("counts", false, counted, "windows", |stage, key, out| {
        stage.record(stamp(NOW), (NOW, (key, 1)), out)
    });
}

#[test]
fn joins_are_saved_in_slices() {
    let part = "records of both sides";
    let interval = |on: &Backend| {
        IntervalJoin::<Of<Event, _, Event, _, _>>::new((by(), by()), (-50, 50), pairs(), on)
    };
    slices("interval", false, interval, part, |stage, key, out| {
        Stage::<Event, 0>::record(stage, stamp(NOW), (key, 1), out)
    });
    let as_of =
        |on: &Backend| AsOfJoin::<Of<Event, _, Event, _, _>>::new((by(), by()), 50, pairs(), on);
    slices("as-of", false, as_of, part, |stage, key, out| {
        Stage::<Event, 1>::record(stage, stamp(NOW + key.micros()), (key, 1), out)?;
        Stage::<Event, 0>::record(stage, stamp(NOW), (key, 1), out)
    });
}

#[test]
fn timers_are_saved_in_slices() {
    for part in ["keys", "timers"] {
        let process = |on: &Backend| {
            Process::<Event, _, Timed<u64>, Event, _, _>::new(
                by(),
                |count: &mut u64, _: Event, ctx: &mut Context<'_, u64, Event>| {
                    *count += 1;
                    ctx.timer_at(NOW + (*count).seconds());
                },
                |_: &mut u64, _, _: &mut Context<'_, u64, Event>| (),
                on,
            )
        };
        let small = part == "keys";
        slices(part, small, process, part, |stage, key, out| {
            stage.record(stamp(NOW), (key, 1), out)
        });
    }
}
