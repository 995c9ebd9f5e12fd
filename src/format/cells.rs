//! serde's way from the cells of a row to a record.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::plan::{Kind, Plan};
use super::wording::{expected_words, quoted, reword};

/// Reads a record from the cells of `text` that end at `ends`, each `gap` bytes apart.
pub(super) fn read_cells<R: DeserializeOwned>(
    plan: &Plan,
    columns: &[Option<usize>],
    text: &str,
    ends: &[usize],
    gap: usize,
) -> Result<R, CellError> {
    let row = RowCells { plan, columns, text, ends, gap };
    R::deserialize(Value { row: &row, node: 0 })
}

/// Why a row is no record.
#[derive(Debug)]
pub(super) struct CellError {
    field: Option<String>,
    what: String,
    /// Whether a column that is needed is not there.
    pub missing: bool,
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field {field}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for CellError {}

impl CellError {
    #[cold]
    fn new(what: String) -> CellError {
        CellError { field: None, what, missing: false }
    }

    #[cold]
    fn missing(field: &str) -> CellError {
        let error = CellError::new("there is no such column".into());
        CellError { missing: true, ..error.within(field) }
    }

    fn within(mut self, field: &str) -> CellError {
        if self.field.is_none() && !field.is_empty() {
            self.field = Some(field.into());
        }
        self
    }
}

impl Error for CellError {
    fn custom<T: fmt::Display>(message: T) -> CellError {
        CellError::new(reword(&message.to_string()))
    }
    fn missing_field(field: &'static str) -> CellError {
        CellError::missing(field)
    }
}

struct RowCells<'a> {
    plan: &'a Plan,
    columns: &'a [Option<usize>],
    text: &'a str,
    ends: &'a [usize],
    gap: usize,
}

impl<'a> RowCells<'a> {
    /// The text of a cell of the plan; none when there is no such column.
    #[inline]
    fn cell(&self, cell: usize) -> Option<&'a str> {
        let column = self.columns[cell]?;
        let start = match column {
            0 => 0,
            _ => self.ends[column - 1] + self.gap,
        };
        self.text.get(start..self.ends[column])
    }
}

/// What stands at one node of the plan.
#[derive(Clone, Copy)]
struct Value<'a> {
    row: &'a RowCells<'a>,
    node: usize,
}

impl<'a> Value<'a> {
    fn kind(self) -> Kind {
        self.row.plan.nodes[self.node].kind
    }

    /// Whether all its cells are empty or missing.
    fn is_empty(self) -> bool {
        let node = &self.row.plan.nodes[self.node];
        (node.cell..node.cell + node.cells)
            .all(|cell| self.row.cell(cell).is_none_or(str::is_empty))
    }

    /// Whether one of its columns is there.
    fn is_there(self) -> bool {
        let node = &self.row.plan.nodes[self.node];
        let mut columns = self.row.columns[node.cell..node.cell + node.cells].iter();
        node.cells == 0 || columns.any(Option::is_some)
    }

    /// Whether all of its columns are there.
    fn is_whole(self) -> bool {
        let node = &self.row.plan.nodes[self.node];
        self.row.columns[node.cell..node.cell + node.cells].iter().all(Option::is_some)
    }

    fn text(self) -> Result<&'a str, CellError> {
        let node = &self.row.plan.nodes[self.node];
        let text = match self.kind() {
            Kind::Value | Kind::Time | Kind::Nested => self.row.cell(node.cell),
            Kind::Group | Kind::Nothing => None,
        };
        text.ok_or_else(|| CellError::missing(&node.path))
    }

    fn named<T>(self, result: Result<T, CellError>) -> Result<T, CellError> {
        result.map_err(|error| error.within(&self.row.plan.nodes[self.node].path))
    }

    #[cold]
    fn expected(self, what: &str) -> CellError {
        let found = quoted(self.text().unwrap_or_default());
        let what = format!("expected {}, found {found}", expected_words(what));
        CellError::new(what).within(&self.row.plan.nodes[self.node].path)
    }

    /// Lets serde_json read a cell of JSON.
    fn json<T>(
        self,
        read: impl FnOnce(
            &mut serde_json::Deserializer<serde_json::de::StrRead<'a>>,
        ) -> serde_json::Result<T>,
    ) -> Result<T, CellError> {
        let mut json = serde_json::Deserializer::from_str(self.text()?);
        let result = read(&mut json).and_then(|value| json.end().map(|()| value));
        self.named(result.map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            CellError::custom(message)
        }))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
            match self.text()?.trim_ascii().parse::<$type>() {
                Ok(number) => self.named(visitor.$visit(number)),
                Err(_) => Err(self.expected(stringify!($type))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = CellError;

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    /// For types that take what comes: a time is an integer or text, anything else what it looks
    /// like.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        let text = match self.kind() {
            Kind::Group => return self.deserialize_map(visitor),
            Kind::Nothing => return visitor.visit_unit(),
            Kind::Nested => return self.json(|json| json.deserialize_any(visitor)),
            Kind::Value | Kind::Time => self.text()?,
        };
        let time = self.kind() == Kind::Time;
        self.named(if let Ok(whole) = text.trim_ascii().parse::<i64>() {
            visitor.visit_i64(whole)
        } else if time {
            visitor.visit_str(text)
        } else if let Ok(number) = text.parse::<f64>() {
            visitor.visit_f64(number)
        } else if let Ok(truth) = text.parse::<bool>() {
            visitor.visit_bool(truth)
        } else {
            visitor.visit_str(text)
        })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        let text = self.text()?.trim_ascii();
        if text.eq_ignore_ascii_case("true") || text == "1" {
            visitor.visit_bool(true)
        } else if text.eq_ignore_ascii_case("false") || text == "0" {
            visitor.visit_bool(false)
        } else {
            Err(self.expected("true or false"))
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        let mut chars = self.text()?.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => self.named(visitor.visit_char(one)),
            _ => Err(self.expected("one character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        self.named(visitor.visit_str(self.text()?))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        self.json(|json| json.deserialize_bytes(visitor))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        self.json(|json| json.deserialize_byte_buf(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        if self.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CellError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CellError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        if self.kind() == Kind::Group {
            return visitor.visit_seq(Fields::of(self, &[]));
        }
        self.json(|json| json.deserialize_seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CellError> {
        if self.kind() == Kind::Group {
            return visitor.visit_seq(Fields::of(self, &[]));
        }
        self.json(|json| json.deserialize_tuple(len, visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CellError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        visitor.visit_map(Fields::of(self, &[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CellError> {
        if self.kind() != Kind::Group {
            return self.json(|json| json.deserialize_struct("", names, visitor));
        }
        if self.is_whole() && self.row.plan.nodes[self.node].fields == names.len() {
            // By place: nothing has to be compared with the fields' names.
            return self.named(visitor.visit_seq(Fields::of(self, &[])));
        }
        self.named(visitor.visit_map(Fields::of(self, names)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CellError> {
        let text = self.text()?;
        if text.starts_with('{') {
            return self.json(|json| json.deserialize_enum(name, variants, visitor));
        }
        let plain: StrDeserializer<'de, CellError> = text.into_deserializer();
        self.named(visitor.visit_enum(plain))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        visitor.visit_unit()
    }
}

/// The fields of a group, one after the other.
struct Fields<'a> {
    of: Value<'a>,
    /// The node of the next field, and where the group ends.
    next: usize,
    end: usize,
    /// serde's names for them, by their place; none when it asks for a tuple or a map.
    names: &'static [&'static str],
    place: usize,
}

impl<'a> Fields<'a> {
    fn of(of: Value<'a>, names: &'static [&'static str]) -> Fields<'a> {
        let plan = of.row.plan;
        let (next, end) = (of.node + 1, plan.nodes[of.node].next);
        // Names that serde renamed are taken by place, but only if none is left out.
        let names = if plan.nodes[of.node].fields == names.len() { names } else { &[] };
        Fields { of, next, end, names, place: 0 }
    }

    fn value(&self) -> Value<'a> {
        Value { row: self.of.row, node: self.next }
    }

    fn step(&mut self) {
        self.next = self.of.row.plan.nodes[self.next].next;
        self.place += 1;
    }
}

impl<'de> SeqAccess<'de> for Fields<'de> {
    type Error = CellError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CellError> {
        if self.next == self.end {
            return Ok(None);
        }
        let value = self.value();
        self.step();
        seed.deserialize(value).map(Some)
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = CellError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CellError> {
        while self.next != self.end && !self.value().is_there() {
            self.step();
        }
        if self.next == self.end {
            return Ok(None);
        }
        let own = self.of.row.plan.nodes[self.next].name;
        let name: StrDeserializer<'de, CellError> =
            self.names.get(self.place).copied().unwrap_or(own).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, CellError> {
        let value = self.value();
        self.step();
        seed.deserialize(value)
    }
}
