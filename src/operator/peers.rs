//! What the inboxes of an exchange know of each other.
//!
//! All inboxes of an exchange hear the same watermarks and silences, but not at once. Of senders
//! that are all silent and come back, the first inbox to hear it must not tell what stands behind
//! it a watermark which an inbox that still counts as silent has older records for: there, nobody
//! waits for the silent one. So an inbox tells a watermark only when each of the others is awake,
//! and holds it back itself, or was told as much before it fell asleep.
//!
//! ```text
//! one that tells                        one that falls asleep
//! --------------                        ---------------------
//! wants = at           (W1)             asleep = told        (W2)
//! fence SeqCst                          fence SeqCst
//! others' asleep >= at (R1)?            others' wants <= told (R2)?
//! ```
//!
//! It is the pattern of the [bell](crate::ring::bell): of the two fences one is first, so R1 sees
//! W2 or R2 sees W1, and at most one of them goes on. `asleep` is stored when what stands behind
//! was told so; that is released by it and acquired with it, so nothing told then arrives before.
//!
//! To ring is the caller's duty, when it wakes. One that may not fall asleep need not be rung: what
//! the other wants, or more, comes to it, too.

use std::sync::Arc;

#[cfg(loom)]
use loom::sync::atomic::{AtomicI64, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicI64, Ordering, fence};

use Ordering::{Acquire, Relaxed, Release, SeqCst};
use crossbeam_utils::CachePadded;

use crate::time::{Timestamp, Watermark};

/// What one inbox says of itself, in microseconds.
struct Peer {
    /// What stands behind it was told so much.
    told: AtomicI64,
    /// It is about to tell so much, or has.
    wants: AtomicI64,
    /// It sleeps, told so much; the greatest time while it is awake.
    asleep: AtomicI64,
}

const AWAKE: i64 = i64::MAX;

/// The inboxes of an exchange, one a shard.
#[derive(Clone)]
pub(super) struct Peers(Arc<[CachePadded<Peer>]>);

impl Peers {
    /// All awake, and told nothing.
    pub fn new(shards: usize) -> Peers {
        let peer = || Peer {
            told: AtomicI64::new(i64::MIN),
            wants: AtomicI64::new(i64::MIN),
            asleep: AtomicI64::new(AWAKE),
        };
        Peers((0..shards).map(|_| CachePadded::new(peer())).collect())
    }

    /// The greatest watermark that any of them has told.
    pub fn reached(&self) -> Watermark {
        let most = self.0.iter().map(|peer| peer.told.load(Relaxed)).max();
        most.map_or(Timestamp::MIN, Timestamp::from_micros)
    }

    fn others(&self, shard: usize) -> impl Iterator<Item = &Peer> {
        let all = self.0.iter().enumerate();
        all.filter(move |(other, _)| *other != shard).map(|(_, peer)| &**peer)
    }

    /// Whether an inbox may tell this watermark now. If not, one that sleeps is about to hear of
    /// it, and rings when it wakes.
    pub fn may_tell(&self, shard: usize, at: Watermark) -> bool {
        self.0[shard].wants.store(at.micros(), Relaxed);
        // Pairs with the fence of `falls_asleep`: see the head of this file.
        fence(SeqCst);
        self.others(shard).all(|peer| peer.asleep.load(Acquire) >= at.micros())
    }

    /// An inbox has told a watermark.
    pub fn told(&self, shard: usize, at: Watermark) {
        self.0[shard].told.store(at.micros(), Relaxed);
    }

    /// Whether an inbox that was told so much may fall asleep. If not, it is about to hear more.
    pub fn falls_asleep(&self, shard: usize, told: Watermark) -> bool {
        self.0[shard].asleep.store(told.micros(), Release);
        // Pairs with the fence of `may_tell`: see the head of this file.
        fence(SeqCst);
        let may = self.others(shard).all(|peer| peer.wants.load(Relaxed) <= told.micros());
        if !may {
            self.wakes(shard);
        }
        may
    }

    /// An inbox is awake, and has said so to what stands behind it.
    pub fn wakes(&self, shard: usize) {
        self.0[shard].asleep.store(AWAKE, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_overtaken_in_its_sleep() {
        let (peers, at) = (Peers::new(2), Timestamp::from_millis);
        assert!(peers.may_tell(0, at(5)));
        peers.told(0, at(5));
        // The first one has told 5, which the second one will hear of.
        assert!(!peers.falls_asleep(1, at(3)));
        assert!(peers.may_tell(1, at(5)) && peers.falls_asleep(1, at(5)));
        assert!(peers.may_tell(0, at(5)) && !peers.may_tell(0, at(6)));
        peers.wakes(1);
        assert!(peers.may_tell(0, at(6)));
        assert!(peers.falls_asleep(0, at(6)), "who is awake may fall asleep");
        assert_eq!(peers.reached(), at(5));
    }
}

#[cfg(all(test, loom))]
#[path = "peers_models.rs"]
mod models;
