//! Shards on plain pinned threads.

use std::io;
use std::thread::JoinHandle;

use core_affinity::CoreId;

use super::{Alive, Shard, Shared, Turn};

/// Runs a shard to its end on a thread of its own.
pub(super) fn spawn(
    shard: Shard,
    shared: Alive,
    core: Option<CoreId>,
) -> io::Result<JoinHandle<()>> {
    let name = format!("shard-{}", shard.number());
    std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core {
            core_affinity::set_for_current(core);
        }
        let _own = shared.enter();
        drive(shard, &shared);
    })
}

pub(super) fn drive(mut shard: Shard, shared: &Shared) {
    while !shared.has_failed() {
        match shard.turn() {
            Ok(Turn::Done) => return,
            Ok(Turn::Again) => {}
            Ok(Turn::Spin) => std::hint::spin_loop(),
            Ok(Turn::Yield) => std::thread::yield_now(),
            Ok(Turn::Sleep(nap)) => {
                shard.bell().arm();
                // What came before the bell was armed did not ring it: look once more.
                match shard.turn() {
                    Ok(Turn::Sleep(_)) if !shared.has_failed() => {
                        shard.bell().wait(Some(nap));
                    }
                    Ok(Turn::Done) => return,
                    Ok(_) => shard.bell().disarm(),
                    Err(error) => return shared.fail(error),
                }
            }
            Err(error) => return shared.fail(error),
        }
    }
}
