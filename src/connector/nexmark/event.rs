//! The records of Nexmark.

use crate::record;
use crate::time::Timestamp;

record! {
    /// Somebody registers: may sell and bid from now on.
    #[derive(Eq)]
    pub struct Person {
        /// Counts from 1000.
        pub id: u64,
        /// First and last name, small letters.
        pub name: String,
        /// Never read by a query.
        pub email_address: String,
        /// Four groups of four digits.
        pub credit_card: String,
        /// Small letters.
        pub city: String,
        /// Two small letters.
        pub state: String,
        /// When it happened, whole milliseconds.
        pub date_time: Timestamp,
        /// Letters that bring the record to about 200 bytes.
        pub extra: String,
    }
}

record! {
    /// Somebody offers an item.
    #[derive(Eq)]
    pub struct Auction {
        /// Counts from 1000.
        pub id: u64,
        /// 20 letters.
        pub item_name: String,
        /// 100 letters.
        pub description: String,
        /// In cents.
        pub initial_bid: u64,
        /// The least price at which it is sold, in cents.
        pub reserve: u64,
        /// When it happened, whole milliseconds.
        pub date_time: Timestamp,
        /// When the auction ends, whole milliseconds.
        pub expires: Timestamp,
        /// The [`Person`] who sells. The person may come a little later in the stream.
        pub seller: u64,
        /// 10 to 14.
        pub category: u64,
        /// Letters that bring the record to about 500 bytes.
        pub extra: String,
    }
}

record! {
    /// Somebody offers a price.
    #[derive(Eq)]
    pub struct Bid {
        /// The [`Auction`]. It may come a little later in the stream.
        pub auction: u64,
        /// The [`Person`] who bids. The person may come a little later in the stream.
        pub bidder: u64,
        /// In cents.
        pub price: u64,
        /// Where the bid came from: `Google`, `Facebook`, `Baidu`, `Apple`, or `channel-` and a
        /// number below 10,000.
        pub channel: String,
        /// The page it came from.
        pub url: String,
        /// When it happened, whole milliseconds.
        pub date_time: Timestamp,
        /// Letters that bring the record to about 100 bytes without channel and page.
        pub extra: String,
    }
}

record! {
    /// Something happens in the auction house.
    #[derive(Eq)]
    pub enum Event {
        /// Somebody registers.
        Person(Person),
        /// Somebody offers an item.
        Auction(Auction),
        /// Somebody offers a price.
        Bid(Bid),
    }
}

impl Event {
    /// When it happened.
    pub fn date_time(&self) -> Timestamp {
        match self {
            Event::Person(person) => person.date_time,
            Event::Auction(auction) => auction.date_time,
            Event::Bid(bid) => bid.date_time,
        }
    }

    /// Lets it happen at another time. An auction is open for as long as before.
    ///
    /// ```
    /// use thalweg::connector::nexmark::{BASE_TIME, Nexmark};
    /// use thalweg::time::Timestamp;
    ///
    /// let mut event = Nexmark::generate(0..1).next().expect("one event");
    /// assert_eq!(event.date_time(), BASE_TIME);
    /// event.set_date_time(Timestamp::from_millis(5));
    /// assert_eq!(event.date_time(), Timestamp::from_millis(5));
    /// ```
    pub fn set_date_time(&mut self, at: Timestamp) {
        match self {
            Event::Person(person) => person.date_time = at,
            Event::Auction(auction) => {
                let open = auction.expires.micros() - auction.date_time.micros();
                auction.date_time = at;
                auction.expires = Timestamp::from_micros(at.micros().saturating_add(open));
            }
            Event::Bid(bid) => bid.date_time = at,
        }
    }
}

impl ArchivedEvent {
    /// When it happened.
    #[inline(always)]
    pub fn date_time(&self) -> Timestamp {
        match self {
            ArchivedEvent::Person(person) => person.date_time.to_native(),
            ArchivedEvent::Auction(auction) => auction.date_time.to_native(),
            ArchivedEvent::Bid(bid) => bid.date_time.to_native(),
        }
    }

    /// The person, when it is one.
    #[inline(always)]
    pub fn person(&self) -> Option<&ArchivedPerson> {
        match self {
            ArchivedEvent::Person(person) => Some(person),
            ArchivedEvent::Auction(_) | ArchivedEvent::Bid(_) => None,
        }
    }

    /// The auction, when it is one.
    #[inline(always)]
    pub fn auction(&self) -> Option<&ArchivedAuction> {
        match self {
            ArchivedEvent::Auction(auction) => Some(auction),
            ArchivedEvent::Person(_) | ArchivedEvent::Bid(_) => None,
        }
    }

    /// The bid, when it is one.
    #[inline(always)]
    pub fn bid(&self) -> Option<&ArchivedBid> {
        match self {
            ArchivedEvent::Bid(bid) => Some(bid),
            ArchivedEvent::Person(_) | ArchivedEvent::Auction(_) => None,
        }
    }
}
