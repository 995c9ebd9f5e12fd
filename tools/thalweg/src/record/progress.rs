//! A line on standard error that shows how far a recording has come.

use std::cell::Cell;
use std::io::{IsTerminal, stderr};
use std::num::NonZeroU64;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Records between two looks at the line.
const STEP: u64 = 1_024;

/// The line, until it is dropped; then it is wiped. Nothing is shown where standard error is not a
/// terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    shown: Cell<u64>,
}

impl Progress {
    /// Shows how many records there are, of how many if that is known.
    pub fn start(all: Option<NonZeroU64>) -> Progress {
        let bar = match (stderr().is_terminal(), all) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(all)) => ProgressBar::new(all.get()),
            (true, None) => ProgressBar::new_spinner(),
        };
        let template = match all {
            Some(_) => "{bar:24} {human_pos}/{human_len} records, {per_sec}",
            None => "{spinner} {human_pos} records, {per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Progress { bar, shown: Cell::new(0) }
    }

    /// There are so many now.
    pub fn show(&self, records: u64) {
        if records.abs_diff(self.shown.get()) >= STEP {
            self.shown.set(records);
            self.bar.set_position(records);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
