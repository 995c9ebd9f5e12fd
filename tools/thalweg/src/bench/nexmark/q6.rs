//! Query 6, average selling price by seller: the mean of the prices of a seller's last ten closed
//! auctions, rounded down, after every auction that closes.
//!
//! This is the query of the original suite; the SQL for Flink can't be run there. Auctions that
//! close in the same millisecond count in the order of their ids.

use thalweg::prelude::*;

use super::winning::winning;
use super::{Digest, Input};

/// Auctions that closed but whose turn has not come (when, auction, price); the last ten prices.
type Sold = (Vec<(Timestamp, u64, u64)>, Vec<u64>);

pub(super) fn q6(job: &Job, input: &Input, rows: Digest) {
    winning(job, input)
        .key_by(|won| won.seller)
        .process::<Sold, (u64, u64, u64)>(
            |(waiting, _), won, ctx| {
                waiting.push((ctx.time(), won.auction, won.price));
                // Then all that closed at the same time have come, from all shards.
                ctx.timer_at(ctx.time() + 1.micros());
            },
            |(waiting, last), at, ctx| {
                waiting.sort_unstable();
                let due = waiting.partition_point(|&(closed, ..)| closed < at);
                for (_, auction, price) in waiting.drain(..due) {
                    if last.len() == 10 {
                        last.remove(0);
                    }
                    last.push(price);
                    let mean = last.iter().sum::<u64>() / last.len() as u64;
                    ctx.emit((*ctx.key(), auction, mean));
                }
            },
        )
        .sink(rows);
}
