//! State: what operators remember for each key.

mod changes;
mod few;
mod held;
mod lists;
mod memory;
mod paged;
mod parts;
mod series;
mod table;
mod timers;

pub use few::Few;
pub use held::Held;
pub use lists::{List, Lists};
pub(crate) use memory::in_small_pages;
pub use memory::{Backend, Scratch};
pub use paged::{Change, PagedTable, Prefix};
pub use parts::{Loader, OF, Owner, Part, PartHead, Saved, Saver, Sections, Window};
pub use series::Series;
pub use table::Table;
pub use timers::{Timer, Timers};

fn no_memory(cause: &std::io::Error) -> ! {
    panic!("there is no room left for state: {cause}")
}
