//! Query 22, url directories: every bid with the first three directories of its url.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price, channel, the three directories.
type Row = (u64, u64, u64, String, String, String, String);

pub(super) fn q22(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            let Some(bid) = event.bid() else { return };
            let mut parts = bid.url.split('/').skip(3);
            let mut directory = || parts.next().unwrap_or_default();
            out.push((
                bid.auction.to_native(),
                bid.bidder.to_native(),
                bid.price.to_native(),
                bid.channel.as_str(),
                directory(),
                directory(),
                directory(),
            ));
        })
        .sink(rows);
}
