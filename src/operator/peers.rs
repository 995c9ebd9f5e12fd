//! What the inboxes of an exchange know of each other.
//!
//! All inboxes of an exchange hear the same watermarks and silences, but not at once. Of senders
//! that are all silent and come back, the first inbox to hear it must not tell what stands behind
//! it a watermark which an inbox that still counts as silent has older records for: there, nobody
//! waits for the silent one. So an inbox tells a watermark only when each of the others is awake,
//! and holds it back itself, or was told as much before it fell asleep.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

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
        // Either the other one sees that this one wants it, or this one sees that it sleeps.
        self.0[shard].wants.store(at.micros(), SeqCst);
        self.others(shard).all(|peer| peer.asleep.load(SeqCst) >= at.micros())
    }

    /// An inbox has told a watermark.
    pub fn told(&self, shard: usize, at: Watermark) {
        self.0[shard].told.store(at.micros(), Relaxed);
    }

    /// Whether an inbox that was told so much may fall asleep. If not, it is about to hear more.
    pub fn falls_asleep(&self, shard: usize, told: Watermark) -> bool {
        self.0[shard].asleep.store(told.micros(), SeqCst);
        let may = self.others(shard).all(|peer| peer.wants.load(SeqCst) <= told.micros());
        if !may {
            self.wakes(shard);
        }
        may
    }

    /// An inbox is awake, and has said so to what stands behind it.
    pub fn wakes(&self, shard: usize) {
        self.0[shard].asleep.store(AWAKE, SeqCst);
    }
}

#[cfg(test)]
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
