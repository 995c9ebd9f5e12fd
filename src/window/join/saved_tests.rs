//! Shards that were told different watermarks are put together: windows are given once.

use std::sync::{Arc, Mutex};

use super::WindowJoin;
use crate::operator::{
    ByValue, Edge, FullOuter, KeyOf, Lifecycle, Node, Operator, Output, Scene, Stage, Stamp,
};
use crate::record::Batch;
use crate::state::{Backend, Few, Loader, Owner, Saved, Saver};
use crate::time::{Timestamp, Units};
use crate::window::{Paned, Sliding};

type Event = (u64, u64);
/// Event time, left and right number.
type Rows = Arc<Mutex<Vec<(i64, u64, u64)>>>;

/// Takes rows.
struct Taken(Rows);

impl Operator for Taken {
    fn process(&mut self, _: usize, batch: &Batch<'_>, _: &mut Output<'_>) -> crate::error::Result {
        let rows = batch.records::<Event>().map(|(at, (left, right))| (at.micros(), left, right));
        self.0.lock().unwrap().extend(rows);
        Ok(())
    }
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

/// Acts on a stage with an output to `rows`.
fn act<S>(stage: &mut S, rows: &Rows, act: impl FnOnce(&mut S, &mut Output<'_>)) {
    let node = |operator: Box<dyn Operator>, outputs| {
        Node::new("".into(), operator, 1, outputs, Default::default())
    };
    let edge = vec![vec![Edge { node: 1, port: 0 }]];
    let mut nodes = vec![
        node(Box::new(Taken(rows.clone())), edge),
        node(Box::new(Taken(rows.clone())), Vec::new()),
    ];
    let done = Output::enter(&mut nodes, 0, &Scene::default(), |_, out| {
        act(stage, out);
        Ok(())
    });
    done.expect("nothing fails");
}

/// Two records of each of the shard's keys on either side at every third microsecond, each before
/// the watermark that closes it; told this watermark at the end.
fn fill<S>(stage: &mut S, shard: u64, told: i64, rows: &Rows)
where
    S: Stage<Event, 0> + Stage<Event, 1>,
{
    act(stage, rows, |stage, out| {
        for us in (0..130).step_by(3) {
            let at = Timestamp::from_micros(us);
            let stamp = Stamp { at, mark: Timestamp::MIN };
            let key = 2 * (us as u64 % 4) + shard;
            let number = us as u64 + 1;
            Stage::<Event, 0>::record(stage, stamp, (key, number), out).unwrap();
            if us % 2 == 0 {
                Stage::<Event, 1>::record(stage, stamp, (key, number), out).unwrap();
            }
            if us - 20 > 0 && us - 20 <= told {
                stage.watermark(Timestamp::from_micros(us - 20), out).unwrap();
            }
        }
        stage.watermark(Timestamp::from_micros(told), out).unwrap();
    });
}

fn finish<S: Lifecycle>(stage: &mut S, rows: &Rows) {
    act(stage, rows, |stage, out| {
        stage.watermark(Timestamp::from_micros(37), out).unwrap();
        stage.watermark(Timestamp::MAX, out).unwrap();
    });
}

fn sorted(rows: &Rows) -> Vec<(i64, u64, u64)> {
    let mut rows = std::mem::take(&mut *rows.lock().unwrap());
    rows.sort_unstable();
    rows
}

#[test]
fn windows_are_given_once_whatever_their_shards_were_told() {
    let owner = Owner { step: "join".into(), asked: "".into(), input: 0 };
    for (lateness, tolds) in [0, 7, 30].into_iter().flat_map(|l| [(l, [50, 103]), (l, [103, 41])]) {
        let (uncut, cut) = (Rows::default(), Rows::default());
        let mut saved = Vec::new();
        for (shard, told) in (0..).zip(tolds) {
            let mut stage = join(lateness);
            fill(&mut stage, shard, told, &uncut);
            finish(&mut stage, &uncut);
            let mut stage = join(lateness);
            fill(&mut stage, shard, told, &cut);
            let mut saver = Saver::new();
            saver.set_full(true);
            saver.enter(1, &owner);
            stage.save(&mut saver).unwrap();
            while !stage.save_more(&mut saver).unwrap() {}
            saved.push(vec![Saved::read(&saver.take()).unwrap()]);
        }
        for shard in 0..3 {
            let mut stage = join(lateness);
            stage.load(&Loader::new(&saved, shard, 3).entered(&owner)).unwrap();
            finish(&mut stage, &cut);
        }
        let uncut = sorted(&uncut);
        assert!(uncut.len() > 100, "{}", uncut.len());
        assert_eq!(sorted(&cut), uncut, "{lateness} {tolds:?}");
    }
}
