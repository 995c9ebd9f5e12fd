//! A hash of a record's content, the same wherever and however often it is taken.

use std::hash::Hasher;

use super::{Record, Visitor};
use crate::key::KeyHasher;
use crate::time::Timestamp;

/// The hash of everything that a record shows.
pub(super) fn shown<R: Record>(record: &R) -> u64 {
    let mut shown = Shown::default();
    record.visit(&mut shown);
    shown.0.finish()
}

#[derive(Default)]
struct Shown(KeyHasher);

impl Shown {
    /// Keeps what is open and what is closed apart from values.
    fn mark(&mut self, mark: u8) {
        self.0.write_u8(mark);
    }

    fn wide(&mut self, x: u128) {
        self.0.write_u64(x as u64);
        if x >> 64 != 0 {
            self.0.write_u64((x >> 64) as u64);
        }
    }
}

impl Visitor for Shown {
    fn null(&mut self) {
        self.mark(1);
    }
    fn bool(&mut self, x: bool) {
        self.mark(2 + u8::from(x));
    }
    fn int(&mut self, x: i128) {
        self.wide(x.cast_unsigned());
    }
    fn uint(&mut self, x: u128) {
        self.wide(x);
    }
    fn float(&mut self, x: f64) {
        self.0.write_u64(x.to_bits());
    }
    fn text(&mut self, x: &str) {
        self.0.write(x.as_bytes());
    }
    fn bytes(&mut self, x: &[u8]) {
        self.0.write(x);
    }
    fn time(&mut self, x: Timestamp) {
        self.0.write_i64(x.micros());
    }
    fn list(&mut self) {
        self.mark(4);
    }
    fn fields(&mut self) {}
    fn field(&mut self, _: &'static str) {}
    fn variant(&mut self, name: &'static str) {
        self.0.write(name.as_bytes());
    }
    fn end(&mut self) {
        self.mark(5);
    }
}
