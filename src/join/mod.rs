//! Joins: rows made of records of two streams that have the same key.
//!
//! Joins of windows lie with the windows.

mod equi;

pub use equi::EquiJoin;
