//! The handle to a running job.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::checkpoint::Epochs;
use super::start::{Start, join};
use super::thread::Thread;
use super::{Alive, Config, Executor, Report, Shared};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

/// A job that runs.
///
/// Dropping it stops the job and waits for its end, for as long as [`stop`](Running::stop) says:
/// some tens of milliseconds as a rule, and longer where the peer of a sink is away. Any thread may
/// hold it, and several may share it (`Arc<Running>`): [`stop`](Running::stop),
/// [`metrics`](Running::metrics) and [`is_finished`](Running::is_finished) never wait for a shard.
///
/// # On the job's own threads
///
/// A closure of the job, a [`Callback`](crate::connector::Callback) say, may hold it, too. Nothing
/// waits there, since it would wait for itself: dropped on a thread of the job, it stops the job,
/// and the shards end by themselves; [`join`](Running::join), [`checkpoint`](Running::checkpoint)
/// and [`savepoint`](Running::savepoint) give an error that says so, and
/// [`wait_for`](Running::wait_for) gives false at once.
pub struct Running {
    job: String,
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    executor: Executor,
    shards: usize,
    started: Instant,
    /// Whether the checkpoint that it was to go on from was the one at its end.
    had_ended: bool,
}

impl Running {
    /// Starts the shards of a plan.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub fn start(job: &str, plan: Plan, config: &Config) -> Result<Running> {
        let start = Start::new(job, plan, config);
        // Until all that is to be started is, the job has not ended.
        let starting = Alive::new(&start.shared());
        let (start, threads) = start.begin().map_err(|error| error.within(format!("job {job}")))?;
        let (shared, shards, executor) = (start.shared(), start.shards(), start.executor());
        shared.tell_start(shards, executor);
        let had_ended = threads.is_empty();
        let threads = start.supervised(threads);
        drop(starting);
        Ok(Running {
            job: job.to_owned(),
            shared,
            threads,
            executor,
            shards,
            started: Instant::now(),
            had_ended,
        })
    }

    /// Asks the sources to end. What they have given flows out; windows that are still open give
    /// no result. [`Running::join`] waits for it: as a rule some tens of milliseconds, and as long
    /// as closures take for the records that are under way.
    ///
    /// A sink that connects has to hand on what is under way. When its peer is away it goes on
    /// trying for up to 5 s more ([`PEER_AWAY_STOPPED`](crate::limits::PEER_AWAY_STOPPED)); a peer
    /// that is there and takes nothing, or answers that it can't now, has as long as the sink's
    /// `give_up_after` says, a minute unless set. Then the job fails, and the error says how many
    /// records were not delivered. Where that is too long, make `give_up_after` shorter.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Makes a checkpoint now and waits until it is made; gives its number.
    ///
    /// # Errors
    /// When the job has no checkpoints, or ends before; on one of the job's own threads.
    pub fn checkpoint(&self) -> Result<u64> {
        self.may_wait("checkpoint")?;
        let epochs = self.epochs()?;
        let epoch = epochs.want();
        let made = epochs.wait_until_made(epoch, || self.makes_no_more(epochs));
        if made { Ok(epoch) } else { Err(self.ended_before()) }
    }

    /// Makes a checkpoint now and keeps a copy of it in a directory, which is made and must not
    /// hold anything: it outlives the job's own checkpoints. A job that is given that directory (or
    /// a copy of it) by [`Job::checkpoints`](crate::api::Job::checkpoints) goes on from there.
    /// Waits until it is made; gives its number.
    ///
    /// # Errors
    /// When the job has no checkpoints, or ends before; when the copy can't be written, which does
    /// the job no harm; on one of the job's own threads.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let own = format!("thalweg-savepoint-{}", std::process::id());
    /// # let directory = std::env::temp_dir().join(own);
    /// # let state = directory.join("state");
    /// let job = Job::new("orders").shards(2).checkpoints(&state, 10.seconds());
    /// job.source(Counter::endless()).sink(Discard);
    /// let running = job.start()?;
    /// running.savepoint(directory.join("before-the-upgrade"))?;
    /// # drop(running);
    /// # std::fs::remove_dir_all(directory).ok();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn savepoint(&self, directory: impl Into<PathBuf>) -> Result<u64> {
        self.may_wait("savepoint")?;
        let epochs = self.epochs()?;
        let savepoint = epochs.want_savepoint(directory.into());
        let kept = epochs.wait_until_kept(&savepoint, || self.makes_no_more(epochs));
        let kept = kept.unwrap_or_else(|| Err(self.ended_before()));
        kept.map_err(|error| error.within(format!("job {}", self.job)))
    }

    fn epochs(&self) -> Result<&Epochs> {
        self.shared.epochs.as_deref().ok_or_else(|| {
            let what = "the job has no checkpoints; give it some by .checkpoints(directory, every)";
            Error::new(Kind::Plan, what)
        })
    }

    /// Whether no checkpoint will be made any more.
    fn makes_no_more(&self, epochs: &Epochs) -> bool {
        self.shared.has_ended() || epochs.is_last(epochs.made()) || self.threads.is_empty()
    }

    fn ended_before(&self) -> Error {
        Error::new(Kind::Io, "the job ended before the checkpoint was made")
    }

    /// Whether the job has ended by itself or by an error.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(Thread::is_finished)
    }

    /// Waits until the job has ended, for so long at most; whether it has. On one of the job's own
    /// threads it does not wait: it has not ended there.
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
        !self.shared.is_own_thread() && self.shared.wait_for(at_most)
    }

    /// What the operators have counted so far; stops no shard.
    pub fn metrics(&self) -> Report {
        let plain = self.shared.plain.load(Relaxed);
        let (restarts, failures) = self.shared.failures();
        Report {
            job: self.job.clone(),
            shards: self.shards,
            executor: if plain { Executor::Threads } else { self.executor },
            elapsed: self.started.elapsed(),
            running: !self.is_finished(),
            stopped: self.shared.is_stopped(),
            had_ended: self.had_ended,
            restarts,
            checkpoint: self.shared.epochs.as_ref().map(|epochs| epochs.made()),
            failures,
            turns: self.shared.turns(),
            operators: self.shared.counted(),
        }
    }

    /// Waits until the job has ended.
    ///
    /// # Errors
    /// What ended it early: the first error of any shard, with operator and shard named. On one of
    /// the job's own threads, that it can't be waited for there; the job is stopped.
    pub fn join(mut self) -> Result<Report> {
        self.may_wait("join")?;
        self.wait();
        let report = self.metrics();
        match self.shared.error() {
            Some(error) => Err(error.within(format!("job {}", self.job))),
            None => Ok(report),
        }
    }

    /// Refuses to wait on a thread of the job's own.
    fn may_wait(&self, what: &str) -> Result {
        if !self.shared.is_own_thread() {
            return Ok(());
        }
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        let what = format!(
            "{what} waits for the job's threads and was called on one of them, {name}; call it on \
             another thread"
        );
        Err(Error::new(Kind::UserCode, what).within(format!("job {}", self.job)))
    }

    fn wait(&mut self) {
        join(std::mem::take(&mut self.threads), &self.shared);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        // A thread of the job's own would wait for itself.
        if !self.shared.is_own_thread() {
            self.wait();
        }
    }
}
