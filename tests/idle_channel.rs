//! A job whose senders are silent uses no time of a core, and is awake as soon as one sends. Alone
//! in its process, whose time is measured.
#![allow(clippy::unwrap_used)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use thalweg::prelude::*;

#[path = "support/ticks.rs"]
mod ticks;
use ticks::ticks;

#[test]
fn a_silent_sender_costs_nothing_and_is_heard_at_once() {
    for executor in [Executor::Threads, Executor::Auto] {
        let (mut sender, source) = Channel::source::<u64>(16);
        let (sink, mut receiver) = Channel::sink::<u64>(16);
        let job = Job::new("silent").shards(4).executor(executor).pin(false);
        job.source(source).key_by(|n| n % 5).reduce(|last, n| *last = n).sink(sink);
        let running = job.start().unwrap();
        sender.send(0).unwrap();
        assert_eq!(receiver.recv(), Some(0));
        sleep(300.millis());
        let before = ticks();
        sleep(2.seconds());
        let used = ticks() - before;
        // Of 200 a core.
        assert!(used <= 4, "{used} ticks while nothing came, on {executor}");
        let mut waits: Vec<Duration> = (1..30)
            .map(|n| {
                // Sleeps grow fourfold: the shards are in one of some 200 ms.
                sleep(100.millis());
                let begin = Instant::now();
                sender.send(n).unwrap();
                assert_eq!(receiver.recv(), Some(n));
                begin.elapsed()
            })
            .collect();
        waits.sort_unstable();
        // Who is not woken looks much later.
        assert!(waits[15] < 10.millis(), "{waits:?}, on {executor}");
        drop(sender);
        running.join().unwrap();
    }
}
