//! Runs whose latency is known.

use std::thread;
use std::time::Duration;

use thalweg::prelude::*;
use thalweg::runtime::Executor;

use super::jobs::{Parts, Ping, Pings, Work};
use super::live::Round;
use super::load::Load;
use super::recorder::Times;
use super::schedule::Speed;
use super::trial::{Plan, Trial};
use crate::bench::interrupt::Interrupt;
use crate::bench::run::Setup;

const RATE: f64 = 5_000.0;
const STALL: Duration = Duration::from_millis(100);
const STALL_AT_NS: u64 = 700_000_000;

fn plan(name: &str, shards: usize) -> Plan {
    let setup = Setup { shards, executor: Executor::Threads, interrupt: Interrupt::default() };
    Plan {
        setup,
        idle: Idle::Backoff,
        work: Work::named(name).expect("there is such a job"),
        speed: Speed::Times(1),
        warmup: Duration::from_millis(200),
        measured: Duration::from_secs(1),
        raw: true,
    }
}

/// Sleeps once, in the middle of the measured time.
fn stalled(job: &Job, parts: Parts) {
    let Parts { schedule, records, mut recorder, .. } = parts;
    let mut slept = false;
    job.source(Load::new(schedule, records, |_, _| Pings))
        .inspect(move |ping: &Ping| {
            if !slept && ping.due_ns >= STALL_AT_NS {
                slept = true;
                thread::sleep(STALL);
            }
        })
        .sink(Callback::new::<Ping>(move |_, _, ping| recorder.note(ping.due_ns)));
}

fn raw(trial: &Trial) -> Vec<Times> {
    trial.results.raw.concat()
}

/// Coordinated omission: what would have come during the stall waited, too, and must say so. The
/// records of 100 ms of a second are a tenth of all; half of them waited for half of it and more.
#[test]
fn a_stall_shows_in_all_records_that_were_due_in_it() {
    let plan = plan("keyed", 1);
    let ran = plan.run_as(RATE, &Round::make(1), stalled).expect("it runs");
    let trial = ran.expect("nobody interrupted it");
    let all = raw(&trial);
    assert_eq!(all.len() as f64, RATE, "each record that was due has a result");
    let until_ns = STALL_AT_NS + STALL.as_nanos() as u64;
    let in_stall = all.iter().filter(|times| (STALL_AT_NS..until_ns).contains(&times.due_ns));
    assert_eq!(in_stall.clone().count(), 500);
    for Times { due_ns, left_ns } in in_stall {
        assert!(*left_ns >= until_ns, "due at {due_ns}, left at {left_ns}");
    }
    let at = |quantile| trial.results.histogram.value_at_quantile(quantile);
    assert!(at(0.955) >= 50_000_000, "{}", at(0.955));
    assert!(at(0.999) >= 95_000_000, "{}", at(0.999));
    assert!(!trial.stopped);
}

#[test]
fn every_job_answers_all_that_is_due() {
    for shards in [1, 2, 4] {
        for name in ["keyed", "send"] {
            let plan = plan(name, shards);
            let ran = plan.run(RATE, &Round::make(shards)).expect("it runs");
            let trial = ran.expect("nobody interrupted it");
            let mut due: Vec<u64> = raw(&trial).iter().map(|times| times.due_ns).collect();
            due.sort_unstable();
            // 200 us apart, from the end of the warm-up on.
            let expected = (1_000..6_000).map(|number| number * 200_000);
            assert!(due.into_iter().eq(expected), "{name} on {shards} shards");
        }
    }
}

/// Of 50 events four are no bids: a person and three auctions.
#[test]
fn a_query_answers_every_bid_that_is_due() {
    for shards in [1, 2] {
        let plan = plan("q1", shards);
        let ran = plan.run(RATE, &Round::make(shards)).expect("it runs");
        let all = raw(&ran.expect("nobody interrupted it"));
        assert_eq!(all.len(), 5_000 / 50 * 46, "on {shards} shards");
        assert!(
            all.iter().all(|times| times.due_ns % 200_000 == 0 && times.left_ns >= times.due_ns)
        );
    }
}

/// A window of 10 s by 2 s, a thousand times as fast: one closes every 2 ms.
#[test]
fn windows_are_due_when_they_close() {
    // Few of the sellers of a window have registered in it.
    for (name, every_ns, least) in
        [("q5", 2_000_000, 400), ("q7", 10_000_000, 90), ("q8", 10_000_000, 1)]
    {
        let plan = Plan { speed: Speed::Times(1_000), ..plan(name, 2) };
        let ran = plan.run(20_000.0, &Round::make(2)).expect("it runs");
        let all = raw(&ran.expect("nobody interrupted it"));
        assert!(all.len() >= least, "{name}: {} results", all.len());
        for Times { due_ns, left_ns } in all {
            // The first record of each split from the window's end on: 50 us apart, two splits.
            assert!(due_ns % every_ns <= 100_000, "{name}: {due_ns}");
            assert!(left_ns >= due_ns, "{name} left at {left_ns}, due at {due_ns}");
        }
    }
}

#[test]
fn a_job_that_does_not_keep_up_falls_behind() {
    let plan = plan("keyed", 1);
    let slow = |job: &Job, parts: Parts| {
        let Parts { schedule, records, mut recorder, .. } = parts;
        job.source(Load::new(schedule, records, |_, _| Pings))
            .inspect(|_| thread::sleep(Duration::from_millis(1)))
            .sink(Callback::new::<Ping>(move |_, _, ping| recorder.note(ping.due_ns)));
    };
    let ran = plan.run_as(RATE, &Round::make(1), slow).expect("it runs");
    let trial = ran.expect("nobody interrupted it");
    assert!(trial.fell_behind(), "{:?}", trial.lags_ns);
    let behind = |lags_ms: &[u64]| {
        let lags_ns = lags_ms.iter().map(|ms| ms * 1_000_000).collect();
        Trial { results: Default::default(), lags_ns, stopped: false }.fell_behind()
    };
    assert!(behind(&[1, 20, 40, 60, 80, 100, 120, 140]));
    assert!(!behind(&[1, 2, 300, 200, 100, 1, 2, 1]), "a stall that was made up for");
    assert!(!behind(&[0, 0, 0, 0, 0, 1, 1, 1]), "next to nothing");
    assert!(!behind(&[]));
}
