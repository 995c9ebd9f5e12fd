//! q4: the winning bid of each auction, summed per category.

use super::Map;
use crate::exchange::{Op, Out};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use workload::{Digest, Event};

#[derive(Clone, Copy)]
pub enum M4 {
    Bid { auction: u64, price: u64, t: u64 },
    Auction { id: u64, category: u32, length: u32, t: u64 },
    Sum { category: u64, count: u64, sum: u64 },
}

struct Open {
    from: u64,
    to: u64,
    category: u64,
    /// 0: no bid yet (every price is at least 100).
    max: u64,
}

impl Open {
    #[inline(always)]
    fn bid(&mut self, t: u64, price: u64) {
        if self.from <= t && t <= self.to && price > self.max {
            self.max = price;
        }
    }
}

pub struct Q4<const ONE: bool> {
    open: Map<u64, Open>,
    closing: BinaryHeap<Reverse<(u64, u64)>>,
    /// Bids on an auction that is not open (it has closed, or it is still to come), by source.
    early: Vec<VecDeque<(u64, u64, u64)>>,
    sums: Map<u64, (u64, u64)>,
    me: usize,
}

impl<const ONE: bool> Op<ONE> for Q4<ONE> {
    type Msg = M4;

    fn new(me: usize, workers: usize) -> Self {
        Q4 {
            open: Map::default(),
            closing: BinaryHeap::new(),
            early: vec![VecDeque::new(); workers],
            sums: Map::default(),
            me,
        }
    }

    #[inline(always)]
    fn event(&mut self, e: &Event, out: &mut Out<M4>) {
        match e {
            Event::Bid(b) => {
                route!(
                    self,
                    out,
                    b.auction,
                    M4::Bid { auction: b.auction, price: b.price, t: b.date_time }
                )
            }
            Event::Auction(a) => route!(
                self,
                out,
                a.id,
                M4::Auction {
                    id: a.id,
                    category: a.category as u32,
                    length: (a.expires - a.date_time) as u32,
                    t: a.date_time,
                }
            ),
            _ => {}
        }
    }

    #[inline(always)]
    fn msg(&mut self, from: usize, m: M4) {
        match m {
            M4::Bid { auction, price, t } => match self.open.get_mut(&auction) {
                Some(a) => a.bid(t, price),
                None => self.early[from].push_back((t, auction, price)),
            },
            M4::Auction { id, category, length, t } => {
                let to = t + length as u64;
                self.open.insert(id, Open { from: t, to, category: category as u64, max: 0 });
                self.closing.push(Reverse((to, id)));
            }
            M4::Sum { category, count, sum } => {
                let s = self.sums.entry(category).or_default();
                s.0 += count;
                s.1 += sum;
            }
        }
    }

    fn watermark(&mut self, t: u64, out: &mut Out<M4>) {
        for q in &mut self.early {
            while q.front().is_some_and(|b| b.0 < t) {
                let (bt, auction, price) = q.pop_front().unwrap();
                if let Some(a) = self.open.get_mut(&auction) {
                    a.bid(bt, price);
                }
            }
        }
        while self.closing.peek().is_some_and(|c| c.0.0 < t) {
            let Reverse((_, id)) = self.closing.pop().unwrap();
            let a = self.open.remove(&id).unwrap();
            if a.max > 0 {
                let s = self.sums.entry(a.category).or_default();
                s.0 += 1;
                s.1 += a.max;
            }
        }
        // The final table belongs to worker 0.
        if t == u64::MAX && self.me != 0 {
            for (category, (count, sum)) in self.sums.drain() {
                out.push(0, M4::Sum { category, count, sum });
            }
        }
    }

    fn finish(self) -> Digest {
        let mut d = Digest::default();
        for (category, (count, sum)) in self.sums {
            d.q4(category, count, sum);
        }
        d
    }
}
