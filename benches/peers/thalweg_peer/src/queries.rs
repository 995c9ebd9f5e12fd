//! The queries; their exact meaning is in the docs of `workload`.

use thalweg::prelude::*;
use workload::{Bid, Digest, Event, HOP_SIZE, HOP_SLIDE, TUMBLE};

use crate::ends::Digested;

fn time(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

fn bid(event: &Event) -> Option<Bid> {
    match event {
        Event::Bid(bid) => Some(*bid),
        Event::Person(_) | Event::Auction(_) => None,
    }
}

/// Every bid.
pub fn q0(events: Stream<Event>, to: Digested) {
    events.filter_map(bid).sink(to.by(|digest: &mut Digest, bid: &Bid| digest.q0(bid)));
}

/// Every bid, its price in thousandths of euros.
pub fn q1(events: Stream<Event>, to: Digested) {
    events
        .filter_map(bid)
        .map(|bid| Bid { price: bid.price * 908, ..*bid })
        .sink(to.by(|d: &mut Digest, b: &Bid| d.q1(b.auction, b.bidder, b.price, b.date_time)));
}

/// The bids on some auctions.
pub fn q2(events: Stream<Event>, to: Digested) {
    events
        .filter_map(bid)
        .filter(|bid| bid.auction % 123 == 0)
        .sink(to.by(|digest: &mut Digest, bid: &Bid| digest.q2(bid.auction, bid.price)));
}

/// The auctions with most bids in each sliding window.
pub fn q5(events: Stream<Event>, to: Digested) {
    events
        .filter_map(bid)
        .event_time(|bid| time(bid.date_time), 0.seconds())
        .key_by(|bid| bid.auction)
        .window(Sliding::of(HOP_SIZE.millis(), HOP_SLIDE.millis()))
        .aggregate(|bids| bids.count())
        .window(Tumbling::of(HOP_SLIDE.millis()))
        .aggregate(|counts| counts.all_max_by(|count| count.value))
        .sink(to.by(|digest: &mut Digest, hottest: HottestView<'_>| {
            for hot in hottest.value.iter() {
                digest.q5(hot.start.millis() as u64, hot.key, hot.value);
            }
        }));
}

type HottestView<'a> = <InWindow<(), Vec<InWindow<u64, u64>>> as Record>::View<'a>;

/// The bids with the highest price of each window.
pub fn q7(events: Stream<Event>, to: Digested) {
    events
        .filter_map(bid)
        .event_time(|bid| time(bid.date_time), 0.seconds())
        .window(Tumbling::of(TUMBLE.millis()))
        .aggregate(|bids| bids.all_max_by(|bid| bid.price))
        .sink(to.by(|digest: &mut Digest, highest: HighestView<'_>| {
            for b in highest.value.iter() {
                digest.q7(b.auction, b.price, b.bidder, b.date_time);
            }
        }));
}

type HighestView<'a> = <InWindow<(), Vec<Bid>> as Record>::View<'a>;
