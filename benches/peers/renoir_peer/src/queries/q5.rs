//! q5: the hottest auctions of sliding windows.

use crate::flow::{Out, bids, digest, timed, with_time};
use crate::window::{HOP, SLIDE};
use renoir::Stream;
use renoir::operator::Operator;
use workload::{Event, HOP_SIZE};

pub fn q5(s: Stream<impl Operator<Out = Event> + 'static>, workers: usize) -> Out {
    let counts = bids(timed(s, workers))
        .map(|b| b.auction)
        .group_by(|a| *a)
        .window(HOP)
        .fold(0u64, |n, _| *n += 1)
        .unkey();
    let tops = counts
        .window_all(SLIDE)
        .fold((0u64, Vec::new()), |top: &mut (u64, Vec<u64>), &(a, n)| {
            if n > top.0 {
                top.0 = n;
                top.1.clear();
            }
            if n == top.0 {
                top.1.push(a);
            }
        })
        .drop_key();
    digest(with_time(tops), |d, (t, (n, auctions))| {
        let start = t as u64 + 1 - HOP_SIZE;
        for a in auctions {
            d.q5(start, a, n);
        }
    })
}
