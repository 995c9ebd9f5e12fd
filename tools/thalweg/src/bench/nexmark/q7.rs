//! Query 7, highest bid: the bids with the highest price in every 10 seconds, all that share it.
//!
//! The SQL text also joins a bid at a window's very end to that window; here, as in the original
//! suite, a bid belongs to one window.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, price, bidder, time, extra.
type Row = (u64, u64, u64, Timestamp, String);

pub(super) fn q7(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            if let Some(bid) = event.bid() {
                out.push((
                    bid.auction.to_native(),
                    bid.price.to_native(),
                    bid.bidder.to_native(),
                    bid.date_time.to_native(),
                    bid.extra.as_str(),
                ));
            }
        })
        .window(Tumbling::of(10.seconds()))
        .aggregate(|bids| bids.all_max_by(|(_, price, ..)| price))
        .flat_map(|highest, out: &mut Emit<'_, Row>| {
            highest.value.iter().for_each(|bid| out.push(bid));
        })
        .sink(rows);
}
