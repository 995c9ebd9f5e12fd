//! Records that are shown with other times and keys.

use thalweg::key;
use thalweg::record::Visitor;
use thalweg::time::Timestamp;

/// Knows the key's value among those of a record.
pub struct Own<'a> {
    key: Option<&'a str>,
    depth: u32,
    is_next: bool,
}

impl<'a> Own<'a> {
    /// The column that is the key, if there is one.
    pub fn new(key: Option<&'a str>) -> Self {
        Own { key, depth: 0, is_next: false }
    }

    fn field(&mut self, name: &str) {
        self.is_next = self.depth == 1 && self.key == Some(name);
    }

    fn begin(&mut self) {
        self.depth += 1;
    }

    fn end(&mut self) {
        self.depth -= 1;
    }

    /// Whether the value that is shown is the key's.
    fn is(&mut self) -> bool {
        std::mem::take(&mut self.is_next)
    }
}

/// Shows a record with other times, and another key.
pub struct Changed<'a> {
    /// Where it is shown.
    pub to: &'a mut dyn Visitor,
    /// The key.
    pub own: Own<'a>,
    /// Times go forward by so many microseconds.
    pub shift: i64,
    /// How many copies there are, and which one this is.
    pub copies: Option<Copy<'a>>,
    /// Why there is no such copy.
    pub wrong: Option<String>,
}

/// One of several copies of a record, whose key is another one.
#[derive(Clone, Copy, Debug)]
pub struct Copy<'a> {
    /// How many there are.
    pub of: u32,
    /// Which one it is, from 0.
    pub number: u32,
    /// The key, which is there where a number must fit.
    pub range: Option<&'a Range>,
}

/// The numbers that a column of a type holds.
#[derive(Clone, Debug)]
pub struct Range {
    /// The column and its type, in words.
    pub column: String,
    /// The least one.
    pub least: i128,
    /// The greatest one.
    pub most: u128,
}

impl Copy<'_> {
    fn holds(&self, is_in: impl FnOnce(&Range) -> bool) -> bool {
        self.range.is_none_or(is_in)
    }

    fn int(&self, x: i128) -> Option<i128> {
        let own = x.checked_mul(self.of.into())?.checked_add(self.number.into())?;
        let most = |range: &Range| u128::try_from(own).is_ok_and(|own| own > range.most);
        self.holds(|range| own >= range.least && !most(range)).then_some(own)
    }

    fn uint(&self, x: u128) -> Option<u128> {
        let own = x.checked_mul(self.of.into())?.checked_add(self.number.into())?;
        self.holds(|range| own <= range.most).then_some(own)
    }

    /// That a key has no such copy.
    fn misfit(&self, key: impl std::fmt::Display) -> String {
        let column = self.range.map_or("the column", |range| &range.column);
        format!("key {key} times {} is too much for {column} (--key-clone)", self.of)
    }
}

impl Visitor for Changed<'_> {
    fn null(&mut self) {
        self.to.null();
    }
    fn bool(&mut self, x: bool) {
        self.to.bool(x);
    }
    fn int(&mut self, x: i128) {
        let copy = self.copies.filter(|_| self.own.is());
        let own = copy.map_or(Some(x), |copy| copy.int(x));
        if own.is_none() {
            self.wrong = copy.map(|copy| copy.misfit(x));
        }
        self.to.int(own.unwrap_or(x));
    }
    fn uint(&mut self, x: u128) {
        let copy = self.copies.filter(|_| self.own.is());
        let own = copy.map_or(Some(x), |copy| copy.uint(x));
        if own.is_none() {
            self.wrong = copy.map(|copy| copy.misfit(x));
        }
        self.to.uint(own.unwrap_or(x));
    }
    fn float(&mut self, x: f64) {
        self.to.float(x);
    }
    fn text(&mut self, x: &str) {
        match self.copies.filter(|_| self.own.is()) {
            Some(Copy { number, .. }) => self.to.text(&format!("{x}-{number}")),
            None => self.to.text(x),
        }
    }
    fn bytes(&mut self, x: &[u8]) {
        self.to.bytes(x);
    }
    fn time(&mut self, x: Timestamp) {
        self.to.time(Timestamp::from_micros(x.micros().saturating_add(self.shift)));
    }
    fn list(&mut self) {
        self.own.begin();
        self.to.list();
    }
    fn fields(&mut self) {
        self.own.begin();
        self.to.fields();
    }
    fn field(&mut self, name: &'static str) {
        self.own.field(name);
        self.to.field(name);
    }
    fn variant(&mut self, name: &'static str) {
        self.to.variant(name);
    }
    fn end(&mut self) {
        self.own.end();
        self.to.end();
    }
}

/// Looks at the key.
pub struct Hashed<'a> {
    /// The key.
    pub own: Own<'a>,
    /// What it gives.
    pub hash: u64,
}

impl Visitor for Hashed<'_> {
    fn null(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn int(&mut self, x: i128) {
        if self.own.is() {
            self.hash = key::hash(&(x as u64));
        }
    }
    fn uint(&mut self, x: u128) {
        if self.own.is() {
            self.hash = key::hash(&(x as u64));
        }
    }
    fn float(&mut self, _: f64) {}
    fn text(&mut self, x: &str) {
        if self.own.is() {
            self.hash = key::hash(x);
        }
    }
    fn bytes(&mut self, _: &[u8]) {}
    fn time(&mut self, _: Timestamp) {}
    fn list(&mut self) {
        self.own.begin();
    }
    fn fields(&mut self) {
        self.own.begin();
    }
    fn field(&mut self, name: &'static str) {
        self.own.field(name);
    }
    fn variant(&mut self, _: &'static str) {}
    fn end(&mut self) {
        self.own.end();
    }
}
