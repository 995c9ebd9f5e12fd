//! Which time of a row is meant, and how it is written.

use std::str::FromStr;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use thalweg::record::{Shape, Value};
use thalweg::time::Timestamp;

/// A column that holds a time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeColumn {
    /// The column's name.
    pub name: String,
    how: How,
}

/// How times are written.
#[derive(Clone, Debug, PartialEq)]
enum How {
    /// ISO 8601, or whole milliseconds.
    Plain,
    /// A number; so many of it are a second.
    PerSecond(f64),
    /// As `strptime` has it.
    Format(String),
}

/// What may stand behind a column's name.
const HOW: &str = "s, ms, us or ns for numbers since 1970, or a format such as %d/%m/%Y %H:%M:%S";

impl FromStr for TimeColumn {
    type Err = String;

    /// `at`, `at:ms`, `at:%d/%m/%Y %H:%M`.
    fn from_str(text: &str) -> Result<TimeColumn, String> {
        let (name, how) = match text.split_once(':') {
            None => (text, How::Plain),
            Some((name, "s")) => (name, How::PerSecond(1.0)),
            Some((name, "ms")) => (name, How::PerSecond(1e3)),
            Some((name, "us")) => (name, How::PerSecond(1e6)),
            Some((name, "ns")) => (name, How::PerSecond(1e9)),
            Some((name, format)) if format.contains('%') => {
                let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
                strtime::format(format, &now)
                    .map_err(|error| format!("{format} is no format of a time: {error}"))?;
                (name, How::Format(format.to_owned()))
            }
            Some((_, how)) => return Err(format!("{how:?} is no way to write a time: {HOW}")),
        };
        if name.is_empty() {
            return Err(format!("expected a column's name, and then perhaps a colon and {HOW}"));
        }
        Ok(TimeColumn { name: name.to_owned(), how })
    }
}

impl TimeColumn {
    /// The time of a row.
    ///
    /// # Errors
    ///
    /// If there is none, in words that name the column.
    pub fn of(&self, row: &Value) -> Result<Timestamp, String> {
        let Value::Fields(fields) = row else { return Err("the row is no object".to_owned()) };
        let value = fields.iter().find(|(name, _)| *name == self.name).map(|(_, value)| value);
        let value = value.ok_or_else(|| format!("field {} is not there", self.name))?;
        self.read(value).map_err(|what| format!("field {}: {what}", self.name))
    }

    fn read(&self, value: &Value) -> Result<Timestamp, String> {
        let text = match value {
            Value::Text(text) | Value::Cell(text) => Some(text.trim()),
            _ => None,
        };
        match &self.how {
            How::Plain => {
                let mut bytes = Vec::new();
                Shape::Time.write(value, &mut bytes).map_err(|misfit| misfit.to_string())?;
                let micros = bytes.first_chunk().copied().unwrap_or_default();
                Ok(Timestamp::from_micros(i64::from_ne_bytes(micros)))
            }
            How::PerSecond(scale) => {
                let scaled = |x: f64| Timestamp::from_micros((x * (1e6 / scale)).round() as i64);
                let number = match (value, text) {
                    (Value::Int(x), _) => Some(whole(*x, *scale)),
                    (Value::Float(x), _) => Some(scaled(*x)),
                    (_, Some(text)) => match text.parse() {
                        Ok(x) => Some(whole(x, *scale)),
                        Err(_) => text.parse::<f64>().ok().filter(|x| x.is_finite()).map(scaled),
                    },
                    _ => None,
                };
                number.ok_or_else(|| format!("expected a number, found {}", shown(value)))
            }
            How::Format(format) => {
                let text = text.ok_or_else(|| format!("expected text, found {}", shown(value)))?;
                let wrong =
                    |error: jiff::Error| format!("{text:?} is no time of {format}: {error}");
                let parsed = strtime::parse(format, text).map_err(wrong)?;
                let at = match parsed.to_timestamp() {
                    Ok(at) => at,
                    Err(_) => {
                        let civil = parsed.to_datetime().map_err(wrong)?;
                        civil.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp()
                    }
                };
                Ok(Timestamp::from_micros(at.as_microsecond()))
            }
        }
    }
}

/// Without what a floating-point number would round off.
fn whole(x: i128, per_second: f64) -> Timestamp {
    let micros =
        if per_second > 1e6 { x.div_euclid(1_000) } else { x * (1e6 / per_second) as i128 };
    let least = i128::from(i64::MIN);
    Timestamp::from_micros(micros.clamp(least, i128::from(i64::MAX)) as i64)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Cell(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(how: &str, value: Value) -> Result<String, String> {
        let column: TimeColumn = format!("at:{how}").trim_end_matches(':').parse()?;
        let row = Value::Fields(vec![("x".into(), Value::Null), ("at".into(), value)]);
        column.of(&row).map(|at| at.to_string())
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let cell = |text: &str| Value::Cell(text.to_owned());
        let expected = Ok("2001-01-01T00:03:00Z".to_owned());
        assert_eq!(read("", cell("2001-01-01T00:03:00")), expected);
        assert_eq!(read("", Value::Int(978_307_380_000)), expected);
        assert_eq!(read("s", cell(" 978307380 ")), expected);
        assert_eq!(read("s", Value::Float(978_307_380.0)), expected);
        assert_eq!(read("ms", Value::Int(978_307_380_000)), expected);
        assert_eq!(read("us", cell("978307380000000")), expected);
        assert_eq!(read("ns", cell("978307380000000999")), expected);
        assert_eq!(read("%d/%m/%Y %H:%M", cell("01/01/2001 00:03")), expected);
        assert_eq!(read("%Y%m%dT%H%M%S%z", cell("20010101T010300+0100")), expected);
    }

    #[test]
    fn what_is_no_time_is_said_in_words() {
        let says = |result: Result<String, String>, what: &str| {
            let error = result.expect_err(what);
            assert!(error.contains(what), "{error}");
        };
        says(read("", Value::Text("soon".into())), "field at: expected a time such as 2001");
        says(read("s", Value::Bool(true)), "field at: expected a number");
        says(read("%d/%m/%Y %H:%M", Value::Text("1.2.2001".into())), "is no time of %d/%m/%Y");
        says(read("minutes", Value::Null), "is no way to write a time: s, ms, us or ns");
        says(read("%!", Value::Null), "is no format of a time");
        assert!("".parse::<TimeColumn>().is_err() && ":s".parse::<TimeColumn>().is_err());
        let other = Value::Fields(vec![("b".into(), Value::Null)]);
        let column: TimeColumn = "at".parse().expect("a column");
        assert_eq!(column.of(&other), Err("field at is not there".to_owned()));
    }
}
