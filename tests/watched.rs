//! What is told of a job while it runs: how much state each operator has, and how long turns take.
#![allow(clippy::unwrap_used)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use thalweg::connector::Sender;
use thalweg::prelude::*;
use thalweg::runtime::{Report, Running};

/// A key, a time in milliseconds.
type Event = (u64, u64);

const KEYS: u64 = 3_000;

/// Waits until something is told of a job, which then ends.
fn told(what: &str, running: Running, sender: Sender<Event>, is: impl Fn(&Report) -> bool) {
    let begin = Instant::now();
    while !is(&running.metrics()) {
        let report = running.metrics();
        assert!(begin.elapsed() < 60.seconds(), "{what}: {report}\n{} B", report.state_bytes());
        sleep(1.millis());
    }
    drop(sender);
    running.join().unwrap();
}

/// A job whose source stays open tells, when it has nothing to do, of as many bytes of state as all
/// keys take at least: each has so many.
macro_rules! holds {
    ($each:literal, $events:ident => $($job:tt)+) => {
        let (mut sender, source) = Channel::source::<Event>(4_096);
        let job = Job::new("watched").shards(2).executor(Executor::Threads);
        let $events = job
            .source(source)
            .event_time(|(_, ms)| Timestamp::from_millis(ms as i64), 0.seconds());
        $($job)+.sink(Discard);
        let running = job.start().unwrap();
        (0..KEYS).for_each(|key| sender.send((key, 1_000 + key)).unwrap());
        let what = stringify!($($job)+);
        told(what, running, sender, |report| report.state_bytes() >= KEYS * $each);
    };
}

/// The same, of both inputs of a join.
macro_rules! joins {
    ($each:literal, ($left:ident, $right:ident) => $($job:tt)+) => {
        holds!($each, events => {
            let (a, b) = events.split(|(_, ms)| ms % 2 == 0);
            let ($left, $right) = (a.key_by(|(key, _)| key / 2), b.key_by(|(key, _)| key / 2));
            $($job)+
        });
    };
}

#[test]
fn every_operator_with_state_says_how_much_it_has() {
    holds!(16, e => e.key_by(|e| e.0).process_each::<u64, u64>(|n, _, _| *n += 1));
    holds!(24, e => e.key_by(|e| e.0).process::<u64, u64>(
        |n, (_, ms), ctx| {
            *n += ms;
            ctx.timer_at(ctx.time() + 1.hours());
        },
        |_, _, _| (),
    ));
    holds!(16, e => e.key_by(|e| e.0).aggregate_running(|es| es.count()));
    holds!(16, e => e.key_by(|e| e.0).aggregate_final(|es| es.count()));
    holds!(24, e => e.key_by(|e| e.0).first_within(1.hours()));
    holds!(24, e => e.key_by(|e| e.0).reduce(|a, b| a.1 += b.1));
    let hour = || Tumbling::of(1.hours());
    holds!(16, e => e.key_by(|e| e.0).window(hour()).aggregate(|es| es.count()));
    holds!(32, e => e.key_by(|e| e.0).window(Session::gap(1.hours())).aggregate(|es| es.count()));
    holds!(16, e => e.key_by(|e| e.0).window(CountWindow::of(9)).aggregate(|es| es.count()));
    holds!(16, e => e
        .key_by(|e| e.0)
        .window(Global::trigger(Trigger::at_end()))
        .aggregate(|es| es.count()));
    joins!(16, (a, b) => a.join(b).inner(|a, b| (a.0, b.1)));
    joins!(16, (a, b) => a.join(b).window(hour()).inner(|a, b| (a.0, b.1)));
    joins!(16, (a, b) => a.join(b).as_of(1.hours()).inner(|a, b| (a.0, b.1)));
    joins!(16, (a, b) => a
        .join(b)
        .between(Offset::Before(1.hours()), Offset::After(1.hours()))
        .inner(|a, b| (a.0, b.1)));
}

#[test]
fn turns_are_told_while_the_job_runs() {
    let (mut sender, source) = Channel::source::<Event>(4_096);
    let job = Job::new("slow").shards(2);
    job.source(source).inspect(|_| sleep(30.millis())).sink(Discard);
    let running = job.start().unwrap();
    let before = running.metrics().turns;
    sender.send((1, 1)).unwrap();
    told("a turn of 30 ms", running, sender, |report| {
        let turns = report.turns.since(&before);
        let text = report.prometheus();
        assert!(text.contains("thalweg_job_turn_seconds_bucket{job=\"slow\",le=\"+Inf\"} "));
        turns.longest() >= 30.millis() && turns.total() >= Duration::from_millis(30)
    });
}
