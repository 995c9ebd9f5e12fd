//! Query 19, auction top 10 price: the ten highest bids for every auction with their ranks, when
//! the input has ended. Of equal prices the earlier bid ranks higher, then the one whose bidder,
//! channel, url and extra are greater.

use thalweg::prelude::*;

use super::{Digest, Input, always, timed};

/// Auction, then a bid in the order in which bids rank: price, microseconds before the epoch,
/// bidder, channel, url, extra.
type Ranked = (u64, Bid);
type Bid = (u64, i64, u64, String, String, String);
/// Auction, rank, the bid.
type Row = (u64, u64, Bid);

pub(super) fn q19(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Ranked>| {
            if let Some(bid) = event.bid() {
                let before = -bid.date_time.to_native().micros();
                let (price, bidder) = (bid.price.to_native(), bid.bidder.to_native());
                let (channel, url, extra) =
                    (bid.channel.as_str(), bid.url.as_str(), bid.extra.as_str());
                out.push((bid.auction.to_native(), (price, before, bidder, channel, url, extra)));
            }
        })
        .key_by(|(auction, _)| auction)
        .window(always())
        .aggregate(|bids| {
            bids.fold_alone::<Vec<Bid>, _>(|top, (_, bid)| {
                let higher = |other: &Bid| other.lend(|other| other > bid);
                let at = top.partition_point(higher);
                if at < 10 {
                    top.truncate(9);
                    top.insert(at, Bid::own(bid));
                }
            })
        })
        .flat_map(|top, out: &mut Emit<'_, Row>| {
            for (rank, bid) in (1..).zip(top.value.iter()) {
                out.push((top.key, rank, bid));
            }
        })
        .sink(rows);
}
