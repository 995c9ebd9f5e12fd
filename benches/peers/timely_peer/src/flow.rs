//! What all queries start and end with: the source, the bids, the digest.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::cell::RefCell;
use std::rc::Rc;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::{Operator, source};
use timely::dataflow::operators::vec::Map;
use timely::dataflow::{Scope, Stream};
use workload::{Bid, Digest, Event};

pub type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;
pub type Str<'s, D> = Stream<'s, u64, Vec<D>>;
pub type Shared = Rc<RefCell<Digest>>;

/// What an exchange routes by.
#[inline(always)]
pub fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// The source: `batch` events per activation under the capability for the first one's time.
pub fn events<'s>(scope: Scope<'s, u64>, input: &'static [Event], batch: usize) -> Str<'s, Event> {
    source(scope, "Events", |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut cap = Some(capability);
        let mut rest = input;
        move |output| {
            if rest.is_empty() {
                cap = None;
            }
            if let Some(cap) = cap.as_mut() {
                let (now, later) = rest.split_at(batch.min(rest.len()));
                rest = later;
                cap.downgrade(&now[0].date_time());
                output.session(&cap).give_iterator(now.iter().copied());
                if let Some(e) = later.first() {
                    cap.downgrade(&e.date_time());
                }
                activator.activate();
            }
        }
    })
    .container::<Vec<_>>()
}

pub fn bids<'s>(s: Str<'s, Event>) -> Str<'s, Bid> {
    s.flat_map(|e| match e {
        Event::Bid(b) => Some(b),
        _ => None,
    })
}

/// The sink.
pub fn digest<'s, D: 'static>(
    s: Str<'s, D>,
    d: Shared,
    mut add: impl FnMut(&mut Digest, D) + 'static,
) {
    s.sink(Pipeline, "Digest", move |(input, _)| {
        let mut d = d.borrow_mut();
        input.for_each(|_, data| {
            for x in data.drain(..) {
                add(&mut d, x);
            }
        });
    });
}
