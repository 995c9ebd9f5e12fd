//! One run of a job at one rate.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use thalweg::prelude::*;

use super::jobs::{Parts, Work};
use super::live::Round;
use super::recorder::{Recorder, Results, Total};
use super::schedule::{Schedule, Speed};
use crate::bench::run::Setup;

/// How often a running job is looked at: seldom, since who looks takes time from a shard.
const LOOK: Duration = Duration::from_millis(100);

/// A job that is so far behind its schedule will not come up with it, and is stopped.
pub const LAG_MAX: Duration = Duration::from_secs(2);

/// The rate that event time goes by until there is a better one, where it goes by the rate.
const GUESS: f64 = 1e6;

/// A lag below this is no backlog, whether it grows or not.
const LAG_MIN_NS: u64 = 5_000_000;

/// How a job is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What runs it.
    pub setup: Setup,
    /// What a shard without work does.
    pub idle: Idle,
    /// The job.
    pub work: Work,
    /// How fast event time goes.
    pub speed: Speed,
    /// How long it runs before it is measured.
    pub warmup: Duration,
    /// How long it is measured.
    pub measured: Duration,
    /// Whether the raw times are kept.
    pub raw: bool,
}

/// What a run gave.
#[derive(Debug)]
pub struct Trial {
    /// The results that were due in the measured time.
    pub results: Results,
    /// For how long the next record had been due, at each look within the measured time.
    pub lags_ns: Vec<u64>,
    /// Whether the job was stopped because it was behind.
    pub stopped: bool,
}

impl Trial {
    /// Whether the job was ever further behind: even the least lag of the last quarter is greater
    /// than the greatest of the first.
    pub fn fell_behind(&self) -> bool {
        let quarter = self.lags_ns.len().div_ceil(4);
        let first = self.lags_ns.iter().take(quarter).max();
        let last = self.lags_ns.iter().rev().take(quarter).min();
        let grew = first.zip(last).is_some_and(|(first, last)| last > first && *last > LAG_MIN_NS);
        self.stopped || grew
    }
}

impl Plan {
    fn job(&self) -> Job {
        let Setup { shards, executor, .. } = self.setup;
        Job::new(self.work.name).shards(shards).executor(executor).idle(self.idle)
    }

    /// Runs the job at a rate. `None` if it was interrupted.
    ///
    /// # Errors
    /// When the job fails, or gives more results than raw times are kept of.
    pub fn run(&self, rate: f64, round: &Round) -> anyhow::Result<Option<Trial>> {
        self.run_as(rate, round, |job, parts| self.work.build(job, parts))
    }

    /// As [`run`](Self::run), the job built by `build`.
    pub(super) fn run_as(
        &self,
        rate: f64,
        round: &Round,
        build: impl FnOnce(&Job, Parts),
    ) -> anyhow::Result<Option<Trial>> {
        let total = Total::default();
        let schedule = Schedule::begin(Some(rate), self.setup.shards, self.speed.at(rate));
        let (from, until) = (self.warmup, self.warmup + self.measured);
        let measured = from.as_nanos() as u64..until.as_nanos() as u64;
        let recorder = Recorder::new(schedule, measured.clone(), self.raw, Arc::clone(&total));
        let records = schedule.records_in(until);
        let job = self.job();
        build(&job, Parts { schedule, records, recorder, round: round.clone() });
        let running = job.start()?;
        let (mut lags_ns, mut stopped) = (Vec::new(), false);
        while !running.wait_for(LOOK) {
            let read = running.metrics().records_read();
            let lag = if read < records { schedule.lag_ns(read) } else { 0 };
            if measured.contains(&schedule.now_ns()) {
                lags_ns.push(lag);
            }
            stopped |= u128::from(lag) > LAG_MAX.as_nanos();
            if stopped || self.setup.interrupt.came() {
                running.stop();
            }
        }
        let report = running.join()?;
        if self.setup.interrupt.came() {
            return Ok(None);
        }
        ensure!(report.late() == 0, "{} records came too late", report.late());
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        let results = std::mem::take(&mut *total);
        ensure!(
            results.raw_lost == 0,
            "{} results more than --raw keeps; give a lower --rate or a shorter --for",
            results.raw_lost
        );
        Ok(Some(Trial { results, lags_ns, stopped }))
    }

    /// How many records a second the job takes when all are there. `None` if it was interrupted.
    ///
    /// # Errors
    /// When the job fails.
    pub fn saturation(&self, round: &Round) -> anyhow::Result<Option<f64>> {
        let first = self.closed(round, self.speed.at(GUESS))?;
        match (first, self.speed) {
            (Some(rate), Speed::Suite) => self.closed(round, self.speed.at(rate)),
            (first, _) => Ok(first),
        }
    }

    /// Runs the job on records that are due whenever it takes them.
    fn closed(&self, round: &Round, speed: u32) -> anyhow::Result<Option<f64>> {
        let schedule = Schedule::begin(None, self.setup.shards, speed);
        let recorder = Recorder::new(schedule, 0..0, false, Total::default());
        let records = u64::MAX;
        let job = self.job();
        self.work.build(&job, Parts { schedule, records, recorder, round: round.clone() });
        let running = job.start()?;
        let end = self.warmup + self.measured;
        let mut first = None;
        let (mut read, mut took) = (0, Duration::ZERO);
        while !running.wait_for(LOOK) {
            let (now, done) = (schedule.now_ns(), running.metrics().records_read());
            let passed = Duration::from_nanos(now);
            if passed >= self.warmup {
                let (from, before) = *first.get_or_insert((now, done));
                (read, took) = (done - before, Duration::from_nanos(now - from));
            }
            if passed >= end || self.setup.interrupt.came() {
                running.stop();
            }
        }
        running.join()?;
        if self.setup.interrupt.came() {
            return Ok(None);
        }
        ensure!(read > 0, "the job read nothing in {took:?}: give it longer by --for");
        Ok(Some(read as f64 / took.as_secs_f64()))
    }
}
