//! Bids and highest price of every auction in every minute:
//! `cargo run --example hot_auctions -- 'bids/*.jsonl'`.

use thalweg::prelude::*;

record! {
    /// An offer, as a line of JSON: `{"auction": 7, "price": 120, "at": "2001-01-01T00:00:03Z"}`.
    pub struct Bid {
        /// What is bid for.
        pub auction: u64,
        /// What is offered.
        pub price: u64,
        /// When.
        pub at: Timestamp,
    }
}

fn main() -> Result {
    let bids = std::env::args().nth(1).unwrap_or_else(|| "tests/data/bids.jsonl".into());
    let job = Job::new("hot-auctions").stop_on_ctrl_c();
    hot_auctions(&job, &bids).sink(Stdout::csv());
    job.run()?;
    Ok(())
}

/// The number of bids and the highest price, a row for every auction and minute.
pub fn hot_auctions(job: &Job, bids: &str) -> Stream<InWindow<u64, (u64, u64)>> {
    job.source(Files::json::<Bid>(bids))
        .event_time(|bid| bid.at, 5.seconds())
        .key_by(|bid| bid.auction)
        .window(Tumbling::of(1.minutes()))
        .aggregate(|bids| (bids.count(), bids.max(|bid| bid.price)))
}
