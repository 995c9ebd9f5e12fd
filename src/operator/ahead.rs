//! A look at the records of a batch that come next.

use super::{Chain, Stage};
use crate::record::{Batch, Record, Records};

/// Shows a stage the records of a batch twice before they come, from far and from near: tables
/// that are larger than the caches are then waited for once for many records.
pub(super) struct Ahead<'b, R> {
    later: Records<'b, R>,
    /// The hashes of those that were shown from far and not from near, in a ring.
    hashes: [Option<u64>; NEAR],
    next: usize,
}

/// How many records before it comes a record is shown again.
const NEAR: usize = 16;

impl<'b, R: Record> Ahead<'b, R> {
    /// How many records before it comes a record is shown at first.
    pub const FAR: usize = 2 * NEAR;

    /// At the first record.
    pub fn new(batch: &Batch<'b>) -> Self {
        Ahead { later: batch.records::<R>(), hashes: [None; NEAR], next: 0 }
    }

    /// Goes one record further.
    #[inline(always)]
    pub fn step<C, S, const PORT: usize>(&mut self, chain: &C, stage: &S)
    where
        C: Chain<In = R>,
        S: Stage<C::Out, PORT>,
    {
        let shown = self.later.next().and_then(|(_, record)| chain.foresee(record));
        let hash = shown.map(|record| stage.foresee(record));
        if let Some(hash) = std::mem::replace(&mut self.hashes[self.next], hash) {
            stage.expect(hash);
        }
        self.next = (self.next + 1) % NEAR;
    }
}
