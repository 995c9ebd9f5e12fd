//! q0, q1 and q2: one pass over the bids.

use crate::flow::{Shared, Str, bids, digest};
use timely::dataflow::operators::vec::{Filter, Map};
use workload::Event;

pub fn q0(s: Str<Event>, d: Shared) {
    digest(bids(s), d, |d, b| d.q0(&b));
}

pub fn q1(s: Str<Event>, d: Shared) {
    let converted = bids(s).map(|b| (b.auction, b.bidder, b.price * 908, b.date_time));
    digest(converted, d, |d, (a, b, p, t)| d.q1(a, b, p, t));
}

pub fn q2(s: Str<Event>, d: Shared) {
    let selected = bids(s).filter(|b| b.auction % 123 == 0).map(|b| (b.auction, b.price));
    digest(selected, d, |d, (a, p)| d.q2(a, p));
}
