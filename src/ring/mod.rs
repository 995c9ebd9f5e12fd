//! What lies between shards: rings that carry, and bells that wake.
//!
//! | file | holds |
//! |---|---|
//! | [`spsc`] | one ring: one producer, one consumer, no lock |
//! | [`mesh()`] | n × n rings, one for each ordered pair of shards |
//! | [`bell`] | the wake-up of a shard that sleeps, without lost wake-ups |
//! | [`idle`] | what a shard does with a turn that had no work |
//!
//! Rings and bells do not know each other. A ring moves values and never wakes anybody; a bell
//! wakes and never looks at a ring. Their order is the caller's duty: *publish, then ring*; *arm,
//! look again, then wait* (see [`bell`]).
//!
//! Nothing here knows what a ring carries.

pub mod bell;
mod copying;
pub mod idle;
pub mod mesh;
mod slots;
pub mod spsc;

pub use bell::{Bell, Bells, Ringer};
pub use idle::{Idle, Idler, Rest};
pub use mesh::{Links, mesh};
pub use spsc::{Consumer, Producer, ring};
