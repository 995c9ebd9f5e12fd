//! Whether a replay shall stop.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::interrupt::Interrupt;

/// How often a pause looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);
/// So many different things that went wrong are kept, to be told.
const NOTES: usize = 5;

/// Whether the connections shall stop, and what went wrong so far.
#[derive(Debug)]
pub struct Stop {
    interrupt: Interrupt,
    all: AtomicBool,
    gave_up: OnceLock<String>,
    made: Instant,
    /// When a target took something last, in microseconds after it was made.
    moved: AtomicU64,
    notes: Mutex<Vec<String>>,
    /// What was done once more.
    pub again: Again,
}

/// How often something was done once more, because of the target.
#[derive(Debug, Default)]
pub struct Again {
    /// Posts that were answered 429 or 503.
    pub busy: AtomicU64,
    /// Posts that were answered 502 or 504.
    pub gateway: AtomicU64,
    /// Posts that got no answer: the connection was lost, or it took too long.
    pub lost: AtomicU64,
    /// Connections over TCP or a Unix socket that were made anew.
    pub connected: AtomicU64,
}

impl Again {
    /// Posts that were repeated: all, and each of the three kinds.
    pub fn posts(&self) -> (u64, [u64; 3]) {
        let each = [&self.busy, &self.gateway, &self.lost].map(|count| count.load(Relaxed));
        (each.iter().sum(), each)
    }
}

impl Stop {
    /// Stops when this comes.
    pub fn on(interrupt: Interrupt) -> Stop {
        Stop {
            interrupt,
            all: AtomicBool::new(false),
            gave_up: OnceLock::new(),
            made: Instant::now(),
            moved: AtomicU64::new(0),
            notes: Mutex::default(),
            again: Again::default(),
        }
    }

    /// Whether nothing more is to be sent.
    pub fn is_asked(&self) -> bool {
        self.all.load(SeqCst) || self.interrupt.came()
    }

    /// Ends all connections.
    pub fn all(&self) {
        self.all.store(true, SeqCst);
    }

    /// Ends all connections, as there is no use in waiting for the target.
    pub fn give_up(&self, cause: String) {
        self.gave_up.get_or_init(|| cause);
        self.all();
    }

    /// Why it was given up, unless somebody wants the program to end.
    pub fn gave_up(&self) -> Option<String> {
        self.gave_up.get().filter(|_| !self.interrupt.came()).cloned()
    }

    /// A target takes something, or is asked to.
    pub fn moves(&self) {
        self.moved.store(self.made.elapsed().as_micros() as u64, Relaxed);
    }

    /// How long no target has taken anything.
    pub fn still(&self) -> Duration {
        self.made.elapsed().saturating_sub(Duration::from_micros(self.moved.load(Relaxed)))
    }

    /// Waits before a target is tried again, unless it shall stop. Until then nobody counts it as
    /// still: it is --retry that ends it.
    pub fn pause(&self, time: Duration) {
        let begin = Instant::now();
        while !self.is_asked() && begin.elapsed() < time {
            self.moves();
            sleep(time.saturating_sub(begin.elapsed()).min(LOOK));
        }
        self.moves();
    }

    /// Keeps what went wrong.
    pub fn note(&self, what: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES && !notes.iter().any(|note| note == what) {
            notes.push(what.to_owned());
        }
    }

    /// What went wrong.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
