//! Measuring the engine.

pub mod machine;
pub mod nexmark;
pub mod progress;
pub mod report;
pub mod stats;

use std::process::ExitCode;

use crate::args::Nexmark;

/// Runs the queries of the Nexmark suite.
///
/// # Errors
///
/// This build has no queries yet, and says so.
pub fn nexmark(_args: &Nexmark) -> anyhow::Result<ExitCode> {
    anyhow::bail!("bench nexmark: this build has no queries to run")
}
