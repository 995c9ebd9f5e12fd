//! What all threads of a running job share.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::checkpoint::Epochs;
use super::turns::{Turns, Watch};
use super::{Executor, OperatorReport};
use crate::error::{Error, Result};
use crate::limits::FAILURES;
use crate::operator::{Counters, Counts};
use crate::plan::{Layout, Row};
use crate::ring::Bells;

/// Whose the events are that a job gives to [`tracing`]: `RUST_LOG=thalweg=debug` shows all.
const EVENTS: &str = "thalweg";

/// The counters of one operator on all shards.
struct Watched {
    name: String,
    source: bool,
    shards: Vec<Arc<Counters>>,
    counts: Option<Counts>,
}

/// What all shards of a running job share: the way out, and what can be seen from outside.
pub(crate) struct Shared {
    /// The job's name.
    job: String,
    /// Whether it was said that the job has started; only then is it said that it has ended.
    started: AtomicBool,
    /// Sources shall end early.
    pub(super) stop: Arc<AtomicBool>,
    /// A shard has failed: all leave at once.
    failed: AtomicBool,
    /// The job may begin again after that.
    pub(super) restarts: AtomicBool,
    error: Mutex<Option<Error>>,
    /// A shard runs on a plain thread although glommio was chosen.
    pub(super) plain: AtomicBool,
    pub(super) bells: Bells,
    /// Where a coordinator of checkpoints may wait.
    pub(super) epochs: Option<Arc<Epochs>>,
    /// How many threads there are.
    alive: Mutex<usize>,
    /// Told when there is none any more.
    ended: Condvar,
    /// The threads that work for the job now, on which nobody may wait for it.
    own: Mutex<Vec<ThreadId>>,
    watched: Mutex<Vec<Watched>>,
    /// The turns of each shard.
    turns: Mutex<Vec<Arc<Watch>>>,
    /// How often the job was restarted, and why, the last times.
    failures: Mutex<(u64, VecDeque<Error>)>,
}

/// A thread of the job, from before its start to its end.
pub(crate) struct Alive(Arc<Shared>);

impl Alive {
    pub(super) fn new(shared: &Arc<Shared>) -> Alive {
        *lock(&shared.alive) += 1;
        Alive(shared.clone())
    }
}

impl Deref for Alive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let mut alive = lock(&self.0.alive);
        *alive -= 1;
        let last = *alive == 0;
        drop(alive);
        if !last {
            return;
        }
        self.0.tell_end();
        self.0.ended.notify_all();
        if let Some(epochs) = &self.0.epochs {
            epochs.wake();
        }
    }
}

/// This thread works for the job for as long as this is held.
pub(super) struct Own<'a>(&'a Shared);

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let this = thread::current().id();
        lock(&self.0.own).retain(|thread| *thread != this);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(job: &str, bells: Bells, epochs: Option<Arc<Epochs>>) -> Shared {
        let stop = bells.stop();
        Shared {
            job: job.to_owned(),
            started: AtomicBool::new(false),
            stop,
            failed: AtomicBool::new(false),
            restarts: AtomicBool::new(false),
            error: Mutex::new(None),
            plain: AtomicBool::new(false),
            bells,
            epochs,
            alive: Mutex::new(0),
            ended: Condvar::new(),
            own: Mutex::default(),
            watched: Mutex::default(),
            turns: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Says that this thread works for the job, and calls the user's code for it.
    pub(super) fn enter(&self) -> Own<'_> {
        lock(&self.own).push(thread::current().id());
        Own(self)
    }

    /// Whether this is a thread that works for the job: it would wait for itself.
    pub(super) fn is_own_thread(&self) -> bool {
        lock(&self.own).contains(&thread::current().id())
    }

    /// Lets whoever watches the process's events know that the job has started.
    pub(super) fn tell_start(&self, shards: usize, executor: Executor) {
        self.started.store(true, Relaxed);
        let Shared { job, .. } = self;
        info!(target: EVENTS, job, shards, %executor, "job started");
    }

    /// Lets them know that it has ended, and how.
    fn tell_end(&self) {
        if !self.started.swap(false, Relaxed) {
            return;
        }
        let Shared { job, .. } = self;
        match &*lock(&self.error) {
            Some(error) => error!(target: EVENTS, job, %error, "job failed"),
            None => info!(target: EVENTS, job, stopped = self.is_stopped(), "job ended"),
        }
    }

    /// Lets them know of a checkpoint that was made, or why it was not.
    pub(super) fn tell_checkpoint(&self, epoch: u64, made: Result<(), &Error>) {
        let Shared { job, .. } = self;
        match made {
            Ok(()) => debug!(target: EVENTS, job, epoch, "checkpoint made"),
            Err(error) => error!(target: EVENTS, job, epoch, %error, "checkpoint failed"),
        }
    }

    /// Ends the job with this error, unless it has one already.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
        self.failed.store(true, SeqCst);
        self.bells.ring_all();
        if let Some(epochs) = &self.epochs {
            epochs.wake();
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Whether the job has come to its end, or will without another checkpoint.
    pub(super) fn has_ended(&self) -> bool {
        (self.has_failed() && !self.restarts.load(Relaxed)) || *lock(&self.alive) == 0
    }

    /// What ended the job, if anything did; forgotten here.
    pub(super) fn error(&self) -> Option<Error> {
        lock(&self.error).take()
    }

    /// Begins anew after a failure, when no thread is left that knew of it.
    pub(super) fn restart(&self, after: Error) {
        let mut failures = lock(&self.failures);
        failures.0 += 1;
        let (job, restarts) = (&self.job, failures.0);
        warn!(target: EVENTS, job, restarts, error = %after, "job restarts");
        if failures.1.len() == FAILURES {
            failures.1.pop_front();
        }
        failures.1.push_back(after);
        self.failed.store(false, SeqCst);
    }

    /// How often the job was restarted, and why, the last times.
    pub(super) fn failures(&self) -> (u64, Vec<Error>) {
        let failures = lock(&self.failures);
        (failures.0, failures.1.iter().cloned().collect())
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.bells.ring_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Waits until no thread is left, for so long at most; whether none is.
    pub(super) fn wait_for(&self, at_most: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(lock(&self.alive), at_most, |alive| *alive > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// From now on the counters of these nodes are shown, and the turns of their shards.
    pub(super) fn watch(&self, layout: &Layout) {
        let of = |row: &Row| Watched {
            name: row.name.clone(),
            source: row.source,
            shards: layout.shards.iter().map(|nodes| nodes[row.node].counters.clone()).collect(),
            counts: row.counts.clone(),
        };
        *lock(&self.watched) = layout.rows.iter().map(of).collect();
        *lock(&self.turns) = layout.shards.iter().map(|_| Arc::default()).collect();
    }

    /// Where a shard counts its turns.
    pub(super) fn turns_of(&self, shard: usize) -> Arc<Watch> {
        lock(&self.turns).get(shard).cloned().unwrap_or_default()
    }

    /// How long the turns of all shards took so far.
    pub(super) fn turns(&self) -> Turns {
        let mut all = Turns::default();
        lock(&self.turns).iter().for_each(|watch| all.add(watch));
        all
    }

    /// What the operators have counted so far.
    pub(super) fn counted(&self) -> Vec<OperatorReport> {
        let operator = |watched: &Watched| {
            let sum = |of: fn(&Counters) -> u64| watched.shards.iter().map(|c| of(c)).sum();
            OperatorReport {
                name: watched.name.clone(),
                source: watched.source,
                records_in: sum(|c| c.records_in.get()),
                records_out: sum(|c| c.records_out.get()),
                late: sum(|c| c.late.get()),
                bad: sum(|c| c.bad.get()),
                state_bytes: sum(|c| c.state_bytes.get()),
                counts: watched.counts.as_ref().map_or_else(Vec::new, |counts| counts()),
            }
        };
        lock(&self.watched).iter().map(operator).collect()
    }
}
