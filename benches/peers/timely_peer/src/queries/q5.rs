//! q5: the hottest auctions of sliding windows, counted by panes.

use crate::flow::{FxMap, Shared, Str, bids, digest, hash};
use std::collections::{BTreeMap, VecDeque};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use workload::{Event, HOP_SLIDE, PANES};

/// `(pane, auction, count)`.
type Count = (u64, u64, u32);
/// `(window start, auction, count)`.
type Top = (u64, u64, u32);

pub fn q5(s: Str<Event>, d: Shared, combine: bool) {
    let counts = bids(s).map(|b| (b.date_time / HOP_SLIDE, b.auction, 1u32));
    if !combine {
        return hot_items(counts, d);
    }
    let combined = counts
        .unary_frontier(Pipeline, "Combine", |_, _| {
            let mut panes: BTreeMap<u64, (Capability<u64>, FxMap<u64, u32>)> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each_stamp(|c, data| {
                    for d in data {
                        let mut current = None;
                        for (pane, auction, n) in d.drain(..) {
                            if !matches!(current, Some((p, _)) if p == pane) {
                                let (_, m) = panes.entry(pane).or_insert_with(|| {
                                    let t = pane * HOP_SLIDE + HOP_SLIDE - 1;
                                    (c.delayed(&t, output.output_index()), FxMap::default())
                                });
                                current = Some((pane, m));
                            }
                            *current.as_mut().unwrap().1.entry(auction).or_default() += n;
                        }
                    }
                });
                while let Some(e) = panes.first_entry() {
                    if frontier.less_equal(e.get().0.time()) {
                        break;
                    }
                    let (pane, (cap, m)) = e.remove_entry();
                    output.session(&cap).give_iterator(m.into_iter().map(|(a, n)| (pane, a, n)));
                }
            }
        })
        .container::<Vec<_>>();
    hot_items(combined, d);
}

fn hot_items(counts: Str<Count>, d: Shared) {
    let rows = hottest(hop(counts));
    digest(rows, d, |d, (start, a, n)| d.q5(start, a, n as u64));
}

/// The hottest of a worker's auctions in each window.
fn hop(counts: Str<Count>) -> Str<Top> {
    counts
        .unary_frontier(Exchange::new(|x: &(u64, u64, u32)| hash(x.1)), "Hop", |_, _| {
            let mut panes: BTreeMap<u64, FxMap<u64, u32>> = BTreeMap::new();
            let mut last: VecDeque<(u64, FxMap<u64, u32>)> = VecDeque::new();
            let mut sum: FxMap<u64, u32> = FxMap::default();
            // For the end of the next window to close: its last pane.
            let mut next: Option<(u64, Capability<u64>)> = None;
            move |(input, frontier), output| {
                input.for_each_stamp(|c, data| {
                    for d in data {
                        let mut current = None;
                        for (pane, auction, n) in d.drain(..) {
                            if !matches!(current, Some((p, _)) if p == pane) {
                                if next.as_ref().is_none_or(|x| x.0 > pane) {
                                    let end = (pane + 1) * HOP_SLIDE;
                                    next = Some((pane, c.delayed(&end, output.output_index())));
                                }
                                current = Some((pane, panes.entry(pane).or_default()));
                            }
                            *current.as_mut().unwrap().1.entry(auction).or_default() += n;
                        }
                    }
                });
                while next.as_ref().is_some_and(|x| !frontier.less_than(x.1.time())) {
                    let (n, mut cap) = next.take().unwrap();
                    if let Some(pane) = panes.remove(&n) {
                        for (&a, &c) in &pane {
                            *sum.entry(a).or_default() += c;
                        }
                        last.push_back((n, pane));
                    }
                    let max = sum.values().copied().max().unwrap_or(0);
                    let start = (n + 1 - PANES) * HOP_SLIDE;
                    output.session(&cap).give_iterator(
                        sum.iter().filter(|x| *x.1 == max).map(|(&a, &c)| (start, a, c)),
                    );
                    if last.front().is_some_and(|p| p.0 + PANES == n + 1) {
                        for (a, c) in last.pop_front().unwrap().1 {
                            let s = sum.get_mut(&a).unwrap();
                            *s -= c;
                            if *s == 0 {
                                sum.remove(&a);
                            }
                        }
                    }
                    if !(panes.is_empty() && last.is_empty()) {
                        cap.downgrade(&((n + 2) * HOP_SLIDE));
                        next = Some((n + 1, cap));
                    }
                }
            }
        })
        .container::<Vec<_>>()
}

/// The hottest auctions of all workers in each window.
fn hottest(tops: Str<Top>) -> Str<Top> {
    tops.unary_frontier(Exchange::new(|x: &(u64, u64, u32)| hash(x.0)), "Hottest", |_, _| {
        let mut windows: BTreeMap<u64, (Capability<u64>, u32, Vec<u64>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|c, data| {
                for (start, a, n) in data.flat_map(|d| d.drain(..)) {
                    let w = windows.entry(start).or_insert_with(|| {
                        (c.delayed(c.least().unwrap(), output.output_index()), 0, vec![])
                    });
                    if n > w.1 {
                        w.1 = n;
                        w.2.clear();
                    }
                    if n == w.1 {
                        w.2.push(a);
                    }
                }
            });
            while let Some(e) = windows.first_entry() {
                if frontier.less_equal(e.get().0.time()) {
                    break;
                }
                let (start, (cap, n, auctions)) = e.remove_entry();
                output.session(&cap).give_iterator(auctions.into_iter().map(|a| (start, a, n)));
            }
        }
    })
    .container::<Vec<_>>()
}
