//! Query 17, auction statistics: for every auction and day how many bids there were, how many of
//! them cheap, middling and dear, and the least, greatest, mean and total price.
//!
//! A row is given when its day has ended. The mean is rounded down to a whole number.

use thalweg::prelude::*;

use super::{DEAR, Digest, Input, MIDDLING, timed};

pub(super) fn q17(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| event.bid().map(|bid| (bid.auction.to_native(), bid.price.to_native())))
        .key_by(|(auction, _)| auction)
        .window(Tumbling::of(1.days()))
        .aggregate(|bids| {
            (
                bids.count(),
                bids.sum(|(_, price)| u64::from(price < MIDDLING)),
                bids.sum(|(_, price)| u64::from((MIDDLING..DEAR).contains(&price))),
                bids.sum(|(_, price)| u64::from(price >= DEAR)),
                bids.min(|(_, price)| price),
                bids.max(|(_, price)| price),
                bids.sum(|(_, price)| price),
            )
        })
        .map(|day| {
            let (count, cheap, middling, dear, min, max, sum) = day.value;
            let counts = (count, cheap, middling, dear);
            (day.key, day.start, counts, (min, max, sum / count, sum))
        })
        .sink(rows);
}
