//! Query 3, local item suggestion: who sells in Oregon, Idaho or California in category 10, and
//! which auctions.
//!
//! Both sides are endless; a row is given as soon as person and auction are there.

use thalweg::prelude::*;

use super::{Digest, Input, timed};

/// Id, name, city, state.
type Person = (u64, String, String, String);

pub(super) fn q3(job: &Job, input: &Input, rows: Digest) {
    let events = timed(job, input);
    let persons = events.clone().flat_map(|event, out: &mut Emit<'_, Person>| {
        if let Some(person) = event.person()
            && matches!(person.state.as_str(), "or" | "id" | "ca")
        {
            let (id, state) = (person.id.to_native(), person.state.as_str());
            out.push((id, person.name.as_str(), person.city.as_str(), state));
        }
    });
    let auctions = events.filter_map(|event| {
        let auction = event.auction().filter(|auction| auction.category == 10)?;
        Some((auction.seller.to_native(), auction.id.to_native()))
    });
    persons
        .key_by(|(id, ..)| id)
        .join(auctions.key_by(|(seller, _)| seller))
        .inner(|(_, name, city, state), (_, auction)| {
            (name.to_owned(), city.to_owned(), state.to_owned(), auction)
        })
        .sink(rows);
}
