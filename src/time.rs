//! Event time and processing time: one clock unit for the whole engine, the microsecond.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// It prints and serialises as ISO 8601 (`2001-01-01T00:03:00Z`) and is read from ISO 8601 with or
/// without a zone (none means UTC), or from an integer, which is taken as **milliseconds**.
///
/// ```
/// use thalweg::prelude::*;
/// let at = Timestamp::from_millis(1_500);
/// assert_eq!(at + 500.millis(), Timestamp::from_millis(2_000));
/// assert_eq!(at.to_string(), "1970-01-01T00:00:01.5Z");
/// ```
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
#[rkyv(derive(Debug))]
#[repr(transparent)]
pub struct Timestamp(i64);

/// The promise that no later record has an event time below it.
pub type Watermark = Timestamp;

impl Timestamp {
    /// Before everything: the watermark of a stream that promises nothing.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After everything: the watermark of a stream that has ended.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From microseconds since the epoch.
    #[inline]
    pub const fn from_micros(us: i64) -> Timestamp {
        Timestamp(us)
    }

    /// From milliseconds since the epoch; saturates at the ends.
    #[inline]
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms.saturating_mul(1_000))
    }

    /// From seconds since the epoch; saturates at the ends.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// let unix: u32 = 978_307_380;
    /// assert_eq!(Timestamp::from_seconds(unix.into()).to_string(), "2001-01-01T00:03:00Z");
    /// ```
    #[inline]
    pub const fn from_seconds(s: i64) -> Timestamp {
        Timestamp(s.saturating_mul(1_000_000))
    }

    /// From seconds since the epoch with a fraction, rounded to the nearest microsecond; saturates
    /// at the ends. What is no number (NaN) is the epoch: filter it before event times are taken
    /// if such records shall not be late.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// assert_eq!(Timestamp::from_seconds_f64(1.5), Timestamp::from_millis(1_500));
    /// ```
    #[inline]
    pub fn from_seconds_f64(s: f64) -> Timestamp {
        // A cast saturates, and makes 0 of what is no number.
        Timestamp((s * 1e6).round() as i64)
    }

    /// Microseconds since the epoch.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[inline]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The machine's wall clock now; the epoch where it shows a time before.
    pub fn now() -> Timestamp {
        Timestamp(span(crate::sys::clock::of_day()))
    }

    /// The start of the `size`-long interval that holds this time; intervals are aligned to the
    /// epoch plus `offset`. `size` is in microseconds and must be positive.
    #[inline]
    pub const fn align_down(self, size: i64, offset: i64) -> Timestamp {
        let from = self.0.saturating_sub(offset);
        Timestamp(from.saturating_sub(from.rem_euclid(size)).saturating_add(offset))
    }

    /// Reads what [`Timestamp`]'s `Display` prints, and ISO 8601 in general.
    ///
    /// # Errors
    /// When the text is no date and time.
    pub fn parse(text: &str) -> Result<Timestamp, String> {
        let bad = |e: jiff::Error| format!("expected a time such as 2001-01-01T00:03:00, {e}");
        // Behind the date only a zone has one of these. To find out by failing is slow.
        let of_zone = |byte: &u8| matches!(byte, b'Z' | b'z' | b'+' | b'-');
        let zone = text.as_bytes().iter().skip("2001-01-01".len()).any(of_zone);
        if zone && let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp(at.as_microsecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().map_err(bad)?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(bad)?;
        Ok(Timestamp(zoned.timestamp().as_microsecond()))
    }
}

/// A duration in whole microseconds, saturating.
#[inline]
pub fn span(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

/// A span of microseconds in words: `90s`, `1500ms`.
///
/// ```
/// use thalweg::time::in_words;
/// assert_eq!([0, 1_500, 90_000_000, 3_600_000_000].map(in_words), ["0s", "1500µs", "90s", "1h"]);
/// ```
pub fn in_words(span: i64) -> String {
    const UNITS: [(i64, &str); 5] = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
    ];
    if span == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS.into_iter().find(|(unit, _)| span % unit == 0);
    let (unit, name) = whole.unwrap_or((1, "µs"));
    format!("{}{name}", span / unit)
}

impl ArchivedTimestamp {
    /// The time, read from within an archive.
    #[inline(always)]
    pub const fn to_native(&self) -> Timestamp {
        Timestamp(self.0.to_native())
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    #[inline]
    fn add(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(span(d)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;
    #[inline]
    fn sub(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(span(d)))
    }
}

/// How much later this time is than another; nothing when it is earlier.
///
/// ```
/// use thalweg::prelude::*;
/// let (earlier, later) = (Timestamp::from_millis(1_500), Timestamp::from_millis(2_000));
/// assert_eq!((later - earlier, earlier - later), (500.millis(), 0.millis()));
/// ```
impl std::ops::Sub for Timestamp {
    type Output = Duration;
    #[inline]
    fn sub(self, earlier: Timestamp) -> Duration {
        let us = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) if self.0 < 0 => f.write_str("-inf"),
            Err(_) => f.write_str("+inf"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: ISO 8601 text, or an integer of milliseconds since 1970")
            }
            fn visit_i64<E: serde::de::Error>(self, ms: i64) -> Result<Timestamp, E> {
                Ok(Timestamp::from_millis(ms))
            }
            fn visit_u64<E: serde::de::Error>(self, ms: u64) -> Result<Timestamp, E> {
                i64::try_from(ms).map(Timestamp::from_millis).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }
        d.deserialize_any(Text)
    }
}

/// `5.seconds()`, `1.5.minutes()`: durations as they are said.
///
/// A fraction is rounded to the nanosecond. One that is too long is the longest duration; what is
/// negative or no number is none.
///
/// ```
/// use thalweg::prelude::*;
/// assert_eq!(2.minutes(), 120.seconds());
/// assert_eq!(1.5.seconds(), 1_500.millis());
/// ```
pub trait Units {
    /// This many microseconds.
    fn micros(self) -> Duration;
    /// This many milliseconds.
    fn millis(self) -> Duration;
    /// This many seconds.
    fn seconds(self) -> Duration;
    /// This many minutes.
    fn minutes(self) -> Duration;
    /// This many hours.
    fn hours(self) -> Duration;
    /// This many days of 24 hours.
    fn days(self) -> Duration;
}

impl Units for u64 {
    fn micros(self) -> Duration {
        Duration::from_micros(self)
    }
    fn millis(self) -> Duration {
        Duration::from_millis(self)
    }
    fn seconds(self) -> Duration {
        Duration::from_secs(self)
    }
    fn minutes(self) -> Duration {
        Duration::from_secs(self.saturating_mul(60))
    }
    fn hours(self) -> Duration {
        Duration::from_secs(self.saturating_mul(3_600))
    }
    fn days(self) -> Duration {
        Duration::from_secs(self.saturating_mul(86_400))
    }
}

// No other whole number than `u64`: of `5.seconds()` the compiler would no longer know which it is.
impl Units for f64 {
    fn micros(self) -> Duration {
        (self / 1e6).seconds()
    }
    fn millis(self) -> Duration {
        (self / 1e3).seconds()
    }
    fn seconds(self) -> Duration {
        let longest_or_none = if self > 0.0 { Duration::MAX } else { Duration::ZERO };
        Duration::try_from_secs_f64(self).unwrap_or(longest_or_none)
    }
    fn minutes(self) -> Duration {
        (self * 60.0).seconds()
    }
    fn hours(self) -> Duration {
        (self * 3_600.0).seconds()
    }
    fn days(self) -> Duration {
        (self * 86_400.0).seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for us in [0, 1, -1, 1_600_000_000_123_456] {
            let at = Timestamp::from_micros(us);
            assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        }
    }

    #[test]
    fn text_without_zone_is_utc() {
        let at = Ok(Timestamp::from_millis(3_600_500));
        let same = [
            "1970-01-01T01:00:00.5",
            "1970-01-01 01:00:00.5",
            "1970-01-01T01:00:00.5Z",
            "1970-01-01T03:00:00.5+02",
            "1969-12-31T20:30:00.5-04:30",
            "+001970-01-01T01:00:00.5",
            "19700101T010000.5Z",
        ];
        for text in same {
            assert_eq!(Timestamp::parse(text), at, "{text}");
        }
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn alignment_is_floor_also_before_the_epoch() {
        let ten = Timestamp::from_micros(-1).align_down(10, 0);
        assert_eq!(ten, Timestamp::from_micros(-10));
        assert_eq!(Timestamp::from_micros(13).align_down(10, 4), Timestamp::from_micros(4));
    }

    #[test]
    fn seconds_saturate_and_fractions_are_rounded() {
        let whole = [0, -1, u32::MAX.into(), i64::MAX, i64::MIN];
        let micros = [0, -1_000_000, 4_294_967_295_000_000, i64::MAX, i64::MIN];
        assert_eq!(whole.map(Timestamp::from_seconds).map(Timestamp::micros), micros);

        let rounded = [(4e-7, 0), (6e-7, 1), (-4e-7, 0), (-6e-7, -1), (-1.5, -1_500_000)];
        let exact = [(u32::MAX.into(), micros[2]), (1_600_000_000.123_456, 1_600_000_000_123_456)];
        let far = [(f64::INFINITY, i64::MAX), (f64::NEG_INFINITY, i64::MIN), (1e300, i64::MAX)];
        let none = [(f64::NAN, 0), (-0.0, 0), (f64::MIN_POSITIVE, 0), (f64::MIN, i64::MIN)];
        for (seconds, micros) in [&rounded[..], &exact, &far, &none].concat() {
            assert_eq!(Timestamp::from_seconds_f64(seconds).micros(), micros, "{seconds}");
        }
    }

    #[test]
    fn durations_with_fractions_are_rounded_and_never_panic() {
        let units = [f64::micros, f64::millis, f64::seconds, f64::minutes, f64::hours, f64::days];
        let nanos = [1_500, 1_500_000, 1_500_000_000, 90_000_000_000];
        assert_eq!(units.map(|unit| unit(1.5).as_nanos())[..4], nanos);
        assert_eq!((1.5.hours(), 0.5.days()), (90.minutes(), 12.hours()));
        assert_eq!([0.0004, 0.0006].map(|us| us.micros().as_nanos()), [0, 1]);
        for unit in units {
            for none in [f64::NAN, -1.0, f64::NEG_INFINITY, f64::MIN, -0.0, f64::MIN_POSITIVE] {
                assert_eq!(unit(none), Duration::ZERO, "{none}");
            }
            assert_eq!([f64::INFINITY, f64::MAX].map(unit), [Duration::MAX; 2]);
        }
        assert_eq!([u64::MAX.days(), u64::MAX.minutes()], [u64::MAX.seconds(); 2]);
    }
}
