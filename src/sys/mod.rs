//! The only door to the operating system.

mod at_once;
pub mod clock;
pub mod fs;
pub mod map;
pub mod place;
pub mod probe;
pub mod world;

pub use at_once::at_once;
