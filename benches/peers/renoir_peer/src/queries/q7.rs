//! q7: the highest bids of tumbling windows; each worker finds its own first.

use crate::flow::{Out, bids, digest, timed};
use crate::window::TUMBLING;
use renoir::Stream;
use renoir::operator::Operator;
use workload::{Bid, Event};

fn highest(top: &mut (u64, Vec<Bid>), b: &Bid) {
    if b.price > top.0 {
        top.0 = b.price;
        top.1.clear();
    }
    if b.price == top.0 {
        top.1.push(*b);
    }
}

pub fn q7(s: Stream<impl Operator<Out = Event> + 'static>, workers: usize) -> Out {
    let tops = bids(timed(s, workers))
        .key_by(|_| ())
        .window(TUMBLING)
        .fold((0, Vec::new()), highest)
        .drop_key()
        .window_all(TUMBLING)
        .fold((0, Vec::new()), |top, x: &(u64, Vec<Bid>)| {
            for b in &x.1 {
                highest(top, b);
            }
        })
        .drop_key();
    digest(tops, |d, (_, bids)| {
        for b in bids {
            d.q7(b.auction, b.price, b.bidder, b.date_time);
        }
    })
}
