//! How a job is run, apart from what it does.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Compression, Restart};
use crate::error::{Error, Kind, Result};
use crate::limits::{LEAD_US, STATE_MEMORY};
use crate::ring::Idle;

/// What drives the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Executor {
    /// Glommio where io_uring works, plain threads where it does not.
    #[default]
    Auto,
    /// A glommio executor (io_uring) a shard.
    Glommio,
    /// A plain thread a shard.
    Threads,
}

impl Executor {
    /// The executor that will run, never [`Executor::Auto`].
    ///
    /// # Errors
    /// When glommio was asked for and can't run here.
    pub fn choose(self) -> Result<Executor> {
        if self == Executor::Threads {
            return Ok(Executor::Threads);
        }
        match (self, super::glommio::probe()) {
            (_, Ok(())) => Ok(Executor::Glommio),
            (Executor::Auto, Err(_)) => Ok(Executor::Threads),
            (_, Err(why)) => {
                let what = format!(
                    "the glommio executor can't run here: {why}; \
                     use Executor::Threads or Auto, or see `thalweg doctor`"
                );
                Err(Error::new(Kind::Io, what))
            }
        }
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Executor::Auto => "auto",
            Executor::Glommio => "glommio",
            Executor::Threads => "threads",
        })
    }
}

/// How a job is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shards; one a core when none.
    pub shards: Option<usize>,
    /// What drives them.
    pub executor: Executor,
    /// What a shard without work does.
    pub idle: Idle,
    /// Whether shard `i` is pinned to core `i` (modulo the cores).
    pub pin: bool,
    /// How far in event time a shard may run ahead of the slowest.
    pub lead: Duration,
    /// A split that is silent for so long no longer holds the watermark back.
    pub idle_after: Duration,
    /// Whether Ctrl-C (and SIGTERM) stops the job.
    pub stop_on_ctrl_c: bool,
    /// Where checkpoints are kept, and how often one is made.
    pub checkpoints: Option<(PathBuf, Duration)>,
    /// How they are written.
    pub compression: Compression,
    /// The directory of the file that keyed state is kept in; in memory when none.
    pub state_in: Option<PathBuf>,
    /// Bytes of text and lists in that file's tables that may be in memory.
    pub state_memory: usize,
    /// See [`Job::small_tables`](crate::api::Job::small_tables).
    pub small_tables: bool,
    /// Whether it is started again after a failure.
    pub restart: Restart,
}

impl Config {
    /// How many shards there are: as many as said, or one a core.
    pub fn shard_count(&self) -> usize {
        let cores = || core_affinity::get_core_ids().map_or(1, |cores| cores.len().max(1));
        self.shards.unwrap_or_else(cores)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            shards: None,
            executor: Executor::Auto,
            idle: Idle::default(),
            pin: true,
            lead: Duration::from_micros(LEAD_US.unsigned_abs()),
            idle_after: Duration::from_secs(30),
            stop_on_ctrl_c: false,
            checkpoints: None,
            compression: Compression::None,
            state_in: None,
            state_memory: STATE_MEMORY,
            small_tables: true,
            restart: Restart::never(),
        }
    }
}
