//! Query 12, processing time windows: how many bids a user made in every 10 seconds of the clock on
//! the wall.
//!
//! The rows differ from run to run, but their counts add up to the number of bids.

use thalweg::connector::Callback;
use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Of every 50 events the last 46 are bids.
pub(super) fn bids_in(events: u64) -> u64 {
    events / 50 * 46 + (events % 50).saturating_sub(4)
}

/// Bidder, bids, window start.
type Row = (u64, u64, Timestamp);

pub(super) fn q12(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| event.bid().map(|bid| bid.bidder.to_native()))
        .key_by(|bidder| bidder)
        .process::<(u64, Timestamp), Row>(
            |(count, start), _, ctx| {
                if *count == 0 {
                    let now = Timestamp::now();
                    *start = now.align_down(10_000_000, 0);
                    let over = (*start + 10.seconds()).micros() - now.micros();
                    ctx.timer_after(over.unsigned_abs().micros());
                }
                *count += 1;
            },
            |&mut (count, start), _, ctx| {
                ctx.emit((*ctx.key(), count, start));
                ctx.clear();
            },
        )
        .sink(Callback::new::<Row>(move |_, _, (_, count, _)| rows.count(count)));
}
