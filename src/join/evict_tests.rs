//! What joins remember is bounded by what can still be met, and nothing at the end.

use super::{AsOfJoin, EquiJoin, IntervalJoin, Of, SWEEP_MIN};
use crate::operator::{ByValue, Inner, KeyOf, Node, Operator, Output, Scene, Seat, Stage, Stamp};
use crate::record::Batch;
use crate::state::Backend;
use crate::time::{Timestamp, Watermark};

/// An operator that does nothing, so that there is an output to give.
struct Nothing;

impl Operator for Nothing {
    fn open(&mut self, _: &Seat) -> crate::error::Result {
        Ok(())
    }
    fn process(&mut self, _: usize, _: &Batch<'_>, _: &mut Output<'_>) -> crate::error::Result {
        Ok(())
    }
}

type Event = (u64, u64);

fn by() -> impl KeyOf<Event, Key = u64> {
    ByValue::new(|event: Event| event.0)
}

/// Two records of a new key each on both sides for every microsecond; asks at each watermark how
/// much is remembered, and gives the most and the last answer.
fn most<S>(mut stage: S, remembered: impl Fn(&S) -> usize) -> (usize, usize)
where
    S: Stage<Event, 0> + Stage<Event, 1>,
{
    let mut nodes =
        vec![Node::new("".into(), Box::new(Nothing), 0, Vec::new(), Default::default())];
    let mut most = 0;
    let turn = |_: &mut dyn Operator, out: &mut Output<'_>| {
        for us in 0..20_000_u64 {
            let at = Timestamp::from_micros(us as i64);
            let stamp = Stamp { at, mark: at };
            Stage::<Event, 0>::record(&mut stage, stamp, (2 * us, us), out)?;
            Stage::<Event, 1>::record(&mut stage, stamp, (2 * us + 1, us), out)?;
            stage.watermark(at as Watermark, out)?;
            most = most.max(remembered(&stage));
        }
        stage.watermark(Timestamp::MAX, out)?;
        Ok(())
    };
    Output::enter(&mut nodes, 0, &Scene::default(), turn).expect("nothing fails");
    (most, remembered(&stage))
}

fn pairs() -> Inner<impl FnMut(Event, Event) -> u64 + Clone + Send + 'static, u64> {
    Inner::new(|left: Event, right: Event| left.1 + right.1)
}

#[test]
fn intervals_are_forgotten() {
    let join = IntervalJoin::<Of<Event, _, Event, _, _>>::new(
        (by(), by()),
        (-50, 50),
        pairs(),
        &Backend::Memory,
    );
    let (most, last) = most(join, |join| join.entries());
    assert!(most < 2 * SWEEP_MIN + 300, "{most} entries remembered");
    assert_eq!(last, 0);
}

#[test]
fn versions_are_forgotten() {
    let join =
        AsOfJoin::<Of<Event, _, Event, _, _>>::new((by(), by()), 50, pairs(), &Backend::Memory);
    let (most, last) = most(join, |join| join.entries());
    assert!(most < 2 * SWEEP_MIN + 300, "{most} entries remembered");
    assert_eq!(last, 0);
}

#[test]
fn everything_is_forgotten_at_the_end() {
    let join = EquiJoin::<Of<Event, _, Event, _, _>>::new((by(), by()), pairs(), &Backend::Memory);
    let (most, last) = most(join, |join| join.keys());
    assert_eq!((most, last), (40_000, 0));
}
