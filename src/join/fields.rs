//! An order of records of any type, for ties.

use crate::record::{Record, Visitor};
use crate::time::Timestamp;

/// A record's values in the order of its fields, to choose one of two records by.
#[derive(PartialEq, PartialOrd, Default)]
pub(super) struct Fields(Vec<Value>);

#[derive(PartialEq, PartialOrd)]
enum Value {
    Null,
    Int(i128),
    Uint(u128),
    /// In total order: see [`f64::total_cmp`].
    Float(i64),
    Bytes(Vec<u8>),
    Name(&'static str),
    Open,
    End,
}

impl Fields {
    /// A record's values.
    pub(super) fn of<R: Record>(record: &R) -> Fields {
        let mut fields = Fields::default();
        record.visit(&mut fields);
        fields
    }
}

impl Visitor for Fields {
    fn null(&mut self) {
        self.0.push(Value::Null);
    }
    fn bool(&mut self, x: bool) {
        self.uint(u128::from(x));
    }
    fn int(&mut self, x: i128) {
        self.0.push(Value::Int(x));
    }
    fn uint(&mut self, x: u128) {
        self.0.push(Value::Uint(x));
    }
    fn float(&mut self, x: f64) {
        let bits = x.to_bits() as i64;
        // Negative numbers' order is turned round, as `f64::total_cmp` does it.
        self.0.push(Value::Float(bits ^ (((bits >> 63) as u64) >> 1) as i64));
    }
    fn text(&mut self, x: &str) {
        self.bytes(x.as_bytes());
    }
    fn bytes(&mut self, x: &[u8]) {
        self.0.push(Value::Bytes(x.to_vec()));
    }
    fn time(&mut self, x: Timestamp) {
        self.int(i128::from(x.micros()));
    }
    fn list(&mut self) {
        self.0.push(Value::Open);
    }
    fn fields(&mut self) {
        self.0.push(Value::Open);
    }
    fn field(&mut self, _: &'static str) {}
    fn variant(&mut self, name: &'static str) {
        self.0.push(Value::Name(name));
    }
    fn end(&mut self) {
        self.0.push(Value::End);
    }
}
