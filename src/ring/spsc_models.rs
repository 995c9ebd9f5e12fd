//! The ring under loom: every interleaving, and every value that a weak memory order allows, at
//! capacity 2.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib ring`

use std::mem::MaybeUninit;

use loom::{
    alloc::Track,
    model,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Consumer, ring};

/// Takes `count` values by `pop`, yielding to the producer while there is none.
fn pop_all<T>(consumer: &mut Consumer<T>, count: usize) -> Vec<T> {
    let mut values = Vec::new();
    while values.len() < count {
        match consumer.pop() {
            Some(value) => values.push(value),
            None => thread::yield_now(),
        }
    }
    values
}

#[test]
fn values_arrive_once_and_in_order() {
    model(|| {
        let (mut producer, mut consumer) = ring(2);
        let thread = thread::spawn(move || {
            for value in 0..3 {
                while producer.push(value).is_err() {
                    thread::yield_now();
                }
            }
        });
        assert_eq!(pop_all(&mut consumer, 3), [0, 1, 2]);
        assert_eq!(consumer.pop(), None);
        thread.join().expect("the producer ends");
    });
}

#[test]
fn a_slice_is_seen_whole_or_not_at_all() {
    model(|| {
        let (mut producer, mut consumer) = ring(2);
        let thread = thread::spawn(move || {
            assert_eq!(producer.push_slice(&[0, 1]), 2);
            let mut rest = &[2, 3][..];
            while !rest.is_empty() {
                let count = producer.push_slice(rest);
                rest = &rest[count..];
                if count == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut values = Vec::new();
        while values.len() < 4 {
            let mut some = [MaybeUninit::uninit(); 2];
            let count = consumer.pop_slice(&mut some);
            assert!(!values.is_empty() || count != 1, "half of the first slice was seen");
            // SAFETY: so many were initialised.
            values.extend(some[..count].iter().map(|value| unsafe { value.assume_init() }));
            if count == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(values, [0, 1, 2, 3]);
        thread.join().expect("the producer ends");
    });
}

#[test]
fn an_iterator_against_a_drain() {
    model(|| {
        let (mut producer, mut consumer) = ring(2);
        let thread = thread::spawn(move || {
            let mut values = 0..3;
            while !values.is_empty() {
                if producer.push_iter(&mut values) == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut values = Vec::new();
        while values.len() < 3 {
            if consumer.drain(2, |value| values.push(value)) == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(values, [0, 1, 2]);
        thread.join().expect("the producer ends");
    });
}

/// Counts its drops; loom's `Track` fails the model if it leaks.
struct Counted(Arc<AtomicUsize>, #[expect(dead_code)] Track<()>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whichever_side_goes_first_each_value_is_dropped_once() {
    model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let value = || Counted(Arc::clone(&drops), Track::new(()));
        let (mut producer, mut consumer) = ring(2);
        let values = [value(), value(), value()];
        let thread = thread::spawn(move || {
            for value in values {
                drop(producer.push(value));
            }
        });
        drop(consumer.pop());
        drop(consumer);
        thread.join().expect("the producer ends");
        assert_eq!(drops.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn closed_and_then_empty_is_the_end() {
    model(|| {
        let (mut producer, mut consumer) = ring(2);
        let thread = thread::spawn(move || {
            assert_eq!(producer.push(0), Ok(()));
            assert_eq!(producer.push(1), Ok(()));
        });
        let mut values = Vec::new();
        loop {
            let closed = consumer.is_closed();
            let count = consumer.drain(2, |value| values.push(value));
            if closed && count == 0 {
                break;
            }
            thread::yield_now();
        }
        assert_eq!(values, [0, 1]);
        thread.join().expect("the producer ends");
    });
}

#[test]
fn a_producer_that_sees_its_consumer_gone_finds_all_room() {
    model(|| {
        let (mut producer, consumer) = ring(2);
        assert_eq!(producer.push_slice(&[0, 1]), 2);
        let thread = thread::spawn(move || drop(consumer));
        if producer.is_closed() {
            thread.join().expect("the consumer ends");
            assert_eq!(producer.room(), 2);
        } else {
            thread.join().expect("the consumer ends");
            assert!(producer.is_closed());
        }
    });
}
