//! Starting a job's shards: the first time, and again after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use core_affinity::CoreId;

use super::checkpoint::{Checkpoints, Coordinator, Epochs};
use super::restart::Failures;
use super::thread::Thread;
use super::{Alive, Config, Executor, Shard, Shared, glommio, interrupt, threads};
use crate::error::{Error, Kind, Result};
use crate::limits::SHARDS;
use crate::operator::{Node, Pace, Seat, Steady, Waiting};
use crate::plan::{self, Plan};
use crate::ring::{Bells, Idler};
use crate::state::{Backend, Scratch};
use crate::sys::fs;
use crate::time::span;

/// How long a job that waits to be started again may take to notice that it shall stop.
const NOTICE: Duration = Duration::from_millis(10);

/// All that is needed to start a job's shards.
pub(super) struct Start {
    job: String,
    plan: Plan,
    config: Config,
    executor: Executor,
    shards: usize,
    shared: Arc<Shared>,
    failures: Failures,
    /// What is wrong so far.
    wrong: Vec<Error>,
}

type Threads = Vec<Thread>;

/// A job that may begin.
pub(super) struct Ready {
    pub(super) seats: Vec<Seat>,
    /// The nodes of each shard.
    pub(super) shards: Vec<Vec<Node>>,
    pub(super) checkpoints: Option<Checkpoints>,
}

impl Start {
    /// What is wrong is said by [`begin`](Start::begin).
    pub(super) fn new(job: &str, plan: Plan, config: &Config) -> Start {
        let asked = config.shard_count();
        let mut wrong = Vec::new();
        let executor = config.executor.choose().unwrap_or_else(|error| {
            wrong.push(error);
            Executor::Threads
        });
        if config.restart.times > 0 && config.checkpoints.is_none() {
            let what = "a job is restarted from its checkpoints, and has none; give it some by \
                        .checkpoints(directory, every)";
            wrong.push(Error::new(Kind::Plan, what));
        }
        // What else is wrong is found on one shard as well.
        let shards = if (1..=SHARDS).contains(&asked) { asked } else { 1 };
        let epochs = config.checkpoints.as_ref().map(|_| Arc::new(Epochs::new(shards)));
        let shared = Arc::new(Shared::new(job, Bells::new(shards), epochs));
        let (job, config, failures) = (job.to_owned(), config.clone(), Failures::default());
        Start { job, plan, config, executor, shards, shared, failures, wrong }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    pub(super) fn executor(&self) -> Executor {
        self.executor
    }

    /// Starts the shards, for the first time.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub(super) fn begin(mut self) -> Result<(Start, Threads)> {
        let ready = self.ready(true)?;
        let threads = self.start(ready);
        if self.config.stop_on_ctrl_c {
            interrupt::stop_on_ctrl_c(&self.shared)?;
        }
        Ok((self, threads))
    }

    /// Starts the shards that are ready, and who makes their checkpoints.
    fn start(&self, ready: Option<Ready>) -> Threads {
        let Some(Ready { seats, shards, checkpoints }) = ready else { return Vec::new() };
        let mut threads = self.spawn(seats, shards);
        let coordinator = checkpoints.and_then(|checkpoints| self.coordinator(checkpoints));
        threads.extend(coordinator.and_then(|coordinator| self.coordinate(coordinator)));
        threads
    }

    /// Makes the shards, with what they go on from; none when the job had come to its end before.
    /// The first time the plan is looked over.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub(super) fn ready(&mut self, first: bool) -> Result<Option<Ready>> {
        let mut wrong = std::mem::take(&mut self.wrong);
        let directory = self.config.checkpoints.as_ref();
        let compression = self.config.compression;
        let opened =
            directory.map(|(path, every)| Checkpoints::open(path, *every, compression, &self.job));
        let checkpoints = match opened.transpose() {
            Ok(checkpoints) => checkpoints,
            // Sinks would find what they have shown to be of nobody knows which epoch.
            Err(error) => {
                wrong.push(error);
                return Err(plan::all(&wrong));
            }
        };
        if first {
            let resumes = checkpoints.as_ref().map(Checkpoints::epoch);
            wrong.extend(self.plan.check(self.config.shard_count(), resumes));
        }
        let backend = self.backend().unwrap_or_else(|error| {
            wrong.push(error);
            Backend::Memory
        });
        let seats = self.seats(checkpoints.as_ref(), &backend);
        let mut layout = self.plan.lay_out(&seats, wrong)?;
        if let Some(checkpoints) = &checkpoints {
            checkpoints.take_up(&mut layout.shards)?;
        }
        self.shared.watch(&layout);
        if checkpoints.as_ref().is_some_and(Checkpoints::has_finished) {
            return Ok(None);
        }
        if let (Some(epochs), Some(checkpoints)) = (&self.shared.epochs, &checkpoints) {
            epochs.begin(checkpoints.epoch());
        }
        Ok(Some(Ready { seats, shards: layout.shards, checkpoints }))
    }

    /// Where state is kept.
    fn backend(&self) -> Result<Backend> {
        let Some(directory) = &self.config.state_in else {
            return Ok(if self.config.small_tables { Backend::Memory } else { Backend::Pages });
        };
        let what = format_args!("making a file for state in {}", directory.display());
        let made = fs::create_dir_all(directory);
        let scratch = made.and_then(|()| Scratch::within(directory, self.config.state_memory));
        let scratch = scratch.map_err(|cause| Error::io(what, &cause))?;
        let small = self.config.small_tables;
        let scratch = if small { scratch } else { scratch.without_small_tables() };
        Ok(Backend::Disk(Arc::new(scratch)))
    }

    fn seats(&self, checkpoints: Option<&Checkpoints>, backend: &Backend) -> Vec<Seat> {
        let (waiting, clock) = (Waiting::new(self.shards), Steady::default());
        let began_on = checkpoints.and_then(Checkpoints::began_on).unwrap_or(self.shards);
        let seat = |shard| Seat {
            shard,
            shards: self.shards,
            bells: self.shared.bells.clone(),
            waiting: waiting.clone(),
            stop: self.shared.stop.clone(),
            lead_us: span(self.config.lead),
            idle_us: span(self.config.idle_after),
            resumes: checkpoints.map(Checkpoints::epoch),
            backend: backend.clone(),
            pace: Pace::default(),
            clock: clock.clone(),
            began_on,
        };
        (0..self.shards).map(seat).collect()
    }

    /// A shard of these nodes.
    pub(super) fn shard(&self, seat: Seat, nodes: Vec<Node>) -> Shard {
        let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len().max(1));
        let idler = Idler::new(self.config.idle, self.shards, cores);
        let turns = self.shared.turns_of(seat.shard);
        Shard::new(seat, nodes, idler, turns, self.shared.epochs.clone())
    }

    fn spawn(&self, seats: Vec<Seat>, shards: Vec<Vec<Node>>) -> Threads {
        let (config, shared) = (&self.config, &self.shared);
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let core = |shard: usize| -> Option<CoreId> {
            let core = cores.get(shard % cores.len().max(1)).copied();
            core.filter(|_| config.pin)
        };
        let mut all = Vec::new();
        for (seat, nodes) in seats.into_iter().zip(shards) {
            let core = core(seat.shard);
            let shard = self.shard(seat, nodes);
            let alive = Alive::new(shared);
            let spawned = match self.executor {
                Executor::Glommio => glommio::spawn(shard, alive, core, config.executor),
                Executor::Auto | Executor::Threads => {
                    threads::spawn(shard, alive, core).map(Thread::Own)
                }
            };
            match spawned {
                Ok(thread) => all.push(thread),
                Err(error) => shared.fail(Error::io("starting a shard's thread", &error)),
            }
        }
        all
    }

    /// Who makes the checkpoints.
    pub(super) fn coordinator(&self, checkpoints: Checkpoints) -> Option<Coordinator> {
        let epochs = self.shared.epochs.clone()?;
        Some(checkpoints.coordinator(&self.job, self.shared.clone(), epochs))
    }

    /// Starts the thread that makes the checkpoints.
    fn coordinate(&self, coordinator: Coordinator) -> Option<Thread> {
        let thread = std::thread::Builder::new().name("checkpoints".into());
        let shared = self.shared.clone();
        let spawned = thread.spawn(move || {
            let _own = shared.enter();
            coordinator.run();
        });
        let failed =
            |error| self.shared.fail(Error::io("starting the checkpoints' thread", &error));
        spawned.map(Thread::Own).map_err(failed).ok()
    }

    /// The job's threads, watched by one that starts others when they have failed, if the job is
    /// to be restarted.
    pub(super) fn supervised(self, threads: Threads) -> Threads {
        if self.config.restart.times == 0 {
            return threads;
        }
        self.shared.restarts.store(true, Relaxed);
        let (shared, alive) = (self.shared.clone(), Alive::new(&self.shared));
        let thread = std::thread::Builder::new().name("restarts".into());
        let spawned = thread.spawn(move || {
            let _own = alive.enter();
            // What is left of the plan, with the user's closures, goes here.
            self.supervise(threads);
        });
        match spawned {
            Ok(thread) => vec![Thread::Own(thread)],
            Err(error) => {
                shared.fail(Error::io("starting the thread of restarts", &error));
                Vec::new()
            }
        }
    }

    fn supervise(mut self, mut threads: Threads) {
        loop {
            join(threads, &self.shared);
            let Some(error) = self.shared.error() else { return };
            if !self.pause_after_failure().is_some_and(|pause| self.pause(pause)) {
                return self.shared.fail(match self.shared.failures().0 {
                    0 => error,
                    1 => error.within("given up after 1 restart"),
                    restarts => error.within(format_args!("given up after {restarts} restarts")),
                });
            }
            match self.ready_again(error) {
                Ok(ready) => threads = self.start(ready),
                Err(error) => return self.shared.fail(error),
            }
        }
    }

    /// How long to wait before the job, which has failed, is started again; none when it is not.
    pub(super) fn pause_after_failure(&mut self) -> Option<Duration> {
        let made = self.shared.epochs.as_ref().map_or(0, |epochs| epochs.made());
        self.failures.add(made, self.config.restart)
    }

    /// As [`ready`](Start::ready), after a failure, when nothing is left of what ran before.
    ///
    /// # Errors
    /// What keeps the job from going on.
    pub(super) fn ready_again(&mut self, after: Error) -> Result<Option<Ready>> {
        self.shared.restart(after);
        self.ready(false).map_err(|error| error.within("restarting"))
    }

    /// Waits; false when the job is stopped meanwhile.
    fn pause(&self, how_long: Duration) -> bool {
        let begin = Instant::now();
        while !self.shared.is_stopped() {
            let left = how_long.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return true;
            }
            park_timeout(left.min(NOTICE));
        }
        false
    }
}

/// Waits for threads.
pub(super) fn join(threads: Threads, shared: &Shared) {
    for thread in threads {
        if !thread.join() {
            let what = "a thread of the job panicked outside of its turns";
            shared.fail(Error::new(Kind::Internal, what));
        }
    }
}
