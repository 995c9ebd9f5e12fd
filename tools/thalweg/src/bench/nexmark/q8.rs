//! Query 8, monitor new users: who registered and opened an auction within the same 10 seconds.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Id, name, time.
type Person = (u64, String, Timestamp);

pub(super) fn q8(job: &Job, input: &Input, rows: Digest) {
    let events = timed(job, input);
    let persons = events.clone().flat_map(|event, out: &mut Emit<'_, Person>| {
        if let Some(person) = event.person() {
            let at = person.date_time.to_native();
            out.push((person.id.to_native(), person.name.as_str(), at));
        }
    });
    let sellers =
        events.filter_map(|event| event.auction().map(|auction| auction.seller.to_native()));
    persons
        .key_by(|(id, ..)| id)
        .join(sellers.key_by(|seller| seller))
        .window(Tumbling::of(10.seconds()))
        .semi(|(id, name, at)| (id, name.to_owned(), at.align_down(10_000_000, 0)))
        .sink(rows);
}
