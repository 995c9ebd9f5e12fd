//! Query 14, calculation: bids in a range of prices in euros, with the time of the day (UTC) in
//! words and how often the letter c is in their extra.
//!
//! Prices are in thousandths of a cent, as in query 1.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price, time of the day, time, extra, how many c.
type Row = (u64, u64, u64, String, Timestamp, String, u64);

pub(super) fn q14(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            let Some(bid) = event.bid() else { return };
            let price = bid.price * 908;
            if price > 1_000_000_000 && price < 50_000_000_000 {
                let at = bid.date_time.to_native();
                out.push((
                    bid.auction.to_native(),
                    bid.bidder.to_native(),
                    price,
                    time_of_day(at),
                    at,
                    bid.extra.as_str(),
                    bid.extra.bytes().filter(|&letter| letter == b'c').count() as u64,
                ));
            }
        })
        .sink(rows);
}

/// Day, night or neither.
pub(super) fn time_of_day(at: Timestamp) -> &'static str {
    match at.millis().div_euclid(3_600_000).rem_euclid(24) {
        8..=18 => "dayTime",
        0..=6 | 20..=23 => "nightTime",
        _ => "otherTime",
    }
}
