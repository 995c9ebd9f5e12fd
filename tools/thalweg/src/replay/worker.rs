//! One connection: waits for each of its records and sends it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use thalweg::key;
use thalweg::time::Timestamp;

use super::outlet::{Batch, Outlet};
use super::rows::{Changes, Rows};
use super::tally::Tally;
use super::tape::{Entry, NO_RECORD, size};
use super::{Plan, Stop};

/// Bytes that are sent at once where many records are due.
const FLUSH: usize = 64 << 10;
/// The last part of a wait is spent looking at the clock: sleepers wake late.
const SPIN: Duration = Duration::from_micros(200);
/// What is due waits for no more records that are passed over.
const OVER: u64 = 64;
/// How long a wait lasts before it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How a connection ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// All records were passed.
    All,
    /// As many as were asked for.
    Limit,
    /// Nothing more is due in the time that was asked for.
    Duration,
    /// Somebody wanted it to.
    Stopped,
    /// The target takes nothing more.
    Failed(String),
}

/// What a connection shares with who looks at it.
#[derive(Debug, Default)]
pub struct Desk {
    tally: Mutex<Tally>,
}

impl Desk {
    /// What was counted.
    pub fn look(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection and what it sends.
pub struct Worker<'a> {
    /// Which connection it is.
    pub number: u64,
    /// What is replayed.
    pub plan: &'a Plan,
    /// Writes records.
    pub rows: Rows,
    /// Takes them.
    pub outlet: Box<dyn Outlet>,
    /// Where it counts.
    pub desk: Arc<Desk>,
    /// Whether it shall stop.
    pub stop: Arc<Stop>,
    /// When the replay began.
    pub start: Instant,
    /// So many records were passed in an earlier replay.
    pub passed: u64,
    /// What is to be sent next.
    pub out: Out,
}

/// Records that are to be sent together.
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    events: Vec<Timestamp>,
    dues: Vec<Duration>,
    /// Those that were held back: when they are due, their number, event time and bytes.
    held: BinaryHeap<Reverse<(Duration, u64, Timestamp, Vec<u8>)>>,
    latest: Duration,
    /// Records that were passed over.
    over: u64,
}

/// The number between 0 and 1 that chance has for a record; the same for the same seed.
fn chance(seed: u64, what: u64, record: u64) -> f64 {
    (key::hash(&(seed, what, record)) >> 11) as f64 / (1_u64 << 53) as f64
}

const SAMPLE: u64 = 1;
const DELAY: u64 = 2;

impl Worker<'_> {
    /// Sends all that is this connection's.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn run(mut self) -> anyhow::Result<End> {
        let end = match self.send_all() {
            Ok(end) => end,
            Err(Halt::Log(error)) => {
                self.stop.all();
                return Err(error);
            }
            Err(Halt::Target(cause)) => End::Failed(cause),
        };
        if matches!(end, End::Failed(_)) {
            self.stop.all();
        }
        Ok(end)
    }

    fn send_all(&mut self) -> Result<End, Halt> {
        let (plan, mut index) = (self.plan, 0);
        let mut schedule = plan.schedule.clone();
        let (mut lap, mut stopped) = (Lap::default(), None);
        let copies = plan.args.change.key_clone.get();
        let mut end = End::All;
        'all: for pass in 0..plan.args.choice.passes.get() {
            let mut tape = plan.reel.tape(self.number > 0 || pass > 0)?;
            while let Some(entry) = tape.peek()? {
                if self.stop.is_asked() && stopped.is_none() {
                    // What was held back goes at once: it was passed.
                    self.release(Duration::MAX, index)?;
                    self.flush(index)?;
                    stopped = Some(self.start.elapsed());
                    end = End::Stopped;
                }
                let mut over = None;
                let chosen = plan.args.choice.sample;
                let chosen =
                    chosen.is_none_or(|part| chance(plan.seed(), SAMPLE, lap.number) < part);
                let mut bytes = None;
                for copy in 0..if chosen { copies } else { 0 } {
                    let due = schedule.due(entry.time.saturating_add(lap.time));
                    let due = due.map(|due| due.saturating_sub(plan.offset));
                    if plan.args.choice.limit.is_some_and(|limit| index >= limit.get()) {
                        end = End::Limit;
                        break 'all;
                    }
                    let at = due.unwrap_or_else(|| self.start.elapsed());
                    if plan.args.choice.duration.is_some_and(|most| at >= most) {
                        end = End::Duration;
                        break 'all;
                    }
                    let own = index >= self.passed && self.is_own(index, copy, entry.bytes);
                    if let Some(stopped) = stopped {
                        // What was due by then is told, and not sent.
                        match due.filter(|due| *due <= stopped) {
                            Some(due) if own => self.desk.look().was_missed(due, stopped),
                            Some(_) => {}
                            None => break 'all,
                        }
                    } else if own {
                        let changes = Changes { shift: plan.shift + lap.event, copy };
                        bytes = Some(self.put(&entry, index, due, changes)?);
                    } else {
                        over = due;
                    }
                    index += 1;
                }
                if bytes.is_none() && stopped.is_none() {
                    self.pass_over(over, index)?;
                }
                lap.number += 1;
                lap.see(entry.time, entry.event.micros());
                let bytes = bytes.or_else(|| size(&plan.reel.shape, entry.bytes));
                tape.pass(bytes.context(NO_RECORD)?)?;
            }
            lap.turn();
        }
        if stopped.is_none() {
            self.release(Duration::MAX, index)?;
            self.flush(index)?;
        }
        self.outlet.finish().map_err(|unsent| Halt::Target(unsent.cause))?;
        Ok(end)
    }

    /// Passes over a record that is not sent: what is due does not wait for it.
    fn pass_over(&mut self, due: Option<Duration>, index: u64) -> Result<(), Halt> {
        if self.out.ends.is_empty() {
            return Ok(());
        }
        self.out.over += 1;
        if self.out.over.is_multiple_of(OVER) || due.is_some_and(|due| due > self.start.elapsed()) {
            self.flush(index)?;
        }
        Ok(())
    }

    /// Whether a record is this connection's.
    fn is_own(&self, index: u64, copy: u32, bytes: &[u8]) -> bool {
        let connections = u64::from(self.plan.args.sending.connections);
        if connections == 1 {
            return true;
        }
        let number = match self.plan.args.change.key {
            Some(_) => key::hash(&(self.rows.hash(bytes).unwrap_or(0), copy)) >> 32,
            None => index,
        };
        number % connections == self.number
    }

    /// Sends a record when it is due; gives how many bytes it takes in the log.
    fn put(
        &mut self,
        entry: &Entry<'_>,
        index: u64,
        due: Option<Duration>,
        changes: Changes,
    ) -> Result<usize, Halt> {
        let (bytes, event) = (entry.bytes, entry.event.micros().saturating_add(changes.shift));
        let event = Timestamp::from_micros(event);
        let timing = &self.plan.args.timing;
        let delay = |most: Duration| most.mul_f64(chance(self.plan.seed(), DELAY, index));
        if let (Some(most), Some(due)) = (timing.disorder, due) {
            self.release(due, index)?;
            let mut row = Vec::new();
            let size = self.rows.push(bytes, changes, &mut row).context(NO_RECORD)?;
            self.out.held.push(Reverse((due + delay(most), index, event, row)));
            return Ok(size);
        }
        let due = due.map(|due| {
            let due = timing.jitter.map_or(due, |most| due + delay(most));
            // In their order.
            self.out.latest = self.out.latest.max(due);
            self.out.latest
        });
        self.make_ready(due, index)?;
        let size = self.rows.push(bytes, changes, &mut self.out.bytes).context(NO_RECORD)?;
        self.wait(event, due);
        Ok(size)
    }

    /// Sends what was held back up to a time.
    fn release(&mut self, until: Duration, index: u64) -> Result<(), Halt> {
        while self.out.held.peek().is_some_and(|Reverse((due, ..))| *due <= until) {
            let Some(Reverse((due, _, event, row))) = self.out.held.pop() else { break };
            self.make_ready(Some(due), index)?;
            self.out.bytes.extend_from_slice(&row);
            self.wait(event, Some(due));
        }
        Ok(())
    }

    /// Sends what is due, if the next record is not or if it is much.
    fn make_ready(&mut self, due: Option<Duration>, index: u64) -> Result<(), Halt> {
        let much = self.out.bytes.len() >= FLUSH
            || self.out.ends.len() >= self.plan.args.sending.batch.get() as usize
                && self.plan.has_batches;
        if much || due.is_some_and(|due| due > self.start.elapsed()) {
            self.flush(index)?;
        }
        Ok(())
    }

    /// Waits until the record that was written last is due.
    fn wait(&mut self, event: Timestamp, due: Option<Duration>) {
        self.out.events.push(event);
        self.out.ends.push(self.out.bytes.len());
        self.out.dues.extend(due);
        let Some(due) = due else { return };
        loop {
            let left = due.saturating_sub(self.start.elapsed());
            if left.is_zero() || self.stop.is_asked() {
                return;
            }
            if left > SPIN {
                sleep((left - SPIN).min(LOOK));
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn flush(&mut self, index: u64) -> Result<(), Halt> {
        let Out { bytes, ends, events, dues, held, .. } = &mut self.out;
        if ends.is_empty() {
            return Ok(());
        }
        // Where nothing waits, a record is due when its turn comes.
        if dues.is_empty() {
            dues.resize(ends.len(), self.start.elapsed());
        }
        {
            let mut tally = self.desk.look();
            tally.are_due(dues);
            tally.next = dues.first().map(|due| due.as_nanos() as u64);
        }
        let sent = self.outlet.send(Batch { bytes, ends, events });
        let at = self.start.elapsed();
        let mut tally = self.desk.look();
        (tally.next, tally.last) = (None, at);
        if !sent.as_ref().is_err_and(|unsent| unsent.over) {
            let least = held.iter().map(|Reverse((_, index, ..))| *index).min();
            tally.passed = least.unwrap_or(index).max(tally.passed);
        }
        let failed = match sent {
            Ok(()) if self.plan.is_paced() => {
                tally.bytes += bytes.len() as u64;
                tally.were_sent(dues, at);
                None
            }
            Ok(()) => {
                tally.bytes += bytes.len() as u64;
                tally.sent += ends.len() as u64;
                None
            }
            Err(unsent) => {
                tally.unsent += ends.len() as u64;
                Some(unsent)
            }
        };
        drop(tally);
        bytes.clear();
        ends.clear();
        events.clear();
        dues.clear();
        match failed {
            // When somebody ends it, it is not the target that does; what was in hand is sent again
            // when the replay goes on.
            Some(unsent) if unsent.over && !self.stop.is_interrupted() => {
                Err(Halt::Target(unsent.cause))
            }
            Some(unsent) => {
                self.stop.note(&unsent.cause);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Why nothing more is sent.
enum Halt {
    Log(anyhow::Error),
    Target(String),
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Halt {
        Halt::Log(error)
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
