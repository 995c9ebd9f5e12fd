//! What the tests of an operator's or connector's author hold.
//!
//! ```
//! use thalweg::prelude::*;
//! use thalweg::testing::verify;
//!
//! // The greatest number of each remainder, as whatever shard and batch it comes in.
//! verify(0..2_000_u64, |numbers| {
//!     numbers
//!         .event_time(|n| Timestamp::from_millis(n as i64), 5.seconds())
//!         .key_by(|n| n % 7)
//!         .window(Tumbling::of(1.seconds()))
//!         .aggregate(|numbers| numbers.max(|n| n))
//! });
//! ```

mod compare;
mod schedule;
mod simulate;
mod verify;

pub use schedule::{Cuts, Scheduled};
pub use simulate::{JOBS, OUT, SimulatedJob, Survived, simulate};
pub use verify::{Verify, verify};
