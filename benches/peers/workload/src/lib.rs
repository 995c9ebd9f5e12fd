//! The common input, the query semantics, and the digest that every engine must reproduce.
//!
//! # Input
//!
//! The events come from the `nexmark` 0.2.0 generator with its default configuration (person :
//! auction : bid = 1 : 3 : 46, 10,000 events/s of event time, in order, 1000 active people, 100
//! auctions in flight). Its random numbers are seeded per event by the event's number, so the only
//! thing to fix is `base_time`, which is [`BASE_TIME`]. 10 M events span 1,000 s of event time,
//! i.e. ten events share each millisecond. (The generator computes times in `f32`; above 2^24
//! events the clock gets coarse. [`EVENTS_MAX`] is the limit.)
//!
//! [`Event`] is a 64-byte enum without heap data. The strings no query here looks at (`channel`,
//! `url`, `extra`, `email_address`, `credit_card`, `item_name`, `description`) are dropped; `name`
//! and `city` are kept as 16 zero-padded bytes, which holds every value of the generator.
//! The input is split by event index modulo W, so each worker's slice is in event-time order.
//! The slices are leaked: every engine reads `&'static [Event]`, so no engine pays for freeing it.
//!
//! # Queries
//!
//! Times are milliseconds. A window is `[start, start + size)`; windows are aligned to 0. The end
//! of input closes every open window, and windows that are only partly covered by the input (at
//! both ends) count like all others.
//!
//! * `q0`: every bid: `(auction, bidder, price, date_time)`.
//! * `q1`: every bid, price in thousandths of euros: `(auction, bidder, price * 908, date_time)`.
//! * `q2`: `(auction, price)` of bids with `auction % 123 == 0`.
//! * `q3`: auctions of category 10 joined with persons of state or / id / ca on `seller = id`, both
//!   sides unbounded, a row as soon as both sides are there: `(name, city, state, auction id)`. An
//!   auction may come before its seller (the generator's `person_id_lead`).
//! * `q4`: for each auction the maximum price of the bids with
//!   `auction.date_time <= bid.date_time <= auction.expires` (a bid may come before its auction in
//!   the input and still share its millisecond; auctions without such a bid give no row), taken
//!   when the watermark passes `expires`; summed per category. Only the final table counts:
//!   `(category, number of auctions, sum)`; the average is `sum / number`. An engine may drop
//!   an auction's state when it closes.
//! * `q5`: windows of 10 s every 2 s over bids: all auctions whose count is the window's maximum
//!   (all ties): `(window start, auction, count)`. The first windows start before [`BASE_TIME`].
//! * `q7`: tumbling windows of 10 s over bids: all bids with the window's maximum price (all
//!   ties): `(auction, price, bidder, date_time)`.
//! * `q8`: persons joined with the distinct sellers of auctions of the same tumbling window of
//!   10 s: `(person id, name, window start)`, each pair once.
//!
//! A variant is another plan for the same rows: `q5-raw` is `q5` in which every bid crosses the
//! exchange, where `q5` counts each pane before it.
//!
//! # Memory
//!
//! Every engine's binary has mimalloc as its global allocator. The input is written to memory
//! before the timer starts, and counts in the peak: it is [`input_mib`] of it.
//!
//! # Digest
//!
//! The wrapping sum of a 64-bit hash of each row, and the number of rows: the order of the rows
//! does not matter, each of them does.

mod digest;
mod event;
mod input;
#[cfg(feature = "thalweg")]
mod plain;
mod run;

pub use digest::{Digest, row4};
pub use event::{Auction, Bid, EVENT_BYTES, Event, Person, Str16};
pub use input::{input_mib, load, prepare};
pub use run::{Args, Measurement, peak_rss_mib, report};

/// Event time of the first event, in milliseconds; a multiple of every window size.
pub const BASE_TIME: u64 = 1_600_000_000_000;
/// Size of the tumbling windows of q7 and q8, in milliseconds.
pub const TUMBLE: u64 = 10_000;
/// Size of the sliding windows of q5, in milliseconds.
pub const HOP_SIZE: u64 = 10_000;
/// Distance between two sliding windows of q5, in milliseconds; the size of a pane.
pub const HOP_SLIDE: u64 = 2_000;
/// Panes in a sliding window.
pub const PANES: u64 = HOP_SIZE / HOP_SLIDE;
/// Above this many events the generator's `f32` clock no longer counts milliseconds.
pub const EVENTS_MAX: usize = 1 << 24;
/// The category that q3 selects.
pub const Q3_CATEGORY: u64 = 10;

/// The filter of q3 on persons.
#[inline(always)]
pub fn q3_state(state: &[u8; 2]) -> bool {
    matches!(state, b"or" | b"id" | b"ca")
}
