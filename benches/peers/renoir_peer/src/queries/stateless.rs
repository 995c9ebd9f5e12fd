//! q0, q1 and q2: one pass over the bids.

use crate::flow::{Out, bids, digest};
use renoir::Stream;
use renoir::operator::Operator;
use workload::Event;

pub fn q0(s: Stream<impl Operator<Out = Event> + 'static>) -> Out {
    digest(bids(s), |d, b| d.q0(&b))
}

pub fn q1(s: Stream<impl Operator<Out = Event> + 'static>) -> Out {
    let converted = bids(s).map(|b| (b.auction, b.bidder, b.price * 908, b.date_time));
    digest(converted, |d, (a, b, p, t)| d.q1(a, b, p, t))
}

pub fn q2(s: Stream<impl Operator<Out = Event> + 'static>) -> Out {
    let selected = bids(s).filter(|b| b.auction % 123 == 0).map(|b| (b.auction, b.price));
    digest(selected, |d, (a, p)| d.q2(a, p))
}
