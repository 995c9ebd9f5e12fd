//! The jobs whose latency is measured.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use thalweg::connector::Sender;
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

use super::live::{Live, Round};
use super::load::{Load, Make};
use super::recorder::Recorder;
use super::schedule::{Due, Schedule};
use crate::bench::nexmark::{Digest, Events, Input, QUERIES};

record! {
    /// What goes through the jobs that are not of Nexmark: 24 bytes.
    pub(super) struct Ping { key: u64, count: u64, pub(super) due_ns: u64 }
}

/// Different keys of pings.
const KEYS: u64 = 10_000;

/// Records in the ring between the program and the job.
const CHANNEL_RECORDS: usize = 1 << 14;

/// A job to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Work {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub title: &'static str,
    what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Keyed,
    Send,
    Query(Due),
}

const fn query(name: &'static str, title: &'static str, due: Due) -> Work {
    Work { name, title, what: What::Query(due) }
}

/// All of them.
pub const WORKS: [Work; 9] = [
    Work { name: "keyed", title: "Source, exchange, count by key, sink", what: What::Keyed },
    Work { name: "send", title: "In-process send, exchange, count, callback", what: What::Send },
    query("q0", "Pass through", Due::Record),
    query("q1", "Currency conversion", Due::Record),
    query("q2", "Selection", Due::Record),
    query("q3", "Local item suggestion", Due::Record),
    query("q5", "Hot items", Due::Window),
    query("q7", "Highest bid", Due::Window),
    query("q8", "Monitor new users", Due::Window),
];

/// What a run of a job is made of.
pub struct Parts {
    /// When records are due.
    pub schedule: Schedule,
    /// How many there are.
    pub records: u64,
    /// What notes the results.
    pub recorder: Recorder,
    /// The events of Nexmark's queries.
    pub round: Round,
}

impl Work {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        WORKS.into_iter().find(|work| work.name == name)
    }

    /// Adds its streams to a job.
    pub fn build(self, job: &Job, parts: Parts) {
        match self.what {
            What::Keyed => keyed(job, parts),
            What::Send => send(job, parts),
            What::Query(due) => self.nexmark(job, parts, due),
        }
    }

    fn nexmark(self, job: &Job, parts: Parts, due: Due) {
        let Parts { schedule, records, recorder, round } = parts;
        let query = QUERIES.iter().find(|query| query.name == self.name);
        let query = query.expect("the queries here are some of all");
        let events = Events::Live(Live::new(round, schedule, records));
        // None of these writes files.
        let input = Input { events, folder: PathBuf::new() };
        (query.build)(job, &input, Digest::timed(recorder, due));
    }
}

/// Makes pings.
pub(super) struct Pings;

impl Make for Pings {
    type Record = Ping;

    #[inline]
    fn make(
        &mut self,
        number: u64,
        due_ns: u64,
        at: Timestamp,
        feed: &mut Feed<'_, Ping>,
    ) -> Result {
        feed.push_at(at, &Ping { key: number % KEYS, count: 0, due_ns })
    }
}

fn counted(pings: Stream<Ping>, mut recorder: Recorder) {
    pings
        .key_by(|ping| ping.key)
        .process_each::<u64, Ping>(|count, ping, ctx| {
            *count += 1;
            ctx.emit(&Ping { count: *count, ..*ping });
        })
        .sink(Callback::new::<Ping>(move |_, _, ping| recorder.note(ping.due_ns)));
}

fn keyed(job: &Job, parts: Parts) {
    let Parts { schedule, records, recorder, .. } = parts;
    let pings = job.source(Load::new(schedule, records, |_, _| Pings));
    counted(pings, recorder);
}

/// The sender is polled by shard 0, as a split without records of its own: on a machine with as
/// many shards as cores a third thread that spins would measure the system's scheduler. It sends
/// to shard 1 where there is one, so that the way from one thread to another is part of it.
fn send(job: &Job, parts: Parts) {
    let Parts { schedule, records, recorder, .. } = parts;
    let (first, source) = Channel::source::<Ping>(CHANNEL_RECORDS);
    counted(job.source(source), recorder);
    // A second sender belongs to another shard, if there is one.
    let second = first.clone();
    drop(first);
    let to = Mutex::new(Some(second));
    job.source(Program { to, schedule, records }).sink(Discard);
}

/// Stands for a thread of the program that sends.
struct Program {
    /// Until the job begins: the last sender that is gone ends it.
    to: Mutex<Option<Sender<Ping>>>,
    schedule: Schedule,
    records: u64,
}

impl Source for Program {
    type Record = u64;

    fn name(&self) -> String {
        "program".into()
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (schedule, records) = (self.schedule, self.records);
        Ok(vec![Box::new(Sending { to, schedule, records, next: 0 })])
    }
}

/// Sends what is due.
struct Sending {
    to: Option<Sender<Ping>>,
    schedule: Schedule,
    records: u64,
    next: u64,
}

impl Split<u64> for Sending {
    fn poll(&mut self, _: &mut Feed<'_, u64>) -> Result<Progress> {
        let Some(sender) = &mut self.to else { return Ok(Progress::Done) };
        let now = self.schedule.now_ns();
        while self.next < self.records {
            let due_ns = self.schedule.due_ns(self.next, now);
            let ping = Ping { key: self.next % KEYS, count: 0, due_ns };
            // What finds no room is sent later, and is as late as that.
            if due_ns > now || sender.try_send(ping).is_err() {
                return Ok(Progress::Idle);
            }
            self.next += 1;
        }
        self.to = None;
        Ok(Progress::Done)
    }

    fn stop(&mut self) -> bool {
        self.to = None;
        false
    }
}
