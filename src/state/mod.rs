//! State: what operators remember for each key.

mod changes;
mod few;
mod lists;
mod paged;
mod parts;
mod series;
mod table;
mod timers;

pub use few::Few;
pub use lists::{List, Lists};
pub use paged::{Backend, Change, Held, PagedTable, Prefix, Scratch};
pub use parts::{Loader, OF, Owner, Part, PartHead, Saved, Saver, Sections, Window};
pub use series::Series;
pub use table::Table;
pub use timers::{Timer, Timers};
