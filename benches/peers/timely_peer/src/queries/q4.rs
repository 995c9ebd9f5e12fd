//! q4: the winning bid of each auction, summed per category.

use crate::flow::{FxMap, Shared, Str, digest, hash};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use workload::Event;

#[derive(Clone, Serialize, Deserialize)]
enum AuctionOrBid {
    Auction { id: u64, category: u64, from: u64, to: u64 },
    Bid { auction: u64, price: u64, t: u64 },
}

struct Open {
    from: u64,
    to: u64,
    category: u64,
    /// 0: no bid yet (every price is at least 100).
    max: u64,
}

impl Open {
    fn bid(&mut self, t: u64, price: u64) {
        if self.from <= t && t <= self.to {
            self.max = self.max.max(price);
        }
    }
}

/// The auctions of a worker.
#[derive(Default)]
struct Auctions {
    open: FxMap<u64, Open>,
    closing: BinaryHeap<Reverse<(u64, u64)>>,
    /// Bids without an open auction wait until the frontier has passed them.
    early: BTreeMap<u64, Vec<(u64, u64)>>,
}

impl Auctions {
    fn add(&mut self, x: AuctionOrBid) {
        match x {
            AuctionOrBid::Auction { id, category, from, to } => {
                self.open.insert(id, Open { from, to, category, max: 0 });
                self.closing.push(Reverse((to, id)));
            }
            AuctionOrBid::Bid { auction, price, t } => match self.open.get_mut(&auction) {
                Some(a) => a.bid(t, price),
                None => self.early.entry(t).or_default().push((auction, price)),
            },
        }
    }

    /// Gives the early bids whose time is done to their auctions.
    fn settle(&mut self, done: impl Fn(u64) -> bool) {
        while let Some(e) = self.early.first_entry() {
            let t = *e.key();
            if !done(t) {
                break;
            }
            for (auction, price) in e.remove() {
                if let Some(a) = self.open.get_mut(&auction) {
                    a.bid(t, price);
                }
            }
        }
    }

    /// When the next auction closes.
    fn next_close(&self) -> Option<u64> {
        self.closing.peek().map(|c| c.0.0)
    }

    /// Removes the auction that closes next.
    fn close(&mut self) -> Option<Open> {
        let Reverse((_, id)) = self.closing.pop()?;
        self.open.remove(&id)
    }
}

pub fn q4(s: Str<Event>, d: Shared) {
    let auctions_and_bids = s.flat_map(|e| match e {
        Event::Auction(a) => Some(AuctionOrBid::Auction {
            id: a.id,
            category: a.category,
            from: a.date_time,
            to: a.expires,
        }),
        Event::Bid(b) => {
            Some(AuctionOrBid::Bid { auction: b.auction, price: b.price, t: b.date_time })
        }
        Event::Person(_) => None,
    });
    digest(sums(winners(auctions_and_bids)), d, |d, (category, (count, sum))| {
        d.q4(category, count, sum);
    });
}

/// Category and highest price of each auction that had a bid, when it closes.
fn winners(s: Str<AuctionOrBid>) -> Str<(u64, u64)> {
    let exchange = Exchange::new(|x: &AuctionOrBid| match x {
        AuctionOrBid::Auction { id, .. } => hash(*id),
        AuctionOrBid::Bid { auction, .. } => hash(*auction),
    });
    s.unary_frontier(exchange, "Winners", |_, _| {
        let mut auctions = Auctions::default();
        // A capability for the first auction to close.
        let mut cap: Option<Capability<u64>> = None;
        move |(input, frontier), output| {
            input.for_each_stamp(|c, data| {
                let time = *c.least().unwrap();
                if cap.as_ref().is_none_or(|k| *k.time() > time) {
                    cap = c.retain_least(output.output_index());
                }
                for x in data.flat_map(|d| d.drain(..)) {
                    auctions.add(x);
                }
            });
            let done = |t: u64| !frontier.less_equal(&t);
            auctions.settle(done);
            if let Some(c) = cap.as_mut() {
                let mut session = output.session(&c);
                while auctions.next_close().is_some_and(done) {
                    if let Some(a) = auctions.close().filter(|a| a.max > 0) {
                        session.give((a.category, a.max));
                    }
                }
            }
            match (auctions.next_close(), &mut cap) {
                (Some(to), Some(c)) => {
                    if to > *c.time() {
                        c.downgrade(&to);
                    }
                }
                _ => cap = None,
            }
        }
    })
    .container::<Vec<_>>()
}

/// Number of auctions and sum of their prices by category, at the end of input.
fn sums(winners: Str<(u64, u64)>) -> Str<(u64, (u64, u64))> {
    winners
        .unary_frontier(Exchange::new(|x: &(u64, u64)| hash(x.0)), "Sums", |_, _| {
            let mut sums: FxMap<u64, (u64, u64)> = FxMap::default();
            let mut cap = None;
            move |(input, frontier), output| {
                input.for_each_stamp(|c, data| {
                    if cap.is_none() {
                        cap = c.retain_least(output.output_index());
                    }
                    for (category, max) in data.flat_map(|d| d.drain(..)) {
                        let s = sums.entry(category).or_default();
                        s.0 += 1;
                        s.1 += max;
                    }
                });
                if let Some(c) = cap.as_mut() {
                    match frontier.frontier().first() {
                        Some(t) => {
                            if t > c.time() {
                                c.downgrade(t);
                            }
                        }
                        None => {
                            output.session(&c).give_iterator(sums.drain());
                            cap = None;
                        }
                    }
                }
            }
        })
        .container::<Vec<_>>()
}
