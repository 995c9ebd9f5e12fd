//! Patience with a peer that is away.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::limits::RETRY;

/// When a peer is tried again, and when it is given up.
#[derive(Debug)]
pub(in crate::connector) struct Retry {
    /// How long it may be away.
    away: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Retry {
    pub fn new(away: Duration) -> Retry {
        Retry { away, since: None, pause: RETRY.0 }
    }

    /// The peer is there. Where that led to something, the next pause is short again.
    pub fn reached(&mut self, fruitful: bool) {
        self.since = None;
        if fruitful {
            self.pause = RETRY.0;
        }
    }

    /// The peer is away, or about to be tried: since when.
    pub fn since(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    /// The peer is away: whether it has been for too long.
    pub fn is_over(&mut self) -> bool {
        self.left().is_zero()
    }

    /// How much longer it may be away.
    pub fn left(&mut self) -> Duration {
        self.away.saturating_sub(self.since().elapsed())
    }

    /// How long to wait before it is tried again: twice as long each time.
    pub fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY.1);
        pause.min(self.away)
    }

    /// Waits before it is tried again.
    pub async fn pause(&mut self) {
        sleep(self.next()).await;
    }
}
