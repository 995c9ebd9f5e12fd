//! Documents about the engine. What is a program in them is compiled and run by the tests.

#[doc = include_str!("tour.md")]
pub mod tour {}

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("windows.md")]
pub mod windows {}

#[doc = include_str!("joins.md")]
pub mod joins {}

#[doc = include_str!("state.md")]
pub mod state {}

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("file-format.md")]
pub mod file_format {}

#[doc = include_str!("extending.md")]
pub mod extending {}

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("latency.md")]
pub mod latency {}

#[cfg(not(loom))]
#[doc = include_str!("sockets.md")]
pub mod sockets {}

#[doc = include_str!("record_log.md")]
pub mod record_log {}

#[doc = include_str!("replay.md")]
pub mod replay {}

#[doc = include_str!("design.md")]
pub mod design {}

#[doc = include_str!("nexmark.md")]
pub mod nexmark {}
