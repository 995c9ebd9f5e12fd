//! The bound on how far one shard runs ahead of another in event time.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, fence};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::Seat;
use crate::limits::{LEAD_BATCHES, LEAD_STANDSTILL};
use crate::ring::Bells;
use crate::sys::clock;
use crate::time::Watermark;

/// How far every shard has come with one timed chain. Each shard writes its own line and reads
/// the others' when it wants to go on.
pub struct Lead {
    shards: Vec<CachePadded<Place>>,
    /// Microseconds.
    lead_max: i64,
    bells: Bells,
    waiting: Waiting,
    /// Set when sources shall end early: they must be asked, and nobody waits any more.
    stop: Arc<AtomicBool>,
}

/// Which shards wait for others to come up, at any of a job's bounds. Nobody waits for one that
/// waits itself: with several bounds in a job two shards, each ahead at one of them, would
/// otherwise wait for each other for ever.
#[derive(Clone, Debug)]
pub struct Waiting(Arc<[CachePadded<Wait>]>);

/// What one shard says of itself.
#[derive(Debug, Default)]
struct Wait {
    waits: AtomicBool,
    /// It waits for nobody: a checkpoint needs it. Those that it would wait for may themselves
    /// wait for its barriers, with rings that are full.
    hurries: AtomicBool,
}

impl Waiting {
    /// None of `shards` shards waits.
    pub fn new(shards: usize) -> Waiting {
        Waiting((0..shards).map(|_| CachePadded::default()).collect())
    }

    /// Whether a shard waits for others: it shall look again soon, as nobody rings for what stands
    /// still.
    pub fn waits(&self, shard: usize) -> bool {
        self.0[shard].waits.load(Relaxed)
    }

    /// A shard begins to save an epoch, or has saved it: meanwhile it waits for nobody.
    pub fn hurry(&self, shard: usize, hurries: bool) {
        self.0[shard].hurries.store(hurries, Relaxed);
    }
}

/// Since when what a shard waits for has stood still.
#[derive(Debug, Default)]
pub struct Standstill(Option<(i64, Instant)>);

impl Standstill {
    /// Whether the slowest one has been there for so long that nobody need wait for it.
    fn is_over(&mut self, slowest: i64) -> bool {
        match self.0 {
            Some((at, since)) if at == slowest => clock::since(since) > LEAD_STANDSTILL,
            _ => {
                self.0 = Some((slowest, clock::now()));
                false
            }
        }
    }
}

/// Where one shard is.
#[derive(Debug)]
struct Place {
    /// Its watermark, microseconds.
    at: AtomicI64,
    /// The most event time that one of its batches spanned, microseconds.
    stride: AtomicI64,
}

impl Lead {
    /// A bound for all shards of a job, on one of which this seat is: of its `lead_us`
    /// microseconds, or of so much event time as [`LEAD_BATCHES`] of the shard's batches span,
    /// whichever is more.
    pub fn new(seat: &Seat) -> Lead {
        let Seat { shards, lead_us: lead_max, bells, waiting, stop, .. } = seat.clone();
        let place = || Place { at: AtomicI64::new(i64::MIN), stride: AtomicI64::new(0) };
        let shards = (0..shards).map(|_| CachePadded::new(place())).collect();
        Lead { shards, lead_max, bells, waiting, stop }
    }

    /// Says how far this shard has come.
    pub fn publish(&self, shard: usize, at: Watermark) {
        let place = &self.shards[shard];
        let before = place.at.load(Relaxed);
        if before != i64::MIN && at.micros() != i64::MAX {
            let stride = at.micros().saturating_sub(before);
            place.stride.fetch_max(stride, Relaxed);
        }
        place.at.store(at.micros(), Release);
        self.wake_others(shard);
    }

    /// Wakes the shards that wait; what they wait for must have been stored before.
    fn wake_others(&self, shard: usize) {
        // Pairs with the fence in `may_go_on`: either the other shard sees what was stored here,
        // or this one sees that it waits.
        fence(SeqCst);
        for (other, wait) in self.waiting.0.iter().enumerate() {
            if other != shard && wait.waits.load(Relaxed) {
                self.bells[other].ring();
            }
        }
    }

    /// Whether this shard may take more records. One whose event time stands still is not waited
    /// for: it is silent, or what comes there is old, and waiting would not help it.
    pub fn may_go_on(&self, shard: usize, standstill: &mut Standstill) -> bool {
        let Wait { waits, hurries } = &*self.waiting.0[shard];
        let must = self.stop.load(Relaxed) || hurries.load(Relaxed);
        let slowest = if must { None } else { self.too_far_behind(shard) };
        if slowest.is_none_or(|slowest| standstill.is_over(slowest)) {
            if waits.load(Relaxed) {
                waits.store(false, Relaxed);
            }
            return true;
        }
        if !waits.swap(true, Relaxed) {
            // Others no longer wait for this one.
            self.wake_others(shard);
        }
        fence(SeqCst);
        self.too_far_behind(shard).is_none()
    }

    /// Where the slowest of the others is, if it is too far behind.
    fn too_far_behind(&self, shard: usize) -> Option<i64> {
        let place = &self.shards[shard];
        let at = place.at.load(Relaxed);
        let stride = place.stride.load(Relaxed).saturating_mul(i64::from(LEAD_BATCHES));
        let bound = self.lead_max.max(stride);
        let shards = self.shards.iter().zip(&*self.waiting.0).enumerate();
        let others =
            shards.filter(|(other, (_, wait))| *other != shard && !wait.waits.load(Relaxed));
        let slowest = others.map(|(_, (place, _))| place.at.load(Acquire)).min();
        slowest.filter(|slowest| at != i64::MAX && at.saturating_sub(bound) > *slowest)
    }
}
