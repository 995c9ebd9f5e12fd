//! Makes the event of a number: the same as the crate `nexmark` 0.2.0 makes with its default
//! configuration, without an allocation.
//!
//! Every event has a random generator of its own, seeded with the event's number. What is drawn
//! from it, in which order and as which integer type, is what makes the events equal.

use std::fmt::Write;
use std::sync::LazyLock;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{Auction, Bid, Event, Person};
use crate::time::{Timestamp, Units};

/// Of every so many events …
const EPOCH: u64 = PERSONS + AUCTIONS + 46;
/// … the first are persons …
const PERSONS: u64 = 1;
/// … and the next are auctions.
const AUCTIONS: u64 = 3;

const FIRST_PERSON: u64 = 1_000;
const FIRST_AUCTION: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: usize = 5;

/// The persons that were registered last and still sell and bid.
const ACTIVE_PERSONS: u64 = 1_000;
/// Auctions that are open at a time, on average.
const OPEN_AUCTIONS: u64 = 100;
/// How far ahead of the stream the ids of persons and auctions may be.
const LEAD: u64 = 10;
/// The hot seller, bidder and auction change when so many persons or auctions have come.
const HOT: u64 = 100;

/// One in so many takes no hot seller, auction, bidder or channel.
const COLD_SELLER: usize = 4;
const COLD_AUCTION: usize = 2;
const COLD_BIDDER: usize = 4;
const COLD_CHANNEL: usize = 2;

/// Bytes of a record, about.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;

/// Microseconds from one event to the next.
const DELAY_US: f32 = 100.0;

const FIRST_NAMES: [&str; 11] = [
    "peter", "paul", "luke", "john", "saul", "vicky", "kate", "julie", "sarah", "deiter", "walter",
];
const LAST_NAMES: [&str; 9] =
    ["shultz", "abrams", "spencer", "white", "bartels", "walton", "smith", "jones", "noris"];
const CITIES: [&str; 10] = [
    "phoenix",
    "los angeles",
    "san francisco",
    "boise",
    "portland",
    "bend",
    "redmond",
    "seattle",
    "kent",
    "cheyenne",
];
const STATES: [&str; 6] = ["az", "ca", "id", "or", "wa", "wy"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u32 = 10_000;

/// The pages of the hot channels, and the other channels with theirs.
struct Pages {
    hot: Vec<String>,
    /// Channel, page, channel, page, one after the other: a bid for any of them then costs one
    /// access to memory that is not in the cache, not one for each string.
    cold: String,
    /// Where in `cold` each channel begins and where its page does; then the end.
    starts: Vec<(u32, u32)>,
}

impl Pages {
    fn new() -> Pages {
        let (mut cold, mut starts) = (String::new(), Vec::new());
        for number in 0..CHANNELS {
            let channel = cold.len() as u32;
            cold.push_str(&format!("channel-{number}"));
            starts.push((channel, cold.len() as u32));
            cold.push_str(&page(number.into()));
            if seeded(number.into()).gen_range(0..10) > 0 {
                let id = i64::from(number.reverse_bits().cast_signed()).abs();
                cold.push_str(&format!("&channel_id={id}"));
            }
        }
        starts.push((cold.len() as u32, cold.len() as u32));
        Pages { hot: (0..HOT_CHANNELS.len() as u64).map(page).collect(), cold, starts }
    }

    /// A channel that is not hot, and its page.
    #[inline]
    fn cold(&self, number: usize) -> (&str, &str) {
        let ((channel, page), (end, _)) = (self.starts[number], self.starts[number + 1]);
        let text = |from: u32, to: u32| &self.cold[from as usize..to as usize];
        (text(channel, page), text(page, end))
    }
}

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

#[inline]
fn seeded(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

fn page(seed: u64) -> String {
    let mut rng = seeded(seed);
    let mut part = || -> String {
        let letters = rng.gen_range(3..5);
        let letter = |_| match rng.gen_range(0..13) {
            0 => '_',
            _ => char::from(rng.gen_range(b'a'..=b'z')),
        };
        (0..letters).map(letter).collect()
    };
    let (first, second, third) = (part(), part(), part());
    format!("https://www.nexmark.com/{first}/{second}/{third}/item.htm?query=1")
}

/// Makes events; the last of each kind is kept, for the memory of its text.
pub(super) struct Generator {
    base_time: Timestamp,
    pages: &'static Pages,
    draw: Draw,
    person: Event,
    auction: Event,
    bid: Event,
}

impl Generator {
    /// Makes events of which number 0 happens at `base_time`.
    pub(super) fn new(base_time: Timestamp) -> Generator {
        Generator {
            base_time,
            pages: &PAGES,
            draw: Draw { rng: seeded(0), room: [0; AUCTION_BYTES] },
            person: Event::Person(Person::blank()),
            auction: Event::Auction(Auction::blank()),
            bid: Event::Bid(Bid::blank()),
        }
    }

    /// The event of this number.
    pub(super) fn event(&mut self, number: u64) -> &Event {
        let (pages, at) = (self.pages, self.base_time + elapsed_ms(number).millis());
        let in_epoch = number % EPOCH;
        let event = if in_epoch < PERSONS {
            &mut self.person
        } else if in_epoch < PERSONS + AUCTIONS {
            &mut self.auction
        } else {
            &mut self.bid
        };
        let draw = &mut self.draw;
        draw.rng = seeded(number);
        match event {
            Event::Person(person) => person.fill(number, at, draw),
            Event::Auction(auction) => auction.fill(number, at, draw),
            Event::Bid(bid) => bid.fill(number, at, draw, pages),
        }
        event
    }
}

/// Milliseconds from event 0 to this one, in the precision of the crate.
fn elapsed_ms(number: u64) -> u64 {
    rounded((number as f32 * DELAY_US) / 1000.0)
}

/// The whole number next to one that is not negative, the upper one of two: `f32::round` without
/// the call that it is for processors of the first 64 bits. In `f64` the sum is exact.
#[inline]
fn rounded(value: f32) -> u64 {
    (f64::from(value) + 0.5) as u64
}

/// The person that registered last, counted from 0: each epoch begins with one.
fn last_person(number: u64) -> u64 {
    number / EPOCH
}

/// The auction that was offered last, counted from 0.
fn last_auction(number: u64) -> u64 {
    let offset = (number % EPOCH).saturating_sub(PERSONS).min(AUCTIONS - 1);
    number / EPOCH * AUCTIONS + offset
}

fn some_person(number: u64, rng: &mut SmallRng) -> u64 {
    let persons = last_person(number) + 1;
    let active = persons.min(ACTIVE_PERSONS);
    persons - active + rng.gen_range(0..active + LEAD)
}

fn some_auction(number: u64, rng: &mut SmallRng) -> u64 {
    let newest = last_auction(number);
    let oldest = newest.saturating_sub(OPEN_AUCTIONS);
    oldest + rng.gen_range(0..newest - oldest + 1 + LEAD)
}

fn price(rng: &mut SmallRng) -> u64 {
    rounded(10.0_f32.powf(rng.r#gen::<f32>() * 6.0) * 100.0)
}

fn choose<'a>(from: &[&'a str], rng: &mut SmallRng) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

/// The random numbers of an event, and room for its letters.
struct Draw {
    rng: SmallRng,
    room: [u8; AUCTION_BYTES],
}

impl Draw {
    /// Appends so many random letters.
    fn letters(&mut self, to: &mut String, count: usize) {
        // A copy lives in registers.
        let mut rng = self.rng.clone();
        let letters = &mut self.room[..count];
        letters.iter_mut().for_each(|letter| *letter = rng.gen_range(b'a'..=b'z'));
        self.rng = rng;
        to.push_str(std::str::from_utf8(letters).unwrap_or_default());
    }

    /// Replaces `to` with letters that bring a record of `used` bytes to about `wanted`.
    fn extra(&mut self, to: &mut String, used: usize, wanted: usize) {
        to.clear();
        let missing = wanted - used;
        let spread = (missing + 2) / 5;
        let count = missing - spread + self.rng.gen_range(0..2 * spread);
        self.letters(to, count);
    }
}

fn replace(to: &mut String, by: &str) {
    to.clear();
    to.push_str(by);
}

impl Person {
    fn blank() -> Person {
        let text = String::new;
        Person {
            id: 0,
            name: text(),
            email_address: text(),
            credit_card: text(),
            city: text(),
            state: text(),
            date_time: Timestamp::MIN,
            extra: text(),
        }
    }

    fn fill(&mut self, number: u64, at: Timestamp, draw: &mut Draw) {
        self.id = last_person(number) + FIRST_PERSON;
        self.date_time = at;
        replace(&mut self.name, choose(&FIRST_NAMES, &mut draw.rng));
        self.name.push(' ');
        self.name.push_str(choose(&LAST_NAMES, &mut draw.rng));
        self.email_address.clear();
        draw.letters(&mut self.email_address, 7);
        self.email_address.push('@');
        draw.letters(&mut self.email_address, 5);
        self.email_address.push_str(".com");
        self.credit_card.clear();
        let mut group = || draw.rng.gen_range(0..10_000_i32);
        let (a, b, c, d) = (group(), group(), group(), group());
        // Writing to a string can't fail.
        let _ = write!(self.credit_card, "{a:04} {b:04} {c:04} {d:04}");
        replace(&mut self.city, choose(&CITIES, &mut draw.rng));
        replace(&mut self.state, choose(&STATES, &mut draw.rng));
        let used = 8
            + self.name.len()
            + self.email_address.len()
            + self.credit_card.len()
            + self.city.len()
            + self.state.len();
        draw.extra(&mut self.extra, used, PERSON_BYTES);
    }
}

impl Auction {
    fn blank() -> Auction {
        let text = String::new;
        Auction {
            id: 0,
            item_name: text(),
            description: text(),
            initial_bid: 0,
            reserve: 0,
            date_time: Timestamp::MIN,
            expires: Timestamp::MIN,
            seller: 0,
            category: 0,
            extra: text(),
        }
    }

    fn fill(&mut self, number: u64, at: Timestamp, draw: &mut Draw) {
        self.id = last_auction(number) + FIRST_AUCTION;
        self.date_time = at;
        self.item_name.clear();
        draw.letters(&mut self.item_name, 20);
        self.description.clear();
        draw.letters(&mut self.description, 100);
        self.initial_bid = price(&mut draw.rng);
        self.reserve = self.initial_bid + price(&mut draw.rng);
        let horizon = elapsed_ms(number + OPEN_AUCTIONS * EPOCH / AUCTIONS) - elapsed_ms(number);
        self.expires = at + (1 + draw.rng.gen_range(0..(horizon * 2).max(1))).millis();
        self.seller = FIRST_PERSON
            + if draw.rng.gen_range(0..COLD_SELLER) > 0 {
                last_person(number) / HOT * HOT
            } else {
                some_person(number, &mut draw.rng)
            };
        self.category = FIRST_CATEGORY + draw.rng.gen_range(0..CATEGORIES) as u64;
        let used = 8 + self.item_name.len() + self.description.len() + 5 * 8;
        draw.extra(&mut self.extra, used, AUCTION_BYTES);
    }
}

impl Bid {
    fn blank() -> Bid {
        let text = String::new;
        Bid {
            auction: 0,
            bidder: 0,
            price: 0,
            channel: text(),
            url: text(),
            date_time: Timestamp::MIN,
            extra: text(),
        }
    }

    fn fill(&mut self, number: u64, at: Timestamp, draw: &mut Draw, pages: &Pages) {
        self.date_time = at;
        self.auction = FIRST_AUCTION
            + if draw.rng.gen_range(0..COLD_AUCTION) > 0 {
                last_auction(number) / HOT * HOT
            } else {
                some_auction(number, &mut draw.rng)
            };
        self.bidder = FIRST_PERSON
            + if draw.rng.gen_range(0..COLD_BIDDER) > 0 {
                // The second person of the batch, so that hot bidders are no hot sellers.
                last_person(number) / HOT * HOT + 1
            } else {
                some_person(number, &mut draw.rng)
            };
        self.price = price(&mut draw.rng);
        let (channel, url) = if draw.rng.gen_range(0..COLD_CHANNEL) > 0 {
            let index = draw.rng.gen_range(0..HOT_CHANNELS.len());
            (HOT_CHANNELS[index], pages.hot[index].as_str())
        } else {
            pages.cold(draw.rng.gen_range(0..CHANNELS) as usize)
        };
        replace(&mut self.channel, channel);
        replace(&mut self.url, url);
        draw.extra(&mut self.extra, 4 * 8, BID_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexmark::event as theirs;

    fn ms(at: u64) -> Timestamp {
        Timestamp::from_millis(at.cast_signed())
    }

    fn converted(event: theirs::Event) -> Event {
        match event {
            theirs::Event::Person(p) => Event::Person(Person {
                id: p.id as u64,
                name: p.name,
                email_address: p.email_address,
                credit_card: p.credit_card,
                city: p.city,
                state: p.state,
                date_time: ms(p.date_time),
                extra: p.extra,
            }),
            theirs::Event::Auction(a) => Event::Auction(Auction {
                id: a.id as u64,
                item_name: a.item_name,
                description: a.description,
                initial_bid: a.initial_bid as u64,
                reserve: a.reserve as u64,
                date_time: ms(a.date_time),
                expires: ms(a.expires),
                seller: a.seller as u64,
                category: a.category as u64,
                extra: a.extra,
            }),
            theirs::Event::Bid(b) => Event::Bid(Bid {
                auction: b.auction as u64,
                bidder: b.bidder as u64,
                price: b.price as u64,
                channel: b.channel,
                url: b.url,
                date_time: ms(b.date_time),
                extra: b.extra,
            }),
        }
    }

    fn theirs_from(first: u64) -> impl Iterator<Item = Event> {
        let config = nexmark::config::NexmarkConfig {
            base_time: super::super::BASE_TIME.millis().cast_unsigned(),
            ..Default::default()
        };
        let events = nexmark::EventGenerator::new(config).with_offset(first);
        events.map(converted)
    }

    #[test]
    fn the_first_events_are_the_crates() {
        let mut generator = Generator::new(super::super::BASE_TIME);
        for (number, event) in theirs_from(0).take(200_000).enumerate() {
            assert_eq!(generator.event(number as u64), &event, "event {number}");
        }
    }

    #[test]
    fn events_anywhere_are_the_crates() {
        let mut generator = Generator::new(super::super::BASE_TIME);
        let mut rng = seeded(7);
        for _ in 0..200 {
            let magnitude = rng.gen_range(18..27);
            let first = rng.gen_range(0..1 << magnitude);
            for (number, event) in (first..).zip(theirs_from(first).take(100)) {
                assert_eq!(generator.event(number), &event, "event {number}");
            }
        }
    }
}
