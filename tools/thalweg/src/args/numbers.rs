//! The numbers and times that options take.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::time::Duration;

/// A number of connections that nobody needs more of.
const CONNECTIONS: u64 = 1_024;

/// The digits of a number and what they are multiplied by: `_` may stand between digits, and k, M
/// or G behind them, for thousands, millions, billions.
fn scaled(text: &str) -> Option<(String, u64)> {
    let (digits, scale) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1_000),
        (at, 'm' | 'M') => (&text[..at], 1_000_000),
        (at, 'g' | 'G') => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let parts: Vec<&str> = digits.split('_').collect();
    let has_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let fits = parts
        .windows(2)
        .all(|parts| has_digit(parts[0].chars().next_back()) && has_digit(parts[1].chars().next()));
    fits.then(|| (parts.concat(), scale))
}

/// A whole number, such as 500, 1_000, 20k or 1.5M.
pub fn whole(text: &str) -> Option<u64> {
    let (digits, scale) = scaled(text)?;
    if let Ok(number) = digits.parse::<u64>() {
        return number.checked_mul(scale);
    }
    // As long as every whole number is one.
    let number = digits.parse::<f64>().ok()? * scale as f64;
    let is_whole = number.fract() == 0.0 && (0.0..=9e15).contains(&number);
    is_whole.then_some(number as u64)
}

/// How many, at least one and at most `most`.
fn counted(text: &str, most: u64) -> Result<NonZeroU64, String> {
    let number = whole(text).filter(|number| *number <= most).and_then(NonZeroU64::new);
    number.ok_or_else(|| {
        let at_most = if most < u64::MAX { format!(" and up to {most}") } else { String::new() };
        format!("expected a whole number above 0{at_most}, such as 500, 1_000, 20k or 10M")
    })
}

/// How many, at least one.
///
/// # Errors
/// When it is no such number.
pub fn count(text: &str) -> Result<NonZeroU64, String> {
    counted(text, u64::MAX)
}

/// As [`count`], of what there are never very many.
///
/// # Errors
/// When it is no such number.
pub fn count32(text: &str) -> Result<NonZeroU32, String> {
    let number = counted(text, u32::MAX.into())?;
    NonZeroU32::try_from(number).map_err(|error| error.to_string())
}

/// A number of connections.
///
/// # Errors
/// When it is no such number.
pub fn connections(text: &str) -> Result<NonZeroU16, String> {
    let number = counted(text, CONNECTIONS)?;
    NonZeroU16::try_from(number).map_err(|error| error.to_string())
}

/// Records a second; `/s` may follow.
///
/// # Errors
/// When it is no such number.
pub fn rate(text: &str) -> Result<f64, String> {
    let (digits, scale) = scaled(text.strip_suffix("/s").unwrap_or(text)).unwrap_or_default();
    let rate = digits.parse().ok().map(|number: f64| number * scale as f64);
    rate.filter(|rate| (1e-6..=1e12).contains(rate)).ok_or_else(|| {
        "expected a number of records a second, such as 500, 1_000, 100k or 2.5M".into()
    })
}

/// A time such as `5ms` or `1m30s`.
///
/// # Errors
/// When it is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let time = parsed.and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "expected a time such as 500us, 5ms, 60s or 1m30s".into())
}

/// A part of all.
///
/// # Errors
/// When it is none.
pub fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part: &f64| *part > 0.0 && *part <= 1.0);
    part.ok_or_else(|| "expected a number above 0 and up to 1, such as 0.1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_rates_are_written_alike() {
        for (text, number) in [
            ("1", 1),
            ("500", 500),
            ("1_000", 1_000),
            ("1_000_000", 1_000_000),
            ("1k", 1_000),
            ("2_0K", 20_000),
            ("1.5M", 1_500_000),
            ("3G", 3_000_000_000),
        ] {
            assert_eq!(count(text).map(NonZeroU64::get), Ok(number), "{text}");
            assert_eq!(rate(text), Ok(number as f64), "{text}");
        }
        assert_eq!(rate("100k/s"), Ok(1e5));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(whole("0"), Some(0));
        assert_eq!(count("18446744073709551615").map(NonZeroU64::get), Ok(u64::MAX));
        for bad in ["", "0", "-1", "nan", "inf", "1x", "k", "_1", "1_", "1__0", "1_k", "é"] {
            assert!(rate(bad).is_err() && count(bad).is_err(), "{bad}");
        }
        for bad in ["0.5", "1.0005k", "99999999999G", "18446744073709551616"] {
            assert!(count(bad).is_err(), "{bad}");
        }
        assert!(count32("5G").is_err_and(|said| said.contains("up to 4294967295")));
        assert!(connections("1025").is_err_and(|said| said.contains("up to 1024")));
        assert_eq!(connections("1k").map(NonZeroU16::get), Ok(1_000));
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5ms"), Ok(Duration::from_millis(5)));
        for bad in ["-5ms", "5", "ms", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
