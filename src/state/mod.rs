//! State: what operators remember for each key.

mod few;
mod lists;
mod table;
mod timers;

pub use few::Few;
pub use lists::{List, Lists};
pub use table::Table;
pub use timers::{Timer, Timers};
