//! Records sent to a job and received from it by threads and tasks of this process.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thalweg::connector::{Ended, SendError, Sender, TryRecvError, TrySendError};
use thalweg::prelude::*;

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

/// Runs on a thread of its own, and fails when that takes longer than a minute: nothing here may
/// hang.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = run();
        done.send(()).ok();
        result
    });
    if wait.recv_timeout(60.seconds()) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    thread.join().unwrap()
}

/// Waits, for a minute at most, until something holds.
#[track_caller]
fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < 60.seconds(), "waited for a minute");
        thread::sleep(1.millis());
    }
}

/// Waits for a future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Sends the numbers of a range in every way that there is, by turns, and by clones of the sender
/// that come and go.
fn send_all(mut sender: Sender<u64>, numbers: std::ops::Range<u64>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut numbers = numbers.peekable();
    while let Some(number) = numbers.peek().copied() {
        let some = random.gen_range(0..20);
        match random.gen_range(0..6) {
            0 => sender.send(number).unwrap(),
            1 => match sender.try_send(number) {
                Err(TrySendError::Full(_)) => continue,
                sent => sent.unwrap(),
            },
            2 => {
                sender.send_batch(numbers.by_ref().take(some)).unwrap();
                continue;
            }
            3 => {
                sender.try_send_batch(&mut numbers).unwrap();
                continue;
            }
            4 => block_on(sender.send_async(number)).unwrap(),
            _ => {
                sender = sender.clone();
                continue;
            }
        }
        numbers.next();
    }
}

#[test]
fn every_record_arrives_once_on_any_number_of_shards() {
    const EACH: u64 = 2_000;
    for (executor, shards) in EXECUTORS.iter().flat_map(|e| [1, 2, 4, 8].map(|n| (*e, n))) {
        in_time(move || {
            let (sender, source) = Channel::source::<u64>(16);
            let (sink, receiver) = Channel::sink::<(u64, u64)>(16);
            let job = Job::new("sums").shards(shards).executor(executor).pin(false);
            job.source(source).key_by(|n| n % 50).aggregate_final(|ns| ns.sum(|n| n)).sink(sink);
            let running = job.start().unwrap();
            let send = |i: u64| {
                let sender = sender.clone();
                thread::spawn(move || send_all(sender, i * EACH..(i + 1) * EACH, i))
            };
            let threads: Vec<_> = (0..5).map(send).collect();
            drop(sender);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let mut sums: Vec<_> = receiver.collect();
            sums.sort_unstable();
            let expected = |key| (key, (0..5 * EACH).filter(|n| n % 50 == key).sum());
            assert_eq!(sums, (0..50).map(expected).collect::<Vec<(u64, u64)>>());
            assert_eq!(running.join().unwrap().records_read(), 5 * EACH);
        });
    }
}

#[test]
fn what_one_sender_sends_stays_in_order() {
    in_time(|| {
        let (sender, source) = Channel::source::<(u64, u64)>(8);
        let (sink, receiver) = Channel::sink::<(u64, u64)>(8);
        let job = Job::new("order").shards(2).pin(false);
        job.source(source).map(|pair| pair).sink(sink);
        let running = job.start().unwrap();
        let send = |i: u64| {
            let mut sender = sender.clone();
            thread::spawn(move || sender.send_batch((0..5_000).map(|n| (i, n))).unwrap())
        };
        let threads: Vec<_> = (0..3).map(send).collect();
        drop(sender);
        let mut next = HashMap::new();
        for (i, n) in receiver {
            let expected: &mut u64 = next.entry(i).or_default();
            assert_eq!(n, *expected, "of sender {i}");
            *expected += 1;
        }
        assert_eq!(next, HashMap::from([(0, 5_000), (1, 5_000), (2, 5_000)]));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        running.join().unwrap();
    });
}

/// Senders that send until they are told that the job has ended; gives how many they sent.
fn flood(sender: &Sender<u64>, threads: u64) -> Vec<thread::JoinHandle<u64>> {
    let flood = |i: u64| {
        let mut sender = sender.clone();
        thread::spawn(move || {
            let asynchronous = i.is_multiple_of(2);
            let mut send = |n| match asynchronous {
                true => block_on(sender.send_async(n)),
                false => sender.send(n),
            };
            let mut sent = 0;
            while send(sent).is_ok() {
                sent += 1;
            }
            assert_eq!(send(7), Err(SendError(7)));
            assert_eq!(sender.send_batch([7]), Err(Ended));
            sent
        })
    };
    (0..threads).map(flood).collect()
}

#[test]
fn a_stop_wakes_senders_that_wait_and_loses_nothing_that_was_sent() {
    for (executor, shards) in EXECUTORS.iter().flat_map(|e| [1, 2, 4].map(|n| (*e, n))) {
        in_time(move || {
            let (sender, source) = Channel::source::<u64>(8);
            let (sink, receiver) = Channel::sink::<u64>(8);
            let job = Job::new("stopped").shards(shards).executor(executor).pin(false);
            job.source(source).rebalance().sink(sink);
            let running = job.start().unwrap();
            let threads = flood(&sender, 5);
            until(|| running.metrics().records_read() >= 8);
            // Nobody receives: all wait, or will.
            thread::sleep(30.millis());
            running.stop();
            let sent: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            let report = running.join().unwrap();
            assert!(report.stopped);
            assert!(sender.is_ended());
            let received = receiver.count() as u64;
            assert_eq!(received, report.records_read());
            // One of each may have been sent while the lanes were closed.
            assert!(received <= sent && received + 5 >= sent, "{received} of {sent}");
        });
    }
}

#[test]
fn a_panic_wakes_senders_that_wait() {
    for (executor, shards) in EXECUTORS.iter().flat_map(|e| [1, 2, 4].map(|n| (*e, n))) {
        in_time(move || {
            let (sender, source) = Channel::source::<u64>(8);
            let (sink, mut receiver) = Channel::sink::<u64>(8);
            let job = Job::new("panics").shards(shards).executor(executor).pin(false);
            let go = Arc::new(AtomicBool::new(false));
            let when = go.clone();
            let fails = move |n: u64| {
                assert!(!when.load(Relaxed) || n < 50, "on purpose");
                n
            };
            job.source(source).key_by(|n| n % 3).reduce(|last, n| *last = n).map(fails).sink(sink);
            let running = job.start().unwrap();
            let threads = flood(&sender, 5);
            until(|| running.metrics().records_read() >= 8);
            go.store(true, Relaxed);
            while receiver.recv().is_some() {}
            assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
            let error = running.join().unwrap_err().to_string();
            assert!(error.contains("panicked: on purpose"), "{error}");
        });
    }
}

#[test]
fn a_handle_that_is_dropped_stops_the_job_although_nobody_receives() {
    in_time(|| {
        let (sender, source) = Channel::source::<u64>(8);
        let (sink, receiver) = Channel::sink::<u64>(8);
        let job = Job::new("dropped").shards(2).pin(false);
        job.source(source)
            .flat_map(|n, out: &mut Emit<'_, u64>| (0..9).for_each(|_| out.push(n)))
            .sink(sink);
        let running = job.start().unwrap();
        let threads = flood(&sender, 3);
        until(|| running.metrics().records_read() > 3);
        drop(running);
        assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
        assert!(receiver.count().is_multiple_of(9));
    });
}

#[test]
fn a_slow_receiver_holds_the_senders_back() {
    for shards in [1, 2, 4] {
        in_time(move || {
            let (sender, source) = Channel::source::<u64>(64);
            let (sink, mut receiver) = Channel::sink::<u64>(64);
            let job = Job::new("slow").shards(shards).pin(false);
            job.source(source).sink(sink);
            let running = job.start().unwrap();
            let sent = Arc::new(AtomicU64::new(0));
            let (mut own, count) = (sender, sent.clone());
            let thread = thread::spawn(move || {
                for n in 0..10_000 {
                    own.send(n).unwrap();
                    count.fetch_add(1, Relaxed);
                }
            });
            assert_eq!(receiver.recv(), Some(0));
            thread::sleep(100.millis());
            // Both rings, what the receiver took at once, and a poll of the source.
            let ahead = sent.load(Relaxed);
            assert!(ahead <= 4 * 64 + 64, "{ahead} were sent and one was received");
            assert!(!running.is_finished());
            assert_eq!(receiver.collect::<Vec<_>>(), (1..10_000).collect::<Vec<_>>());
            thread.join().unwrap();
            running.join().unwrap();
        });
    }
}

#[test]
fn a_job_goes_on_without_its_receiver() {
    in_time(|| {
        let (mut sender, source) = Channel::source::<u64>(8);
        let (sink, receiver) = Channel::sink::<u64>(8);
        let (other, rows) = Collect::new();
        let job = Job::new("alone").shards(2).pin(false);
        let stream = job.source(source).settle();
        stream.clone().sink(sink);
        stream.sink(other);
        let running = job.start().unwrap();
        let thread = thread::spawn(move || sender.send_batch(0..1_000).unwrap());
        until(|| running.metrics().records_read() > 0);
        drop(receiver);
        thread.join().unwrap();
        running.join().unwrap();
        assert_eq!(rows.sorted(), (0..1_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_receiver_waits_as_it_is_told() {
    in_time(|| {
        let (mut sender, source) = Channel::source::<u64>(8);
        let (sink, mut receiver) = Channel::sink::<u64>(8);
        let job = Job::new("waits").shards(2).pin(false);
        job.source(source).sink(sink);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let running = job.start().unwrap();
        let begin = Instant::now();
        assert_eq!(receiver.recv_timeout(20.millis()), Err(TryRecvError::Empty));
        assert!(begin.elapsed() >= 20.millis());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv_timeout(50.seconds()), Ok(1));
        sender.send(2).unwrap();
        assert_eq!(block_on(receiver.recv_async()), Some(2));
        let late = thread::spawn(move || {
            thread::sleep(20.millis());
            sender.send(3).unwrap();
        });
        assert_eq!(block_on(receiver.recv_async()), Some(3));
        late.join().unwrap();
        assert_eq!(block_on(receiver.recv_async()), None);
        assert_eq!(receiver.recv_timeout(50.seconds()), Err(TryRecvError::Ended));
        running.join().unwrap();
    });
}

#[test]
fn a_shard_without_senders_holds_no_window_open() {
    for shards in [1, 2, 4, 8] {
        in_time(move || {
            let (mut sender, source) = Channel::source::<i64>(8);
            let (sink, mut receiver) = Channel::sink::<u64>(8);
            let job = Job::new("windows").shards(shards).pin(false);
            job.source(source)
                .event_time(Timestamp::from_millis, 0.seconds())
                .key_by(|_| 0)
                .window(Tumbling::of(10.millis()))
                .aggregate(|ms| ms.count())
                .map(|window| window.value)
                .sink(sink);
            let running = job.start().unwrap();
            // The job would be silent for 30 s otherwise, and the receiver is woken.
            let mut receive = || {
                let begin = Instant::now();
                let count = receiver.recv_timeout(20.seconds()).unwrap();
                assert!(begin.elapsed() < 10.seconds(), "it was there and nobody said so");
                count
            };
            for round in 0..3 {
                sender.send_batch([1, 2, 15].map(|ms| ms + 20 * round)).unwrap();
                let open = if round > 0 { receive() } else { 1 };
                assert_eq!(open + receive(), 3, "round {round}");
                // On another shard, if there is one: the first one has no sender then.
                sender = sender.clone();
            }
            drop(sender);
            assert_eq!(receiver.sum::<u64>(), 1);
            running.join().unwrap();
        });
    }
}

#[test]
fn event_times_are_sent_along() {
    let times = |timed: bool| -> Result<Vec<(i64, u64)>> {
        let (mut sender, source) = Channel::source::<u64>(8);
        let (sink, rows) = Collect::new();
        let job = Job::new("timed").shards(2).pin(false);
        job.source(if timed { source.timed() } else { source })
            .window(Tumbling::of(10.millis()))
            .aggregate(|ns| ns.sum(|n| n))
            .map(|window| (window.start.millis(), window.value))
            .sink(sink);
        let running = job.start()?;
        for (ms, n) in [(1, 1), (12, 20), (3, 300)] {
            sender.send_at(Timestamp::from_millis(ms), n)?;
        }
        drop(sender);
        running.join()?;
        Ok(rows.sorted())
    };
    assert_eq!(times(true).unwrap(), [(0, 301), (10, 20)]);
    let refused = times(false).unwrap_err().to_string();
    assert!(refused.contains("its stream has no event times"), "{refused}");
}

#[test]
fn a_job_that_does_not_start_has_ended() {
    let (mut sender, source) = Channel::source::<u64>(8);
    let (sink, mut receiver) = Channel::sink::<u64>(8);
    let job = Job::new("refused").shards(0);
    job.source(source).sink(sink);
    sender.send(1).unwrap();
    job.start().err().unwrap();
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(receiver.recv(), None);
}

#[test]
fn several_jobs_feed_each_other() {
    in_time(|| {
        let (mut first, source) = Channel::source::<u64>(8);
        let (sink, between) = Channel::sink::<u64>(8);
        let one = Job::new("one").shards(2).pin(false);
        one.source(source).map(|n| n + 1).sink(sink);
        let (mut second, source) = Channel::source::<u64>(8);
        let (sink, results) = Channel::sink::<u64>(8);
        let other = Job::new("other").shards(2).pin(false);
        other.source(source).map(|n| n * 2).sink(sink);
        let (one, other) = (one.start().unwrap(), other.start().unwrap());
        let send = thread::spawn(move || first.send_batch(0..1_000).unwrap());
        let pass = thread::spawn(move || second.send_batch(between).unwrap());
        assert_eq!(results.sum::<u64>(), 1_001_000);
        send.join().unwrap();
        pass.join().unwrap();
        one.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_running_job_is_watched_from_other_threads() {
    let (mut sender, source) = Channel::source::<u64>(8);
    let job = Job::new("watched").shards(2).pin(false);
    job.source(source).sink(Discard);
    let running = Arc::new(job.start().unwrap());
    let watch = running.clone();
    let watching = thread::spawn(move || {
        until(|| watch.metrics().records_read() == 3);
        watch.stop();
    });
    sender.send_batch(0..3).unwrap();
    watching.join().unwrap();
    assert!(running.wait_for(50.seconds()));
    let running = Arc::into_inner(running).unwrap();
    assert!(running.join().unwrap().stopped);
}

#[test]
fn a_restart_goes_on_with_the_senders_that_there_are() {
    for executor in EXECUTORS {
        in_time(move || {
            let directory = tempfile::tempdir().unwrap();
            let (sender, source) = Channel::source::<u64>(16);
            let (sink, receiver) = Channel::sink::<(u64, u64)>(16);
            let failed = Arc::new(AtomicU64::new(0));
            let job = Job::new("again").shards(2).executor(executor).pin(false);
            let job = job.checkpoints(directory.path(), 10.seconds()).restart(Restart::times(3));
            let count = failed.clone();
            job.source(source)
                .inspect(move |n| {
                    let fails = n % 1_000 == 999 && count.fetch_add(1, Relaxed) < 3;
                    assert!(!fails, "on purpose");
                })
                .key_by(|n| n % 2)
                .aggregate_final(|ns| ns.count())
                .sink(sink);
            let running = job.start().unwrap();
            let send = |i: u64| {
                let sender = sender.clone();
                thread::spawn(move || send_all(sender, i * 2_000..(i + 1) * 2_000, i))
            };
            let threads: Vec<_> = (0..4).map(send).collect();
            drop(sender);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let received: u64 = receiver.map(|(_, count)| count).sum();
            let report = running.join().unwrap();
            assert!((1..=3).contains(&report.restarts), "{report}");
            // At most once, and what the last run read, all of it.
            assert_eq!(received, report.records_read());
            assert!(received < 8_000 && received > 0, "{received}");
        });
    }
}

#[test]
fn a_job_goes_on_from_its_checkpoint_with_new_senders() {
    in_time(|| {
        let directory = tempfile::tempdir().unwrap();
        let run = |shards, numbers: std::ops::Range<u64>, stop: bool| {
            let (mut sender, source) = Channel::source::<u64>(16);
            let (sink, rows) = Collect::new();
            let job = Job::new("on").shards(shards).pin(false);
            let job = job.checkpoints(directory.path(), 60.seconds());
            job.source(source).key_by(|n| n % 3).aggregate_final(|ns| ns.count()).sink(sink);
            let explained = job.explain().to_string();
            assert!(explained.contains("#0 source channel\n   at most once\n"), "{explained}");
            let running = job.start().unwrap();
            let mut clones = [sender.clone(), sender.clone(), sender.clone()];
            for (i, n) in numbers.enumerate() {
                clones[i % 3].send(n).unwrap();
            }
            if stop {
                running.stop();
                assert!(running.wait_for(50.seconds()));
                assert!(sender.send(0).is_err());
            }
            drop((sender, clones));
            running.join().unwrap();
            rows.sorted()
        };
        assert!(run(2, 0..300, true).is_empty());
        assert!(run(4, 300..600, true).is_empty());
        assert_eq!(run(1, 600..900, false), [(0, 300), (1, 300), (2, 300)]);
    });
}
