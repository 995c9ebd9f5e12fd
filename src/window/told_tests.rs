//! Shards that were told different watermarks are put together: windows are given once.

use std::sync::{Arc, Mutex};

use super::{Again, Cumulating, Merging, Paned, Sliding, Tumbling, WindowJoin, WindowSpec};
use crate::key;
use crate::operator::{
    Aggregate, Aggregates, ByValue, Edge, FullOuter, KeyOf, Lifecycle, Node, Operator, Output,
    Scene, Stage, Stamp,
};
use crate::record::{Batch, InWindow, Record};
use crate::state::{Backend, Few, Loader, Owner, Saved, Saver};
use crate::time::{Timestamp, Units};

type Event = (u64, u64);
/// What comes out of a join: event time, left and right number; of windows: end, key and value.
type Rows = Arc<Mutex<Vec<(i64, u64, u64)>>>;

/// Takes what comes out.
struct Taken<R: Record>(Rows, fn(Timestamp, R::View<'_>) -> (i64, u64, u64));

impl<R: Record> Operator for Taken<R> {
    fn process(&mut self, _: usize, batch: &Batch<'_>, _: &mut Output<'_>) -> crate::error::Result {
        let rows = batch.records::<R>().map(|(at, record)| self.1(at, record));
        self.0.lock().unwrap().extend(rows);
        Ok(())
    }
}

fn of_join(at: Timestamp, (left, right): Event) -> (i64, u64, u64) {
    (at.micros(), left, right)
}

fn of_window(_: Timestamp, window: <InWindow<u64, u64> as Record>::View<'_>) -> (i64, u64, u64) {
    (window.end.micros(), window.key, window.value)
}

fn by() -> impl KeyOf<Event, Key = u64> {
    ByValue::new(|event: Event| event.0)
}

/// A join of sliding windows.
fn join(lateness: i64) -> impl Stage<Event, 0> + Stage<Event, 1> {
    let rows = |left: Option<Event>, right: Option<Event>| {
        (left.map_or(0, |(_, n)| n), right.map_or(0, |(_, n)| n))
    };
    let spec = Sliding::of(10.micros(), 4.micros()).spec();
    let pairing = FullOuter::<_, Event>::new(rows);
    let (by, backend) = ((by(), by()), Backend::Memory);
    WindowJoin::<Event, _, Event, _, Few<Event>, _>::new(by, spec, lateness, pairing, &backend)
}

/// Acts on a stage with an output to `to`.
fn act<S, R: Record>(
    stage: &mut S,
    to: impl Fn() -> Taken<R>,
    act: impl FnOnce(&mut S, &mut Output<'_>),
) {
    let node = |operator: Box<dyn Operator>, outputs| {
        Node::new("".into(), operator, 1, outputs, Default::default())
    };
    let edge = vec![vec![Edge { node: 1, port: 0 }]];
    let mut nodes = vec![node(Box::new(to()), edge), node(Box::new(to()), Vec::new())];
    let done = Output::enter(&mut nodes, 0, &Scene::default(), |_, out| {
        act(stage, out);
        Ok(())
    });
    done.expect("nothing fails");
}

/// At every third microsecond what `event` does with one of the shard's keys, before the watermark
/// that closes it; told this watermark at the end.
fn fill<S: Lifecycle>(
    stage: &mut S,
    (shard, told): (u64, i64),
    out: &mut Output<'_>,
    event: impl Fn(&mut S, i64, u64, &mut Output<'_>),
) {
    for us in (0..130).step_by(3) {
        event(stage, us, 2 * (us as u64 % 4) + shard, out);
        if us - 20 > 0 && us - 20 <= told {
            stage.watermark(Timestamp::from_micros(us - 20), out).unwrap();
        }
    }
    stage.watermark(Timestamp::from_micros(told), out).unwrap();
}

/// Later events, with some of the keys: when a job goes on they come before the first watermark.
fn fill_more<S: Lifecycle>(
    stage: &mut S,
    owns: impl Fn(u64) -> bool,
    out: &mut Output<'_>,
    event: impl Fn(&mut S, i64, u64, &mut Output<'_>),
) {
    for us in (105..150).step_by(10) {
        (0..8).filter(|key| owns(*key)).for_each(|key| event(stage, us, key, out));
    }
}

fn finish<S: Lifecycle>(stage: &mut S, out: &mut Output<'_>) {
    stage.watermark(Timestamp::from_micros(37), out).unwrap();
    stage.watermark(Timestamp::MAX, out).unwrap();
}

/// A checkpoint of a stage, all of it.
fn save<S: Lifecycle>(stage: &mut S, owner: &Owner) -> Vec<Saved> {
    let mut saver = Saver::new();
    saver.set_full(true);
    saver.enter(1, owner);
    stage.save(&mut saver).unwrap();
    while !stage.save_more(&mut saver).unwrap() {}
    vec![Saved::read(&saver.take()).unwrap()]
}

/// That two shards, told these watermarks, give the same whether they are cut there or not: then
/// three go on, with more events, and are cut again before they were told anything.
fn check<S: Lifecycle, R: Record>(
    what: &str,
    tolds: [i64; 2],
    make: impl Fn() -> S,
    event: impl Fn(&mut S, i64, u64, &mut Output<'_>),
    row: fn(Timestamp, R::View<'_>) -> (i64, u64, u64),
) {
    let owner = Owner { step: "windows".into(), asked: "".into(), input: 0 };
    let (uncut, cut) = (Rows::default(), Rows::default());
    let to = |rows: &Rows| {
        let rows = rows.clone();
        move || Taken::<R>(rows.clone(), row)
    };
    let mut saved = Vec::new();
    for with in (0..).zip(tolds) {
        let mut stage = make();
        act(&mut stage, to(&uncut), |stage, out| {
            fill(stage, with, out, &event);
            fill_more(stage, |key| key % 2 == with.0, out, &event);
            finish(stage, out);
        });
        let mut stage = make();
        act(&mut stage, to(&cut), |stage, out| fill(stage, with, out, &event));
        saved.push(save(&mut stage, &owner));
    }
    for (shards, last) in [(3, false), (2, true)] {
        let before = std::mem::take(&mut saved);
        for shard in 0..shards {
            let mut stage = make();
            stage.load(&Loader::new(&before, shard, shards).entered(&owner)).unwrap();
            let owns = |key: u64| key::owner(key::group(key::hash(&key)), shards) == shard;
            act(&mut stage, to(&cut), |stage, out| {
                if last {
                    return finish(stage, out);
                }
                fill_more(stage, owns, out, &event);
                stage.settle(out).unwrap();
            });
            saved.push(save(&mut stage, &owner));
        }
    }
    let uncut = sorted(&uncut);
    assert!(uncut.len() > 60, "{what}: {}", uncut.len());
    assert_eq!(sorted(&cut), uncut, "{what} {tolds:?}");
}

fn sorted(rows: &Rows) -> Vec<(i64, u64, u64)> {
    let mut rows = std::mem::take(&mut *rows.lock().unwrap());
    rows.sort_unstable();
    rows
}

const TOLDS: [[i64; 2]; 3] = [[50, 103], [103, 41], [77, 77]];

#[test]
fn joins_of_shards_that_were_told_differently() {
    for (lateness, tolds) in [0, 7, 30].into_iter().flat_map(|l| TOLDS.map(|tolds| (l, tolds))) {
        check::<_, Event>(
            &format!("lateness {lateness}"),
            tolds,
            || join(lateness),
            |stage, us, key, out| {
                let at = Timestamp::from_micros(us);
                let (stamp, number) = (Stamp { at, mark: Timestamp::MIN }, us as u64 + 1);
                Stage::<Event, 0>::record(stage, stamp, (key, number), out).unwrap();
                if us % 2 == 0 {
                    Stage::<Event, 1>::record(stage, stamp, (key, number), out).unwrap();
                }
            },
            of_join,
        );
    }
}

/// Windows of an aggregate, some of whose partial results come late.
fn check_aggregate<A>(what: &str, spec: WindowSpec, again: Again, aggregate: A)
where
    A: Aggregate<Event, Acc = u64, Out = u64>,
{
    for tolds in TOLDS {
        check::<_, InWindow<u64, u64>>(
            &format!("{what} {spec:?} {again:?}"),
            tolds,
            || Merging::<Event, u64, A>::new(aggregate.clone(), spec, again, &Backend::Memory),
            |stage, us, key, out| {
                for us in [Some(us), Some(us - 27).filter(|us| us % 2 == 1)].into_iter().flatten() {
                    let pane = spec.pane_of(Timestamp::from_micros(us));
                    let stamp = Stamp { at: pane, mark: Timestamp::MIN };
                    let acc = aggregate.start(pane, (key, (us + 30) as u64));
                    stage.record(stamp, (key, pane, acc), out).unwrap();
                }
            },
            of_window,
        );
    }
}

#[test]
fn aggregates_of_shards_that_were_told_differently() {
    let specs = [
        Sliding::of(10.micros(), 4.micros()).spec(),
        Sliding::of(40.micros(), 10.micros()).spec(),
        Cumulating::of(24.micros(), 6.micros()).spec(),
        Tumbling::of(9.micros()).spec(),
    ];
    let of = Aggregates::<Event>::default();
    for spec in specs {
        for lateness in [0, 7] {
            let again = Again { lateness, ..Again::default() };
            check_aggregate("count", spec, again, of.count());
            check_aggregate("max", spec, again, of.max(|(_, n)| n));
        }
    }
}
