//! q3: the join of persons and auctions, both sides unbounded.

use crate::flow::{Out, digest};
use renoir::Stream;
use renoir::operator::Operator;
use serde::{Deserialize, Serialize};
use workload::{Event, Q3_CATEGORY, Str16, q3_state};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seller {
    name: Str16,
    city: Str16,
    state: [u8; 2],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum PersonOrAuction {
    Person(u64, Seller),
    Auction(u64, u64),
}

pub fn q3(s: Stream<impl Operator<Out = Event> + 'static>) -> Out {
    let mut routes = s
        .filter_map(|e| match e {
            Event::Person(p) if q3_state(&p.state) => Some(PersonOrAuction::Person(
                p.id,
                Seller { name: p.name, city: p.city, state: p.state },
            )),
            Event::Auction(a) if a.category == Q3_CATEGORY => {
                Some(PersonOrAuction::Auction(a.seller, a.id))
            }
            _ => None,
        })
        .route()
        .add_route(|x| matches!(x, PersonOrAuction::Person(..)))
        .add_route(|x| matches!(x, PersonOrAuction::Auction(..)))
        .build()
        .into_iter();
    let persons = routes.next().unwrap().filter_map(|x| match x {
        PersonOrAuction::Person(id, s) => Some((id, s)),
        _ => None,
    });
    let auctions = routes.next().unwrap().filter_map(|x| match x {
        PersonOrAuction::Auction(seller, id) => Some((seller, id)),
        _ => None,
    });
    let rows = persons.join(auctions, |p| p.0, |a| a.0).drop_key();
    digest(rows, |d, ((_, p), (_, id))| d.q3(&p.name, &p.city, &p.state, id))
}
