//! Query 21, channel id: every bid with the number of its channel. Four channels have well-known
//! numbers, others have theirs in the url; bids with neither are left out.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Auction, bidder, price, channel, channel id.
type Row = (u64, u64, u64, String, String);

pub(super) fn q21(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .flat_map(|event, out: &mut Emit<'_, Row>| {
            let Some(bid) = event.bid() else { return };
            if let Some(id) = channel_id(&bid.channel, &bid.url) {
                out.push((
                    bid.auction.to_native(),
                    bid.bidder.to_native(),
                    bid.price.to_native(),
                    bid.channel.as_str(),
                    id,
                ));
            }
        })
        .sink(rows);
}

/// The number of a channel, from its name or else from the url.
pub(super) fn channel_id<'a>(channel: &str, url: &'a str) -> Option<&'a str> {
    let known = ["apple", "google", "facebook", "baidu"];
    let known = known.iter().position(|name| channel.eq_ignore_ascii_case(name));
    match known {
        Some(number) => Some(["0", "1", "2", "3"][number]),
        None => url.split('&').find_map(|part| part.strip_prefix("channel_id=")),
    }
}
