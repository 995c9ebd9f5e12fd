//! The queries as naive programs over all events at once.

use std::collections::BTreeMap;

use thalweg::connector::nexmark::{Bid, Event};
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
