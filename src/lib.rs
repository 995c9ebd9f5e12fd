#![doc = include_str!("../README.md")]
//!
//! # The floors of the source
//!
//! A module imports only from floors below its own; `tests/tidy.rs` holds it.
//!
//! ```text
//! 6  testing
//! 5  api
//! 4  runtime
//! 3  plan            connector
//! 2  operator <- window, join
//! 1  state    record    format
//! 0  error  limits  time  key  config  ring  sys
//! ```

extern crate self as thalweg;

pub mod api;
pub mod connector;
pub mod error;
pub mod format;
pub mod guide;
pub mod join;
pub mod key;
pub mod limits;
pub mod operator;
pub mod plan;
pub mod prelude;
pub mod record;
pub mod ring;
pub mod runtime;
pub mod state;
pub mod sys;
pub mod testing;
pub mod time;
pub mod window;

/// What the macros need; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use {rkyv, serde};
}
