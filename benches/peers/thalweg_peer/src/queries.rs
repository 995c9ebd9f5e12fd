//! The queries; their exact meaning is in the docs of `workload`.

use thalweg::prelude::*;
use workload::{
    Auction, Bid, Digest, Event, HOP_SIZE, HOP_SLIDE, Person, Q3_CATEGORY, Str16, TUMBLE, q3_state,
};

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

fn person(event: &Event) -> Option<Person> {
    match event {
        Event::Person(person) => Some(*person),
        Event::Auction(_) | Event::Bid(_) => None,
    }
}

fn auction(event: &Event) -> Option<Auction> {
    match event {
        Event::Auction(auction) => Some(*auction),
        Event::Person(_) | Event::Bid(_) => None,
    }
}

/// Who sells in a category, from some states.
pub fn q3(events: Stream<Event>, to: Digested) {
    let sellers = events.clone().filter_map(person).filter(|person| q3_state(&person.state));
    let auctions = events.filter_map(auction).filter(|auction| auction.category == Q3_CATEGORY);
    sellers
        .map(|p| (p.id, p.name, p.city, p.state))
        .key_by(|(id, ..)| id)
        .join(auctions.map(|a| (a.seller, a.id)).key_by(|(seller, _)| seller))
        .inner(|(_, name, city, state), (_, auction)| (name, city, state, auction))
        .sink(to.by(|digest: &mut Digest, row: (Str16, Str16, [u8; 2], u64)| {
            digest.q3(&row.0, &row.1, &row.2, row.3);
        }));
}

record! {
    /// What q4 looks at of an event: a bid, or an auction with its category and length.
    struct Move { auction: u64, price: u64, category: u32, length_ms: u32 }
}

record! {
    /// An auction, from its first bid or its opening to its end.
    #[derive(Default)]
    struct Open {
        from: Timestamp,
        to: Timestamp,
        /// 0: it has not been opened yet, or is closed already.
        category: u64,
        /// 0: no bid yet.
        max: u64,
        /// Bids that came before the auction, or after its end.
        early: Vec<(Timestamp, u64)>,
    }
}

type Ctx<'a> = Context<'a, u64, (u64, u64)>;

impl Open {
    fn bid(&mut self, at: Timestamp, price: u64) {
        let counts = (self.from <= at) & (at <= self.to);
        self.max = self.max.max(if counts { price } else { 0 });
    }

    /// The auction, or a bid before it. Apart from the bids on open auctions, which are most.
    #[cold]
    fn begin(&mut self, step: &Move, ctx: &mut Ctx<'_>) {
        if step.category > 0 {
            self.from = ctx.time();
            self.to = ctx.time() + u64::from(step.length_ms).millis();
            self.category = u64::from(step.category);
            for (at, price) in std::mem::take(&mut self.early) {
                self.bid(at, price);
            }
            ctx.timer_at(self.to + 1.micros());
        } else {
            if self.early.is_empty() {
                ctx.timer_at(ctx.time() + 1.millis());
            }
            self.early.push((ctx.time(), step.price));
        }
    }

    fn end(&mut self, at: Timestamp, ctx: &mut Ctx<'_>) {
        if self.category > 0 && at <= self.to {
            return;
        }
        // A bid that shares its millisecond with the auction may have come before it.
        self.early.retain(|(bid, _)| *bid + 1.millis() > at);
        if let Some((bid, _)) = self.early.first() {
            return ctx.timer_at(*bid + 1.millis());
        }
        if self.max > 0 {
            ctx.emit((self.category, self.max));
        }
        ctx.clear();
    }
}

fn step(event: &Event) -> Option<Move> {
    match event {
        Event::Bid(b) => {
            Some(Move { auction: b.auction, price: b.price, category: 0, length_ms: 0 })
        }
        Event::Auction(a) => {
            let (category, length_ms) = (a.category as u32, (a.expires - a.date_time) as u32);
            Some(Move { auction: a.id, price: 0, category, length_ms })
        }
        Event::Person(_) => None,
    }
}

/// The winning bids of each category's closed auctions.
pub fn q4(events: Stream<Event>, to: Digested) {
    events
        .event_time(|event| time(event.date_time()), 0.seconds())
        .filter_map(step)
        .key_by(|step| step.auction)
        .process::<Open, (u64, u64)>(
            |open, step, ctx| match open.category {
                0 => open.begin(step, ctx),
                _ => open.bid(ctx.time(), step.price),
            },
            Open::end,
        )
        .key_by(|(category, _)| category)
        .window(Tumbling::of(FOREVER))
        .aggregate(|closed| (closed.count(), closed.sum(|(_, max)| max)))
        .sink(to.by(|digest: &mut Digest, sum: SumView<'_>| {
            digest.q4(sum.key, sum.value.0, sum.value.1);
        }));
}

/// A window that only the end of the input closes.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(1 << 40);

type SumView<'a> = <InWindow<u64, (u64, u64)> as Record>::View<'a>;

/// The auctions with most bids in each sliding window.
pub fn q5(events: Stream<Event>, to: Digested) {
    events
        .filter_map(|event| bid(event).map(|bid| (bid.auction, bid.date_time)))
        .event_time(|(_, at)| time(at), 0.seconds())
        .key_by(|(auction, _)| auction)
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

/// New persons who sell in the window in which they came.
pub fn q8(events: Stream<Event>, to: Digested) {
    let events = events.event_time(|event| time(event.date_time()), 0.seconds());
    let sellers = events.clone().filter_map(auction).map(|auction| auction.seller);
    events
        .filter_map(person)
        .map(|person| (person.id, person.name, person.date_time))
        .key_by(|(id, ..)| id)
        .join(sellers.key_by(|seller| seller))
        .window(Tumbling::of(TUMBLE.millis()))
        .semi(|person| person)
        .sink(to.by(|digest: &mut Digest, (id, name, at): (u64, Str16, u64)| {
            digest.q8(id, &name, at - at % TUMBLE);
        }));
}
