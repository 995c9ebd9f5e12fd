//! Query 9, winning bids: every auction with its highest bid from its beginning to its end, both
//! included, when it has ended. Of equal prices the earliest bid wins, then the lowest bidder.

use std::cmp::Reverse;

use thalweg::connector::nexmark::{ArchivedEvent, Auction, Bid, Event};
use thalweg::prelude::*;

use super::{Digest, Input, LINGER, timed};

record! {
    /// What is known of an auction.
    #[derive(Default)]
    struct Open { auction: Option<Auction>, best: Option<Bid>, early: Vec<Bid>, closed: bool }
}

/// Id, item, description, initial bid, reserve, time, expires, seller.
type Item = (u64, String, String, u64, u64, Timestamp, Timestamp, u64);
/// The auction with category and extra; auction, bidder, price, time and extra of the bid.
type Row = (Item, (u64, String), (u64, u64, u64, Timestamp, String));

pub(super) fn q9(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter(|event| event.person().is_none())
        .key_by(|event| match &**event {
            ArchivedEvent::Bid(bid) => bid.auction.to_native(),
            ArchivedEvent::Auction(auction) => auction.id.to_native(),
            ArchivedEvent::Person(person) => person.id.to_native(),
        })
        .process::<Open, Row>(
            |open, event, ctx| match event.own() {
                Event::Auction(auction) => {
                    ctx.timer_at(auction.expires + 1.micros());
                    open.auction = Some(auction);
                    std::mem::take(&mut open.early).into_iter().for_each(|bid| open.offer(bid));
                }
                Event::Bid(bid) => open.offer(bid),
                Event::Person(_) => {}
            },
            |open, at, ctx| {
                if open.closed {
                    return ctx.clear();
                }
                if let (Some(auction), Some(bid)) = (open.auction.take(), open.best.take()) {
                    ctx.give(&row(auction, bid));
                }
                open.closed = true;
                ctx.timer_at(at + LINGER);
            },
        )
        .sink(rows);
}

impl Open {
    /// Takes a bid; one that came before its auction waits for it.
    fn offer(&mut self, bid: Bid) {
        let rank = |bid: &Bid| (bid.price, Reverse(bid.date_time), Reverse(bid.bidder));
        match &self.auction {
            _ if self.closed => {}
            None => self.early.push(bid),
            Some(auction) => {
                let open = auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
                if open && self.best.as_ref().is_none_or(|best| rank(best) < rank(&bid)) {
                    self.best = Some(bid);
                }
            }
        }
    }
}

fn row(a: Auction, b: Bid) -> Row {
    let Auction { id, item_name, description, initial_bid, reserve, date_time, .. } = a;
    let item = (id, item_name, description, initial_bid, reserve, date_time, a.expires, a.seller);
    (item, (a.category, a.extra), (b.auction, b.bidder, b.price, b.date_time, b.extra))
}
