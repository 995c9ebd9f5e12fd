//! One ring: a bounded queue with one producer and one consumer, without locks.
//!
//! After Lamport's queue (*Specifying concurrent program modules*, 1983) with two changes that are
//! standard since MCRingBuffer (Lee, Bu, Chandranmenon, *A lock-free, cache-efficient multi-core
//! synchronization mechanism*, 2010): each side remembers what it last saw of the other's index
//! and looks again only when that is not enough, and a batch is published by one store.
//!
//! ```text
//!            head                 tail            0 <= tail - head <= capacity, always
//!             v                    v              only the consumer writes head, it only grows
//!   . . . . . A B C D E F G H I J . . . . .       only the producer writes tail, it only grows
//!             \__ consumer's ___/\_ producer's _  indices are 64 bits wide and never wrapped:
//!                                                 at 10^9 values a second they last 584 years
//! ```
//!
//! # Why it is sound
//!
//! The values below `tail` are written before the Release store of `tail`; the consumer reads them
//! after an Acquire load of it. The values below `head` are moved out before the Release store of
//! `head`; the producer writes their slots anew after an Acquire load of it. Every slot has one
//! owner at any time, and each change of owner is one of these two pairs. `cfg(loom)` models of
//! the whole are in the tests below.
//!
//! # What may change behind your back
//!
//! For the producer the room only grows until it pushes; for the consumer the length only grows
//! until it pops. So a ring that had room has it still, and a ring that was full may not be.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crossbeam_utils::CachePadded;

use super::copying::Copying;
use super::slots::Slots;

/// What the two sides share. Head and tail have cache lines of their own; the rest is read only,
/// but for the two flags, which change once.
struct Shared<T> {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    slots: Slots<T>,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
}

// SAFETY: 1. The two sides touch no slot at the same time (see the head of this file). 2. There is
// one side of each kind, since neither is Clone and all that touches slots takes `&mut self`.
// 3. A value is moved from one thread to another, hence `T: Send`; it is never shared, hence no
// `T: Sync`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let tail = self.tail.load(Ordering::Relaxed);
        for position in self.head.load(Ordering::Relaxed)..tail {
            // SAFETY: 1. All in `head..tail` hold values, each is read once. 2. Both sides are
            // gone, and what they did happened before (the reference count orders it).
            drop(unsafe { self.slots.read(position) });
        }
    }
}

/// Makes a ring for at least `capacity` values: rounded up to a power of two, at least 2.
///
/// The memory, `capacity` times the size of `T`, is taken once, here.
///
/// ```
/// let (mut producer, mut consumer) = thalweg::ring::ring(2);
/// assert_eq!(producer.push('a'), Ok(()));
/// assert_eq!(producer.push('b'), Ok(()));
/// assert_eq!(producer.push('c'), Err('c')); // full: the value comes back
/// assert_eq!(consumer.pop(), Some('a'));
/// assert_eq!(producer.push('c'), Ok(()));
/// ```
///
/// # Panics
///
/// When that much memory cannot be addressed.
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        head: CachePadded::new(AtomicU64::new(0)),
        tail: CachePadded::new(AtomicU64::new(0)),
        slots: Slots::new(capacity),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
    });
    let producer =
        Producer { shared: Arc::clone(&shared), tail: 0, head_seen: 0, copying: Copying::new() };
    (producer, Consumer { shared, head: 0, tail_seen: 0 })
}

/// The side of a ring that gives.
///
/// On a cache line of its own: the sides of many rings lie side by side in a mesh, and neighbours
/// may belong to different shards.
#[repr(align(64))]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// What the shared tail says, without asking it.
    tail: u64,
    /// The last that was seen of head; never beyond it.
    head_seen: u64,
    copying: Copying,
}

impl<T> Producer<T> {
    /// Gives one value, visible to the consumer at once.
    ///
    /// # Errors
    ///
    /// Gives the value back when the ring is full.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room_for(1) == 0 {
            return Err(value);
        }
        // SAFETY: there is room for one at `tail`, which so far is the producer's alone.
        unsafe { self.shared.slots.write(self.tail, value) };
        self.publish(1);
        Ok(())
    }

    /// Gives as many of `values` as there is room for, from the first on, and says how many. The
    /// consumer sees all of them or none: they are published by one store.
    ///
    /// ```
    /// let (mut producer, mut consumer) = thalweg::ring::ring(4);
    /// assert_eq!(producer.push_slice(&[1, 2, 3, 4, 5, 6]), 4);
    /// assert_eq!(consumer.pop(), Some(1));
    /// assert_eq!(producer.push_slice(&[5, 6]), 1);
    /// ```
    #[inline]
    pub fn push_slice(&mut self, values: &[T]) -> usize
    where
        T: Copy,
    {
        let count = self.room_for(values.len()).min(values.len());
        if count > 0 {
            let slots = &self.shared.slots;
            // SAFETY: 1. there is room for `count` slots from `tail` on, so they hold no value. 2.
            // they are the producer's alone until it publishes them.
            unsafe { slots.write_run(self.tail, &values[..count], &mut self.copying) };
            self.publish(count);
        }
        count
    }

    /// Takes values from `values` until it ends or the ring is full, and says how many. What the
    /// ring has no room for is not taken. All are published by one store; when `values` panics,
    /// what it gave until then is.
    ///
    /// ```
    /// let (mut producer, mut consumer) = thalweg::ring::ring(4);
    /// let mut numbers = 0..6;
    /// assert_eq!(producer.push_iter(&mut numbers), 4);
    /// assert_eq!(consumer.pop(), Some(0));
    /// assert_eq!(numbers.next(), Some(4));
    /// ```
    #[inline]
    pub fn push_iter(&mut self, values: &mut impl Iterator<Item = T>) -> usize {
        let mut batch = PushBatch { producer: self, count: 0 };
        while batch.producer.room_for(batch.count + 1) > batch.count {
            let Some(value) = values.next() else { break };
            let position = batch.producer.tail + batch.count as u64;
            // SAFETY: there is room for `count + 1` from `tail` on, the producer's alone.
            unsafe { batch.producer.shared.slots.write(position, value) };
            batch.count += 1;
        }
        batch.count
    }

    /// How many values there is room for. Less than what a push finds room for thereafter, if the
    /// consumer takes some meanwhile; never more.
    pub fn room(&mut self) -> usize {
        self.room_for(self.capacity())
    }

    /// How many values the ring holds when it is full.
    pub fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    /// Whether the consumer is gone. What is pushed after that is dropped unseen, together with
    /// the producer.
    pub fn is_closed(&self) -> bool {
        self.shared.consumer_gone.load(Ordering::Acquire)
    }

    /// The room, looked up anew only if what is known is less than `count`.
    #[inline(always)]
    fn room_for(&mut self, count: usize) -> usize {
        let capacity = self.shared.slots.capacity();
        let room = capacity - (self.tail - self.head_seen) as usize;
        if room >= count {
            return room;
        }
        self.head_seen = self.shared.head.load(Ordering::Acquire);
        capacity - (self.tail - self.head_seen) as usize
    }

    #[inline(always)]
    fn publish(&mut self, count: usize) {
        self.tail += count as u64;
        self.shared.tail.store(self.tail, Ordering::Release);
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.producer_gone.store(true, Ordering::Release);
    }
}

/// Publishes what was written when it goes out of scope, by return or by panic.
struct PushBatch<'a, T> {
    producer: &'a mut Producer<T>,
    count: usize,
}

impl<T> Drop for PushBatch<'_, T> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.producer.publish(self.count);
        }
    }
}

/// The side of a ring that takes. Values come out in the order in which they went in.
///
/// Dropping it drops what is in the ring; what the producer pushes later is dropped with it.
#[repr(align(64))]
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// What the shared head says, without asking it.
    head: u64,
    /// The last that was seen of tail; never beyond it.
    tail_seen: u64,
}

impl<T> Consumer<T> {
    /// Takes the oldest value, if there is one.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.filled_for(1) == 0 {
            return None;
        }
        // SAFETY: `head` is below tail, so it holds a value, which is the consumer's alone.
        let value = unsafe { self.shared.slots.read(self.head) };
        self.release(self.head + 1);
        Some(value)
    }

    /// Hands at most `max` values to `take`, oldest first, and says how many. Their slots go back
    /// to the producer by one store, after the last; when `take` panics, those that it was handed
    /// are gone from the ring and the others are still in it.
    ///
    /// ```
    /// let (mut producer, mut consumer) = thalweg::ring::ring(8);
    /// producer.push_slice(&[1, 2, 3]);
    /// let mut sum = 0;
    /// assert_eq!(consumer.drain(2, |value| sum += value), 2);
    /// assert_eq!((sum, consumer.len()), (3, 1));
    /// ```
    #[inline]
    pub fn drain(&mut self, max: usize, mut take: impl FnMut(T)) -> usize {
        let count = self.filled_for(max).min(max);
        if count == 0 {
            return 0;
        }
        let end = self.head + count as u64;
        let mut batch = PopBatch { head: self.head, consumer: self };
        while batch.head < end {
            // SAFETY: `batch.head` is below tail, so it holds a value, which is the consumer's
            // alone, and counted as read before anybody can panic.
            let value = unsafe { batch.consumer.shared.slots.read(batch.head) };
            batch.head += 1;
            take(value);
        }
        count
    }

    /// Copies as many values into `values` as there are and fit, and says how many: so many at
    /// the front of `values` are initialised.
    ///
    /// ```
    /// use std::mem::MaybeUninit;
    ///
    /// let (mut producer, mut consumer) = thalweg::ring::ring(8);
    /// producer.push_slice(&[1, 2, 3]);
    /// let mut values = [MaybeUninit::uninit(); 2];
    /// assert_eq!(consumer.pop_slice(&mut values), 2);
    /// assert_eq!(consumer.pop(), Some(3));
    /// ```
    #[inline]
    pub fn pop_slice(&mut self, values: &mut [MaybeUninit<T>]) -> usize
    where
        T: Copy,
    {
        let count = self.filled_for(values.len()).min(values.len());
        if count > 0 {
            // SAFETY: `count` from `head` on are below tail, so they hold values, which are the
            // consumer's alone.
            unsafe { self.shared.slots.read_run(self.head, &mut values[..count]) };
            self.release(self.head + count as u64);
        }
        count
    }

    /// How many values can be taken now.
    pub fn len(&self) -> usize {
        (self.shared.tail.load(Ordering::Acquire) - self.head) as usize
    }

    /// Whether no value can be taken now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values the ring holds when it is full.
    pub fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    /// Whether the producer is gone. Its last values may still be in the ring: a ring has ended
    /// when it is closed and, *looked at thereafter*, empty.
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone.load(Ordering::Acquire)
    }

    /// How many values there are, looked up anew only if what is known is less than `count`.
    #[inline(always)]
    fn filled_for(&mut self, count: usize) -> usize {
        let filled = (self.tail_seen - self.head) as usize;
        if filled >= count {
            return filled;
        }
        self.tail_seen = self.shared.tail.load(Ordering::Acquire);
        (self.tail_seen - self.head) as usize
    }

    #[inline(always)]
    fn release(&mut self, head: u64) {
        self.head = head;
        self.shared.head.store(head, Ordering::Release);
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // First the flag, so that a producer which looks at it pushes nothing after the drain.
        self.shared.consumer_gone.store(true, Ordering::Release);
        self.drain(usize::MAX, drop);
    }
}

/// Gives slots back when it goes out of scope, by return or by panic.
struct PopBatch<'a, T> {
    consumer: &'a mut Consumer<T>,
    head: u64,
}

impl<T> Drop for PopBatch<'_, T> {
    fn drop(&mut self) {
        self.consumer.release(self.head);
    }
}

#[cfg(all(test, not(loom)))]
#[path = "spsc_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "spsc_models.rs"]
mod models;
