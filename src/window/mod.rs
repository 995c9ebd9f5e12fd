//! Windows: which records belong together in time.

mod aggregate;
mod panes;
mod spec;

pub use aggregate::{Merging, Partial, Whole};
pub use panes::Panes;
pub use spec::{Cumulating, Paned, Sliding, Tumbling, WindowSpec, Windows};
