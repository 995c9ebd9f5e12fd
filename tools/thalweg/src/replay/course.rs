//! The way of a replay: all of its records, one after the other, and when each is due.

use std::time::Duration;

use thalweg::key;

use super::Plan;
use super::schedule::Schedule;
use super::tape::{Tape, Times};
use super::worker::End;

/// The number between 0 and 1 that chance has for a record; the same for the same seed.
pub fn chance(seed: u64, what: u64, record: u64) -> f64 {
    (key::hash(&(seed, what, record)) >> 11) as f64 / (1_u64 << 53) as f64
}

const SAMPLE: u64 = 1;

/// Whether the next copy of a record goes.
pub enum Turn {
    /// When it is due; none: at once.
    Due(Option<Duration>),
    /// Neither it nor any behind it.
    Over(End),
}

/// Where a replay is on its way. Whoever goes it comes by the same records at the same times.
pub struct Course<'a> {
    /// What is replayed.
    pub plan: &'a Plan,
    schedule: Schedule,
    tape: Tape<'a>,
    pass: u64,
    lap: Lap,
    /// The number of the next copy of a record, whichever connection's it is.
    pub index: u64,
}

impl<'a> Course<'a> {
    /// From the start; a silent one says nothing of files that were cut off.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn new(plan: &'a Plan, silent: bool) -> anyhow::Result<Course<'a>> {
        let (schedule, tape) = (plan.schedule.clone(), plan.reel.tape(silent)?);
        Ok(Course { plan, schedule, tape, pass: 0, lap: Lap::default(), index: 0 })
    }

    /// The times of the next record; none behind the last one of the last pass.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn next(&mut self) -> anyhow::Result<Option<Times>> {
        loop {
            if let Some(times) = self.tape.peek() {
                return Ok(Some(times));
            }
            self.pass += 1;
            if self.pass >= self.plan.args.choice.passes.get() {
                return Ok(None);
            }
            self.tape = self.plan.reel.tape(true)?;
            self.lap.turn();
        }
    }

    /// The encoding of the record whose times were given last, and what comes behind it.
    pub fn bytes(&self) -> &[u8] {
        self.tape.bytes()
    }

    /// Whether the next record is among those that chance has chosen.
    pub fn is_chosen(&self) -> bool {
        let part = self.plan.args.choice.sample;
        part.is_none_or(|part| chance(self.plan.seed(), SAMPLE, self.lap.number) < part)
    }

    /// Whether the next copy goes, at a time after the start that is asked for where it matters; it
    /// is passed by [`index`](Course::index).
    pub fn turn(&mut self, times: Times, now: impl FnOnce() -> Duration) -> Turn {
        let choice = &self.plan.args.choice;
        let due = self.schedule.due(times.time.saturating_add(self.lap.time));
        if choice.limit.is_some_and(|limit| self.index >= limit.get()) {
            return Turn::Over(End::Limit);
        }
        // An earlier replay has had its part of the time.
        let before = self.plan.offset;
        let whole = || due.unwrap_or_else(|| before.saturating_add(now()));
        if choice.duration.is_some_and(|most| whole() >= most) {
            return Turn::Over(End::Duration);
        }
        Turn::Due(due.map(|due| due.saturating_sub(before)))
    }

    /// By how many microseconds the times within the next record go forward.
    pub fn shift(&self) -> i64 {
        self.plan.shift.saturating_add(self.lap.event)
    }

    /// Goes behind that record, which has these times and takes so many bytes.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn pass(&mut self, times: Times, bytes: usize) -> anyhow::Result<()> {
        self.lap.number += 1;
        self.lap.see(times.time, times.event.micros());
        self.tape.pass(bytes)
    }
}

/// How far passes over the log have come.
#[derive(Debug, Default)]
struct Lap {
    /// The number of the next record, of all passes.
    number: u64,
    /// By how much the times of this pass are later than recorded, in microseconds.
    time: i64,
    event: i64,
    /// Of this pass: records, least and greatest times.
    records: i64,
    times: Option<(i64, i64)>,
    events: Option<(i64, i64)>,
}

impl Lap {
    fn see(&mut self, time: i64, event: i64) {
        let wider = |range: Option<(i64, i64)>, at: i64| {
            Some(range.map_or((at, at), |(least, most)| (least.min(at), most.max(at))))
        };
        self.records += 1;
        self.times = wider(self.times, time);
        self.events = wider(self.events, event);
    }

    /// The next pass begins where this one ended, as long after it as records follow one another.
    fn turn(&mut self) {
        let records = self.records;
        let length = |range: Option<(i64, i64)>| {
            let (least, most) = range.unwrap_or_default();
            let span = most.saturating_sub(least);
            span.saturating_add(span / (records - 1).max(1))
        };
        self.time = self.time.saturating_add(length(self.times));
        self.event = self.event.saturating_add(length(self.events));
        (self.records, self.times, self.events) = (0, None, None);
    }
}
