//! What thalweg must at least reach; the table marks what is below.

/// The least ratio to the hand-written limit.
pub fn to_handwritten(query: &str) -> f64 {
    if is_stateless(query) { 0.8 } else { 0.7 }
}

/// The least ratio to the best of the other engines.
pub fn to_others(query: &str) -> f64 {
    if is_stateless(query) || query == "q3" { 1.0 } else { 2.0 }
}

/// The least ratio of glommio executors to plain threads.
pub const GLOMMIO: f64 = 0.95;

/// The most memory above what hand-written code takes, in MiB.
pub const OVER_HANDWRITTEN_MIB: i64 = 64;

fn is_stateless(query: &str) -> bool {
    matches!(query, "q0" | "q1" | "q2")
}
