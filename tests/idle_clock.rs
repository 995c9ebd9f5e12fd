//! A job that goes by the clock, and to which nothing comes, uses little of a core. Alone in its
//! process, whose time is measured.
#![allow(clippy::unwrap_used)]

use std::thread::sleep;
use std::time::Instant;

use thalweg::prelude::*;

#[path = "support/ticks.rs"]
mod ticks;
use ticks::ticks;

#[test]
fn a_clock_to_which_nothing_comes_costs_little() {
    for executor in [Executor::Threads, Executor::Auto] {
        let (mut sender, source) = Channel::source::<u64>(16);
        let (sink, mut receiver) = Channel::sink::<u64>(16);
        let job = Job::new("silent clock").shards(4).executor(executor).pin(false);
        let windows = job.source(source).processing_time().key_by(|n| n % 5);
        let windows = windows.window(Tumbling::of(100.millis()));
        windows.aggregate(|n| n.count()).map(|window| window.value).sink(sink);
        let running = job.start().unwrap();
        sender.send(0).unwrap();
        assert_eq!(receiver.recv(), Some(1));
        sleep(300.millis());
        let before = ticks();
        sleep(2.seconds());
        let used = ticks() - before;
        // Of 200 a core; four shards look at the clock 25 times a second and tell each other.
        assert!(used <= 30, "{used} ticks while nothing came, on {executor}");
        let begin = Instant::now();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Some(1));
        let took = begin.elapsed();
        assert!(took < 1.seconds(), "{took:?} for a window of 100 ms, on {executor}");
        drop(sender);
        running.join().unwrap();
    }
}
