//! The ring on one thread against a shadow queue, on two threads at speed, and with closures that
//! panic.

use std::{
    collections::VecDeque,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use proptest::prelude::*;

use super::ring;

#[derive(Clone, Debug)]
enum Step {
    Push,
    PushSlice(usize),
    PushIter(usize),
    Pop,
    Drain(usize),
    PopSlice(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Push),
        (0..20_usize).prop_map(Step::PushSlice),
        (0..20_usize).prop_map(Step::PushIter),
        Just(Step::Pop),
        (0..20_usize).prop_map(Step::Drain),
        (0..20_usize).prop_map(Step::PopSlice),
    ]
}

/// Takes up to `max` values off the shadow queue.
fn take(shadow: &mut VecDeque<u64>, max: usize) -> Vec<u64> {
    shadow.drain(..max.min(shadow.len())).collect()
}

proptest! {
    #[test]
    fn does_what_a_queue_does(
        wanted in 0..20_usize,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (mut producer, mut consumer) = ring(wanted);
        let capacity = wanted.max(2).next_power_of_two();
        prop_assert_eq!(producer.capacity(), capacity);
        let mut shadow = VecDeque::new();
        let mut next = 0_u64;
        for step in steps {
            let room = capacity - shadow.len();
            match step {
                Step::Push => {
                    let pushed = producer.push(next);
                    prop_assert_eq!(pushed, if room > 0 { Ok(()) } else { Err(next) });
                    shadow.extend(pushed.is_ok().then_some(next));
                    next += u64::from(pushed.is_ok());
                }
                Step::PushSlice(count) => {
                    let values: Vec<_> = (next..next + count as u64).collect();
                    let pushed = producer.push_slice(&values);
                    prop_assert_eq!(pushed, room.min(count));
                    shadow.extend(&values[..pushed]);
                    next += pushed as u64;
                }
                Step::PushIter(count) => {
                    let mut values = next..next + count as u64;
                    let pushed = producer.push_iter(&mut values);
                    prop_assert_eq!(pushed, room.min(count));
                    prop_assert_eq!(values.start, next + pushed as u64);
                    shadow.extend(next..values.start);
                    next = values.start;
                }
                Step::Pop => prop_assert_eq!(consumer.pop(), shadow.pop_front()),
                Step::Drain(max) => {
                    let mut values = Vec::new();
                    let count = consumer.drain(max, |value| values.push(value));
                    prop_assert_eq!(count, values.len());
                    prop_assert_eq!(values, take(&mut shadow, max));
                }
                Step::PopSlice(max) => {
                    let mut values = vec![MaybeUninit::uninit(); max];
                    let count = consumer.pop_slice(&mut values);
                    // SAFETY: so many were initialised.
                    let values = values[..count].iter().map(|value| unsafe { value.assume_init() });
                    prop_assert_eq!(values.collect::<Vec<_>>(), take(&mut shadow, max));
                }
            }
            prop_assert_eq!(consumer.len(), shadow.len());
            prop_assert_eq!(consumer.is_empty(), shadow.is_empty());
            prop_assert_eq!(producer.room(), capacity - shadow.len());
        }
    }
}

#[test]
fn two_threads_keep_the_order() {
    let (mut producer, mut consumer) = ring(64);
    let last = 200_000_u64;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = 0;
            while next < last {
                let batch: Vec<_> = (next..last.min(next + 1 + next % 100)).collect();
                let mut rest = &batch[..];
                while !rest.is_empty() {
                    let count = producer.push_slice(rest);
                    rest = &rest[count..];
                    if count == 0 {
                        thread::yield_now();
                    }
                }
                next += batch.len() as u64;
            }
        });
        let mut expected = 0;
        while expected < last {
            let taken = consumer.drain(40, |value| {
                assert_eq!(value, expected);
                expected += 1;
            });
            if taken == 0 {
                thread::yield_now();
            }
        }
    });
    assert!(consumer.is_closed());
    assert_eq!(consumer.pop(), None);
}

#[test]
fn a_drain_that_panics_loses_what_it_was_handed_and_nothing_else() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = ring(8);
    for _ in 0..6 {
        producer.push(Arc::clone(&value)).expect("there is room");
    }
    let mut taken = 0;
    let drained = catch_unwind(AssertUnwindSafe(|| {
        consumer.drain(5, |_value| {
            taken += 1;
            assert!(taken < 3, "the third is one too many");
        })
    }));
    assert!(drained.is_err());
    assert_eq!(Arc::strong_count(&value), 1 + 3);
    assert_eq!((consumer.len(), producer.room()), (3, 5));
    drop((producer, consumer));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn an_iterator_that_panics_has_pushed_what_it_gave() {
    let (mut producer, mut consumer) = ring(8);
    let mut numbers = (0..).inspect(|&number| assert!(number < 3, "no further"));
    let pushed = catch_unwind(AssertUnwindSafe(|| producer.push_iter(&mut numbers)));
    assert!(pushed.is_err());
    let mut values = Vec::new();
    consumer.drain(usize::MAX, |value| values.push(value));
    assert_eq!(values, [0, 1, 2]);
}

#[test]
fn what_is_left_is_dropped_whichever_side_goes_first() {
    for consumer_first in [true, false] {
        let value = Arc::new(());
        let (mut producer, mut consumer) = ring(4);
        // Across the end of the memory.
        for _ in 0..3 {
            producer.push(Arc::clone(&value)).expect("there is room");
            drop(consumer.pop());
        }
        producer.push_iter(&mut std::iter::repeat_with(|| Arc::clone(&value)));
        assert_eq!(Arc::strong_count(&value), 1 + 4);
        if consumer_first {
            drop(consumer);
            assert!(producer.is_closed());
            assert_eq!(Arc::strong_count(&value), 1, "the consumer left something behind");
            producer.push(Arc::clone(&value)).expect("there is room");
            drop(producer);
        } else {
            drop(producer);
            assert!(consumer.is_closed());
            assert_eq!(consumer.len(), 4);
            drop(consumer);
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }
}

#[test]
fn values_without_size_and_values_that_are_large() {
    let (mut producer, mut consumer) = ring(2);
    assert_eq!(producer.push_slice(&[(), (), ()]), 2);
    assert_eq!(consumer.drain(3, |()| ()), 2);
    let (mut producer, mut consumer) = ring(2);
    producer.push([7_u8; 10_000]).expect("there is room");
    assert_eq!(consumer.pop().map(|bytes| bytes[9_999]), Some(7));
}

#[test]
fn sides_can_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let sides = ring::<std::cell::Cell<u8>>(2);
    is_send(&sides);
    assert_eq!(size_of_val(&sides.0), 64);
}
