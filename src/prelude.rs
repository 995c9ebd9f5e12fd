//! What a program needs: `use thalweg::prelude::*;`.

pub use crate::api::{Job, Joined, Keyed, Offset, Stream, Windowed};
pub use crate::connector::{
    Callback, Channel, Collect, Counter, Digest, Discard, Files, Memory, RecordLog, Stdout,
};
#[cfg(not(loom))]
pub use crate::connector::{Http, Tcp, Udp, Unix};
pub use crate::error::{Error, Result};
pub use crate::operator::{Chain, Clock, Context, Emit, Moment, OnBadRecord, bounds_of};
pub use crate::record;
pub use crate::record::{InWindow, Key, Record};
pub use crate::ring::Idle;
pub use crate::runtime::{Config, Executor, Report, Restart, Running};
pub use crate::time::{Timestamp, Units};
pub use crate::window::{CountWindow, Cumulating, Global, Session, Sliding, Trigger, Tumbling};
