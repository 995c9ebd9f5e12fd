//! Record logs in whole jobs: followed while they are written, and read whatever wrote them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use thalweg::connector::LogWriter;
use thalweg::operator::{Sink, Writer};
use thalweg::prelude::*;

#[path = "support/ticks.rs"]
mod ticks;
use ticks::ticks;

const SECONDS: u64 = 40;
const EACH: u64 = 50;

/// A record is its time, in milliseconds.
fn write(to: &mut LogWriter<u64>, at: u64) {
    to.write(Timestamp::from_millis(at as i64), at).unwrap();
}

/// Two shards' logs grow while a job reads them, one of which falls silent: windows close by the
/// other one, and all that is written is counted, in whatever number of shards.
#[test]
fn a_log_is_followed_and_a_silent_split_holds_nothing() {
    for (shards, executor) in [
        (1, Executor::Threads),
        (2, Executor::Threads),
        (4, Executor::Threads),
        (1, Executor::Auto),
        (2, Executor::Auto),
        (4, Executor::Auto),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = RecordLog::write(directory.path()).segments_of(8_000);
        let mut logs = [0, 1].map(|shard| Sink::<u64>::open(&mut sink, shard, 2).unwrap());
        write(&mut logs[1], 1);
        Writer::<u64>::flush(&mut logs[1]).unwrap();

        let job = Job::new("followed").shards(shards).executor(executor).pin(false);
        let job = job.idle_after(Duration::from_millis(300));
        let (sink, mut windows) = Channel::sink::<(Timestamp, u64)>(64);
        let pattern = format!("{}/*.tlog", directory.path().display());
        job.source(RecordLog::read::<u64>(pattern).follow())
            .event_time(|ms| Timestamp::from_millis(ms as i64), 0.seconds())
            .key_by(|_| ())
            .window(Tumbling::of(1.seconds()))
            .aggregate(|numbers| numbers.sum(|n| n))
            .map(|window| (window.start, window.value))
            .sink(sink);
        let running = job.start().unwrap();
        let mut expected = vec![0; SECONDS as usize];
        expected[0] = 1;
        for second in 0..SECONDS {
            for n in 0..EACH {
                write(&mut logs[0], second * 1_000 + n);
                expected[second as usize] += second * 1_000 + n;
            }
            Writer::<u64>::flush(&mut logs[0]).unwrap();
        }
        // The last window is still open.
        for (second, sum) in expected.iter().enumerate().take(SECONDS as usize - 1) {
            let start = Timestamp::from_seconds(second as i64);
            assert_eq!(windows.recv(), Some((start, *sum)), "{shards} shards, {executor}");
        }
        assert!(fs::read_dir(directory.path()).unwrap().count() > 3);
        if shards == 1 {
            let (before, began) = (ticks(), Instant::now());
            std::thread::sleep(Duration::from_secs(1));
            let used = ticks() - before;
            assert!(used < 30, "{used} ticks in {:?} while nothing came", began.elapsed());
        }
        running.stop();
        drop(windows);
        running.join().unwrap();
    }
}
