//! A record's value where its type is not known.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess};

use super::super::Visitor;
use crate::time::Timestamp;

/// A value of any type: what [`Shape::write`](super::Shape::write) makes a record of.
///
/// With serde it is read from whatever says itself what it is, such as JSON: an object is
/// [`Fields`](Value::Fields).
///
/// ```
/// use thalweg::record::Value;
///
/// let value: Value = serde_json::from_str(r#"{"auction":1,"tags":["new",null]}"#)?;
/// let tags = Value::List(vec![Value::Text("new".into()), Value::Null]);
/// let fields = vec![("auction".into(), Value::Int(1)), ("tags".into(), tags)];
/// assert_eq!(value, Value::Fields(fields));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// One that is greater than all of those.
    Uint(u128),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A point in time.
    Time(Timestamp),
    /// The cell of a table, which is read as what is wanted: an empty one is none, one of a list,
    /// a struct or a variant that holds something is JSON.
    Cell(String),
    /// Items.
    List(Vec<Value>),
    /// Named values, each name once.
    Fields(Vec<(Name, Value)>),
    /// One of several, by its name, and what it holds.
    Variant(Name, Box<Value>),
}

/// The name of a field.
pub type Name = Cow<'static, str>;

impl Value {
    /// What is shown to a visitor; none when `show` gives none, or shows no whole value.
    ///
    /// ```
    /// use thalweg::prelude::*;
    /// use thalweg::record::Value;
    ///
    /// let value = Value::shown(|to| Some((7_u64, true).visit(to)));
    /// let fields = vec![("0".into(), Value::Int(7)), ("1".into(), Value::Bool(true))];
    /// assert_eq!(value, Some((Value::Fields(fields), ())));
    /// ```
    pub fn shown<T>(show: impl FnOnce(&mut dyn Visitor) -> Option<T>) -> Option<(Value, T)> {
        let mut growing = Growing { open: Vec::new(), whole: None };
        let shown = show(&mut growing)?;
        growing.settle(0);
        // `()` shows nothing.
        let value = growing.whole.unwrap_or(Value::Null);
        growing.open.is_empty().then_some((value, shown))
    }

    /// What it is, in words for a message.
    pub(super) fn in_words(&self) -> String {
        match self {
            Value::Null => "nothing".into(),
            Value::Bool(x) => x.to_string(),
            Value::Int(x) => x.to_string(),
            Value::Uint(x) => x.to_string(),
            Value::Float(x) => x.to_string(),
            Value::Time(x) => x.to_string(),
            Value::Text(text) | Value::Cell(text) => quoted(text),
            Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Fields(fields) => {
                let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).take(4).collect();
                format!("an object of {}", names.join(", "))
            }
            Value::Variant(name, _) => format!("the variant {name}"),
        }
    }
}

/// Quoted, and cut when it is long.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let cut = text.floor_char_boundary(SHOWN);
    if cut < text.len() { format!("{:?}…", &text[..cut]) } else { format!("{text:?}") }
}

/// A list, fields or a variant whose end has not come.
enum Open {
    List(Vec<Value>),
    Fields(Vec<(Name, Value)>),
    /// A field whose value comes next.
    Field(&'static str),
    Variant(&'static str),
}

/// Makes a value of what it is shown.
struct Growing {
    open: Vec<Open>,
    whole: Option<Value>,
}

impl Growing {
    fn put(&mut self, mut value: Value) {
        loop {
            match self.open.pop() {
                Some(Open::Variant(name)) => {
                    value = Value::Variant(name.into(), Box::new(value));
                    continue;
                }
                Some(Open::Field(name)) => {
                    if let Some(Open::Fields(fields)) = self.open.last_mut() {
                        fields.push((name.into(), value));
                    }
                }
                Some(Open::List(mut items)) => {
                    items.push(value);
                    self.open.push(Open::List(items));
                }
                Some(Open::Fields(fields)) => self.open.push(Open::Fields(fields)),
                None => self.whole = Some(value),
            }
            return;
        }
    }

    /// Ends what awaits the value of `()`, which shows nothing, behind so many that are open.
    fn settle(&mut self, outer: usize) {
        let awaits = |open: &Open| matches!(open, Open::Field(_) | Open::Variant(_));
        if self.open.len() > outer && self.open.last().is_some_and(awaits) {
            self.put(Value::Null);
        }
    }
}

impl Visitor for Growing {
    fn null(&mut self) {
        self.put(Value::Null);
    }
    fn bool(&mut self, x: bool) {
        self.put(Value::Bool(x));
    }
    fn int(&mut self, x: i128) {
        self.put(Value::Int(x));
    }
    fn uint(&mut self, x: u128) {
        self.put(i128::try_from(x).map_or(Value::Uint(x), Value::Int));
    }
    fn float(&mut self, x: f64) {
        self.put(Value::Float(x));
    }
    fn text(&mut self, x: &str) {
        self.put(Value::Text(x.to_owned()));
    }
    fn bytes(&mut self, x: &[u8]) {
        self.put(Value::Bytes(x.to_vec()));
    }
    fn time(&mut self, x: Timestamp) {
        self.put(Value::Time(x));
    }
    fn list(&mut self) {
        self.open.push(Open::List(Vec::new()));
    }
    fn fields(&mut self) {
        self.open.push(Open::Fields(Vec::new()));
    }
    fn field(&mut self, name: &'static str) {
        self.settle(1);
        self.open.push(Open::Field(name));
    }
    fn variant(&mut self, name: &'static str) {
        self.open.push(Open::Variant(name));
    }
    fn end(&mut self) {
        self.settle(1);
        match self.open.pop() {
            Some(Open::List(items)) => self.put(Value::List(items)),
            Some(Open::Fields(fields)) => self.put(Value::Fields(fields)),
            Some(Open::Field(_) | Open::Variant(_)) | None => {}
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> serde::de::Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }
    fn visit_bool<E>(self, x: bool) -> Result<Value, E> {
        Ok(Value::Bool(x))
    }
    fn visit_i64<E>(self, x: i64) -> Result<Value, E> {
        Ok(Value::Int(x.into()))
    }
    fn visit_u64<E>(self, x: u64) -> Result<Value, E> {
        Ok(Value::Int(x.into()))
    }
    fn visit_i128<E>(self, x: i128) -> Result<Value, E> {
        Ok(Value::Int(x))
    }
    fn visit_u128<E>(self, x: u128) -> Result<Value, E> {
        Ok(i128::try_from(x).map_or(Value::Uint(x), Value::Int))
    }
    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Float(x))
    }
    fn visit_str<E>(self, x: &str) -> Result<Value, E> {
        Ok(Value::Text(x.to_owned()))
    }
    fn visit_string<E>(self, x: String) -> Result<Value, E> {
        Ok(Value::Text(x))
    }
    fn visit_bytes<E>(self, x: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(x.to_vec()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(Name, Value)> = Vec::new();
        while let Some(name) = from.next_key::<String>()? {
            if fields.iter().any(|(other, _)| *other == *name) {
                let what = format!("the field {name} is there twice");
                return Err(serde::de::Error::custom(what));
            }
            fields.push((name.into(), from.next_value()?));
        }
        Ok(Value::Fields(fields))
    }
}
