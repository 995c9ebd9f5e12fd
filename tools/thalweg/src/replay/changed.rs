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
    pub copies: Option<(u32, u32)>,
}

impl Visitor for Changed<'_> {
    fn null(&mut self) {
        self.to.null();
    }
    fn bool(&mut self, x: bool) {
        self.to.bool(x);
    }
    fn int(&mut self, x: i128) {
        match self.copies.filter(|_| self.own.is()) {
            Some((copies, copy)) => self.to.int(x * i128::from(copies) + i128::from(copy)),
            None => self.to.int(x),
        }
    }
    fn uint(&mut self, x: u128) {
        match self.copies.filter(|_| self.own.is()) {
            Some((copies, copy)) => {
                self.to.uint(x.saturating_mul(copies.into()).saturating_add(copy.into()));
            }
            None => self.to.uint(x),
        }
    }
    fn float(&mut self, x: f64) {
        self.to.float(x);
    }
    fn text(&mut self, x: &str) {
        match self.copies.filter(|_| self.own.is()) {
            Some((_, copy)) => self.to.text(&format!("{x}-{copy}")),
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
