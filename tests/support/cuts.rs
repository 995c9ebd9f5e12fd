//! Jobs that are cut anywhere by checkpoints: what they give before and after, on whatever number
//! of shards, is what they give when nothing is cut.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use proptest::prelude::{Strategy, any, prop};
use thalweg::operator::{Feed, Progress, Publish, Sink, Source, Split, Writer};
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    pub struct Event { pub side: u64, pub key: u64, pub at: Timestamp, pub id: u64 }
}

/// Microseconds that records may come after newer ones without being late.
pub const DISORDER: i64 = 4;

/// Checkpoints of a run before the one that it is cut at. That one keeps what has changed: with so
/// little state the one after it would hold all again.
const CHECKPOINTS: usize = 1;

/// Gives every so-manyth event, one to three at a time, and waits before event number `limit`.
struct Gated {
    events: Arc<Vec<Event>>,
    splits: usize,
    limit: Arc<AtomicUsize>,
    /// How many records were given, and how often a split has begun to wait.
    given: Arc<[AtomicUsize; 2]>,
}

struct GatedSplit {
    events: Arc<Vec<Event>>,
    first: usize,
    step: usize,
    next: usize,
    limit: Arc<AtomicUsize>,
    /// The limit that it has waited before.
    waited: Option<usize>,
    polls: usize,
    given: Arc<[AtomicUsize; 2]>,
}

impl Source for Gated {
    type Record = Event;
    fn name(&self) -> String {
        "gated".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let split = |first| -> Box<dyn Split<Event>> {
            let (events, given) = (self.events.clone(), self.given.clone());
            let (step, limit, waited, polls) = (self.splits, self.limit.clone(), None, 0);
            Box::new(GatedSplit { events, first, step, next: first, limit, waited, polls, given })
        };
        Ok((0..self.splits).map(split).collect())
    }
}

impl Split<Event> for GatedSplit {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        self.polls += 1;
        if self.polls.is_multiple_of(3) {
            return Ok(Progress::Idle);
        }
        for _ in 0..=self.polls % 3 {
            let limit = self.limit.load(Relaxed);
            if self.next >= limit {
                if self.waited.replace(limit) != Some(limit) {
                    self.given[1].fetch_add(1, Relaxed);
                }
                return Ok(Progress::Idle);
            }
            let Some(event) = self.events.get(self.next) else {
                return Ok(Progress::Done);
            };
            self.next += self.step;
            self.given[0].fetch_add(1, Relaxed);
            event.lend(|event| feed.push(event))?;
        }
        Ok(Progress::Busy)
    }
    fn offset(&self) -> u64 {
        ((self.next - self.first) / self.step) as u64
    }
    fn seek(&mut self, offset: u64) -> Result {
        self.next = self.first + offset as usize * self.step;
        Ok(())
    }
}

/// Event time and row.
pub type Row = (i64, u64, u64);

/// Rows by the epoch that they belong to; by 0 in a job without checkpoints.
pub type Epochs = Arc<Mutex<BTreeMap<u64, Vec<Row>>>>;

struct ByEpoch(Epochs);

struct EpochWriter {
    rows: Vec<Row>,
    all: Epochs,
}

impl Sink<(u64, u64)> for ByEpoch {
    type Writer = EpochWriter;
    fn name(&self) -> String {
        "rows by epoch".into()
    }
    fn open(&mut self, _: usize, _: usize) -> Result<EpochWriter> {
        Ok(EpochWriter { rows: Vec::new(), all: self.0.clone() })
    }
}

impl EpochWriter {
    fn put(&mut self, epoch: u64) {
        self.all.lock().unwrap().entry(epoch).or_default().append(&mut self.rows);
    }
}

impl Writer<(u64, u64)> for EpochWriter {
    fn write(&mut self, at: Timestamp, (left, right): (u64, u64)) -> Result {
        self.rows.push((at.micros(), left, right));
        Ok(())
    }
    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        self.put(epoch);
        Ok(Vec::new())
    }
}

impl Drop for EpochWriter {
    fn drop(&mut self) {
        self.put(0);
    }
}

/// A run that does not come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub shards: usize,
    /// It reads less than this many events.
    pub limit: usize,
    /// A checkpoint is made after so many events while it runs, and all that follows is lost;
    /// otherwise it is stopped.
    pub crash_after: Option<usize>,
}

/// Up to three runs that are cut, and the number of shards of the last one.
pub fn cuts() -> impl Strategy<Value = (Vec<Cut>, usize)> {
    let cut = (0..4_usize, 0..80_usize, any::<bool>(), 0..40_usize);
    let cut = cut.prop_map(|(shards, limit, crashes, after)| {
        let crash_after = crashes.then_some(after);
        Cut { shards: [1, 2, 3, 4][shards], limit, crash_after }
    });
    (prop::collection::vec(cut, 1..4), 1..5_usize)
}

/// Both sides in one stream; some records are late, and few ids make duplicates.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_u64..2, 0_u64..4, 0_i64..5, 0_i64..3 * DISORDER, 1_u64..4);
    prop::collection::vec(one, 10..80).prop_map(|all| {
        let mut now = 0;
        let event = |(side, key, step, back, id)| {
            now += step;
            Event { side, key, at: Timestamp::from_micros(now - back), id }
        };
        all.into_iter().map(event).collect()
    })
}

/// A program, and what it is run on.
pub struct Law<'a, F> {
    pub events: Arc<Vec<Event>>,
    pub splits: usize,
    pub program: &'a F,
}

impl<F: Fn(&Job, Stream<Event>) -> Stream<(u64, u64)>> Law<'_, F> {
    pub fn start(&self, job: Job, limit: usize) -> (Running, Epochs, Arc<[AtomicUsize; 2]>) {
        self.start_gated(job, Arc::new(limit.into()))
    }

    fn start_gated(
        &self,
        job: Job,
        limit: Arc<AtomicUsize>,
    ) -> (Running, Epochs, Arc<[AtomicUsize; 2]>) {
        let (all, given): (Epochs, Arc<[AtomicUsize; 2]>) = Default::default();
        let (events, splits) = (self.events.clone(), self.splits);
        let source = Gated { events, splits, limit, given: given.clone() };
        (self.program)(&job, job.source(source)).sink(ByEpoch(all.clone()));
        let running = job.pin(false).start().unwrap_or_else(|error| panic!("{error}"));
        (running, all, given)
    }

    /// Makes a run that is cut, with checkpoints before: the last one it leaves is a chain of
    /// files. Gives what it gave, and where it can be gone on from.
    pub fn cut(&self, cut: Cut, state: &Path) -> (Vec<Row>, PathBuf) {
        let job = begin(cut.shards, state);
        let end = cut.limit.min(self.events.len());
        let gate = |part: usize| end * (part + 1) / (CHECKPOINTS + 1);
        let limit = Arc::new(AtomicUsize::new(gate(0)));
        let (running, all, given) = self.start_gated(job, limit.clone());
        let after = cut.crash_after.unwrap_or(usize::MAX);
        let mut waits = self.splits;
        for part in 0..=CHECKPOINTS {
            if part > 0 {
                running.checkpoint().unwrap();
                let raised = limit.swap(gate(part), Relaxed) < gate(part);
                waits += if raised { self.splits } else { 0 };
            }
            while given[0].load(Relaxed) < after && given[1].load(Relaxed) < waits {
                assert!(!running.wait_for(1.millis()), "it has ended: {:?}", running.join().err());
            }
        }
        let (mut last, mut next) = (u64::MAX, state.to_owned());
        if cut.crash_after.is_some() {
            last = running.checkpoint().unwrap();
            next.set_extension(format!("{last}"));
            copy(state, &next);
        }
        running.stop();
        running.join().unwrap_or_else(|error| panic!("{error}"));
        let all = std::mem::take(&mut *all.lock().unwrap());
        (
            all.into_iter()
                .filter(|(epoch, _)| *epoch <= last)
                .flat_map(|(_, rows)| rows)
                .collect(),
            next,
        )
    }

    pub fn finish(&self, job: Job) -> Vec<Row> {
        let (running, all, _) = self.start(job, usize::MAX);
        running.join().unwrap_or_else(|error| panic!("{error}"));
        let all = std::mem::take(&mut *all.lock().unwrap());
        all.into_values().flatten().collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A job that goes on from a state directory; of two and four shards, with its state on disk.
fn begin(shards: usize, state: &Path) -> Job {
    let job = Job::new("cut").shards(shards).checkpoints(state, 1.days());
    let on_disk = shards.is_multiple_of(2);
    if on_disk { job.state_in(std::env::temp_dir()).state_memory(0) } else { job }
}

/// Checks that cuts make no difference.
pub fn check<F: Fn(&Job, Stream<Event>) -> Stream<(u64, u64)>>(
    what: &str,
    events: &[Event],
    splits: usize,
    (cuts, shards): &(Vec<Cut>, usize),
    program: F,
) {
    let law = Law { events: Arc::new(events.to_vec()), splits, program: &program };
    let mut expected = law.finish(Job::new("whole").shards(1));
    expected.sort_unstable();
    let directory = tempfile::tempdir().unwrap();
    let (mut got, mut state) = (Vec::new(), directory.path().join("state"));
    for cut in cuts {
        let (rows, next) = law.cut(*cut, &state);
        got.extend(rows);
        state = next;
    }
    let job = begin(*shards, &state);
    got.extend(law.finish(job));
    got.sort_unstable();
    assert_eq!(got, expected, "{what}");
}

/// The events with their times, by key.
#[macro_export]
macro_rules! keyed {
    ($events:expr) => {
        $events
            .event_time(|event| event.at, ($crate::cuts::DISORDER as u64).micros())
            .key_by(|event| event.key)
    };
}
