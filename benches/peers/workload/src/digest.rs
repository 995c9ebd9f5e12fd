//! The digest of a query's rows, which does not depend on their order.

use crate::event::{Bid, Str16, words};
use serde::{Deserialize, Serialize};

/// Number of rows, and the wrapping sum of their hashes.
#[derive(
    Clone, Copy, Default, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Digest {
    /// Number of rows.
    pub rows: u64,
    /// Wrapping sum of the rows' hashes.
    pub hash: u64,
}

/// The two halves of the product, folded (the mixing step of wyhash).
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The constants of wyhash.
const K0: u64 = 0xa076_1d64_78bd_642f;
const K1: u64 = 0xe703_7ed1_a0b4_28db;
const K2: u64 = 0x8ebc_6af0_9c88_c6e3;
const K3: u64 = 0x5899_65cc_7537_4cc3;

/// Hash of a row of at most four words.
#[inline(always)]
pub fn row4(a: u64, b: u64, c: u64, d: u64) -> u64 {
    fold(fold(a ^ K0, b ^ K1) ^ K2, fold(c ^ K2, d ^ K3) ^ K0)
}

impl Digest {
    /// Adds a row by its hash.
    #[inline(always)]
    pub fn add(&mut self, row: u64) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(row);
    }

    /// Adds the rows of another worker.
    #[inline(always)]
    pub fn merge(&mut self, other: Digest) {
        self.rows += other.rows;
        self.hash = self.hash.wrapping_add(other.hash);
    }

    /// Adds a row of q0.
    #[inline(always)]
    pub fn q0(&mut self, b: &Bid) {
        self.add(row4(b.auction, b.bidder, b.price, b.date_time));
    }

    /// Adds a row of q1.
    #[inline(always)]
    pub fn q1(&mut self, auction: u64, bidder: u64, milli_euros: u64, date_time: u64) {
        self.add(row4(auction, bidder, milli_euros, date_time));
    }

    /// Adds a row of q2.
    #[inline(always)]
    pub fn q2(&mut self, auction: u64, price: u64) {
        self.add(row4(auction, price, 0, 0));
    }

    /// Adds a row of q3.
    #[inline(always)]
    pub fn q3(&mut self, name: &Str16, city: &Str16, state: &[u8; 2], auction: u64) {
        let ((n0, n1), (c0, c1)) = (words(name), words(city));
        let state = u64::from(u16::from_le_bytes(*state));
        self.add(row4(row4(n0, n1, c0, c1), state, auction, 3));
    }

    /// Adds a row of q4.
    #[inline(always)]
    pub fn q4(&mut self, category: u64, count: u64, sum: u64) {
        self.add(row4(category, count, sum, 4));
    }

    /// Adds a row of q5.
    #[inline(always)]
    pub fn q5(&mut self, window_start: u64, auction: u64, count: u64) {
        self.add(row4(window_start, auction, count, 5));
    }

    /// Adds a row of q7.
    #[inline(always)]
    pub fn q7(&mut self, auction: u64, price: u64, bidder: u64, date_time: u64) {
        self.add(row4(auction, price, bidder, date_time ^ 7));
    }

    /// Adds a row of q8.
    #[inline(always)]
    pub fn q8(&mut self, id: u64, name: &Str16, window_start: u64) {
        let (n0, n1) = words(name);
        self.add(row4(id, n0, n1, window_start));
    }
}
