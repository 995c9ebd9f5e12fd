//! What operators remember, on its way to a checkpoint and back.
//!
//! An operator's state is kept as records: named *parts*, each a list of records of one type, with
//! the schema of that type. So a checkpoint does not depend on how tables lie in memory, can be
//! read by a person, and can be dealt out anew to another number of shards: each takes the records
//! whose keys it owns.
//!
//! ```text
//! section:  | head bytes: 8 | head: JSON, padded to 8 | frame | frame | … | end: 16 zero bytes |
//! frame:    | records: 8 | bytes: 8 | times: 8 a record | encodings, `bytes` in all |
//! ```
//!
//! The highest bit of a frame's `records` is set when none of them has a time: there are no times.

mod loader;
mod saved;
mod saver;
#[cfg(test)]
mod tests;

pub use loader::Loader;
pub use saved::{Saved, Sections, Window};
pub use saver::{Part, Saver};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whose state is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The step, by a name that is its own among the job's.
    pub step: Arc<str>,
    /// What was asked of it, in words.
    pub asked: Arc<str>,
    /// Which of the step's input ports the operator's port 0 is.
    pub input: usize,
}

/// The bit of a frame's number of records which says that none has a time.
const UNTIMED: u64 = 1 << 63;

/// What stands between what was asked of an operator and the name of its aggregate.
pub const OF: &str = ": ";

/// What stands before the records of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHead {
    /// The operator, by a name that is its own among the job's.
    pub step: String,
    /// What was asked of it: state of windows of one length is of no use to those of another.
    pub asked: String,
    /// What of it.
    pub part: String,
    /// The records' type in words.
    pub schema: String,
    /// How they lie in memory ([`Record::STORED`](crate::record::Record::STORED)).
    pub layout: u64,
}

impl PartHead {
    /// Whether it was saved by an operator of which the same was asked.
    fn is_as_asked(&self, owner: &Owner) -> bool {
        // Older versions did not keep the aggregate, nor anything of aggregates without windows.
        let older = owner.asked.rsplit_once(OF);
        let older = older.is_some_and(|(asked, _)| self.asked.is_empty() || self.asked == asked);
        self.asked == *owner.asked || older
    }
}
