//! Names that come from outside and are kept as those of the program are.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The name for as long as the process lives, kept once however often it comes: a program reads
/// few different schemas.
pub(super) fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(kept) = names.get(name) {
        return kept;
    }
    let kept: &'static str = Box::leak(Box::from(name));
    names.insert(kept);
    kept
}

/// A name as the data has it: Rust's `r#type` is `type`.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}
