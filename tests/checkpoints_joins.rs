//! Joins and process functions are cut anywhere by checkpoints: what they give before and after,
//! on whatever number of shards, is what they give when nothing is cut.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use thalweg::operator::{Feed, Progress, Publish, Sink, Source, Split, Writer};
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Event { side: u64, key: u64, at: Timestamp, id: u64 }
}

/// Microseconds that records may come after newer ones without being late.
const DISORDER: i64 = 4;

/// Gives every so-manyth event, one to three at a time, and waits before event number `limit`.
struct Gated {
    events: Arc<Vec<Event>>,
    splits: usize,
    limit: usize,
    /// How many records were given, and how many splits wait.
    given: Arc<[AtomicUsize; 2]>,
}

struct GatedSplit {
    events: Arc<Vec<Event>>,
    first: usize,
    step: usize,
    next: usize,
    limit: usize,
    waits: bool,
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
            let (step, limit, waits, polls) = (self.splits, self.limit, false, 0);
            Box::new(GatedSplit { events, first, step, next: first, limit, waits, polls, given })
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
            if self.next >= self.limit {
                if !std::mem::replace(&mut self.waits, true) {
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
type Row = (i64, u64, u64);

/// Rows by the epoch that they belong to; by 0 in a job without checkpoints.
type Epochs = Arc<Mutex<BTreeMap<u64, Vec<Row>>>>;

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
struct Cut {
    shards: usize,
    /// It reads less than this many events.
    limit: usize,
    /// A checkpoint is made after so many events while it runs, and all that follows is lost;
    /// otherwise it is stopped.
    crash_after: Option<usize>,
}

/// Up to three runs that are cut, and the number of shards of the last one.
fn cuts() -> impl Strategy<Value = (Vec<Cut>, usize)> {
    let cut = (0..4_usize, 0..80_usize, any::<bool>(), 0..40_usize);
    let cut = cut.prop_map(|(shards, limit, crashes, after)| {
        let crash_after = crashes.then_some(after);
        Cut { shards: [1, 2, 3, 4][shards], limit, crash_after }
    });
    (prop::collection::vec(cut, 1..4), 1..5_usize)
}

/// Both sides in one stream; some records are late, and few ids make duplicates.
fn events() -> impl Strategy<Value = Vec<Event>> {
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

struct Law<'a, F> {
    events: Arc<Vec<Event>>,
    splits: usize,
    program: &'a F,
}

impl<F: Fn(&Job, Stream<Event>) -> Stream<(u64, u64)>> Law<'_, F> {
    fn start(&self, job: Job, limit: usize) -> (Running, Epochs, Arc<[AtomicUsize; 2]>) {
        let (all, given): (Epochs, Arc<[AtomicUsize; 2]>) = Default::default();
        let (events, splits) = (self.events.clone(), self.splits);
        let source = Gated { events, splits, limit, given: given.clone() };
        (self.program)(&job, job.source(source)).sink(ByEpoch(all.clone()));
        let running = job.pin(false).start().unwrap_or_else(|error| panic!("{error}"));
        (running, all, given)
    }

    /// Makes a run that is cut; gives what it gave, and where it can be gone on from.
    fn cut(&self, cut: Cut, state: &Path) -> (Vec<Row>, PathBuf) {
        let job = Job::new("cut").shards(cut.shards).checkpoints(state, 1.days());
        let (running, all, given) = self.start(job, cut.limit.min(self.events.len()));
        let after = cut.crash_after.unwrap_or(usize::MAX);
        while given[0].load(Relaxed) < after && given[1].load(Relaxed) < self.splits {
            assert!(!running.wait_for(1.millis()), "it has ended: {:?}", running.join().err());
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

    fn finish(&self, job: Job) -> Vec<Row> {
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

/// Checks that cuts make no difference.
fn check<F: Fn(&Job, Stream<Event>) -> Stream<(u64, u64)>>(
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
    let job = Job::new("cut").shards(*shards).checkpoints(&state, 1.days());
    got.extend(law.finish(job));
    got.sort_unstable();
    assert_eq!(got, expected, "{what}");
}

/// The two sides of a stream of events, keyed, to be joined.
macro_rules! join {
    ($events:expr) => {{
        let timed = $events.event_time(|event| event.at, (DISORDER as u64).micros());
        let left = timed.clone().filter(|event| event.side == 0).key_by(|event| event.key);
        left.join(timed.filter(|event| event.side == 1).key_by(|event| event.key))
    }};
}

fn id(of: Option<&Event>) -> u64 {
    of.map_or(0, |event| event.id)
}

/// The events with their times, by key.
macro_rules! keyed {
    ($events:expr) => {
        $events.event_time(|event| event.at, (DISORDER as u64).micros()).key_by(|event| event.key)
    };
}

/// A shard that is ahead of another one in event time must still hear that the job is stopped.
#[test]
fn a_table_join_can_be_stopped_while_a_shard_waits() {
    let event = Event { side: 0, key: 1, at: Timestamp::from_micros(1), id: 1 };
    let program = |_: &Job, e: Stream<Event>| {
        let timed = e.event_time(|event| event.at, 1.seconds());
        let table = timed.clone().filter(|event| event.side == 1);
        let left = timed.filter(|event| event.side == 0);
        left.join_table(table, |l| l.key, |r| r.key, |l, r| (l.id, id(r)))
    };
    let law = Law { events: Arc::new(vec![event; 3]), splits: 2, program: &program };
    let (running, _, given) = law.start(Job::new("ahead").shards(2), 1);
    while given[0].load(Relaxed) < 1 || given[1].load(Relaxed) < 1 {
        assert!(!running.wait_for(1.millis()));
    }
    running.stop();
    if !running.wait_for(20.seconds()) {
        std::mem::forget(running);
        panic!("it hangs");
    }
}

/// Timers by processing time are due at the time that they were set for, before a stop or after;
/// no stop fires one.
#[test]
fn alarms_outlive_a_stop() {
    let delays = |id: u64| if id == 1 { 1.seconds() } else { 1.hours() };
    let program = |_: &Job, e: Stream<Event>| {
        e.key_by(|event| event.key).process::<u64, (u64, u64)>(
            move |id, event, ctx| {
                *id = event.id;
                ctx.timer_after(delays(event.id));
            },
            |id, _, ctx| ctx.emit((*ctx.key(), *id)),
        )
    };
    let event = |n: u64| Event { side: 0, key: n, at: Timestamp::MIN, id: 1 + n % 2 };
    let law = Law { events: Arc::new((0..9).map(event).collect()), splits: 2, program: &program };
    let directory = tempfile::tempdir().unwrap();
    let cut = |shards| {
        let (rows, _) = law.cut(Cut { shards, limit: 8, crash_after: None }, directory.path());
        rows.into_iter().map(|(_, key, _)| key).collect::<Vec<_>>()
    };
    let mut due = [cut(1), cut(4)].concat();
    let job = Job::new("cut").shards(2).checkpoints(directory.path(), 1.days());
    let (running, all, _) = law.start(job, 8);
    std::thread::sleep(1_200.millis());
    running.stop();
    running.join().unwrap();
    due.extend(all.lock().unwrap().values().flatten().map(|row| row.1));
    due.sort_unstable();
    assert_eq!(due, [0, 2, 4, 6], "those that are due, once");
    let job = Job::new("cut").shards(3).checkpoints(directory.path(), 1.days());
    let mut left: Vec<_> = law.finish(job).into_iter().map(|(_, key, _)| key).collect();
    left.sort_unstable();
    assert_eq!(left, [1, 3, 5, 7, 8], "the others at the end");
}

record! {
    struct Padded { wide: u64, narrow: u8 }
}

#[test]
fn state_that_cannot_be_kept_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("padded").checkpoints(directory.path(), 1.days());
    let padded = job.source(Memory::of([1_u64])).map(|n| Padded { wide: n, narrow: 1 });
    let other = job.source(Memory::of([1_u64])).map(|n| (n, n));
    let joined = padded.key_by(|n| n.wide).join(other.key_by(|(n, _)| n));
    joined.inner(|l, _| l.wide).sink(Discard);
    let error = job.start().err().expect("it is refused");
    assert!(error.to_string().contains("there is padding"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn incremental_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        check("inner", &events, splits, &cuts, |_, e| join!(e).inner(|l, r| (l.id, r.id)));
        check("full", &events, splits, &cuts, |_, e| join!(e).full(|l, r| (id(l), id(r))));
    }

    #[test]
    fn interval_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        let (from, to) = (Offset::Before(3.micros()), Offset::After(6.micros()));
        check("full", &events, splits, &cuts, |_, e| {
            join!(e).between(from, to).full(|l, r| (id(l), id(r)))
        });
    }

    #[test]
    fn as_of_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        check("left", &events, splits, &cuts, |_, e| {
            join!(e).as_of(9.micros()).left(|l, r| (l.id, id(r)))
        });
    }

    #[test]
    fn window_joins(
        events in events(),
        splits in 1_usize..4,
        cuts in cuts(),
        lateness in 0_u64..15,
    ) {
        let late = lateness.saturating_sub(5).micros();
        check("tumbling", &events, splits, &cuts, |_, e| {
            join!(e).window(Tumbling::of(10.micros())).allowed_lateness(late)
                .full(|l, r| (id(l), id(r)))
        });
        check("sliding", &events, splits, &cuts, |_, e| {
            join!(e).window(Sliding::of(10.micros(), 4.micros())).allowed_lateness(late)
                .full(|l, r| (id(l), id(r)))
        });
        check("semi", &events, splits, &cuts, |_, e| {
            join!(e).window(Sliding::of(10.micros(), 4.micros())).allowed_lateness(late)
                .semi(|l| (l.id, 0))
        });
    }

    #[test]
    fn table_joins(events in events(), splits in 1_usize..4, cuts in cuts()) {
        // The one table is whole at the end, the other one soon.
        check("slow", &events, splits, &cuts, |_, e| {
            let timed = e.event_time(|event| event.at, (DISORDER as u64).micros());
            let table = timed.clone().filter(|event| event.side == 1);
            timed.filter(|event| event.side == 0)
                .join_table(table, |l| l.key, |r| r.key, |l, r| (l.id, id(r)))
        });
        check("small", &events, splits, &cuts, |job, e| {
            let table = job.source(Memory::of([(1_u64, 7_u64), (2, 8)]));
            e.join_table(table, |l| l.key, |(key, _)| key, |l, r| (l.id, r.map_or(0, |r| r.1)))
        });
    }

    #[test]
    fn process_functions(events in events(), splits in 1_usize..4, cuts in cuts()) {
        // Every record comes out seven microseconds later, with timers set by timers meanwhile.
        check("delayed", &events, splits, &cuts, |_, e| {
            keyed!(e).process::<Vec<(Timestamp, u64)>, (u64, u64)>(
                |waiting, event, ctx| {
                    waiting.push((ctx.time() + 7.micros(), event.id));
                    ctx.timer_at(ctx.time() + 3.micros());
                },
                |waiting, at, ctx| {
                    let (due, left) = waiting.iter().partition(|(due, _)| *due <= at);
                    *waiting = left;
                    for (due, id) in due {
                        ctx.emit_at(due, (*ctx.key(), id));
                    }
                    match waiting.iter().min() {
                        Some((due, _)) => ctx.timer_at(*due),
                        None => ctx.clear(),
                    }
                },
            )
        });
        // What was cancelled stays so, and each key ends once.
        check("last", &events, splits, &cuts, |_, e| {
            keyed!(e).process::<u64, (u64, u64)>(
                |count, _, ctx| {
                    *count += 1;
                    ctx.cancel_timers();
                    ctx.timer_at(Timestamp::MAX);
                },
                |count, _, ctx| ctx.emit((*ctx.key(), *count)),
            )
        });
    }

    #[test]
    fn what_depends_on_the_order_of_records(events in events(), cuts in cuts()) {
        let row = |event: &Event| (event.key, event.id);
        check("reduce", &events, 1, &cuts, |_, e| {
            e.map(|e| (e.key, e.id)).key_by(|(key, _)| key).reduce(|sum, (_, id)| sum.1 += id)
        });
        check("running", &events, 1, &cuts, |_, e| {
            keyed!(e).aggregate_running(|events| events.sum(|event| event.id))
        });
        check("first", &events, 1, &cuts, |_, e| keyed!(e).first().map(row).shuffle(1));
        check("first within", &events, 1, &cuts, |_, e| {
            keyed!(e).first_within(9.micros()).map(row).shuffle(1)
        });
        check("first by time", &events, 1, &cuts, |_, e| {
            keyed!(e).first_by_time(9.micros()).map(row).shuffle(1)
        });
    }
}
