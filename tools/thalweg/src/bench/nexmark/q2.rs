//! Query 2, selection: the prices that are bid for every 123rd auction.

use thalweg::connector::nexmark::Recorded;
use thalweg::prelude::*;

use super::{Digest, timed};

pub(super) fn q2(job: &Job, input: Recorded, rows: Digest) {
    timed(job, input)
        .filter_map(|event| {
            event
                .bid()
                .map(|bid| (bid.auction.to_native(), bid.price.to_native()))
        })
        .filter(|(auction, _)| auction % 123 == 0)
        .sink(rows);
}
