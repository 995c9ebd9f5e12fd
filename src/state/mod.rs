//! State: what operators remember for each key.

mod table;

pub use table::Table;
