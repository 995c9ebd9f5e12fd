//! What auctions bring, for queries 4 and 6.

use thalweg::prelude::*;

use super::{Input, LINGER, timed};

record! {
    /// An auction, or a bid for it.
    struct Move { auction: u64, seller: u64, category: u64, price: u64, at: Timestamp,
        expires: Timestamp }
}

record! {
    /// What is known of an auction.
    #[derive(Default)]
    archived struct Open { seller: u64, category: u64, from: Timestamp, until: Timestamp, best: u64,
        closed: bool, early: Vec<(Timestamp, u64)> }
}

record! {
    /// An auction that somebody won.
    pub(super) struct Won { pub(super) auction: u64, pub(super) seller: u64,
        pub(super) category: u64, pub(super) price: u64 }
}

/// Every auction with its highest bid from its beginning to its end, both included, when it has
/// ended. Auctions without such a bid are left out.
///
/// A bid may come before its auction: from another shard, or within the same millisecond.
pub(super) fn winning(job: &Job, input: &Input) -> Stream<Won> {
    timed(job, input)
        .filter_map(|event| match (event.auction(), event.bid()) {
            (Some(auction), _) => Some(Move {
                auction: auction.id.to_native(),
                seller: auction.seller.to_native(),
                category: auction.category.to_native(),
                price: 0,
                at: auction.date_time.to_native(),
                expires: auction.expires.to_native(),
            }),
            (_, Some(bid)) => Some(Move {
                auction: bid.auction.to_native(),
                seller: 0,
                category: 0,
                price: bid.price.to_native(),
                at: bid.date_time.to_native(),
                expires: Timestamp::MIN,
            }),
            _ => None,
        })
        .key_by(|step| step.auction)
        .process::<Open, Won>(
            |open, step, ctx| {
                if step.expires != Timestamp::MIN {
                    (open.seller, open.category) = (step.seller, step.category);
                    (open.from, open.until) = (step.at, step.expires);
                    let early = std::mem::take(&mut open.early);
                    early.iter().for_each(|&(at, price)| open.offer(at, price));
                    ctx.timer_at(step.expires + 1.micros());
                } else if open.until == Timestamp::default() {
                    open.early.push((step.at, step.price));
                } else {
                    open.offer(step.at, step.price);
                }
            },
            |open, at, ctx| {
                if open.closed {
                    return ctx.clear();
                }
                let &mut Open { seller, category, best: price, .. } = open;
                if price > 0 {
                    ctx.emit(&Won { auction: *ctx.key(), seller, category, price });
                }
                open.closed = true;
                ctx.timer_at(at + LINGER);
            },
        )
}

impl Open {
    fn offer(&mut self, at: Timestamp, price: u64) {
        if self.from <= at && at <= self.until {
            self.best = self.best.max(price);
        }
    }
}
