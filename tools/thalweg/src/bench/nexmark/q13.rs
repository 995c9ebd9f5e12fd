//! Query 13, bounded side input join: every bid with the text that a small table has for its
//! auction. The table goes to every shard and is looked up where the bid is.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Rows of the table; its key is the auction's id modulo this.
pub(super) const SIDE: u64 = 10_000;

/// Auction, bidder, price, time.
type Bid = (u64, u64, u64, Timestamp);

pub(super) fn q13(job: &Job, input: &Input, rows: Digest) {
    let side = job.source(Memory::of((0..SIDE).map(|key| (key, key.to_string()))).splits(1));
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Bid>| {
            if let Some(bid) = event.bid() {
                let (auction, bidder) = (bid.auction.to_native(), bid.bidder.to_native());
                out.push((auction, bidder, bid.price.to_native(), bid.date_time.to_native()));
            }
        })
        .join_table(
            side,
            |(auction, ..)| auction % SIDE,
            |(key, _)| key,
            |(auction, bidder, price, at), row| {
                let text = row.map_or("", |(_, text)| text);
                (auction, bidder, price, at, text.to_owned())
            },
        )
        .sink(rows);
}
