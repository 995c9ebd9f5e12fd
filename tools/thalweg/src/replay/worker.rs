//! One connection: waits for each of its records and sends it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use thalweg::key;
use thalweg::time::Timestamp;

use super::Plan;
use super::course::{Course, Turn, chance};
use super::outlet::{Batch, Outlet, Unsent};
use super::rows::{Changes, Rows, Wrong};
use super::stop::Stop;
use super::tally::Tally;
use super::tape::{NO_RECORD, size};

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
    /// Records that were sent, and their bytes.
    sent: (u64, u64),
    /// Whether something was not sent since it was to stop: nothing that comes behind it is either,
    /// so that it is where a later replay goes on.
    is_cut: bool,
}

/// Why what comes behind something that was not sent is not sent either.
const CUT: &str = "something before it was not sent";
/// What chance is asked for.
const DELAY: u64 = 2;

impl Worker<'_> {
    /// Sends all that is this connection's.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn run(mut self) -> anyhow::Result<End> {
        let sent = self.send_all();
        // Whatever ended it, what the target has is to be whole.
        let finished = self.outlet.finish();
        if let Err(unsent) = &finished {
            self.settle(unsent, (0, 0));
        }
        let end = match (sent, finished) {
            (Err(Halt::Log(error)), _) => {
                self.stop.all();
                return Err(error);
            }
            (Err(Halt::Target(cause)), _) | (Ok(_), Err(Unsent { cause, .. })) => {
                End::Failed(cause)
            }
            (Ok(end), Ok(())) => end,
        };
        if matches!(end, End::Failed(_)) {
            self.stop.all();
        }
        Ok(end)
    }

    fn send_all(&mut self) -> Result<End, Halt> {
        let plan = self.plan;
        let mut course = Course::new(plan, self.number > 0)?;
        let (mut stopped, mut end) = (None, End::All);
        'all: while let Some(times) = course.next()? {
            if self.stop.is_asked() && stopped.is_none() {
                // What was held back goes at once: it was passed.
                self.release(Duration::MAX, course.index)?;
                self.flush(course.index)?;
                stopped = Some(self.start.elapsed());
            }
            let (mut over, mut bytes) = (None, None);
            let copies = if course.is_chosen() { plan.args.change.key_clone.get() } else { 0 };
            for copy in 0..copies {
                let due = match course.turn(times, || self.start.elapsed()) {
                    Turn::Due(due) => due,
                    Turn::Over(over) => {
                        end = over;
                        break 'all;
                    }
                };
                let index = course.index;
                let own = index >= self.passed && self.is_own(index, copy, course.bytes());
                if let Some(stopped) = stopped {
                    // What was due by then is told, and not sent.
                    match due.filter(|due| *due <= stopped) {
                        Some(due) if own => self.desk.look().was_missed(due, stopped),
                        Some(_) => {}
                        None => break 'all,
                    }
                } else if own {
                    let changes = Changes { shift: course.shift(), copy };
                    let record = (times.event, course.bytes());
                    bytes = Some(self.put(record, index, due, changes)?);
                } else {
                    over = due;
                }
                course.index += 1;
            }
            if bytes.is_none() && stopped.is_none() {
                self.pass_over(over, course.index)?;
            }
            let bytes = bytes.or_else(|| size(&plan.reel.shape, course.bytes()));
            course.pass(times, bytes.context(NO_RECORD)?)?;
        }
        if stopped.is_none() {
            self.release(Duration::MAX, course.index)?;
            self.flush(course.index)?;
        }
        Ok(if stopped.is_some() || self.out.is_cut { self.stopped() } else { end })
    }

    /// How it ended, when it was to stop before all was sent.
    fn stopped(&self) -> End {
        self.stop.gave_up().map_or(End::Stopped, End::Failed)
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
        (event, bytes): (Timestamp, &[u8]),
        index: u64,
        due: Option<Duration>,
        changes: Changes,
    ) -> Result<usize, Halt> {
        let event = Timestamp::from_micros(event.micros().saturating_add(changes.shift));
        let timing = &self.plan.args.timing;
        let delay = |most: Duration| most.mul_f64(chance(self.plan.seed(), DELAY, index));
        if let (Some(most), Some(due)) = (timing.disorder, due) {
            self.release(due, index)?;
            let mut row = Vec::new();
            let pushed = self.rows.push(bytes, changes, &mut row);
            let size = self.pushed(pushed, index)?;
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
        let pushed = self.rows.push(bytes, changes, &mut self.out.bytes);
        let size = self.pushed(pushed, index)?;
        self.wait(event, due);
        Ok(size)
    }

    /// What came before a record that can't be sent goes all the same.
    fn pushed(&mut self, pushed: Result<usize, Wrong>, index: u64) -> Result<usize, Halt> {
        if pushed.is_err() {
            self.release(Duration::MAX, index)?;
            self.flush(index)?;
        }
        pushed.map_err(Halt::from)
    }

    /// Sends what was held back up to a time.
    fn release(&mut self, until: Duration, index: u64) -> Result<(), Halt> {
        while let Some(Reverse((due, ..))) = self.out.held.peek()
            && *due <= until
        {
            // It is held until those before it are gone: what they have passed ends before it.
            let due = *due;
            self.make_ready(Some(due), index)?;
            let Some(Reverse((_, _, event, row))) = self.out.held.pop() else { break };
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
        let Out { bytes, ends, events, dues, held, sent: all, is_cut, .. } = &mut self.out;
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
        self.stop.moves();
        let sent = if *is_cut {
            Err(Unsent::over(CUT.into()))
        } else {
            self.outlet.send(Batch { bytes, ends, events })
        };
        self.stop.moves();
        let at = self.start.elapsed();
        let mut tally = self.desk.look();
        (tally.next, tally.last) = (None, at);
        if !sent.as_ref().is_err_and(|unsent| unsent.over) {
            let least = held.iter().map(|Reverse((_, index, ..))| *index).min();
            tally.passed = least.unwrap_or(index).max(tally.passed);
        }
        let (records, len) = (ends.len() as u64, bytes.len() as u64);
        if sent.is_ok() {
            tally.bytes += len;
            *all = (all.0 + records, all.1 + len);
            if self.plan.is_paced() {
                tally.were_sent(dues, at);
            } else {
                tally.sent += records;
            }
        }
        drop(tally);
        bytes.clear();
        ends.clear();
        events.clear();
        dues.clear();
        let Err(unsent) = sent else { return Ok(()) };
        self.settle(&unsent, (records, len));
        // When somebody ends it, it is not the target that does; what was in hand is sent again
        // when the replay goes on.
        if unsent.over && !self.stop.is_asked() {
            return Err(Halt::Target(unsent.cause));
        }
        if !self.out.is_cut {
            self.stop.note(&unsent.cause);
        }
        self.out.is_cut |= unsent.over;
        Ok(())
    }

    /// Counts what was not sent: of so many records and bytes that were in hand, and of those that
    /// only seemed to have been. Where the target has some of them, all are taken to be as long.
    fn settle(&mut self, unsent: &Unsent, (records, len): (u64, u64)) {
        let (sent, bytes) = self.out.sent;
        let has = unsent.has.unwrap_or(sent).min(sent + records);
        let (more, lost) = (has.saturating_sub(sent), sent.saturating_sub(has));
        let part = |bytes: u64, of: u64, all: u64| {
            (u128::from(bytes) * u128::from(of) / u128::from(all.max(1))) as u64
        };
        let mut tally = self.desk.look();
        tally.unsent += sent + records - has;
        tally.sent += more;
        tally.bytes += part(len, more, records);
        tally.lost += lost;
        tally.lost_bytes += part(bytes, lost, sent);
        drop(tally);
        self.out.sent = (has, bytes + part(len, more, records) - part(bytes, lost, sent));
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

impl From<Wrong> for Halt {
    fn from(wrong: Wrong) -> Halt {
        match wrong {
            Wrong::NoRecord => Halt::Log(anyhow::Error::msg(NO_RECORD)),
            Wrong::Change(what) => Halt::Target(what),
        }
    }
}
