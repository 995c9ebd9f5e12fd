//! Query 20, expand bid with auction: every bid for an auction of category 10, with the auction.
//!
//! Both sides are endless; a row is given as soon as bid and auction are there.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price, channel, url, time, extra.
type Bid = (u64, u64, u64, String, String, Timestamp, String);
/// Id, item, description, initial bid, reserve, time, expires; seller, category, extra.
type Auction = ((u64, String, String, u64, u64, Timestamp, Timestamp), (u64, u64, String));

pub(super) fn q20(job: &Job, input: &Input, rows: Digest) {
    let events = timed(job, input);
    let bids = events.clone().flat_map(|event, out: &mut Emit<'_, Bid>| {
        if let Some(bid) = event.bid() {
            let (auction, bidder) = (bid.auction.to_native(), bid.bidder.to_native());
            let (channel, url) = (bid.channel.as_str(), bid.url.as_str());
            let (price, at) = (bid.price.to_native(), bid.date_time.to_native());
            out.push((auction, bidder, price, channel, url, at, bid.extra.as_str()));
        }
    });
    let auctions = events.flat_map(|event, out: &mut Emit<'_, Auction>| {
        if let Some(auction) = event.auction().filter(|auction| auction.category == 10) {
            let item = (
                auction.id.to_native(),
                auction.item_name.as_str(),
                auction.description.as_str(),
                auction.initial_bid.to_native(),
                auction.reserve.to_native(),
                auction.date_time.to_native(),
                auction.expires.to_native(),
            );
            let (seller, category) = (auction.seller.to_native(), auction.category.to_native());
            out.push((item, (seller, category, auction.extra.as_str())));
        }
    });
    bids.key_by(|(auction, ..)| auction)
        .join(auctions.key_by(|((id, ..), _)| id))
        .inner(|bid, auction| (Bid::own(bid), Auction::own(auction)))
        .sink(rows);
}
