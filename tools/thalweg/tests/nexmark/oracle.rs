//! The queries as naive programs over all events at once.

use std::collections::{BTreeMap, BTreeSet};

use thalweg::connector::nexmark::{Auction, Bid, Event, Person};
use thalweg::prelude::*;
use thalweg_cli::bench::nexmark::Digest;

fn bids(events: &[Event]) -> impl Iterator<Item = &Bid> {
    events.iter().filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}

/// The start of the tumbling window of so many milliseconds.
fn tumble(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() / ms * ms)
}

pub fn q0(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        out.add(&(bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra.as_str()));
    }
}

pub fn q1(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        out.add(&(bid.auction, bid.bidder, bid.price * 908, bid.date_time, bid.extra.as_str()));
    }
}

pub fn q2(events: &[Event], out: &Digest) {
    for bid in bids(events).filter(|bid| bid.auction % 123 == 0) {
        out.add(&(bid.auction, bid.price));
    }
}

pub fn q5(events: &[Event], out: &Digest) {
    let mut windows = BTreeMap::<Timestamp, BTreeMap<u64, u64>>::new();
    for bid in bids(events) {
        for back in 0..5 {
            let start = tumble(bid.date_time, 2_000) - (back * 2).seconds();
            *windows.entry(start).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    for (start, counts) in windows {
        let most = *counts.values().max().unwrap();
        for (auction, count) in counts.into_iter().filter(|&(_, count)| count == most) {
            out.add(&(start, auction, count));
        }
    }
}

pub fn q7(events: &[Event], out: &Digest) {
    let mut windows = BTreeMap::<Timestamp, Vec<&Bid>>::new();
    for bid in bids(events) {
        windows.entry(tumble(bid.date_time, 10_000)).or_default().push(bid);
    }
    for bids in windows.into_values() {
        let highest = bids.iter().map(|bid| bid.price).max().unwrap();
        for bid in bids.into_iter().filter(|bid| bid.price == highest) {
            out.add(&(bid.auction, bid.price, bid.bidder, bid.date_time, bid.extra.as_str()));
        }
    }
}

pub fn q14(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        let price = bid.price * 908;
        if 1_000_000_000 < price && price < 50_000_000_000 {
            let hour = &bid.date_time.to_string()[11..13];
            let word = match hour.parse::<u32>().unwrap() {
                hour if (8..=18).contains(&hour) => "dayTime",
                hour if hour <= 6 || hour >= 20 => "nightTime",
                _ => "otherTime",
            };
            let count = bid.extra.matches('c').count() as u64;
            let extra = bid.extra.as_str();
            out.add(&(bid.auction, bid.bidder, price, word, bid.date_time, extra, count));
        }
    }
}

pub fn q17(events: &[Event], out: &Digest) {
    let mut days = BTreeMap::<(u64, Timestamp), Vec<u64>>::new();
    for bid in bids(events) {
        let day = tumble(bid.date_time, 86_400_000);
        days.entry((bid.auction, day)).or_default().push(bid.price);
    }
    for ((auction, day), prices) in days {
        let count = prices.len() as u64;
        let cheap = prices.iter().filter(|&&price| price < 10_000).count() as u64;
        let dear = prices.iter().filter(|&&price| price >= 1_000_000).count() as u64;
        let sum: u64 = prices.iter().sum();
        let (least, most) = (*prices.iter().min().unwrap(), *prices.iter().max().unwrap());
        let counts = (count, cheap, count - cheap - dear, dear);
        out.add(&(auction, day, counts, (least, most, sum / count, sum)));
    }
}

pub fn q21(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        let id = match bid.channel.to_lowercase().as_str() {
            "apple" => Some("0"),
            "google" => Some("1"),
            "facebook" => Some("2"),
            "baidu" => Some("3"),
            _ => bid.url.split_once("&channel_id=").map(|(_, rest)| rest),
        };
        if let Some(id) = id {
            out.add(&(bid.auction, bid.bidder, bid.price, bid.channel.as_str(), id));
        }
    }
}

pub fn q22(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        let parts: Vec<_> = bid.url.split('/').collect();
        let directories = (parts[3], parts[4], parts[5]);
        let (first, second, third) = directories;
        let channel = bid.channel.as_str();
        out.add(&(bid.auction, bid.bidder, bid.price, channel, first, second, third));
    }
}

fn auctions(events: &[Event]) -> impl Iterator<Item = &Auction> {
    events.iter().filter_map(|event| match event {
        Event::Auction(auction) => Some(auction),
        _ => None,
    })
}

fn persons(events: &[Event]) -> impl Iterator<Item = &Person> {
    events.iter().filter_map(|event| match event {
        Event::Person(person) => Some(person),
        _ => None,
    })
}

pub fn q3(events: &[Event], out: &Digest) {
    let by_id: BTreeMap<u64, &Person> = persons(events).map(|person| (person.id, person)).collect();
    for auction in auctions(events).filter(|auction| auction.category == 10) {
        let Some(Person { name, city, state, .. }) = by_id.get(&auction.seller) else { continue };
        if ["or", "id", "ca"].contains(&state.as_str()) {
            out.add(&(name.as_str(), city.as_str(), state.as_str(), auction.id));
        }
    }
}

/// Every auction that has a bid in its time, with the one that wins.
fn winners(events: &[Event]) -> Vec<(&Auction, &Bid)> {
    let mut by_auction = BTreeMap::<u64, Vec<&Bid>>::new();
    for bid in bids(events) {
        by_auction.entry(bid.auction).or_default().push(bid);
    }
    let winner = |auction: &'_ Auction| {
        let bids = by_auction.get(&auction.id)?.iter().copied();
        let open = auction.date_time..=auction.expires;
        let mut bids: Vec<_> = bids.filter(|bid| open.contains(&bid.date_time)).collect();
        bids.sort_by_key(|bid| (std::cmp::Reverse(bid.price), bid.date_time, bid.bidder));
        bids.first().copied()
    };
    auctions(events).filter_map(|auction| Some((auction, winner(auction)?))).collect()
}

pub fn q4(events: &[Event], out: &Digest) {
    let mut categories = BTreeMap::<u64, Vec<u64>>::new();
    for (auction, bid) in winners(events) {
        categories.entry(auction.category).or_default().push(bid.price);
    }
    for (category, prices) in categories {
        let auctions = prices.len() as u64;
        out.add(&(category, auctions, prices.iter().sum::<u64>() / auctions));
    }
}

pub fn q6(events: &[Event], out: &Digest) {
    let mut winners = winners(events);
    winners.sort_by_key(|(auction, _)| (auction.expires, auction.id));
    let mut sellers = BTreeMap::<u64, Vec<u64>>::new();
    for (auction, bid) in winners {
        let prices = sellers.entry(auction.seller).or_default();
        prices.push(bid.price);
        let last = &prices[prices.len().saturating_sub(10)..];
        out.add(&(auction.seller, auction.id, last.iter().sum::<u64>() / last.len() as u64));
    }
}

pub fn q8(events: &[Event], out: &Digest) {
    let sold = auctions(events).map(|auction| (auction.seller, tumble(auction.date_time, 10_000)));
    let sold: BTreeSet<(u64, Timestamp)> = sold.collect();
    for Person { id, name, date_time, .. } in persons(events) {
        let window = tumble(*date_time, 10_000);
        if sold.contains(&(*id, window)) {
            out.add(&(*id, name.as_str(), window));
        }
    }
}

pub fn q9(events: &[Event], out: &Digest) {
    for (a, b) in winners(events) {
        let (name, description) = (a.item_name.as_str(), a.description.as_str());
        let (initial, reserve) = (a.initial_bid, a.reserve);
        let item = (a.id, name, description, initial, reserve, a.date_time, a.expires, a.seller);
        let bid = (b.auction, b.bidder, b.price, b.date_time, b.extra.as_str());
        out.add(&(item, (a.category, a.extra.as_str()), bid));
    }
}

pub fn q10(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        // The events end long before the day does.
        let minutes = bid.date_time.millis() / 60_000;
        let minute = format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
        let (extra, minute) = (bid.extra.as_str(), minute.as_str());
        out.add(&(bid.auction, bid.bidder, bid.price, bid.date_time, extra, "2020-09-13", minute));
    }
}

pub fn q11(events: &[Event], out: &Digest) {
    let mut open = BTreeMap::<u64, (u64, Timestamp, Timestamp)>::new();
    for bid in bids(events) {
        let (count, start, end) =
            open.entry(bid.bidder).or_insert((0, bid.date_time, bid.date_time + 10.seconds()));
        if bid.date_time >= *end {
            out.add(&(bid.bidder, *count, *start, *end));
            (*count, *start) = (0, bid.date_time);
        }
        *count += 1;
        *end = bid.date_time + 10.seconds();
    }
    for (bidder, (count, start, end)) in open {
        out.add(&(bidder, count, start, end));
    }
}

pub fn q13(events: &[Event], out: &Digest) {
    for bid in bids(events) {
        let text = (bid.auction % 10_000).to_string();
        out.add(&(bid.auction, bid.bidder, bid.price, bid.date_time, text.as_str()));
    }
}

type Stats = (u64, u64, u64);

/// Bids, bidders and auctions of the bids in a range of prices.
fn stats(bids: &[&Bid], prices: std::ops::Range<u64>) -> Stats {
    let bids = || bids.iter().filter(|bid| prices.contains(&bid.price));
    let bidders: BTreeSet<_> = bids().map(|bid| bid.bidder).collect();
    let auctions: BTreeSet<_> = bids().map(|bid| bid.auction).collect();
    (bids().count() as u64, bidders.len() as u64, auctions.len() as u64)
}

fn all_stats(bids: &[&Bid]) -> (Stats, Stats, Stats, Stats) {
    (
        stats(bids, 0..u64::MAX),
        stats(bids, 0..10_000),
        stats(bids, 10_000..1_000_000),
        stats(bids, 1_000_000..u64::MAX),
    )
}

pub fn q15(events: &[Event], out: &Digest) {
    let bids: Vec<_> = bids(events).collect();
    out.add(&(tumble(bids[0].date_time, 86_400_000), all_stats(&bids)));
}

pub fn q16(events: &[Event], out: &Digest) {
    let mut channels = BTreeMap::<&str, Vec<&Bid>>::new();
    for bid in bids(events) {
        channels.entry(&bid.channel).or_default().push(bid);
    }
    for (channel, bids) in channels {
        let minute = bids.iter().map(|bid| tumble(bid.date_time, 60_000)).max().unwrap();
        let (all, cheap, middling, dear) = all_stats(&bids);
        let day = tumble(bids[0].date_time, 86_400_000);
        out.add(&(channel, day, (minute, all, cheap, middling, dear)));
    }
}

pub fn q18(events: &[Event], out: &Digest) {
    let mut last = BTreeMap::<(u64, u64), &Bid>::new();
    let rank = |bid: &Bid| (bid.date_time, bid.price, bid.extra.clone());
    for bid in bids(events) {
        let kept = last.entry((bid.auction, bid.bidder)).or_insert(bid);
        if rank(kept) < rank(bid) {
            *kept = bid;
        }
    }
    for bid in last.into_values() {
        out.add(&whole(bid));
    }
}

fn whole(bid: &Bid) -> (u64, u64, u64, &str, &str, Timestamp, &str) {
    let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
    (*auction, *bidder, *price, channel, url, *date_time, extra)
}

pub fn q19(events: &[Event], out: &Digest) {
    let mut by_auction = BTreeMap::<u64, Vec<(u64, i64, u64, &str, &str, &str)>>::new();
    for bid in bids(events) {
        let before = -bid.date_time.micros();
        let ranked = (bid.price, before, bid.bidder, &*bid.channel, &*bid.url, &*bid.extra);
        by_auction.entry(bid.auction).or_default().push(ranked);
    }
    for (auction, mut bids) in by_auction {
        bids.sort_unstable();
        for (rank, bid) in (1_u64..=10).zip(bids.iter().rev()) {
            out.add(&(auction, rank, *bid));
        }
    }
}

pub fn q20(events: &[Event], out: &Digest) {
    let ten: BTreeMap<u64, &Auction> = auctions(events)
        .filter(|auction| auction.category == 10)
        .map(|auction| (auction.id, auction))
        .collect();
    for bid in bids(events) {
        if let Some(a) = ten.get(&bid.auction) {
            let (name, description) = (a.item_name.as_str(), a.description.as_str());
            let (initial, reserve) = (a.initial_bid, a.reserve);
            let item = (a.id, name, description, initial, reserve, a.date_time, a.expires);
            out.add(&(whole(bid), (item, (a.seller, a.category, a.extra.as_str()))));
        }
    }
}
