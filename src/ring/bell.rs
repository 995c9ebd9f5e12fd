//! The wake-up of a shard that sleeps, without lost wake-ups.
//!
//! Each shard owns one bell. Whoever gives it work publishes the work first and then rings. The
//! owner, when it has found nothing to do, arms the bell, *looks once more*, and only then waits:
//!
//! ```text
//! another thread                        owner
//! --------------                        -----
//! publish work      (W1)                armed = true       (W2)
//! fence SeqCst                          fence SeqCst
//! if armed:         (R1)                if there is work:  (R2)   disarm, go on
//!     armed = false, wake               otherwise:                wait until armed = false
//! ```
//!
//! # Why no wake-up is lost
//!
//! This is Dekker's pattern: each side writes its own word and then reads the other's. Without the
//! fences a processor may let the read overtake the write (a store waits in its store buffer), and
//! both sides could miss each other: the work is there, the owner asleep. The two fences are
//! sequentially consistent, so one of them is first. If the publisher's is first, R2 sees W1: the
//! owner finds the work. If the owner's is first, R1 sees W2: the publisher wakes. Neither fence
//! can go, and neither can be weaker; the models in the tests fail without one.
//!
//! The price is one fence and one load per publication for as long as the owner is awake, which is
//! once a frame, not once a record.
//!
//! What wakes is a [`Waker`]: of an executor's task, or one that unparks a thread. A ring between
//! the registration of the waker and the sleep finds `armed` true, sets it to false and wakes; the
//! waiting side reads `armed` again after the registration, and a wake before the park makes the
//! park return at once.

use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

#[cfg(not(loom))]
use {
    atomic_waker::AtomicWaker,
    std::{
        sync::atomic::{AtomicBool, Ordering, fence},
        task::Wake,
        thread::{self, Thread},
        time::Instant,
    },
};

#[cfg(loom)]
use loom::{
    future::AtomicWaker,
    sync::atomic::{AtomicBool, Ordering, fence},
};

use crossbeam_utils::CachePadded;

/// The bell of one shard: anybody rings it, its owner alone arms it and waits for it.
///
/// ```
/// use std::{sync::atomic::{AtomicBool, Ordering}, thread};
/// use thalweg::ring::Bell;
///
/// let (bell, work) = (Bell::new(), AtomicBool::new(false));
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         work.store(true, Ordering::Release); // publish,
///         bell.ring(); // then ring
///     });
///     while !work.load(Ordering::Acquire) {
///         bell.arm();
///         if work.load(Ordering::Acquire) {
///             bell.disarm();
///         } else {
///             bell.wait(None);
///         }
///     }
/// });
/// ```
pub struct Bell {
    armed: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    /// A bell that is not armed.
    pub fn new() -> Self {
        Self { armed: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    /// Wakes the owner if it waits, or is about to. To be called *after* the work was published;
    /// any thread may, at any time. Says whether it had to wake.
    #[inline]
    pub fn ring(&self) -> bool {
        // Pairs with the fence of `arm`: see the head of this file.
        fence(Ordering::SeqCst);
        self.armed.load(Ordering::Relaxed) && self.wake()
    }

    /// Out of line, since a busy owner never needs it.
    #[cold]
    fn wake(&self) -> bool {
        // Of several that ring at once, one wakes.
        let wakes = self.armed.swap(false, Ordering::AcqRel);
        if wakes {
            self.waker.wake();
        }
        wakes
    }

    /// Owner: says that it is about to wait. To be followed by a last look for work, and then by
    /// [`disarm`](Self::disarm), [`wait`](Self::wait) or [`wait_async`](Self::wait_async).
    #[inline]
    pub fn arm(&self) {
        // A swap, as in `wake`: loom knows one order of all swaps, not of swaps and plain stores.
        self.armed.swap(true, Ordering::AcqRel);
        // Pairs with the fence of `ring`: see the head of this file.
        fence(Ordering::SeqCst);
    }

    /// Owner: takes [`arm`](Self::arm) back, because the last look found work.
    #[inline]
    pub fn disarm(&self) {
        self.armed.swap(false, Ordering::AcqRel);
    }

    /// Owner: blocks the thread until the bell is rung, or for `timeout` at most (`None`: for as
    /// long as it takes), and says whether it was rung since it was armed. The bell is no longer
    /// armed thereafter. Returns at once if it is not armed.
    #[cfg(not(loom))]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        // A timeout beyond the end of the clock is none.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // A park may return without a reason, hence the loop.
        while !self.is_rung(&waker) {
            match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return !self.armed.swap(false, Ordering::AcqRel),
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }

    /// Loom has no clock, and its park forgets an unpark that comes while a lock is taken; its
    /// executor stands in for the loop above.
    #[cfg(loom)]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        assert!(timeout.is_none(), "loom has no clock");
        loom::future::block_on(self.wait_async());
        true
    }

    /// Whether the bell is no longer armed; if it still is, `waker` is woken by the next ring.
    ///
    /// To be asked after every wake-up, even one without a reason: the wake of an earlier ring may
    /// come late and take the waker of this wait with it.
    fn is_rung(&self, waker: &Waker) -> bool {
        // First the waker, then the look: a ring in between finds the waker.
        #[cfg(not(loom))]
        self.waker.register(waker);
        #[cfg(loom)]
        self.waker.register_by_ref(waker);
        !self.armed.load(Ordering::Acquire)
    }

    /// Owner: a future that is ready when the bell was rung since it was armed, at once if it is
    /// not armed. Dropped early, for instance because a timer was ready first, it disarms.
    pub fn wait_async(&self) -> impl Future<Output = ()> + '_ {
        Rung { bell: self }
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Bell::wait_async`] gives.
struct Rung<'a> {
    bell: &'a Bell,
}

impl Future for Rung<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.bell.is_rung(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Rung<'_> {
    fn drop(&mut self) {
        self.bell.disarm();
    }
}

/// Wakes a thread that is parked, or makes its next park return at once.
#[cfg(not(loom))]
struct Unpark(Thread);

#[cfg(not(loom))]
impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The bells of all shards, shared by all of them: `bells[j].ring()` wakes shard `j`.
#[derive(Clone)]
pub struct Bells {
    bells: Arc<[CachePadded<Bell>]>,
    stop: Arc<Stop>,
}

/// Whether the job shall stop. No model is of it: who sets it rings thereafter.
type Stop = std::sync::atomic::AtomicBool;

impl Bells {
    /// One bell for each of `n` shards.
    pub fn new(n: usize) -> Self {
        let bells = (0..n).map(|_| CachePadded::new(Bell::new())).collect();
        Self { bells, stop: Arc::default() }
    }

    /// What is set, before all are rung, when the job shall stop.
    pub fn stop(&self) -> Arc<Stop> {
        self.stop.clone()
    }

    /// Rings all: when a job stops, for instance.
    pub fn ring_all(&self) {
        for bell in &*self.bells {
            bell.ring();
        }
    }
}

impl Bells {
    /// The bell of one shard, for whoever brings it work from elsewhere.
    pub fn ringer(&self, shard: usize) -> Ringer {
        Ringer { bells: self.clone(), shard }
    }
}

/// Rings the bell of one shard, from any thread and for as long as anybody holds it: what a source
/// or a sink hands to a thread of its own.
///
/// ```
/// let ringer = thalweg::ring::Bells::new(2).ringer(1);
/// assert!(!ringer.ring()); // shard 1 does not sleep
/// ```
#[derive(Clone)]
pub struct Ringer {
    bells: Bells,
    shard: usize,
}

impl Ringer {
    /// As [`Bell::ring`]: to be called after the work was published.
    #[inline]
    pub fn ring(&self) -> bool {
        self.bells[self.shard].ring()
    }

    /// Whether the job shall stop: for a thread that waits for somebody outside, who may never
    /// come.
    pub fn is_stopped(&self) -> bool {
        self.bells.stop.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl fmt::Debug for Ringer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ringer({})", self.shard)
    }
}

impl Deref for Bells {
    type Target = [CachePadded<Bell>];

    fn deref(&self) -> &Self::Target {
        &self.bells
    }
}

#[cfg(test)]
#[path = "bell_tests.rs"]
mod tests;
