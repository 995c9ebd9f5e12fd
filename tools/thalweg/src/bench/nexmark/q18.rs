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
        // Most bidders have few bids for an auction: to merge what each shard has found would cost
        // more than to bring the bids together.
        .aggregate(|bids| {
            bids.fold_alone::<Row, _>(|last, bid| {
                let (_, _, price, _, _, at, extra) = bid;
                if (at, price, extra) > (last.5, last.2, last.6.as_str()) {
                    *last = Row::own(bid);
                }
            })
        })
        .flat_map(|last, out: &mut Emit<'_, Row>| out.push(last.value))
        .sink(rows);
}
