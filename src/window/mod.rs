//! Windows: which records belong together in time.

mod aggregate;
mod check;
mod clock;
mod closing;
mod count;
mod each;
mod gate;
mod global;
mod held;
mod join;
mod panes;
mod pulse;
mod results;
mod saved;
mod session;
mod spec;
#[cfg(test)]
mod told_tests;

pub use aggregate::{Merging, Partial, Whole};
pub use check::{check_early, check_span};
pub use clock::Clock;
pub use count::{CountWindow, Counted};
pub use each::{Again, Unmerged};
pub use gate::{Gate, Rule};
pub use global::{Global, Running, Trigger, ticks};
pub use join::{WindowJoin, in_open_window};
pub use panes::Panes;
pub use results::LATE_PORT;
pub use session::{Session, Sessions};
pub use spec::{Cumulating, Paned, Place, Sliding, Tumbling, WindowSpec, Windows};
