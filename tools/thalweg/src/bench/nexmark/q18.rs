//! Query 18, find last bid: the last bid of every bidder for every auction, when the input has
//! ended. Of bids in the same millisecond the highest is the last, then the one whose extra is
//! greatest.

use thalweg::prelude::*;

use super::{Digest, Input, always, timed};

/// Auction, bidder, price, channel, url, time, extra.
type Row = (u64, u64, u64, String, String, Timestamp, String);

pub(super) fn q18(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            if let Some(bid) = event.bid() {
                out.push((
                    bid.auction.to_native(),
                    bid.bidder.to_native(),
                    bid.price.to_native(),
                    bid.channel.as_str(),
                    bid.url.as_str(),
                    bid.date_time.to_native(),
                    bid.extra.as_str(),
                ));
            }
        })
        .key_by(|(auction, bidder, ..)| (auction, bidder))
        .window(always())
        .aggregate(|bids| {
            bids.max_by(|(_, _, price, _, _, at, extra)| (at, price, extra.to_owned()))
        })
        .flat_map(|last, out: &mut Emit<'_, Row>| out.push(last.value))
        .sink(rows);
}
