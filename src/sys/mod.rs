//! The only door to the operating system.

pub mod map;
pub mod place;
pub mod probe;
