//! The way of a replay: all of its records, one after the other, and when each is due.

use std::time::Duration;

use anyhow::Context;
use thalweg::key;

use super::Plan;
use super::schedule::Schedule;
use super::tape::{NO_RECORD, Tape, Times, size};
use super::worker::End;

/// The number between 0 and 1 that chance has for a record; the same for the same seed.
pub fn chance(seed: u64, what: u64, record: u64) -> f64 {
    (key::hash(&(seed, what, record)) >> 11) as f64 / (1_u64 << 53) as f64
}

const SAMPLE: u64 = 1;
const DELAY: u64 = 2;

/// What comes next.
pub enum Step {
    /// A copy of a record.
    Copy(Copied),
    /// A record that is not sent: chance has not chosen it. When it would be due after the start of
    /// the first replay, where that is known.
    Passed(Option<Duration>),
    /// Nothing more.
    Over(End),
}

/// One of the copies of a record; most records have one only.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// The record's times.
    pub times: Times,
    /// Which of its copies it is, from 0.
    pub copy: u32,
    /// Its number among all copies of all records, whichever connection's they are.
    pub index: u64,
    /// When it is due after the start of the first replay, where that is no other time than at
    /// once.
    pub due: Option<Duration>,
}

/// Where a replay is on its way. Whoever goes it comes by the same records at the same times.
pub struct Course<'a> {
    /// What is replayed.
    pub plan: &'a Plan,
    schedule: Schedule,
    tape: Tape<'a>,
    pass: u64,
    lap: Lap,
    /// What was stepped on last, and how many bytes it has where somebody knows.
    at: Option<Copied>,
    size: Option<usize>,
    /// It is stepped on once more.
    is_back: bool,
    over: Option<End>,
    /// The number of the copy that comes next.
    pub next: u64,
}

impl<'a> Course<'a> {
    /// From the start; a silent one says nothing of files that were cut off.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn new(plan: &'a Plan, silent: bool) -> anyhow::Result<Course<'a>> {
        let (schedule, tape) = (plan.schedule.clone(), plan.reel.tape(silent)?);
        let (at, size, over) = Default::default();
        let (lap, is_back) = (Lap::default(), false);
        Ok(Course { plan, schedule, tape, pass: 0, lap, at, size, is_back, over, next: 0 })
    }

    /// The next step; what time it is after the start is asked for where it matters.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn step(&mut self, now: impl FnOnce() -> Duration) -> anyhow::Result<Step> {
        if let Some(over) = &self.over {
            return Ok(Step::Over(over.clone()));
        }
        let step = self.go(now);
        if step.is_err() {
            // Nobody can go behind it.
            self.over = Some(End::All);
        }
        step
    }

    fn go(&mut self, now: impl FnOnce() -> Duration) -> anyhow::Result<Step> {
        if std::mem::take(&mut self.is_back)
            && let Some(at) = self.at
        {
            self.next = at.index + 1;
            return Ok(Step::Copy(at));
        }
        let copies = self.plan.args.change.key_clone.get();
        let (times, copy) = match self.at {
            Some(at) if at.copy + 1 < copies => (at.times, at.copy + 1),
            at => {
                if let Some(at) = at {
                    self.pass(at.times)?;
                }
                let Some(times) = self.peek()? else { return Ok(self.is_over(End::All)) };
                if !self.is_chosen() {
                    let due = self.schedule.recorded(times.time.saturating_add(self.lap.time));
                    self.pass(times)?;
                    return Ok(Step::Passed(due));
                }
                (times, 0)
            }
        };
        let choice = &self.plan.args.choice;
        let due = self.schedule.due(times.time.saturating_add(self.lap.time));
        if choice.limit.is_some_and(|limit| self.next >= limit.get()) {
            return Ok(self.is_over(End::Limit));
        }
        // An earlier replay has had its part of the time.
        let whole = || due.unwrap_or_else(|| self.plan.offset.saturating_add(now()));
        if choice.duration.is_some_and(|most| whole() >= most) {
            return Ok(self.is_over(End::Duration));
        }
        let at = Copied { times, copy, index: self.next, due };
        (self.at, self.next) = (Some(at), self.next + 1);
        Ok(Step::Copy(at))
    }

    fn is_over(&mut self, end: End) -> Step {
        self.over = Some(end.clone());
        Step::Over(end)
    }

    /// The next step is on the same copy once more.
    pub fn back(&mut self) {
        if let Some(at) = self.at {
            (self.is_back, self.next) = (true, at.index);
        }
    }

    /// The record that was stepped on last has so many bytes.
    pub fn has_bytes(&mut self, size: usize) {
        self.size = Some(size);
    }

    /// The encoding of the record that was stepped on last, and what comes behind it.
    pub fn bytes(&self) -> &[u8] {
        self.tape.bytes()
    }

    /// By how many microseconds the times within that record go forward.
    pub fn shift(&self) -> i64 {
        self.plan.shift.saturating_add(self.lap.event)
    }

    /// The times of the next record; none behind the last one of the last pass.
    fn peek(&mut self) -> anyhow::Result<Option<Times>> {
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

    /// Whether the next record is among those that chance has chosen.
    fn is_chosen(&self) -> bool {
        let part = self.plan.args.choice.sample;
        part.is_none_or(|part| chance(self.plan.seed(), SAMPLE, self.lap.number) < part)
    }

    /// Goes behind the record that was looked at last.
    fn pass(&mut self, times: Times) -> anyhow::Result<()> {
        self.at = None;
        let known = self.size.take();
        let size = known.or_else(|| size(&self.plan.reel.shape, self.tape.bytes()));
        self.lap.number += 1;
        self.lap.see(times.time, times.event.micros());
        self.tape.pass(size.context(NO_RECORD)?)
    }
}

impl Copied {
    /// How much later than it is due --jitter or --disorder makes it.
    pub fn delay(&self, plan: &Plan) -> Duration {
        let most = plan.moved();
        if most.is_zero() { most } else { most.mul_f64(chance(plan.seed(), DELAY, self.index)) }
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
