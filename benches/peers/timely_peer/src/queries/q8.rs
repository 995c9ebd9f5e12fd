//! q8: persons who opened an auction in the tumbling window in which they registered.

use crate::flow::{FxMap, Shared, Str, digest, hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use workload::{Event, Str16, TUMBLE};

#[derive(Clone, Serialize, Deserialize)]
enum PersonOrSeller {
    Person { id: u64, name: Str16, t: u64 },
    Seller { id: u64, t: u64 },
}

pub fn q8(s: Str<Event>, d: Shared) {
    type Window = FxMap<u64, (Option<Str16>, bool)>;
    let rows = s
        .flat_map(|e| match e {
            Event::Person(p) => {
                Some(PersonOrSeller::Person { id: p.id, name: p.name, t: p.date_time })
            }
            Event::Auction(a) => Some(PersonOrSeller::Seller { id: a.seller, t: a.date_time }),
            Event::Bid(_) => None,
        })
        .unary_frontier(
            Exchange::new(|x: &PersonOrSeller| match x {
                PersonOrSeller::Person { id, .. } | PersonOrSeller::Seller { id, .. } => hash(*id),
            }),
            "NewUsers",
            |_, _| {
                let mut windows: BTreeMap<u64, (Capability<u64>, Window)> = BTreeMap::new();
                move |(input, frontier), output| {
                    input.for_each_stamp(|c, data| {
                        for x in data.flat_map(|d| d.drain(..)) {
                            let (id, t, name) = match x {
                                PersonOrSeller::Person { id, name, t } => (id, t, Some(name)),
                                PersonOrSeller::Seller { id, t } => (id, t, None),
                            };
                            let w = t / TUMBLE;
                            let (_, m) = windows.entry(w).or_insert_with(|| {
                                let t = w * TUMBLE + TUMBLE - 1;
                                (c.delayed(&t, output.output_index()), Window::default())
                            });
                            let e = m.entry(id).or_default();
                            match name {
                                Some(n) => e.0 = Some(n),
                                None => e.1 = true,
                            }
                        }
                    });
                    while let Some(e) = windows.first_entry() {
                        if frontier.less_equal(e.get().0.time()) {
                            break;
                        }
                        let (w, (cap, m)) = e.remove_entry();
                        output.session(&cap).give_iterator(m.into_iter().filter_map(|(id, x)| {
                            match x {
                                (Some(name), true) => Some((id, name, w * TUMBLE)),
                                _ => None,
                            }
                        }));
                    }
                }
            },
        )
        .container::<Vec<_>>();
    digest(rows, d, |d, (id, name, start)| d.q8(id, &name, start));
}
