//! Something that is due every so much processing time.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::operator::{Output, Progress};
use crate::sys::clock;

/// Says when; the clock is only looked at where someone asked for it.
pub(super) struct Pulse {
    every: Duration,
    next: Option<Instant>,
    runs: bool,
}

impl Pulse {
    /// Every so many microseconds; 0: never.
    pub fn new(every: i64) -> Self {
        let every = Duration::from_micros(every.unsigned_abs());
        Pulse { every, next: None, runs: !every.is_zero() }
    }

    /// Acts when it is due and lets what that gave leave: what an operator does when it is polled.
    pub fn poll(
        &mut self,
        out: &mut Output<'_>,
        act: impl FnOnce(&mut Output<'_>) -> Result,
    ) -> Result<Progress> {
        if self.is_due() {
            act(out)?;
            out.flush()?;
            return Ok(Progress::Busy);
        }
        Ok(if self.runs { Progress::Idle } else { Progress::Done })
    }

    /// Whether it is due now; the first time so long after this was first asked.
    pub fn is_due(&mut self) -> bool {
        if !self.runs {
            return false;
        }
        let now = clock::now();
        let due = self.next.is_some_and(|next| next <= now);
        if due || self.next.is_none() {
            self.next = now.checked_add(self.every);
            self.runs = self.next.is_some();
        }
        due
    }

    /// Whether it may be due some time.
    pub fn runs(&self) -> bool {
        self.runs
    }

    /// The stream has ended.
    pub fn stop(&mut self) {
        self.runs = false;
    }
}
