//! Nexmark events on a schedule.
//!
//! To make an event from its number costs more than most queries do with it. So some are made
//! beforehand and go round: each time an event comes up again it gets the ids that follow those of
//! the round before, and the event time at which it is due. Ratios of persons, auctions and bids,
//! the hot ones among them, text and prices are the generator's.

use std::fmt;
use std::sync::Arc;

use thalweg::connector::nexmark::{Event, Nexmark};
use thalweg::operator::{Feed, Source, Split};
use thalweg::prelude::*;

use super::load::{Load, Make};
use super::schedule::Schedule;

/// Events that go round, about; they take some 500 bytes each.
const ROUND: usize = 20_000;

/// Of the generator: of so many events one is a person and three are auctions.
const EPOCH: usize = 50;
const AUCTIONS: u64 = 3;

/// The first event of the round: by then as many auctions are open, and persons active, as there
/// will ever be.
const FIRST: u64 = 1_000_000;

/// Events that go round.
#[derive(Clone)]
pub struct Round(Arc<[Event]>);

impl Round {
    /// Makes them, for so many splits.
    pub fn make(splits: usize) -> Self {
        // Each split has the same events in every round, and each round the same number of ids.
        let unit = EPOCH * splits;
        let events = (ROUND.div_ceil(unit) * unit) as u64;
        Self(Nexmark::generate(FIRST..FIRST + events).collect())
    }
}

/// The events of a run, for as long as it lasts.
#[derive(Clone)]
pub struct Live {
    round: Round,
    schedule: Schedule,
    records: u64,
}

impl Live {
    /// `records` events on a schedule.
    pub fn new(round: Round, schedule: Schedule, records: u64) -> Self {
        Self { round, schedule, records }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} live events", self.records)
    }
}

impl Source for Live {
    type Record = Event;

    fn name(&self) -> String {
        "live nexmark events".into()
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let all = Arc::clone(&self.round.0);
        let maker = move |split, splits| {
            let events: Vec<Event> = all.iter().skip(split).step_by(splits).cloned().collect();
            let epochs = (all.len() / EPOCH) as u64;
            Rounds { events, next: 0, epochs, first: true }
        };
        Load::new(self.schedule, self.records, maker).splits(shards)
    }
}

/// What one split gives.
struct Rounds {
    events: Vec<Event>,
    next: usize,
    /// How many persons a round has.
    epochs: u64,
    /// Whether the first round is not over.
    first: bool,
}

impl Make for Rounds {
    type Record = Event;

    fn make(&mut self, _: u64, _: u64, at: Timestamp, feed: &mut Feed<'_, Event>) -> Result {
        if self.next == self.events.len() {
            (self.next, self.first) = (0, false);
        }
        let event = &mut self.events[self.next];
        self.next += 1;
        renew(event, if self.first { 0 } else { self.epochs }, at);
        event.lend(|view| feed.push_at(at, view))
    }
}

/// Moves an event's ids on by so many persons, and as many times three auctions, and its time to
/// `at`.
fn renew(event: &mut Event, persons: u64, at: Timestamp) {
    let auctions = AUCTIONS * persons;
    event.set_date_time(at);
    match event {
        Event::Person(person) => person.id += persons,
        Event::Auction(auction) => {
            auction.id += auctions;
            auction.seller += persons;
        }
        Event::Bid(bid) => {
            bid.auction += auctions;
            bid.bidder += persons;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Ids of persons and auctions of `events` events, and how often auctions were bid for.
    fn ids(events: &[Event]) -> (Vec<u64>, Vec<u64>, BTreeMap<u64, u64>) {
        let (mut persons, mut auctions, mut bids) = (Vec::new(), Vec::new(), BTreeMap::new());
        for event in events {
            match event {
                Event::Person(person) => persons.push(person.id),
                Event::Auction(auction) => auctions.push(auction.id),
                Event::Bid(bid) => *bids.entry(bid.auction).or_insert(0) += 1,
            }
        }
        persons.sort_unstable();
        auctions.sort_unstable();
        (persons, auctions, bids)
    }

    /// Several rounds have the ids that the generator gives them: each once, and in a row.
    #[test]
    fn ids_go_on_from_round_to_round() {
        for splits in [1, 3] {
            let round = Round::make(splits);
            let (length, rounds) = (round.0.len() as u64, 3);
            let schedule = Schedule::begin(None, splits, 1);
            let job = Job::new("rounds").shards(splits);
            let (sink, taken) = Collect::new();
            job.source(Live::new(round, schedule, rounds * length)).sink(sink);
            job.run().expect("it runs");
            let (persons, auctions, bids) = ids(&taken.take());
            let generated: Vec<Event> = Nexmark::generate(FIRST..FIRST + rounds * length).collect();
            let (expected_persons, expected_auctions, expected_bids) = ids(&generated);
            assert_eq!(persons, expected_persons);
            assert_eq!(auctions, expected_auctions);
            assert_eq!(bids.values().sum::<u64>(), expected_bids.values().sum::<u64>());
            let span = |bids: &BTreeMap<u64, u64>| {
                let first = bids.keys().next().copied().expect("bids");
                (first, bids.keys().next_back().copied().expect("bids"))
            };
            let ((first, last), (from, to)) = (span(&bids), span(&expected_bids));
            assert!(first.abs_diff(from) < 200 && last.abs_diff(to) < 200, "{first} {last}");
        }
    }
}
