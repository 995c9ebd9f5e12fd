//! State: what operators remember for each key.

mod few;
mod lists;
mod parts;
mod table;
mod timers;

pub use few::Few;
pub use lists::{List, Lists};
pub use parts::{Loader, Owner, Part, PartHead, Saved, Saver};
pub use table::Table;
pub use timers::{Timer, Timers};
