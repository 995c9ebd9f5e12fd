//! q3: the join of persons and auctions, both sides unbounded.

use crate::flow::{FxMap, Shared, Str, digest, hash};
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::OkErr;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use workload::{Event, Q3_CATEGORY, Str16, q3_state};

#[derive(Clone, Serialize, Deserialize)]
struct Seller {
    id: u64,
    name: Str16,
    city: Str16,
    state: [u8; 2],
}

pub fn q3(s: Str<Event>, d: Shared) {
    let (persons, auctions) = s
        .flat_map(|e| match e {
            Event::Person(p) if q3_state(&p.state) => {
                Some(Ok(Seller { id: p.id, name: p.name, city: p.city, state: p.state }))
            }
            Event::Auction(a) if a.category == Q3_CATEGORY => Some(Err((a.seller, a.id))),
            _ => None,
        })
        .ok_err(|x| x);
    let rows = persons
        .binary(
            auctions,
            Exchange::new(|p: &Seller| hash(p.id)),
            Exchange::new(|a: &(u64, u64)| hash(a.0)),
            "Join",
            |_, _| {
                let mut sellers: FxMap<u64, Seller> = FxMap::default();
                let mut waiting: FxMap<u64, Vec<u64>> = FxMap::default();
                move |persons, auctions, output| {
                    persons.for_each_stamp(|cap, data| {
                        let mut session = output.session(&cap);
                        for p in data.flat_map(|d| d.drain(..)) {
                            for a in waiting.remove(&p.id).unwrap_or_default() {
                                session.give((p.clone(), a));
                            }
                            sellers.insert(p.id, p);
                        }
                    });
                    auctions.for_each_stamp(|cap, data| {
                        let mut session = output.session(&cap);
                        for (seller, a) in data.flat_map(|d| d.drain(..)) {
                            match sellers.get(&seller) {
                                Some(p) => session.give((p.clone(), a)),
                                None => waiting.entry(seller).or_default().push(a),
                            }
                        }
                    });
                }
            },
        )
        .container::<Vec<_>>();
    digest(rows, d, |d, (p, a)| d.q3(&p.name, &p.city, &p.state, a));
}
