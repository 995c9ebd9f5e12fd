//! Documents about the engine. What is a program in them is compiled and run by the tests.

#[doc = include_str!("tour.md")]
pub mod tour {}

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("design.md")]
pub mod design {}

#[doc = include_str!("nexmark.md")]
pub mod nexmark {}
