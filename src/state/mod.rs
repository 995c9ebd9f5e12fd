//! State: what operators remember for each key.

mod few;
mod table;
mod timers;

pub use few::Few;
pub use table::Table;
pub use timers::{Timer, Timers};
