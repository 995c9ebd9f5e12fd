//! Query 9, winning bids: every auction with its highest bid from its beginning to its end, both
//! included, when it has ended. Of equal prices the earliest bid wins, then the lowest bidder.

use std::cmp::Reverse;

use thalweg::connector::nexmark::{Auction, Event};
use thalweg::prelude::*;

use super::{Digest, Input, LINGER, timed};

record! {
    /// What is known of an auction. Its bids may come before it, and long after its end.
    #[derive(Default)]
    struct Known { auction: Option<Auction>, bids: Vec<Offer> }
}

/// Of a bid: auction, bidder, price, time, extra.
type Offer = (u64, u64, u64, Timestamp, String);
/// Id, item, description, initial bid, reserve, time, expires, seller.
type Item = (u64, String, String, u64, u64, Timestamp, Timestamp, u64);
/// The auction with category and extra, and the bid.
type Row = (Item, (u64, String), Offer);

pub(super) fn q9(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter(|event| event.person().is_none())
        .key_by(|event| match (event.auction(), event.bid()) {
            (Some(auction), _) => auction.id.to_native(),
            (_, bid) => bid.map_or(0, |bid| bid.auction.to_native()),
        })
        .process::<Known, Row>(
            |known, event, ctx| {
                if let Some(bid) = event.bid() {
                    let (at, extra) = (bid.date_time.to_native(), bid.extra.as_str().to_owned());
                    if known.bids.is_empty() {
                        // No auction lasts that long: it has ended before it is forgotten.
                        ctx.timer_at(at + LINGER);
                    }
                    known.bids.push((*ctx.key(), bid.bidder.into(), bid.price.into(), at, extra));
                } else if let Event::Auction(auction) = event.own() {
                    ctx.timer_at(auction.expires + 1.micros());
                    known.auction = Some(auction);
                }
            },
            |known, _, ctx| {
                let auction = known.auction.take();
                auction.and_then(|a| won(a, &mut known.bids)).iter().for_each(|row| ctx.give(row));
                ctx.clear();
            },
        )
        .sink(rows);
}

fn won(a: Auction, bids: &mut Vec<Offer>) -> Option<Row> {
    let within = |bid: &Offer| (a.date_time..=a.expires).contains(&bid.3);
    let rank = |&(_, bidder, price, at, _): &Offer| (price, Reverse(at), Reverse(bidder));
    let winner = bids.drain(..).filter(within).max_by_key(rank)?;
    let (id, name, about, price) = (a.id, a.item_name, a.description, (a.initial_bid, a.reserve));
    let item = (id, name, about, price.0, price.1, a.date_time, a.expires, a.seller);
    Some((item, (a.category, a.extra), winner))
}
