//! What makes a replay fail.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tally::Sum;
use crate::args::numbers::{duration, rate, whole};

/// A condition such as `p99>5ms`, under which a replay has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    what: What,
    below: bool,
    than: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// A percentile of the lateness, in seconds.
    Percentile(f64),
    Max,
    Mean,
    Unsent,
    Rate,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let parsed = plain.find(['<', '>']).and_then(|at| {
            let (name, value) = (&plain[..at], &plain[at + 1..]);
            let time = || duration(value).ok().map(|time| time.as_secs_f64());
            let (what, than) = match name {
                "max" => (What::Max, time()?),
                "mean" => (What::Mean, time()?),
                "unsent" => (What::Unsent, whole(value)? as f64),
                "rate" => (What::Rate, rate(value).ok()?),
                _ => {
                    let percent = name.strip_prefix('p')?.parse().ok()?;
                    let known = (0.0..=100.0).contains(&percent);
                    (known.then_some(What::Percentile(percent))?, time()?)
                }
            };
            let below = plain.as_bytes()[at] == b'<';
            Some(Threshold { what, below, than, text: plain.clone() })
        });
        parsed.ok_or_else(|| {
            "expected p50, p99.9, max or mean and a time, such as 'p99>5ms'; unsent>0; rate<90k"
                .into()
        })
    }
}

impl Threshold {
    /// Whether it looks at how late records are.
    pub fn is_of_lateness(&self) -> bool {
        match self.what {
            What::Percentile(_) | What::Max | What::Mean => true,
            What::Unsent | What::Rate => false,
        }
    }

    /// Whether a replay is as it says; of a lateness that no record has, nobody can say that it is
    /// not.
    pub fn holds(&self, sum: &Sum) -> bool {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let is = match self.what {
            What::Percentile(percent) => seconds(sum.percentile(percent)),
            What::Max => seconds(sum.max()),
            What::Mean => seconds(sum.mean()),
            What::Unsent => Some(sum.unsent as f64),
            What::Rate => Some(sum.rate()),
        };
        is.is_none_or(|is| if self.below { is < self.than } else { is > self.than })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_as_late_as_it_may_be() {
        let sum = Sum::new(Duration::from_secs(1));
        for (text, holds) in [("p99>5ms", true), ("max<1s", true), ("mean>1s", true)] {
            assert_eq!(text.parse::<Threshold>().map(|t| t.holds(&sum)), Ok(holds), "{text}");
        }
        assert_eq!("unsent>1k".parse::<Threshold>().map(|t| t.holds(&sum)), Ok(false));
    }

    #[test]
    fn conditions_are_read_and_judged() {
        let mut sum = Sum::new(Duration::from_secs(2));
        for ms in 1..=100 {
            sum.late(Duration::from_millis(ms));
        }
        (sum.sent, sum.unsent, sum.elapsed) = (100, 3, Duration::from_secs(2));
        for (text, holds) in [
            ("p99>5ms", true),
            ("p99 > 200ms", false),
            ("p50<40ms", false),
            ("p50<60ms", true),
            ("max>99ms", true),
            ("mean>51ms", false),
            ("mean>50ms", true),
            ("unsent>0", true),
            ("unsent>3", false),
            ("rate<90", true),
            ("rate<50", false),
        ] {
            assert_eq!(text.parse::<Threshold>().map(|t| t.holds(&sum)), Ok(holds), "{text}");
        }
        for bad in ["", "p99", "p101>5ms", "p99>5", "p99=5ms", "unsent>-1", "speed>1"] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
    }
}
