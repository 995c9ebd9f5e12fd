//! State: what operators remember for each key.

mod table;
mod timers;

pub use table::Table;
pub use timers::{Timer, Timers};
