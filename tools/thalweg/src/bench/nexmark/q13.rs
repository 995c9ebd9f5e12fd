//! Query 13, bounded side input join: every bid with the text that a small table has for its
//! auction. The table does not change and fits every shard, so it is looked up where the bid is.

use std::sync::Arc;

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Rows of the table; its key is the auction's id modulo this.
const SIDE: u64 = 10_000;

/// Auction, bidder, price, time, text.
type Row = (u64, u64, u64, Timestamp, String);

pub(super) fn q13(job: &Job, input: &Input, rows: Digest) {
    let side: Arc<[String]> = (0..SIDE).map(|key| key.to_string()).collect();
    timed(job, input)
        .flat_map(move |event, out: &mut Emit<'_, Row>| {
            if let Some(bid) = event.bid() {
                let auction = bid.auction.to_native();
                out.push((
                    auction,
                    bid.bidder.to_native(),
                    bid.price.to_native(),
                    bid.date_time.to_native(),
                    &side[(auction % SIDE) as usize],
                ));
            }
        })
        .sink(rows);
}
