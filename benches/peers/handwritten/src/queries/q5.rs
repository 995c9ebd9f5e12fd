//! q5: the hottest auctions of sliding windows, counted by panes.

use super::Map;
use crate::exchange::{Op, Out};
use hashbrown::hash_map::Entry;
use std::collections::VecDeque;
use workload::{BASE_TIME, Digest, Event, HOP_SLIDE, PANES};

#[derive(Clone, Copy)]
pub enum M5 {
    Bid {
        pane: u32,
        auction: u64,
    },
    Count {
        pane: u32,
        count: u32,
        auction: u64,
    },
    /// One of a worker's hottest auctions of a window.
    Top {
        window: u32,
        count: u32,
        auction: u64,
    },
    /// All of the worker's tops of the window have been sent.
    TopEnd {
        window: u32,
    },
}

type Pane = Map<u64, u32>;

/// Open panes by number, oldest first; few at any time.
#[derive(Default)]
struct Panes {
    open: VecDeque<(u64, Pane)>,
    spare: Vec<Pane>,
}

impl Panes {
    #[inline(always)]
    fn get(&mut self, n: u64) -> &mut Pane {
        let len = self.open.len();
        if len > 0 && self.open[len - 1].0 == n {
            return &mut self.open[len - 1].1;
        }
        self.slow(n)
    }

    #[cold]
    fn slow(&mut self, n: u64) -> &mut Pane {
        let i = self.open.partition_point(|p| p.0 < n);
        if i == self.open.len() || self.open[i].0 != n {
            self.open.insert(i, (n, self.spare.pop().unwrap_or_default()));
        }
        &mut self.open[i].1
    }

    fn pop_before(&mut self, n: u64) -> Option<(u64, Pane)> {
        if self.open.front()?.0 < n { self.open.pop_front() } else { None }
    }
}

/// `COMBINE`: count locally and exchange each pane's counts.
pub struct Q5<const ONE: bool, const COMBINE: bool> {
    me: usize,
    workers: usize,
    local: Panes,
    owned: Panes,
    /// The closed panes of the sliding window, and their sum.
    last: VecDeque<(u64, Pane)>,
    sum: Pane,
    /// The next window to close, by its last pane.
    next: u64,
    /// Worker 0: the tops of each window so far and how many workers have sent theirs.
    tops: Map<u64, (usize, u32, Vec<u64>)>,
    d: Digest,
}

impl<const ONE: bool, const COMBINE: bool> Q5<ONE, COMBINE> {
    fn top(&mut self, window: u64, count: u32, auction: u64) {
        let t = self.tops.entry(window).or_default();
        if count > t.1 {
            t.1 = count;
            t.2.clear();
        }
        if count == t.1 {
            t.2.push(auction);
        }
    }

    fn top_end(&mut self, window: u64) {
        let t = self.tops.entry(window).or_default();
        t.0 += 1;
        if t.0 == self.workers {
            self.emit(window);
        }
    }

    /// Closes the window whose last pane is `n`.
    fn close(&mut self, n: u64, out: &mut Out<M5>) {
        while let Some((p, pane)) = self.owned.pop_before(n + 1) {
            for (&a, &c) in &pane {
                *self.sum.entry(a).or_default() += c;
            }
            self.last.push_back((p, pane));
        }
        let mut max = 0;
        let mut tops = Vec::new();
        for (&a, &c) in &self.sum {
            if c > max {
                max = c;
                tops.clear();
            }
            if c == max {
                tops.push(a);
            }
        }
        for auction in tops {
            if self.me == 0 {
                self.top(n, max, auction);
            } else {
                out.push(0, M5::Top { window: n as u32, count: max, auction });
            }
        }
        if self.me == 0 {
            self.top_end(n);
        } else {
            out.push(0, M5::TopEnd { window: n as u32 });
        }
        if self.last.front().is_some_and(|p| p.0 + PANES == n + 1) {
            let (_, mut pane) = self.last.pop_front().unwrap();
            for (a, c) in pane.drain() {
                if let Entry::Occupied(mut e) = self.sum.entry(a) {
                    *e.get_mut() -= c;
                    if *e.get() == 0 {
                        e.remove();
                    }
                }
            }
            self.owned.spare.push(pane);
        }
    }

    fn emit(&mut self, window: u64) {
        let (_, count, auctions) = self.tops.remove(&window).unwrap();
        // The window that ends with pane n starts PANES - 1 panes earlier.
        let start = (window + 1 - PANES) * HOP_SLIDE;
        for a in auctions {
            self.d.q5(start, a, count as u64);
        }
    }
}

impl<const ONE: bool, const COMBINE: bool> Op<ONE> for Q5<ONE, COMBINE> {
    type Msg = M5;

    fn new(me: usize, workers: usize) -> Self {
        Q5 {
            me,
            workers,
            local: Panes::default(),
            owned: Panes::default(),
            last: VecDeque::new(),
            sum: Pane::default(),
            next: BASE_TIME / HOP_SLIDE,
            tops: Map::default(),
            d: Digest::default(),
        }
    }

    #[inline(always)]
    fn event(&mut self, e: &Event, out: &mut Out<M5>) {
        if let Event::Bid(b) = e {
            let pane = b.date_time / HOP_SLIDE;
            if ONE {
                *self.owned.get(pane).entry(b.auction).or_default() += 1;
            } else if COMBINE {
                *self.local.get(pane).entry(b.auction).or_default() += 1;
            } else {
                route!(self, out, b.auction, M5::Bid { pane: pane as u32, auction: b.auction });
            }
        }
    }

    fn own_watermark(&mut self, t: u64, out: &mut Out<M5>) {
        if COMBINE && !ONE {
            while let Some((pane, mut counts)) = self.local.pop_before(t / HOP_SLIDE) {
                for (auction, count) in counts.drain() {
                    route!(self, out, auction, M5::Count { pane: pane as u32, count, auction });
                }
                self.local.spare.push(counts);
            }
        }
    }

    #[inline(always)]
    fn msg(&mut self, _: usize, m: M5) {
        match m {
            M5::Bid { pane, auction } => {
                *self.owned.get(pane as u64).entry(auction).or_default() += 1
            }
            M5::Count { pane, count, auction } => {
                *self.owned.get(pane as u64).entry(auction).or_default() += count
            }
            M5::Top { window, count, auction } => self.top(window as u64, count, auction),
            M5::TopEnd { window } => self.top_end(window as u64),
        }
    }

    fn watermark(&mut self, t: u64, out: &mut Out<M5>) {
        if t == u64::MAX {
            while !(self.owned.open.is_empty() && self.last.is_empty()) {
                self.close(self.next, out);
                self.next += 1;
            }
        }
        while t < u64::MAX && (self.next + 1) * HOP_SLIDE <= t {
            self.close(self.next, out);
            self.next += 1;
        }
    }

    fn finish(mut self) -> Digest {
        // Windows that some workers had nothing for.
        let left: Vec<u64> = self.tops.keys().copied().collect();
        for w in left {
            self.emit(w);
        }
        self.d
    }
}
