//! q7: the highest bids of tumbling windows; each worker finds its own first.

use crate::flow::{Shared, Str, bids, digest, hash};
use std::collections::BTreeMap;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use workload::{Bid, Event, TUMBLE};

/// A capability for the window's end, the highest price, the bids with it.
type Window = (Capability<u64>, u64, Vec<Bid>);

/// The bids with the highest price of each tumbling window.
fn highest<'s, P>(s: Str<'s, Bid>, pact: P, name: &str) -> Str<'s, Bid>
where
    P: ParallelizationContract<u64, Vec<Bid>>,
{
    s.unary_frontier(pact, name, |_, _| {
        let mut windows: BTreeMap<u64, Window> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|c, data| {
                for d in data {
                    let mut current: Option<(u64, &mut Window)> = None;
                    for b in d.drain(..) {
                        let w = b.date_time / TUMBLE;
                        if !matches!(&current, Some((p, _)) if *p == w) {
                            let x = windows.entry(w).or_insert_with(|| {
                                let t = w * TUMBLE + TUMBLE - 1;
                                (c.delayed(&t, output.output_index()), 0, Vec::new())
                            });
                            current = Some((w, x));
                        }
                        let (_, max, best) = &mut *current.as_mut().unwrap().1;
                        if b.price > *max {
                            *max = b.price;
                            best.clear();
                        }
                        if b.price == *max {
                            best.push(b);
                        }
                    }
                }
            });
            while let Some(e) = windows.first_entry() {
                if frontier.less_equal(e.get().0.time()) {
                    break;
                }
                let (cap, _, best) = e.remove();
                output.session(&cap).give_iterator(best.into_iter());
            }
        }
    })
    .container::<Vec<_>>()
}

pub fn q7(s: Str<Event>, d: Shared) {
    let local = highest(bids(s), Pipeline, "Local");
    let global = highest(local, Exchange::new(|b: &Bid| hash(b.date_time / TUMBLE)), "Global");
    digest(global, d, |d, b| d.q7(b.auction, b.price, b.bidder, b.date_time));
}
