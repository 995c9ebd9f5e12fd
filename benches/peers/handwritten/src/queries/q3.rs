//! q3: the join of persons and auctions, both sides unbounded.

use super::Map;
use crate::exchange::{Op, Out};
use workload::{Digest, Event, Q3_CATEGORY, Str16, q3_state};

#[derive(Clone, Copy)]
pub struct Seller {
    name: Str16,
    city: Str16,
    state: [u8; 2],
}

#[derive(Clone, Copy)]
pub enum M3 {
    Person(u64, Seller),
    Auction { seller: u64, id: u64 },
}

pub struct Q3<const ONE: bool> {
    persons: Map<u64, Seller>,
    /// Auctions whose seller has not come (or does not pass the filter).
    waiting: Map<u64, Vec<u64>>,
    d: Digest,
}

impl<const ONE: bool> Op<ONE> for Q3<ONE> {
    type Msg = M3;

    fn new(_: usize, _: usize) -> Self {
        Q3 { persons: Map::default(), waiting: Map::default(), d: Digest::default() }
    }

    #[inline(always)]
    fn event(&mut self, e: &Event, out: &mut Out<M3>) {
        match e {
            Event::Person(p) if q3_state(&p.state) => {
                let s = Seller { name: p.name, city: p.city, state: p.state };
                route!(self, out, p.id, M3::Person(p.id, s));
            }
            Event::Auction(a) if a.category == Q3_CATEGORY => {
                route!(self, out, a.seller, M3::Auction { seller: a.seller, id: a.id });
            }
            _ => {}
        }
    }

    fn msg(&mut self, _: usize, m: M3) {
        match m {
            M3::Person(id, s) => {
                if let Some(ids) = self.waiting.remove(&id) {
                    for a in ids {
                        self.d.q3(&s.name, &s.city, &s.state, a);
                    }
                }
                self.persons.insert(id, s);
            }
            M3::Auction { seller, id } => match self.persons.get(&seller) {
                Some(s) => self.d.q3(&s.name, &s.city, &s.state, id),
                None => self.waiting.entry(seller).or_default().push(id),
            },
        }
    }

    fn finish(self) -> Digest {
        self.d
    }
}
