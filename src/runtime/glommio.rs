//! Shards on glommio executors: one a core, with an io_uring of its own.

use std::io;
use std::panic::catch_unwind;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use core_affinity::CoreId;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::thread::{Thread, Work, lent};
use super::{Alive, Executor, Shard, Shared, Turn, threads};
use crate::error::{Error, Kind};
use crate::sys::probe::{announce_barriers, io_uring};

/// Turns between two looks of the executor at its io_uring.
const TURNS: u32 = 64;

/// Memory that the executor registers for direct I/O; the shards do none yet.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Whether an executor can be made here; asked once a process. No executor is made to find out: to
/// make one and end it takes longer than 400,000 events take through a stateless query.
pub(super) fn probe() -> Result<(), String> {
    static PROBED: OnceLock<Result<(), String>> = OnceLock::new();
    // Glommio ends the process where an operation that it wants is missing: ask first.
    let probe = || {
        io_uring()?;
        announce_barriers();
        Ok(())
    };
    PROBED.get_or_init(probe).clone()
}

/// An executor on whatever core this thread is pinned to. Glommio would pin it, too, but reads the
/// machine's topology four times for that, some 180 system calls.
fn executor() -> Result<LocalExecutor, String> {
    let made = catch_unwind(|| {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(IO_MEMORY_BYTES);
        builder.make().map_err(|error| error.to_string())
    });
    made.unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// A shard for a thread with an executor.
struct Task {
    shard: Shard,
    shared: Alive,
    core: Option<CoreId>,
    asked: Executor,
    work: Work,
}

/// Threads with an executor that have nothing to do. Executors are made once and used by one job
/// after the other: glommio 0.9 never gives back the event descriptor of one that has ended
/// (`RawTask::destroy` does not drop the header that holds it), and to make one takes milliseconds.
static IDLE: Mutex<Vec<Sender<Task>>> = Mutex::new(Vec::new());

/// Runs a shard to its end on a thread with an executor. Where none can be made although the probe
/// said so, the thread drives the shard itself, unless glommio was asked for by name.
pub(super) fn spawn(
    shard: Shard,
    shared: Alive,
    core: Option<CoreId>,
    asked: Executor,
) -> io::Result<Thread> {
    let (work, thread) = lent();
    let task = Task { shard, shared, core, asked, work };
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    // A thread that is idle waits for tasks as long as the process lives.
    let sent = match idle {
        Some(idle) => idle.send(task),
        None => Err(SendError(task)),
    };
    if let Err(SendError(task)) = sent {
        let (sender, tasks) = channel();
        let builder = std::thread::Builder::new().name("glommio-shard".into());
        builder.spawn(move || work_on(task, &sender, &tasks))?;
    }
    Ok(thread)
}

/// Does one task, and then others as they come.
fn work_on(first: Task, own: &Sender<Task>, tasks: &Receiver<Task>) {
    let cores = sched_getaffinity(None).ok();
    pin(&first, None);
    match executor() {
        Ok(executor) => executor.run(async {
            let mut next = Some(first);
            while let Some(Task { shard, shared, work, .. }) = next {
                let entered = shared.enter();
                drive(shard, &shared).await;
                drop(entered);
                // Whoever waits for the job's end may start another one at once.
                IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
                drop(shared);
                work.done();
                next = tasks.recv().ok();
                next.iter().for_each(|task| pin(task, cores.as_ref()));
            }
        }),
        Err(_) if first.asked == Executor::Auto => {
            first.shared.plain.store(true, Relaxed);
            let entered = first.shared.enter();
            threads::drive(first.shard, &first.shared);
            drop(entered);
            first.work.done();
        }
        Err(why) => {
            first.shared.fail(Error::new(Kind::Io, format!("glommio: {why}")));
            first.work.done();
        }
    }
}

/// Pins this thread to the task's core, or lets it run on all of these.
fn pin(task: &Task, cores: Option<&CpuSet>) {
    match (task.core, cores) {
        (Some(core), _) => drop(core_affinity::set_for_current(core)),
        // Where that is refused the shard runs all the same.
        (None, Some(cores)) => drop(sched_setaffinity(None, cores)),
        (None, None) => {}
    }
}

async fn drive(mut shard: Shard, shared: &Shared) {
    let mut turns = 0_u32;
    while !shared.has_failed() {
        match shard.turn() {
            Ok(Turn::Done) => return,
            Ok(Turn::Again) => {
                turns += 1;
                if turns.is_multiple_of(TURNS) {
                    glommio::yield_if_needed().await;
                }
            }
            Ok(Turn::Spin) => std::hint::spin_loop(),
            Ok(Turn::Yield) => std::thread::yield_now(),
            Ok(Turn::Sleep(nap)) => {
                shard.bell().arm();
                // What came before the bell was armed did not ring it: look once more.
                match shard.turn() {
                    Ok(Turn::Sleep(_)) if !shared.has_failed() => sleep(&shard, nap).await,
                    Ok(Turn::Done) => return,
                    Ok(_) => shard.bell().disarm(),
                    Err(error) => return shared.fail(error),
                }
            }
            Err(error) => return shared.fail(error),
        }
    }
}

async fn sleep(shard: &Shard, nap: Duration) {
    let rung = async {
        shard.bell().wait_async().await;
        Ok(())
    };
    // Running out of time is as good a reason to look as the bell.
    let _ = glommio::timer::timeout(nap, rung).await;
}
