//! A service that loses no record although its job reads a channel: it keeps records until a
//! checkpoint holds them, and sends the others again to a job that is built anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use thalweg::prelude::*;

const RECORDS: u64 = 20_000;
/// After so many sent, the service wants a checkpoint.
const SOME: usize = 1_000;

/// Sends the log from `held` on until all is sent or the job has ended; gives how many records
/// checkpoints hold as far as is known.
fn send(job: Job, log: &[(u64, u64)], held: u64, fails: &Arc<AtomicU64>) -> (u64, Result<u64>) {
    let (mut sender, source) = Channel::source::<(u64, u64)>(64);
    let (sink, sums) = Collect::new();
    let fails = fails.clone();
    job.source(source)
        .inspect(move |_| {
            let left = fails.fetch_sub(1, Relaxed);
            assert!(left != 1, "on purpose");
        })
        .key_by(|_| 0)
        // What it has had it leaves out: the last number is in every checkpoint.
        .process::<u64, u64>(
            |last, (number, amount), ctx| {
                if number > *last {
                    assert_eq!(number, *last + 1, "one is missing");
                    *last = number;
                    ctx.emit(amount);
                }
            },
            |_, _, _| {},
        )
        .key_by(|_| 0)
        .aggregate_final(|amounts| amounts.sum(|amount| amount))
        .sink(sink);
    let running = job.start().unwrap();
    let (mut sent, mut known) = (0, held);
    for some in log[held as usize..].chunks(SOME) {
        if sender.send_batch(some.iter().copied()).is_err() {
            break;
        }
        sent += some.len() as u64;
        while running.metrics().records_read() < sent && !sender.is_ended() {
            thread::sleep(1.millis());
        }
        if running.metrics().records_read() < sent || running.checkpoint().is_err() {
            break;
        }
        known = held + sent;
    }
    drop(sender);
    (known, running.join().map(|_| sums.take().iter().map(|(_, sum)| *sum).sum()))
}

fn job(directory: &Path, shards: usize) -> Job {
    // Others than those that the service asks for hold more than it knows of.
    Job::new("orders").shards(shards).pin(false).checkpoints(directory, 3.millis())
}

#[test]
fn a_service_with_a_log_of_its_own_loses_nothing_and_counts_nothing_twice() {
    let log: Vec<(u64, u64)> = (1..=RECORDS).map(|n| (n, n * 7919 % 1000)).collect();
    let directory = tempfile::tempdir().unwrap();
    let (begin, fails) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let (mut held, mut failures) = (0, 0);
    let sum = loop {
        assert!(begin.elapsed() < 60.seconds(), "{held} are held after a minute");
        // The last one runs to its end.
        let after = if failures < 8 { 700 + failures * 613 } else { u64::MAX };
        fails.store(after, Relaxed);
        match send(job(directory.path(), 1 + failures as usize % 2), &log, held, &fails) {
            (_, Ok(sum)) => break sum,
            (known, Err(error)) => {
                assert!(error.to_string().contains("on purpose"), "{error}");
                assert!(known >= held);
                (held, failures) = (known, failures + 1);
            }
        }
    };
    assert_eq!(failures, 8);
    assert_eq!(sum, log.iter().map(|(_, amount)| amount).sum::<u64>());
}

#[test]
fn what_a_restart_loses_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut sender, source) = Channel::source::<u64>(64);
    let fails = Arc::new(AtomicU64::new(0));
    let (sink, rows) = Collect::new();
    let job = Job::new("again").shards(1).checkpoints(directory.path(), 1.hours());
    let job = job.restart(Restart::times(2));
    let when = fails.clone();
    job.source(source)
        .inspect(move |n| assert!(n != when.load(Relaxed) || n == 0, "on purpose"))
        .key_by(|_| 0)
        .aggregate_final(|ns| ns.count())
        .sink(sink);
    let running = job.start().unwrap();
    let until = |what: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !what() {
            assert!(begin.elapsed() < 60.seconds(), "waited for a minute");
            thread::sleep(1.millis());
        }
    };
    let read = |count| until(&|| running.metrics().records_read() == count);
    let lost = || running.metrics().operators[0].counts.clone();
    sender.send_batch(1..=10).unwrap();
    read(10);
    running.checkpoint().unwrap();
    assert_eq!(lost(), [("records_lost_total", 0)]);
    sender.send_batch(11..=15).unwrap();
    read(15);
    fails.store(16, Relaxed);
    sender.send(16).unwrap();
    until(&|| running.metrics().restarts == 1 && lost() == [("records_lost_total", 6)]);
    // The count begins anew, and says nothing of those that the checkpoint holds.
    sender.send_batch(17..=20).unwrap();
    read(4);
    fails.store(21, Relaxed);
    sender.send(21).unwrap();
    until(&|| running.metrics().restarts == 2 && lost() == [("records_lost_total", 11)]);
    let page = running.metrics().prometheus();
    let line =
        "thalweg_operator_records_lost_total{job=\"again\",operator=\"#0 source channel\"} 11";
    assert!(page.contains(line), "{page}");
    drop(sender);
    running.join().unwrap();
    assert_eq!(rows.take(), [(0, 10)]);
}
