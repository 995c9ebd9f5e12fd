//! q8: persons who opened an auction in the tumbling window in which they registered.

use crate::flow::{Out, digest, timed, with_time};
use crate::window::TUMBLING;
use renoir::Stream;
use renoir::operator::Operator;
use serde::{Deserialize, Serialize};
use workload::{Event, Str16, TUMBLE};

#[derive(Clone, Serialize, Deserialize)]
enum PersonOrSeller {
    Person(u64, Str16),
    Seller(u64),
}

pub fn q8(s: Stream<impl Operator<Out = Event> + 'static>, workers: usize) -> Out {
    let users = timed(s, workers)
        .filter_map(|e| match e {
            Event::Person(p) => Some(PersonOrSeller::Person(p.id, p.name)),
            Event::Auction(a) => Some(PersonOrSeller::Seller(a.seller)),
            Event::Bid(_) => None,
        })
        .group_by(|x| match x {
            PersonOrSeller::Person(id, _) | PersonOrSeller::Seller(id) => *id,
        })
        .window(TUMBLING)
        .fold((None, false), |w: &mut (Option<Str16>, bool), x| match x {
            PersonOrSeller::Person(_, name) => w.0 = Some(*name),
            PersonOrSeller::Seller(_) => w.1 = true,
        })
        .unkey()
        .filter_map(|(id, w)| match w {
            (Some(name), true) => Some((id, name)),
            _ => None,
        });
    digest(with_time(users), |d, (t, (id, name))| d.q8(id, &name, t as u64 + 1 - TUMBLE))
}
