//! Query 1, currency conversion: every bid with its price in euros. The price is in thousandths of
//! a cent, so that it stays exact: `0.908 * price` is `908 * price` of them.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price in thousandths of a cent, time, extra.
type Row = (u64, u64, u64, Timestamp, String);

pub(super) fn q1(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            if let Some(bid) = event.bid() {
                out.push((
                    bid.auction.to_native(),
                    bid.bidder.to_native(),
                    bid.price * 908,
                    bid.date_time.to_native(),
                    bid.extra.as_str(),
                ));
            }
        })
        .sink(rows);
}
