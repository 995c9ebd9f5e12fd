//! Query 15, bidding statistics: for every day how many bids, bidders and auctions there were, of
//! all prices and of the cheap, middling and dear ones. A row is given when its day has ended.

use thalweg::prelude::*;

use super::{DEAR, Digest, Input, MIDDLING, timed};

pub(super) fn q15(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| {
            let bid = event.bid()?;
            Some((bid.price.to_native(), bid.bidder.to_native(), bid.auction.to_native()))
        })
        .window(Tumbling::of(1.days()))
        .aggregate(|bids| {
            let bidders = bids.distinct(|(_, bidder, _)| bidder);
            let auctions = bids.distinct(|(_, _, auction)| auction);
            let all = (bids.count(), bidders, auctions);
            let cheap = bids.only(|(price, ..)| price < MIDDLING, all.clone());
            let middling = bids.only(|(price, ..)| (MIDDLING..DEAR).contains(&price), all.clone());
            let dear = bids.only(|(price, ..)| price >= DEAR, all.clone());
            (all, cheap, middling, dear)
        })
        .map(|day| (day.start, day.value))
        .sink(rows);
}
