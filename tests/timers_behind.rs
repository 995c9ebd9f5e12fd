//! Timers of process functions that are set for a time which the watermark has passed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use support::Deal;
use thalweg::prelude::*;

/// What a key was called for, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A record, which may have set timers behind the watermark: for one time, and one before.
    Record { set: Option<[Timestamp; 2]> },
    /// A timer.
    Timer(Timestamp),
}

/// Calls of a key, each with the watermark that it saw.
type Calls = Arc<Mutex<Vec<(Timestamp, Call)>>>;

/// Each time that lies behind the watermark is set twice, one of them with another between.
#[test]
fn a_timer_set_twice_behind_the_watermark_fires_once_at_the_next() {
    for (shards, splits) in [(1, 1), (1, 3), (2, 1), (2, 3), (4, 3)] {
        let calls = Calls::default();
        let (of_records, of_timers) = (calls.clone(), calls.clone());
        let job = Job::new("behind").shards(shards);
        job.source(Deal((0..3_000_u64).collect(), splits))
            .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
            .key_by(|_| 0)
            .process::<u64, u64>(
                move |_, n, ctx| {
                    let now = ctx.watermark();
                    let set = (n % 3 == 0 && now > Timestamp::from_millis(10)).then(|| {
                        let least = now - (1 + n).micros();
                        [least + 1.micros(), least]
                    });
                    if let Some([one, other]) = set {
                        [one, other, one, other, other].iter().for_each(|at| ctx.timer_at(*at));
                    }
                    of_records.lock().unwrap().push((now, Call::Record { set }));
                },
                move |_, at, ctx| {
                    of_timers.lock().unwrap().push((ctx.watermark(), Call::Timer(at)));
                },
            )
            .sink(Discard);
        job.run().unwrap();
        let (mut seen, mut waiting) = (Timestamp::MIN, BTreeMap::new());
        for (now, call) in calls.lock().unwrap().iter().copied() {
            if let Call::Record { .. } = call
                && now > seen
            {
                assert!(waiting.is_empty(), "{waiting:?} did not fire when {now} was reached");
            }
            seen = now;
            match call {
                Call::Record { set } => {
                    waiting.extend(set.into_iter().flatten().map(|at| (at, now)))
                }
                Call::Timer(at) => {
                    let set_at = waiting.remove(&at).expect("it was set, and has not fired");
                    assert!(set_at < now, "{at} fired at {now}, where it was set");
                }
            }
        }
        assert!(waiting.is_empty(), "{waiting:?} did not fire");
        let fired =
            calls.lock().unwrap().iter().filter(|(_, c)| matches!(c, Call::Timer(_))).count();
        assert!(fired > 100, "{fired} timers lay behind the watermark");
    }
}
