//! One run of one job.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::ensure;
use thalweg::prelude::*;

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::stats::{Meter, Usage};

/// How often a running job is looked at. Its end is noticed at once all the same.
const LOOK: Duration = Duration::from_millis(50);

/// What runs the jobs.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) shards: usize,
    /// Never [`Executor::Auto`].
    pub(super) executor: Executor,
    pub(super) interrupt: Interrupt,
}

/// What the progress line says of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    /// 0 for one that is not measured.
    pub(super) run: u32,
    pub(super) runs: u32,
}

impl Setup {
    /// Builds a job that reads so many records and runs it to its end; what it cost, from its start
    /// to the end of its last thread. `None` if it was interrupted.
    pub(super) fn run(
        &self,
        label: Label<'_>,
        records: u64,
        build: impl FnOnce(&Job),
    ) -> anyhow::Result<Option<Usage>> {
        if self.interrupt.came() {
            return Ok(None);
        }
        let job = Job::new(label.name).shards(self.shards).executor(self.executor);
        build(&job);
        let read = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&read);
        let progress = Progress::start(label.name, label.run, label.runs, records, move || {
            shown.load(Relaxed)
        });
        let meter = Meter::start();
        let running = job.start()?;
        while !running.wait_for(LOOK) {
            read.store(running.metrics().records_read(), Relaxed);
            if self.interrupt.came() {
                running.stop();
            }
        }
        let usage = meter.stop();
        drop(progress);
        let report = running.join()?;
        if self.interrupt.came() {
            return Ok(None);
        }
        let read = report.records_read();
        ensure!(read == records, "read {read} of {records} records");
        ensure!(report.late() == 0, "{} records came too late", report.late());
        ensure!(report.bad() == 0, "{} records could not be read", report.bad());
        Ok(Some(usage))
    }
}
