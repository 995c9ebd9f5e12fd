//! Windows: which records belong together in time.

mod aggregate;
mod join;
mod panes;
mod spec;

pub use aggregate::{Merging, Partial, Whole};
pub use join::{WindowJoin, in_open_window};
pub use panes::Panes;
pub use spec::{Cumulating, Paned, Sliding, Tumbling, WindowSpec, Windows};
