//! Query 5, hot items: which auctions had the most bids in the last 10 seconds, every 2 seconds.
//!
//! All auctions that share the greatest number are given. The windows are cut at both ends of the
//! input.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Window start, auction, bids.
type Row = (Timestamp, u64, u64);

pub(super) fn q5(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| event.bid().map(|bid| bid.auction.to_native()))
        .key_by(|auction| auction)
        .window(Sliding::of(10.seconds(), 2.seconds()))
        .aggregate(|bids| bids.count())
        // The counts of one window happen at its end, so they share a tumbling window of 2 seconds.
        .window(Tumbling::of(2.seconds()))
        .aggregate(|counts| counts.all_max_by(|count| count.value))
        .flat_map(|hottest, out: &mut Emit<'_, Row>| {
            for count in hottest.value.iter() {
                out.push((count.start, count.key, count.value));
            }
        })
        .sink(rows);
}
