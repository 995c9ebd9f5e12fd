//! Connectors: where records enter and leave.

pub mod nexmark;
