//! Query 4, average price for a category: the mean of the winning prices of its auctions, rounded
//! down, and of how many auctions. The final table is given.

use thalweg::prelude::*;

use super::winning::winning;
use super::{Digest, Input, always};

pub(super) fn q4(job: &Job, input: &Input, rows: Digest) {
    winning(job, input)
        .key_by(|won| won.category)
        .window(always())
        .aggregate(|won| (won.count(), won.sum(|won| won.price)))
        .map(|result| {
            let (auctions, sum) = result.value;
            (result.key, auctions, sum / auctions)
        })
        .sink(rows);
}
