//! The bell of a shard that is not known before the shard runs.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;

use crate::ring::Ringer;

/// What a thread pulls to wake a shard, whether or not a bell hangs at its end by now.
#[derive(Debug, Default)]
pub(super) struct Cord(OnceLock<Ringer>);

impl Cord {
    /// Hangs the bell of the shard; the first one stays.
    pub fn hang(&self, bell: &Ringer) {
        let _ = self.0.set(bell.clone());
    }

    /// The bell, once it is known.
    pub fn bell(&self) -> Option<&Ringer> {
        self.0.get()
    }

    /// To be called after the work was published; gives the bell, once it is known.
    ///
    /// The fence pairs with that of [`Bell::arm`](crate::ring::Bell::arm), as the one in a ring
    /// does: a bell that is not known here was hung after it, and the shard looks at the work
    /// before it sleeps.
    pub fn ring(&self) -> Option<&Ringer> {
        fence(SeqCst);
        let bell = self.0.get();
        bell.inspect(|bell| {
            bell.ring();
        })
    }
}
