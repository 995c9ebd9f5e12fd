//! Query 0: every bid passes through. Measures what a record costs at least.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price, time, extra.
type Row = (u64, u64, u64, Timestamp, String);

pub(super) fn q0(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            if let Some(bid) = event.bid() {
                out.push((
                    bid.auction.to_native(),
                    bid.bidder.to_native(),
                    bid.price.to_native(),
                    bid.date_time.to_native(),
                    bid.extra.as_str(),
                ));
            }
        })
        .sink(rows);
}
