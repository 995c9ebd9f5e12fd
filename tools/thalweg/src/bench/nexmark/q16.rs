//! Query 16, channel statistics: query 15 for every channel, and the last minute in which it had a
//! bid. A row is given when its day has ended.

use thalweg::prelude::*;

use super::{DEAR, Digest, Input, MIDDLING, timed};

/// Channel, price, bidder, auction, time.
type Sold = (String, u64, u64, u64, Timestamp);

/// Bids, bidders, auctions.
type Stats = (u64, u64, u64);
/// Channel, day, last minute, then the statistics of all, the cheap, the middling, the dear.
type Row = (String, Timestamp, (Timestamp, Stats, Stats, Stats, Stats));

pub(super) fn q16(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Sold>| {
            if let Some(bid) = event.bid() {
                out.push((
                    bid.channel.as_str(),
                    bid.price.to_native(),
                    bid.bidder.to_native(),
                    bid.auction.to_native(),
                    bid.date_time.to_native(),
                ));
            }
        })
        .key_by_ref(|(channel, ..)| channel)
        .window(Tumbling::of(1.days()))
        .aggregate(|bids| {
            let bidders = bids.distinct(|(_, _, bidder, ..)| bidder);
            let auctions = bids.distinct(|(_, _, _, auction, _)| auction);
            let all = (bids.count(), bidders, auctions);
            let cheap = bids.only(|(_, price, ..)| price < MIDDLING, all.clone());
            let middling =
                bids.only(|(_, price, ..)| (MIDDLING..DEAR).contains(&price), all.clone());
            let dear = bids.only(|(_, price, ..)| price >= DEAR, all.clone());
            (bids.max(|(.., at)| at.align_down(60_000_000, 0)), all, cheap, middling, dear)
        })
        .flat_map(|day, out: &mut Emit<'_, Row>| out.push((day.key, day.start, day.value)))
        .sink(rows);
}
