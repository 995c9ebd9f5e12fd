//! Ctrl-C.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::INTERRUPTED;

/// What follows so soon is the same wish: some send a signal to a process and to its group.
const SAME: Duration = Duration::from_millis(300);

/// Whether somebody wants the program to end; clones look at the same wish.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over Ctrl-C, SIGTERM and SIGHUP, once a process. The first asks for a clean end with
    /// the results so far; the second ends the program at once.
    pub(crate) fn on_ctrl_c() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let came = Arc::clone(&interrupt.0);
        let mut first: Option<Instant> = None;
        let handler = move || match first {
            None => {
                first = Some(Instant::now());
                came.store(true, SeqCst);
            }
            Some(at) if at.elapsed() < SAME => {}
            Some(_) => process::exit(INTERRUPTED.into()),
        };
        ctrlc::set_handler(handler).context("cannot take over Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// As if it had come.
    #[cfg(test)]
    pub(crate) fn send(&self) {
        self.0.store(true, SeqCst);
    }
}
