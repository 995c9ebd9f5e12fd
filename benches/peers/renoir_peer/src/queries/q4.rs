//! q4: the winning bid of each auction, summed per category.

use crate::flow::{Out, digest, timed};
use hashbrown::HashMap;
use renoir::Stream;
use renoir::operator::{Operator, StreamElement, Timestamp};
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use workload::Event;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

#[derive(Clone, Serialize, Deserialize)]
enum AuctionOrBid {
    Auction { id: u64, category: u64, from: u64, to: u64 },
    Bid { auction: u64, price: u64, t: u64 },
}

#[derive(Clone)]
struct Open {
    from: u64,
    to: u64,
    category: u64,
    max: u64,
}

/// The state of one partition of q4.
#[derive(Clone, Default)]
struct Winners {
    open: FxMap<u64, Open>,
    closing: BinaryHeap<Reverse<(u64, u64)>>,
    early: FxMap<u64, Vec<(u64, u64)>>,
    early_times: BinaryHeap<Reverse<u64>>,
    out: VecDeque<StreamElement<(u64, u64)>>,
}

impl Winners {
    fn bid(a: &mut Open, t: u64, price: u64) {
        if a.from <= t && t <= a.to {
            a.max = a.max.max(price);
        }
    }
    fn add(&mut self, x: AuctionOrBid) {
        match x {
            AuctionOrBid::Auction { id, category, from, to } => {
                self.open.insert(id, Open { from, to, category, max: 0 });
                self.closing.push(Reverse((to, id)));
            }
            AuctionOrBid::Bid { auction, price, t } => match self.open.get_mut(&auction) {
                Some(a) => Self::bid(a, t, price),
                None => {
                    let times = &mut self.early_times;
                    self.early
                        .entry(t)
                        .or_insert_with(|| {
                            times.push(Reverse(t));
                            Vec::new()
                        })
                        .push((auction, price));
                }
            },
        }
    }
    /// Nothing at or before `w` will come.
    fn watermark(&mut self, w: u64) {
        while self.early_times.peek().is_some_and(|t| t.0 <= w) {
            let t = self.early_times.pop().unwrap().0;
            for (auction, price) in self.early.remove(&t).unwrap() {
                if let Some(a) = self.open.get_mut(&auction) {
                    Self::bid(a, t, price);
                }
            }
        }
        while self.closing.peek().is_some_and(|c| c.0.0 <= w) {
            let Reverse((to, id)) = self.closing.pop().unwrap();
            let a = self.open.remove(&id).unwrap();
            if a.max > 0 {
                let row = (a.category, a.max);
                self.out.push_back(StreamElement::Timestamped(row, to as Timestamp));
            }
        }
    }
}

pub fn q4(s: Stream<impl Operator<Out = Event> + 'static>, workers: usize) -> Out {
    let mut state = Winners::default();
    let winners = timed(s, workers)
        .filter_map(|e| match e {
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
        })
        .group_by(|x| match x {
            AuctionOrBid::Auction { id, .. } => *id,
            AuctionOrBid::Bid { auction, .. } => *auction,
        })
        .rich_map_custom(move |mut g| {
            loop {
                if let Some(x) = state.out.pop_front() {
                    return x;
                }
                match g.next() {
                    StreamElement::Timestamped((_, x), _) | StreamElement::Item((_, x)) => {
                        state.add(x)
                    }
                    StreamElement::Watermark(t) => {
                        state.watermark(t as u64);
                        state.out.push_back(StreamElement::Watermark(t));
                    }
                    StreamElement::FlushAndRestart => {
                        state.watermark(u64::MAX);
                        state.out.push_back(StreamElement::FlushAndRestart);
                    }
                    StreamElement::FlushBatch => return StreamElement::FlushBatch,
                    StreamElement::Terminate => return StreamElement::Terminate,
                }
            }
        });
    let table = winners
        .drop_timestamps()
        .group_by_fold(
            |x| x.0,
            (0u64, 0u64),
            |s, (_, max)| {
                s.0 += 1;
                s.1 += max;
            },
            |s, x| {
                s.0 += x.0;
                s.1 += x.1;
            },
        )
        .unkey();
    digest(table, |d, (category, (count, sum))| d.q4(category, count, sum))
}
