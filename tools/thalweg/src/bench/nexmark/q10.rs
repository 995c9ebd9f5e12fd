//! Query 10, log to file system: every bid goes into CSV files, with the day and the minute that it
//! belongs to. Each shard writes a file.

use thalweg::connector::Files;
use thalweg::prelude::*;

use super::{Digest, Input, timed};

record! {
    /// A bid as it is logged.
    struct Logged { auction: u64, bidder: u64, price: u64, date_time: Timestamp, extra: String,
        dt: String, hm: String }
}

/// The same as a tuple.
type Row = (u64, u64, u64, Timestamp, String, String, String);

pub(super) fn q10(job: &Job, input: &Input, rows: Digest) {
    let bids = timed(job, input).filter_map(|event| {
        let bid = event.bid()?;
        let at = bid.date_time.to_native().to_string();
        Some(Logged {
            auction: bid.auction.to_native(),
            bidder: bid.bidder.to_native(),
            price: bid.price.to_native(),
            date_time: bid.date_time.to_native(),
            extra: bid.extra.as_str().to_owned(),
            dt: at[..10].to_owned(),
            hm: at[11..16].to_owned(),
        })
    });
    let bids = bids.settle();
    bids.clone().sink(Files::to_csv(input.folder.join("bid")));
    bids.flat_map(|bid, out: &mut Emit<'_, Row>| {
        out.push((
            bid.auction.to_native(),
            bid.bidder.to_native(),
            bid.price.to_native(),
            bid.date_time.to_native(),
            bid.extra.as_str(),
            bid.dt.as_str(),
            bid.hm.as_str(),
        ));
    })
    .sink(rows);
}
