//! Bids and highest price of every auction in every minute:
//! `cargo run --example hot_auctions -- 'bids/*.jsonl'`.

use clap::Parser;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

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

/// Bids and highest price of every auction in every minute.
#[derive(Parser)]
pub struct Options {
    /// Files of bids, one a line; may be a pattern.
    #[arg(default_value = "tests/data/bids.jsonl")]
    pub bids: String,
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    let job = Job::new("hot-auctions").shards(options.shards).stop_on_ctrl_c();
    hot_auctions(&job, &options.bids).sink(Stdout::csv());
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
