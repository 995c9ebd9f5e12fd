//! q7: the highest bids of tumbling windows; each worker finds its own first.

use crate::exchange::{Op, Out};
use std::collections::VecDeque;
use workload::{Bid, Digest, Event, TUMBLE};

#[derive(Clone, Copy)]
pub struct M7 {
    window: u64,
    bid: Bid,
}

/// The bids with the highest price of each open window.
#[derive(Default)]
struct Highest(VecDeque<(u64, u64, Vec<Bid>)>);

impl Highest {
    #[inline(always)]
    fn add(&mut self, window: u64, b: &Bid) {
        let n = self.0.len();
        let i = if n > 0 && self.0[n - 1].0 == window { n - 1 } else { self.slow(window) };
        let (_, max, bids) = &mut self.0[i];
        if b.price >= *max {
            if b.price > *max {
                *max = b.price;
                bids.clear();
            }
            bids.push(*b);
        }
    }

    #[cold]
    fn slow(&mut self, window: u64) -> usize {
        let i = self.0.partition_point(|x| x.0 < window);
        if i == self.0.len() || self.0[i].0 != window {
            self.0.insert(i, (window, 0, Vec::new()));
        }
        i
    }

    fn pop_before(&mut self, window: u64) -> Option<(u64, u64, Vec<Bid>)> {
        if self.0.front()?.0 < window { self.0.pop_front() } else { None }
    }
}

pub struct Q7<const ONE: bool> {
    me: usize,
    local: Highest,
    global: Highest,
    d: Digest,
}

impl<const ONE: bool> Op<ONE> for Q7<ONE> {
    type Msg = M7;

    fn new(me: usize, _: usize) -> Self {
        Q7 { me, local: Highest::default(), global: Highest::default(), d: Digest::default() }
    }

    #[inline(always)]
    fn event(&mut self, e: &Event, _: &mut Out<M7>) {
        if let Event::Bid(b) = e {
            self.local.add(b.date_time / TUMBLE, b);
        }
    }

    fn own_watermark(&mut self, t: u64, out: &mut Out<M7>) {
        while let Some((window, _, bids)) = self.local.pop_before(t / TUMBLE) {
            for bid in bids {
                if self.me == 0 {
                    self.global.add(window, &bid);
                } else {
                    out.push(0, M7 { window, bid });
                }
            }
        }
    }

    fn msg(&mut self, _: usize, m: M7) {
        self.global.add(m.window, &m.bid);
    }

    fn watermark(&mut self, t: u64, _: &mut Out<M7>) {
        while let Some((_, _, bids)) = self.global.pop_before(t / TUMBLE) {
            for b in bids {
                self.d.q7(b.auction, b.price, b.bidder, b.date_time);
            }
        }
    }

    fn finish(self) -> Digest {
        self.d
    }
}
