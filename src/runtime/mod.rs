//! The runtime: shards, what drives them, and how a running job is watched and stopped.

mod config;
mod glommio;
mod interrupt;
mod report;
mod shard;
mod threads;

pub use config::{Config, Executor};
pub use report::{OperatorReport, Report};
pub use shard::{Shard, Turn};

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::limits::SHARDS;
use crate::operator::{Counters, Seat, Waiting};
use crate::plan::{Layout, Plan, Row};
use crate::ring::Bells;
use crate::time::span;

/// What all shards of a running job share: the way out.
pub(crate) struct Shared {
    /// Sources shall end early.
    stop: Arc<AtomicBool>,
    /// A shard has failed: all leave at once.
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
    /// A shard runs on a plain thread although glommio was chosen.
    plain: AtomicBool,
    bells: Bells,
    /// How many shards' threads there are.
    alive: Mutex<usize>,
    /// Told when there is none any more.
    ended: Condvar,
}

/// A shard's thread, from before its start to its end.
pub(crate) struct Alive(Arc<Shared>);

impl Alive {
    fn new(shared: &Arc<Shared>) -> Alive {
        *shared.alive.lock().unwrap_or_else(PoisonError::into_inner) += 1;
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
        let mut alive = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
        *alive -= 1;
        if *alive == 0 {
            self.0.ended.notify_all();
        }
    }
}

impl Shared {
    /// Ends the job with this error, unless it has one already.
    pub(crate) fn fail(&self, error: Error) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        drop(first);
        self.failed.store(true, SeqCst);
        self.bells.ring_all();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.bells.ring_all();
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// The counters of one operator on all shards.
struct Watched {
    name: String,
    source: bool,
    shards: Vec<Arc<Counters>>,
}

/// A job that runs.
///
/// Dropping it stops the job and waits for it.
pub struct Running {
    job: String,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    watched: Vec<Watched>,
    executor: Executor,
    shards: usize,
    started: Instant,
}

impl Running {
    /// Starts the shards of a plan.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub fn start(job: &str, plan: &mut Plan, config: &Config) -> Result<Running> {
        let context = |error: Error| error.within(format!("job {job}"));
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let asked = config.shard_count();
        let mut wrong = plan.check(asked);
        let executor = config.executor.choose().unwrap_or_else(|error| {
            wrong.push(error);
            Executor::Threads
        });
        // What else is wrong is found on one shard as well.
        let shards = if (1..=SHARDS).contains(&asked) { asked } else { 1 };
        let bells = Bells::new(shards);
        let waiting = Waiting::new(shards);
        let stop = Arc::new(AtomicBool::new(false));
        let seat = |shard| Seat {
            shard,
            shards,
            bells: bells.clone(),
            waiting: waiting.clone(),
            stop: stop.clone(),
            lead_us: span(config.lead),
            idle_us: span(config.idle_after),
        };
        let seats: Vec<Seat> = (0..shards).map(seat).collect();
        let layout = plan.lay_out(&seats, wrong).map_err(context)?;
        let watched = watch(&layout);
        let (failed, plain) = (AtomicBool::new(false), AtomicBool::new(false));
        let (error, alive, ended) = (Mutex::new(None), Mutex::new(0), Condvar::new());
        let shared = Arc::new(Shared { stop, failed, error, plain, bells, alive, ended });
        if config.stop_on_ctrl_c {
            interrupt::stop_on_ctrl_c(&shared).map_err(context)?;
        }
        let mut running = Running {
            job: job.to_owned(),
            shared: shared.clone(),
            threads: Vec::new(),
            watched,
            executor,
            shards,
            started: Instant::now(),
        };
        for (seat, nodes) in seats.into_iter().zip(layout.shards) {
            let core = cores.get(seat.shard % cores.len().max(1)).copied();
            let core = core.filter(|_| config.pin);
            let shard = Shard::new(seat, nodes, config.idle, cores.len().max(1));
            let alive = Alive::new(&shared);
            let spawned = match executor {
                Executor::Glommio => glommio::spawn(shard, alive, core, config.executor),
                Executor::Auto | Executor::Threads => threads::spawn(shard, alive, core),
            };
            match spawned {
                Ok(thread) => running.threads.push(thread),
                Err(error) => shared.fail(Error::io("starting a shard's thread", &error)),
            }
        }
        Ok(running)
    }

    /// Asks the sources to end. What they have given flows out; windows that are still open give
    /// no result. [`Running::join`] waits for it.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Whether the job has ended by itself or by an error.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until the job has ended, for so long at most; whether it has.
    ///
    /// ```no_run
    /// # use thalweg::prelude::*;
    /// # let running = Job::new("doc").start()?;
    /// while !running.wait_for(100.millis()) {
    ///     println!("{} records read", running.metrics().records_read());
    /// }
    /// let report = running.join()?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn wait_for(&self, at_most: Duration) -> bool {
        let alive = self.shared.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.ended.wait_timeout_while(alive, at_most, |alive| *alive > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// What the operators have counted so far; stops no shard.
    pub fn metrics(&self) -> Report {
        let operator = |watched: &Watched| {
            let sum = |of: fn(&Counters) -> u64| watched.shards.iter().map(|c| of(c)).sum();
            OperatorReport {
                name: watched.name.clone(),
                source: watched.source,
                records_in: sum(|c| c.records_in.get()),
                records_out: sum(|c| c.records_out.get()),
                late: sum(|c| c.late.get()),
                bad: sum(|c| c.bad.get()),
            }
        };
        let plain = self.shared.plain.load(Relaxed);
        Report {
            job: self.job.clone(),
            shards: self.shards,
            executor: if plain { Executor::Threads } else { self.executor },
            elapsed: self.started.elapsed(),
            stopped: self.shared.is_stopped(),
            operators: self.watched.iter().map(operator).collect(),
        }
    }

    /// Waits until the job has ended.
    ///
    /// # Errors
    /// What ended it early: the first error of any shard, with operator and shard named.
    pub fn join(mut self) -> Result<Report> {
        self.wait();
        let report = self.metrics();
        let mut error = self.shared.error.lock().unwrap_or_else(PoisonError::into_inner);
        match error.take() {
            Some(error) => Err(error.within(format!("job {}", self.job))),
            None => Ok(report),
        }
    }

    fn wait(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                let what = "a shard's thread panicked outside of its turns";
                self.shared.fail(Error::new(Kind::Internal, what));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.wait();
    }
}

fn watch(layout: &Layout) -> Vec<Watched> {
    let of = |row: &Row| Watched {
        name: row.name.clone(),
        source: row.source,
        shards: layout.shards.iter().map(|nodes| nodes[row.node].counters.clone()).collect(),
    };
    layout.rows.iter().map(of).collect()
}
