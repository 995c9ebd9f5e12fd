//! What makes a replay fail.

use std::fmt;
use std::str::FromStr;

use super::args::{duration, rate};
use super::tally::Sum;

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
                "unsent" => (What::Unsent, value.parse::<u64>().ok()? as f64),
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
    /// Whether a replay is as it says; what it was.
    pub fn holds(&self, sum: &Sum) -> bool {
        let is = match self.what {
            What::Percentile(percent) => sum.percentile(percent).as_secs_f64(),
            What::Max => sum.max().as_secs_f64(),
            What::Mean => sum.mean().as_secs_f64(),
            What::Unsent => sum.unsent as f64,
            What::Rate => sum.rate(),
        };
        if self.below { is < self.than } else { is > self.than }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
