//! Query 11, user sessions: how many bids a user made in each session. A session ends when the user
//! has made no bid for 10 seconds.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

pub(super) fn q11(job: &Job, input: &Input, rows: Digest) {
    timed(job, input)
        .filter_map(|event| event.bid().map(|bid| bid.bidder.to_native()))
        .key_by(|bidder| bidder)
        .window(Session::gap(10.seconds()))
        .aggregate(|bids| bids.count())
        .map(|session| (session.key, session.value, session.start, session.end))
        .sink(rows);
}
