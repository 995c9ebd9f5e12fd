//! No wake-up is lost: under loom in every interleaving, without it on real threads at speed.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib ring`

use super::Bell;

/// The owner's loop as every user writes it: look, arm, look again, wait.
#[cfg(loom)]
mod models {
    use std::{future::poll_fn, pin::pin};

    use loom::{
        future::block_on,
        model::{Builder, model},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::Bell;
    use crate::ring::ring;

    #[test]
    fn a_thread_that_waits_gets_all_values() {
        let mut model = Builder::new();
        model.preemption_bound = Some(4);
        model.check(|| {
            let bell = Arc::new(Bell::new());
            let (mut producer, mut consumer) = ring(2);
            let ringer = Arc::clone(&bell);
            thread::spawn(move || {
                for value in 0..2 {
                    assert_eq!(producer.push(value), Ok(()));
                    ringer.ring();
                }
            });
            let mut expected = 0;
            while expected < 2 {
                if consumer.drain(2, |value| expected = value + 1) > 0 {
                    continue;
                }
                bell.arm();
                if consumer.is_empty() {
                    bell.wait(None);
                } else {
                    bell.disarm();
                }
            }
        });
    }

    #[test]
    fn a_task_that_waits_is_woken() {
        model(|| {
            let bell = Arc::new(Bell::new());
            let work = Arc::new(AtomicUsize::new(0));
            let (ringer, publisher) = (Arc::clone(&bell), Arc::clone(&work));
            thread::spawn(move || {
                publisher.store(1, Ordering::Release);
                ringer.ring();
            });
            while work.load(Ordering::Acquire) == 0 {
                bell.arm();
                if work.load(Ordering::Acquire) == 0 {
                    let mut rung = pin!(bell.wait_async());
                    block_on(poll_fn(|context| rung.as_mut().poll(context)));
                } else {
                    bell.disarm();
                }
            }
        });
    }

    #[test]
    fn two_that_ring_at_once_wake_for_both() {
        // Three threads: all interleavings with at most three preemptions.
        let mut model = Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let bell = Arc::new(Bell::new());
            let work = Arc::new(AtomicUsize::new(0));
            for _ in 0..2 {
                let (ringer, publisher) = (Arc::clone(&bell), Arc::clone(&work));
                thread::spawn(move || {
                    publisher.fetch_add(1, Ordering::Release);
                    ringer.ring();
                });
            }
            while work.load(Ordering::Acquire) < 2 {
                bell.arm();
                if work.load(Ordering::Acquire) < 2 {
                    bell.wait(None);
                } else {
                    bell.disarm();
                }
            }
        });
    }
}

#[cfg(not(loom))]
mod threads {
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll, Wake, Waker},
        thread,
        time::{Duration, Instant},
    };

    use super::Bell;
    use crate::ring::{Bells, mesh};

    #[test]
    fn two_shards_that_sleep_at_once_when_idle_pass_a_ball() {
        let bells = Bells::new(2);
        let links = mesh(2, 2);
        thread::scope(|scope| {
            for (shard, mut links) in links.into_iter().enumerate() {
                let bells = bells.clone();
                scope.spawn(move || {
                    let other = 1 - shard;
                    if shard == 0 {
                        links.to[other].push(0).expect("there is room");
                        bells[other].ring();
                    }
                    let mut ball = 0;
                    while ball < 20_000 {
                        let Some(value) = links.from[other].pop() else {
                            bells[shard].arm();
                            if links.from[other].is_empty() {
                                bells[shard].wait(None);
                            } else {
                                bells[shard].disarm();
                            }
                            continue;
                        };
                        ball = value + 1;
                        links.to[other].push(ball).expect("there is room");
                        bells[other].ring();
                    }
                });
            }
        });
    }

    #[test]
    fn a_wait_ends_with_its_time() {
        let bell = Bell::new();
        bell.arm();
        let start = Instant::now();
        assert!(!bell.wait(Some(Duration::from_millis(20))));
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert!(!bell.ring(), "it is no longer armed, so nobody is to be woken");
        assert!(bell.wait(None), "not armed: returns at once");
        bell.arm();
        assert!(bell.ring());
        assert!(bell.wait(Some(Duration::MAX)), "rung before the wait");
    }

    /// Counts how often it is woken.
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_and_only_while_it_waits() {
        let bell = Bell::new();
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        bell.arm();
        {
            let mut rung = pin!(bell.wait_async());
            assert_eq!(rung.as_mut().poll(&mut context), Poll::Pending);
            assert!(bell.ring());
            assert!(!bell.ring());
            assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
            assert_eq!(rung.as_mut().poll(&mut context), Poll::Ready(()));
        }
        bell.arm();
        {
            let mut dropped_early = pin!(bell.wait_async());
            assert_eq!(dropped_early.as_mut().poll(&mut context), Poll::Pending);
        }
        assert!(!bell.ring());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn all_are_rung() {
        let bells = Bells::new(3);
        for bell in &*bells {
            bell.arm();
        }
        bells.ring_all();
        assert!(bells.iter().all(|bell| bell.wait(None)));
    }
}
