//! Chains of checkpoints: what tests that make several of them share.
#![allow(clippy::unwrap_used, dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use thalweg::operator::{Feed, Progress, Source, Split};
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

/// The file that a shard saved of an epoch.
pub fn file(state: &Path, epoch: u64, shard: usize) -> PathBuf {
    let begins = format!("state-{epoch:08}-{shard}-");
    let mut paths = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&begins)).unwrap()
}

/// The numbers below `end`, as a [`Counter`] gives them, but none that a test has not let through:
/// however slow a machine is, a job is not at its end before it should be.
#[derive(Clone)]
pub struct Gated {
    end: u64,
    splits: Option<usize>,
    open: Arc<AtomicU64>,
}

impl Gated {
    /// A gate that is closed behind the first `open` numbers.
    pub fn to(end: u64, open: u64) -> Gated {
        Gated { end, splits: None, open: Arc::new(open.into()) }
    }

    /// One that is open.
    pub fn opened(end: u64) -> Gated {
        Gated::to(end, end)
    }

    /// In so many splits instead of one a shard.
    pub fn splits(self, splits: usize) -> Gated {
        Gated { splits: Some(splits), ..self }
    }

    /// Lets more numbers through.
    pub fn open(&self, more: u64) {
        self.open.fetch_add(more, Relaxed);
    }

    /// Waits until a job whose only source this is has read so many more, while as many again may
    /// come as the test goes on.
    pub fn pass(&self, running: &Running, more: u64) {
        let read = running.metrics().records_read();
        self.open(2 * more);
        wait_for(running, read + more);
    }
}

impl Source for Gated {
    type Record = u64;

    fn name(&self) -> String {
        format!("gated to {}", self.end)
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let step = self.splits.unwrap_or(shards) as u64;
        let split = |first| Box::new(Part { gate: self.clone(), first, next: first, step }) as _;
        Ok((0..step).map(split).collect())
    }
}

struct Part {
    gate: Gated,
    first: u64,
    next: u64,
    step: u64,
}

impl Split<u64> for Part {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        let to = self.gate.open.load(Relaxed).min(self.gate.end).min(self.next + 100 * self.step);
        let any = self.next < to;
        while self.next < to {
            feed.push(self.next)?;
            self.next += self.step;
        }
        Ok(match self.next >= self.gate.end {
            true => Progress::Done,
            false if any => Progress::Busy,
            false => Progress::Idle,
        })
    }

    fn offset(&self) -> u64 {
        (self.next - self.first) / self.step
    }

    fn name(&self) -> String {
        format!("from {}", self.first)
    }

    fn seek(&mut self, offset: u64) -> Result {
        self.next = self.first + offset * self.step;
        Ok(())
    }
}
