//! The compact event: 64 bytes in memory, 64 bytes in the input file.
//!
//! In the file an event is eight little-endian words:
//!
//! ```text
//!            0   1        2          3         4            5        6          7
//! person     0   id       date_time  name[..8] name[8..]    city..   city..     state
//! auction    1   id       seller     category  initial_bid  reserve  date_time  expires
//! bid        2   auction  bidder     price     date_time    -        -          -
//! ```

use serde::{Deserialize, Serialize};

/// A string of at most 16 bytes, padded with zeros.
pub type Str16 = [u8; 16];

/// Bytes of an [`Event`], in memory and in the input file.
pub const EVENT_BYTES: usize = 64;

/// Someone who opens auctions and bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// Number of the person.
    pub id: u64,
    /// Event time in milliseconds.
    pub date_time: u64,
    /// First and last name.
    pub name: Str16,
    /// City.
    pub city: Str16,
    /// State, two lower-case letters.
    pub state: [u8; 2],
}

/// An auction that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Auction {
    /// Number of the auction.
    pub id: u64,
    /// The person who opened it.
    pub seller: u64,
    /// Category of the item.
    pub category: u64,
    /// First price.
    pub initial_bid: u64,
    /// Price below which the item is not sold.
    pub reserve: u64,
    /// Event time in milliseconds.
    pub date_time: u64,
    /// When it closes, in milliseconds.
    pub expires: u64,
}

/// A bid on an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bid {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// Price; at least 100.
    pub price: u64,
    /// Event time in milliseconds.
    pub date_time: u64,
}

/// One element of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    /// Someone registers.
    Person(Person),
    /// An auction is opened.
    Auction(Auction),
    /// Someone bids.
    Bid(Bid),
}

const _: () = assert!(size_of::<Event>() == EVENT_BYTES);

impl Event {
    /// Event time in milliseconds.
    #[inline(always)]
    pub fn date_time(&self) -> u64 {
        match self {
            Event::Person(p) => p.date_time,
            Event::Auction(a) => a.date_time,
            Event::Bid(b) => b.date_time,
        }
    }

    /// The event as it stands in the input file.
    pub(crate) fn encode(&self) -> [u8; EVENT_BYTES] {
        let words = match self {
            Event::Person(p) => {
                let ((n0, n1), (c0, c1)) = (words(&p.name), words(&p.city));
                let state = u64::from(u16::from_le_bytes(p.state));
                [0, p.id, p.date_time, n0, n1, c0, c1, state]
            }
            Event::Auction(a) => {
                let prices = [a.initial_bid, a.reserve];
                [1, a.id, a.seller, a.category, prices[0], prices[1], a.date_time, a.expires]
            }
            Event::Bid(b) => [2, b.auction, b.bidder, b.price, b.date_time, 0, 0, 0],
        };
        let mut out = [0; EVENT_BYTES];
        for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// The event of [`encode`](Event::encode); nothing when the first word is no tag.
    pub(crate) fn decode(bytes: &[u8; EVENT_BYTES]) -> Option<Event> {
        let mut w = [0u64; 8];
        for (word, bytes) in w.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Some(match w[0] {
            0 => Event::Person(Person {
                id: w[1],
                date_time: w[2],
                name: str16(w[3], w[4]),
                city: str16(w[5], w[6]),
                state: (w[7] as u16).to_le_bytes(),
            }),
            1 => Event::Auction(Auction {
                id: w[1],
                seller: w[2],
                category: w[3],
                initial_bid: w[4],
                reserve: w[5],
                date_time: w[6],
                expires: w[7],
            }),
            2 => Event::Bid(Bid { auction: w[1], bidder: w[2], price: w[3], date_time: w[4] }),
            _ => return None,
        })
    }
}

/// The two little-endian words of a string.
#[inline(always)]
pub(crate) fn words(s: &Str16) -> (u64, u64) {
    let both = u128::from_le_bytes(*s);
    (both as u64, (both >> 64) as u64)
}

fn str16(low: u64, high: u64) -> Str16 {
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}
