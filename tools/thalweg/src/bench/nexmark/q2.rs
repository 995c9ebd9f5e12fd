//! Query 2, selection: the prices that are bid for every 123rd auction.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

pub(super) fn q2(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| event.bid().map(|bid| (bid.auction.to_native(), bid.price.to_native())))
        .filter(|(auction, _)| auction % 123 == 0)
        .sink(rows);
}
