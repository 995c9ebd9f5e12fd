//! Nobody who sends to a job, or receives from it, waits for ever, nor for one who says nothing.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use thalweg::connector::{Receiver, Sender};
use thalweg::prelude::*;

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

fn job(shards: usize, executor: Executor) -> Job {
    // Nothing here shall wait for that.
    Job::new("waits").shards(shards).executor(executor).pin(false).idle_after(600.seconds())
}

/// The next result, unless it takes half a minute.
#[track_caller]
fn next<R: Record>(receiver: &mut Receiver<R>) -> R {
    receiver.recv_timeout(30.seconds()).expect("it comes, in time")
}

#[test]
fn a_burst_that_fills_the_ring_of_a_receiver_wakes_it() {
    let (batch, batches) = (3_000, 20);
    for executor in EXECUTORS {
        for (shards, records) in [(1, 1_000), (2, 1_000), (4, 1_000), (2, 4), (4, 1)] {
            for way in ["count", "rebalance", "gather"] {
                let (mut sender, source) = Channel::source::<u64>(4_096);
                let (sink, mut receiver) = Channel::sink::<u64>(records);
                let job = job(shards, executor);
                let numbers = job.source(source);
                match way {
                    "count" => {
                        let counts = numbers.key_by(|n| n % 9).aggregate_running(|n| n.count());
                        counts.map(|(_, count)| count).sink(sink);
                    }
                    "rebalance" => numbers.rebalance().sink(sink),
                    _ => numbers.gather().sink(sink),
                }
                let running = job.start().unwrap();
                let sending = thread::spawn(move || {
                    for _ in 0..batches {
                        sender.send_batch(0..batch).unwrap();
                        thread::sleep(2.millis());
                    }
                });
                for _ in 0..batch * batches {
                    next(&mut receiver);
                }
                sending.join().unwrap();
                running.join().unwrap();
            }
        }
    }
}

/// Sends one record for each ten milliseconds of event time.
fn send(sender: &mut Sender<u64>, times: std::ops::Range<u64>) {
    times.for_each(|n| sender.send(n * 10).unwrap());
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

#[test]
fn a_shard_without_a_sender_holds_nothing_back_behind_another_operator() {
    for executor in EXECUTORS {
        for shards in [1, 2, 4] {
            let (mut sender, source) = Channel::source::<u64>(64);
            let (sink, mut receiver) = Channel::sink::<u64>(64);
            let job = job(shards, executor);
            let settled = job.source(source).settle().event_time(at, 0.seconds());
            let windows = settled.window(Tumbling::of(1.seconds()));
            windows.aggregate(|n| n.count()).map(|window| window.value).sink(sink);
            let running = job.start().unwrap();
            let sending = thread::spawn(move || {
                send(&mut sender, 0..3_000);
                sender
            });
            (0..29).for_each(|_| assert_eq!(next(&mut receiver), 100));
            // It is silent, and back.
            let mut sender = sending.join().unwrap();
            thread::sleep(20.millis());
            send(&mut sender, 3_000..3_200);
            (0..2).for_each(|_| assert_eq!(next(&mut receiver), 100));
            running.stop();
            drop(sender);
            running.join().unwrap();
        }
    }
}

#[test]
fn a_sender_who_is_silent_or_far_behind_does_not_stop_the_others() {
    for executor in EXECUTORS {
        for old in [false, true] {
            let (mut sender, source) = Channel::source::<u64>(64);
            let (sink, _receiver) = Channel::sink::<u64>(64);
            // Another shard reads it.
            let mut silent = sender.clone();
            let job = job(2, executor);
            let windows = job.source(source).event_time(at, 0.seconds());
            let windows = windows.window(Tumbling::of(1.seconds()));
            windows.aggregate(|n| n.count()).map(|window| window.value).sink(sink);
            let running = job.start().unwrap();
            if old {
                silent.send(1).unwrap();
            }
            let begin = Instant::now();
            let sending = thread::spawn(move || send(&mut sender, 0..10_000));
            while !sending.is_finished() {
                assert!(begin.elapsed() < Duration::from_secs(30), "it waits for who is silent");
                thread::sleep(1.millis());
            }
            sending.join().unwrap();
            running.stop();
            drop(silent);
            running.join().unwrap();
        }
    }
}
