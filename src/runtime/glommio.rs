//! Shards on glommio executors: one a core, with an io_uring of its own.

use std::io;
use std::panic::catch_unwind;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use core_affinity::CoreId;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

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

/// Runs a shard to its end on a thread of its own. Where no executor can be made although the
/// probe said so, the thread drives the shard itself, unless glommio was asked for by name.
pub(super) fn spawn(
    shard: Shard,
    shared: Alive,
    core: Option<CoreId>,
    asked: Executor,
) -> io::Result<JoinHandle<()>> {
    let name = format!("shard-{}", shard.number());
    std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core {
            core_affinity::set_for_current(core);
        }
        match executor() {
            Ok(executor) => executor.run(drive(shard, &shared)),
            Err(_) if asked == Executor::Auto => {
                shared.plain.store(true, Relaxed);
                threads::drive(shard, &shared);
            }
            Err(why) => shared.fail(Error::new(Kind::Io, format!("glommio: {why}"))),
        }
    })
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
