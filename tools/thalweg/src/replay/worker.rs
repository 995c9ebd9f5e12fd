//! One connection: waits for each of its records and sends it.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use thalweg::key;
use thalweg::time::Timestamp;

use super::Plan;
use super::course::{Copied, Course, Step};
use super::out::Out;
use super::outlet::{Batch, Outlet, Unsent};
use super::rows::{Changes, Rows, Wrong};
use super::stop::Stop;
use super::tally::Tally;
use super::tape::NO_RECORD;

/// Bytes that are sent at once where many records are due.
const FLUSH: usize = 64 << 10;
/// Bytes that are posted at once: half of what the engine's own servers take.
const POST: usize = 4 << 20;
/// The last part of a wait is spent looking at the clock: sleepers wake late.
const SPIN: Duration = Duration::from_micros(200);
/// What is due waits for no more records that are passed over.
const OVER: u64 = 64;
/// How long a wait lasts before it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Records that are passed over before it is looked whether to stop.
const LOOK_RECORDS: u64 = 1 << 12;

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
    /// So many records were passed in an earlier replay, but for those that were held.
    pub passed: u64,
    /// The numbers of these, in their order.
    pub held: Vec<u64>,
    /// What is to be sent next.
    pub out: Out,
}

impl<'a> Worker<'a> {
    /// Sends all that is this connection's. Says by the end of `ready` that it can, and begins when
    /// there is a start.
    pub fn run(mut self, ready: Sender<()>, start: &OnceLock<Instant>) -> End {
        let prepared = self.prepared();
        drop(ready);
        self.start = *start.wait();
        let end = match prepared {
            Err(Halt::Asked) => self.stopped(),
            Err(Halt::Log(cause) | Halt::Change(cause) | Halt::Target(cause)) => End::Failed(cause),
            Ok(mut course) => match self.send_all(&mut course) {
                Ok(end) => end,
                Err(halt) => self.halt(halt, &mut course),
            },
        };
        // Whatever ended it, what the target has is to be whole.
        let Err(unsent) = self.outlet.finish() else { return end };
        self.settle(&unsent, (0, 0), self.start.elapsed());
        match end {
            End::All | End::Limit | End::Duration | End::Stopped if unsent.over => {
                self.stop.all();
                End::Failed(unsent.cause)
            }
            end => {
                self.stop.note(&unsent.cause);
                end
            }
        }
    }

    /// Goes to where an earlier replay has ended, before the clock runs.
    fn prepared(&mut self) -> Result<Course<'a>, Halt> {
        let mut course = Course::new(self.plan, self.number > 0)?;
        while course.next < self.passed {
            if course.next.is_multiple_of(LOOK_RECORDS) && self.stop.is_asked() {
                return Err(Halt::Asked);
            }
            match course.step(|| Duration::ZERO)? {
                Step::Copy(at) if self.held.binary_search(&at.index).is_ok() => {
                    let size = self.hold(&course, at, at.due.unwrap_or_default())?;
                    course.has_bytes(size);
                }
                Step::Copy(_) | Step::Passed(_) => {}
                Step::Over(_) => break,
            }
        }
        Ok(course)
    }

    fn send_all(&mut self, course: &mut Course<'_>) -> Result<End, Halt> {
        // At once is not before the start; what is due then is written meanwhile.
        if !self.plan.is_paced() {
            self.wait(Duration::ZERO);
        }
        loop {
            if self.stop.is_asked() {
                return Err(Halt::Asked);
            }
            match course.step(|| self.start.elapsed())? {
                Step::Over(end) => {
                    self.release(Duration::MAX, course.next)?;
                    self.flush(course.next)?;
                    return Ok(end);
                }
                Step::Passed(due) => self.pass_over(due, course.next)?,
                Step::Copy(at) if self.is_own(at, course.bytes()) => match self.put(course, at) {
                    Ok(size) => course.has_bytes(size),
                    Err(halt) => {
                        course.back();
                        return Err(halt);
                    }
                },
                Step::Copy(at) => self.pass_over(at.due, course.next)?,
            }
        }
    }

    /// Ends before all was sent: what is in hand goes, if it can, and what was due and does not go
    /// is counted.
    fn halt(&mut self, halt: Halt, course: &mut Course<'_>) -> End {
        let end = match halt {
            Halt::Asked => self.stopped(),
            Halt::Target(cause) => {
                self.stop.all();
                End::Failed(cause)
            }
            Halt::Log(_) | Halt::Change(_) => {
                // What was read before goes, each at its time.
                let rest = self.release(Duration::MAX, course.next);
                if let Err(Halt::Target(cause)) = rest.and_then(|()| self.flush(course.next)) {
                    self.stop.note(&cause);
                }
                // Other connections meet the damage of the log by themselves.
                if matches!(halt, Halt::Change(_)) {
                    self.stop.all();
                }
                let (Halt::Log(cause) | Halt::Change(cause)) = halt else { return self.stopped() };
                End::Failed(cause)
            }
        };
        if !self.out.is_cut
            && let Err(Halt::Target(cause)) = self.flush(course.next)
        {
            self.stop.note(&cause);
        }
        if self.plan.args.timing.disorder.is_some() {
            let mut held: Vec<u64> = self.out.held.all().map(|(_, number)| number).collect();
            held.extend(&self.out.cut);
            held.sort_unstable();
            let mut tally = self.desk.look();
            (tally.passed, tally.held) = (course.next, held);
        }
        self.miss(course);
        end
    }

    /// Counts what was due by now and was not sent.
    fn miss(&mut self, course: &mut Course<'_>) {
        let stopped = self.start.elapsed();
        let missed = |due: Duration| {
            if due <= stopped {
                self.desk.look().was_missed(due, stopped);
            }
        };
        self.out.held.all().for_each(|(due, _)| missed(due));
        loop {
            match course.step(|| stopped) {
                Ok(Step::Passed(due)) => {
                    if due.is_some_and(|due| self.plan.since(due) > stopped) {
                        break;
                    }
                }
                Ok(Step::Copy(at)) => {
                    // With --speed max nothing is due before its turn.
                    let Some(due) = at.due else { break };
                    if self.plan.since(due) > stopped {
                        break;
                    }
                    if self.is_own(at, course.bytes()) {
                        missed(self.plan.since(due.saturating_add(at.delay(self.plan))));
                    }
                }
                Ok(Step::Over(_)) | Err(_) => break,
            }
        }
        self.desk.look().last = stopped;
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
        let is_early = |due: Duration| self.plan.since(due) > self.start.elapsed();
        if self.out.over.is_multiple_of(OVER) || due.is_some_and(is_early) {
            self.flush(index)?;
        }
        Ok(())
    }

    /// Whether a record is this connection's.
    fn is_own(&self, at: Copied, bytes: &[u8]) -> bool {
        let connections = u64::from(self.plan.args.sending.connections.get());
        if connections == 1 {
            return true;
        }
        let number = match self.plan.args.change.key {
            Some(_) => key::hash(&(self.rows.hash(bytes).unwrap_or(0), at.copy)) >> 32,
            None => at.index,
        };
        number % connections == self.number
    }

    /// Sends a record when it is due; gives how many bytes it takes in the log.
    fn put(&mut self, course: &Course<'_>, at: Copied) -> Result<usize, Halt> {
        if let Some(due) = at.due
            && self.plan.args.timing.disorder.is_some()
        {
            self.release(self.plan.since(due), at.index)?;
            return self.hold(course, at, due);
        }
        let due = at.due.map(|due| {
            // In their order.
            let due = self.plan.since(due.saturating_add(at.delay(self.plan)));
            self.out.latest = self.out.latest.max(due);
            self.out.latest
        });
        self.make_ready(due, at.index)?;
        let changes = Changes { shift: course.shift(), copy: at.copy };
        let size = self.rows.push(course.bytes(), changes, &mut self.out.bytes)?;
        self.out.add(moved(at, changes), due, at.index);
        if due.is_some_and(|due| !self.wait(due)) {
            // Somebody ended it before it was due.
            self.out.take_back();
            return Err(Halt::Asked);
        }
        Ok(size)
    }

    /// Holds a record back.
    fn hold(&mut self, course: &Course<'_>, at: Copied, due: Duration) -> Result<usize, Halt> {
        let changes = Changes { shift: course.shift(), copy: at.copy };
        let mut row = Vec::new();
        let size = self.rows.push(course.bytes(), changes, &mut row)?;
        let due = self.plan.since(due.saturating_add(at.delay(self.plan)));
        self.out.held.push((due, at.index, moved(at, changes), row));
        Ok(size)
    }

    /// Sends what was held back up to a time.
    fn release(&mut self, until: Duration, index: u64) -> Result<(), Halt> {
        while let Some(due) = self.out.held.due()
            && due <= until
        {
            // It is held until those before it are gone: what they have passed ends before it.
            self.make_ready(Some(due), index)?;
            if !self.wait(due) {
                return Err(Halt::Asked);
            }
            let Some((_, number, event, row)) = self.out.held.pop() else { break };
            self.out.bytes.extend_from_slice(&row);
            self.out.add(event, Some(due), number);
        }
        Ok(())
    }

    /// Sends what is due, if the next record is not or if it is much.
    fn make_ready(&mut self, due: Option<Duration>, index: u64) -> Result<(), Halt> {
        let (bytes, records) = (self.out.bytes.len(), self.out.ends.len());
        let much = match self.plan.batch {
            Some(most) => records >= most || bytes >= POST,
            None => bytes >= FLUSH,
        };
        if much || due.is_some_and(|due| due > self.start.elapsed()) {
            self.flush(index)?;
        }
        Ok(())
    }

    /// Waits until a record is due; false when somebody ends it before.
    fn wait(&self, due: Duration) -> bool {
        loop {
            let now = Instant::now();
            let before = self.start.saturating_duration_since(now);
            let since = now.saturating_duration_since(self.start);
            let left = due.saturating_add(before).saturating_sub(since);
            if left.is_zero() {
                return true;
            }
            if self.stop.is_asked() {
                return false;
            }
            if left > SPIN {
                sleep((left - SPIN).min(LOOK));
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// Sends what is in hand; what was passed with it ends before the record of this number.
    fn flush(&mut self, index: u64) -> Result<(), Halt> {
        let Out { bytes, ends, events, dues, .. } = &mut self.out;
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
        let sent = self.outlet.send(Batch { bytes, ends, events });
        self.stop.moves();
        let (at, size) = (self.start.elapsed(), (ends.len() as u64, bytes.len() as u64));
        self.book(&sent, at, index);
        self.out.clear();
        let Err(unsent) = sent else { return Ok(()) };
        self.settle(&unsent, size, at);
        if !unsent.over {
            self.stop.note(&unsent.cause);
            return Ok(());
        }
        self.out.is_cut = true;
        // When somebody ends it, it is not the target that does; what was in hand is sent again
        // when the replay goes on.
        if self.stop.is_asked() {
            self.stop.note(&unsent.cause);
            return Err(Halt::Asked);
        }
        Err(Halt::Target(unsent.cause))
    }

    /// Counts what became of the records in hand.
    fn book(&mut self, sent: &Result<(), Unsent>, at: Duration, index: u64) {
        let Out { bytes, ends, dues, numbers, held, sent: all, cut, .. } = &mut self.out;
        let mut tally = self.desk.look();
        (tally.next, tally.last) = (None, at);
        if !sent.as_ref().is_err_and(|unsent| unsent.over) {
            tally.passed = held.least().unwrap_or(index);
            tally.held.clear();
        }
        let records = ends.len() as u64;
        // What was refused has no lateness, and what was in hand at the end that of the end.
        let late = match sent {
            Ok(()) => {
                tally.were_sent(records, at);
                tally.bytes += bytes.len() as u64;
                *all = (all.0 + records, all.1 + bytes.len() as u64);
                records
            }
            Err(unsent) if unsent.over => {
                cut.append(numbers);
                records
            }
            Err(unsent) => unsent.has.map_or(0, |has| has.saturating_sub(all.0).min(records)),
        };
        if self.plan.is_paced() {
            tally.were_late(&dues[..late as usize], at);
        }
    }

    /// Counts what was not sent: of so many records and bytes that were in hand, and of those that
    /// only seemed to have been. Where the target has some of them, all are taken to be as long.
    fn settle(&mut self, unsent: &Unsent, (records, len): (u64, u64), at: Duration) {
        let (sent, bytes) = self.out.sent;
        let has = unsent.has.unwrap_or(sent).min(sent + records);
        let (more, lost) = (has.saturating_sub(sent), sent.saturating_sub(has));
        let part = |bytes: u64, of: u64, all: u64| {
            (u128::from(bytes) * u128::from(of) / u128::from(all.max(1))) as u64
        };
        let mut tally = self.desk.look();
        tally.unsent += sent + records - has;
        if more > 0 {
            tally.were_sent(more, at);
        }
        tally.bytes += part(len, more, records);
        tally.lost += lost;
        tally.lost_bytes += part(bytes, lost, sent);
        drop(tally);
        self.out.sent = (has, bytes + part(len, more, records) - part(bytes, lost, sent));
    }
}

/// The event time of a copy as it is sent.
fn moved(at: Copied, changes: Changes) -> Timestamp {
    Timestamp::from_micros(at.times.event.micros().saturating_add(changes.shift))
}

/// Why nothing more is sent.
enum Halt {
    /// Somebody wants it to end.
    Asked,
    /// The log can't be read, or not further.
    Log(String),
    /// A record can't be changed as it was asked for.
    Change(String),
    /// The target takes nothing more.
    Target(String),
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Halt {
        Halt::Log(format!("{error:#}"))
    }
}

impl From<Wrong> for Halt {
    fn from(wrong: Wrong) -> Halt {
        match wrong {
            Wrong::NoRecord => Halt::Log(NO_RECORD.into()),
            Wrong::Change(what) => Halt::Change(what),
        }
    }
}
