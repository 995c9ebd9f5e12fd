//! JSON with whole numbers of more than 64 bits, which are floating-point ones to most who read it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thalweg::record::Value;

/// From here on a number that came as a floating-point one may have been a whole one.
const WIDE: f64 = 9.2e18;

/// Whether there are numbers that may have been rounded.
pub fn may_be_rounded(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.abs() >= WIDE,
        Value::List(items) => items.iter().any(may_be_rounded),
        Value::Fields(fields) => fields.iter().any(|(_, value)| may_be_rounded(value)),
        _ => false,
    }
}

/// Reads JSON anew, whole numbers of up to 128 bits as they are written.
///
/// # Errors
///
/// If it is none.
pub fn read(text: &str) -> serde_json::Result<Value> {
    Ok(match text.trim_start().as_bytes().first() {
        Some(b'[') => {
            let items = serde_json::from_str::<Vec<&RawValue>>(text)?;
            Value::List(items.into_iter().map(|item| read(item.get())).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(text)?;
            let field = |(name, value): (String, &RawValue)| Ok((name.into(), read(value.get())?));
            Value::Fields(fields.into_iter().map(field).collect::<serde_json::Result<_>>()?)
        }
        _ => match (text.trim().parse(), text.trim().parse()) {
            (Ok(x), _) => Value::Int(x),
            (_, Ok(x)) => Value::Uint(x),
            _ => serde_json::from_str(text)?,
        },
    })
}

/// The fields of an object, in their order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = from.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_are_whole() {
        let most = u128::MAX;
        let text = format!(r#"{{"a": [-{}, 7, {most}], "b": {{"c": 1e30, "d": "x"}}}}"#, i64::MAX);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert!(may_be_rounded(&value));
        let list = [Value::Int(-i128::from(i64::MAX)), Value::Int(7), Value::Uint(most)];
        let inner = vec![("c".into(), Value::Float(1e30)), ("d".into(), Value::Text("x".into()))];
        let fields = [("a".into(), Value::List(list.into())), ("b".into(), Value::Fields(inner))];
        assert_eq!(read(&text).expect("JSON"), Value::Fields(fields.into()));
        let small: Value = serde_json::from_str(r#"{"a": [1, 2.5], "b": 1e18}"#).expect("JSON");
        assert!(!may_be_rounded(&small));
    }
}
