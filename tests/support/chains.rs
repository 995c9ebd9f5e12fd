//! Chains of checkpoints: what tests that make several of them share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use thalweg::prelude::*;
use thalweg::runtime::Running;

/// Waits until a job has read so many records, but has not ended.
pub fn wait_for(running: &Running, records: u64) {
    while running.metrics().records_read() < records {
        assert!(!running.wait_for(1.millis()), "it has ended");
    }
}

/// How many files of state a directory holds.
pub fn files(state: &Path) -> usize {
    let entries = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().starts_with("state-")).count()
}
