//! The runtime: shards, what drives them, and how a running job is watched and stopped.

mod checkpoint;
mod config;
mod glommio;
mod interrupt;
mod prometheus;
mod report;
mod restart;
mod running;
mod shard;
mod shared;
mod simulated;
mod start;
mod thread;
mod threads;
mod turns;

pub use checkpoint::{
    CheckpointView, Compression, PartView, PreparedView, SplitView, StateDirectory,
};
pub use config::{Config, Executor};
pub use prometheus::prometheus;
pub use report::{OperatorReport, Report};
pub use restart::Restart;
pub use running::Running;
pub use shard::{Shard, Turn};
pub use turns::Turns;

pub(crate) use shared::{Alive, Shared};
pub(crate) use simulated::{Around, Coordinated, Simulated};
