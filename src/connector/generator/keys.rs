//! Whose the records of a made-up stream are.

use std::fmt;
use std::str::FromStr;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::Zipf;

use crate::error::{Error, Kind, Result};
use crate::key::mix;

/// How often each of so many keys comes.
///
/// It prints and parses as `uniform:1000`, `zipf:1.1:1000`, `hot:1000:10:0.9`.
///
/// ```
/// use thalweg::connector::Skew;
///
/// assert_eq!("zipf:1.1:1000".parse(), Ok(Skew::Zipf { exponent: 1.1, keys: 1_000 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// One as often as the other.
    Uniform {
        /// How many there are.
        keys: u64,
    },
    /// Key `k` as often as `1 / (k + 1)^exponent` says, as words in a text.
    Zipf {
        /// 0 for uniform, 1 for Zipf's law; the greater, the steeper.
        exponent: f64,
        /// How many there are.
        keys: u64,
    },
    /// The first few share a part of the records, and all the others the rest, evenly each.
    Hot {
        /// How many there are.
        keys: u64,
        /// How many of them are hot.
        hot: u64,
        /// Which part of the records is theirs, from 0 to 1.
        share: f64,
    },
}

impl Skew {
    fn keys(self) -> u64 {
        match self {
            Skew::Uniform { keys } | Skew::Zipf { keys, .. } | Skew::Hot { keys, .. } => keys,
        }
    }

    fn is_possible(self) -> bool {
        self.keys() > 0
            && match self {
                Skew::Uniform { .. } => true,
                Skew::Zipf { exponent, .. } => exponent >= 0.0 && exponent.is_finite(),
                Skew::Hot { keys, hot, share } => {
                    (1..keys).contains(&hot) && (0.0..=1.0).contains(&share)
                }
            }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Uniform { keys } => write!(f, "uniform:{keys}"),
            Skew::Zipf { exponent, keys } => write!(f, "zipf:{exponent}:{keys}"),
            Skew::Hot { keys, hot, share } => write!(f, "hot:{keys}:{hot}:{share}"),
        }
    }
}

impl FromStr for Skew {
    type Err = String;

    fn from_str(text: &str) -> Result<Skew, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let whole = |text: &str| text.parse().ok();
        let number = |text: &str| text.parse().ok();
        let skew = match &parts[..] {
            ["uniform", keys] => whole(keys).map(|keys| Skew::Uniform { keys }),
            ["zipf", exponent, keys] => {
                let both = number(exponent).zip(whole(keys));
                both.map(|(exponent, keys)| Skew::Zipf { exponent, keys })
            }
            ["hot", keys, hot, share] => {
                let all = whole(keys).zip(whole(hot)).zip(number(share));
                all.map(|((keys, hot), share)| Skew::Hot { keys, hot, share })
            }
            _ => None,
        };
        skew.filter(|skew| skew.is_possible()).ok_or_else(|| {
            format!(
                "expected uniform:1000 (so many keys), zipf:1.1:1000 (exponent, keys) or \
                 hot:1000:10:0.9 (keys, hot ones of them, part of the records that is theirs), \
                 found {text:?}"
            )
        })
    }
}

/// The keys of a made-up stream: of each record by its number, whatever was asked for before. The
/// same skew and seed give the same keys in every run of one build.
///
/// ```
/// use thalweg::connector::{Keys, Skew};
///
/// let keys = Keys::new(Skew::Hot { keys: 100, hot: 1, share: 0.9 }, 7)?;
/// let hot = (0..10_000).filter(|record| keys.of(*record) == 0).count();
/// assert!((8_800..9_200).contains(&hot));
/// # Ok::<(), thalweg::prelude::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    skew: Skew,
    zipf: Option<Zipf<f64>>,
    seed: u64,
}

impl Keys {
    /// Keys from 0 up, so many as the skew says.
    ///
    /// # Errors
    /// When there are no keys, or the skew's numbers are out of range.
    pub fn new(skew: Skew, seed: u64) -> Result<Keys> {
        let refused = || {
            let what = "is no distribution: there is at least one key, an exponent is 0 or more, \
                        some but not all of the keys are hot and have a part from 0 to 1";
            Error::new(Kind::Plan, format!("{skew} {what}"))
        };
        let zipf = match skew {
            Skew::Zipf { exponent, keys } if skew.is_possible() => {
                Some(Zipf::new(keys, exponent).map_err(|_| refused())?)
            }
            _ if skew.is_possible() => None,
            _ => return Err(refused()),
        };
        Ok(Keys { skew, zipf, seed })
    }

    /// The key of a record.
    #[inline]
    pub fn of(&self, record: u64) -> u64 {
        let mut random =
            SmallRng::seed_from_u64(mix(self.seed ^ SALT, record ^ SALT.rotate_left(32)));
        match self.skew {
            Skew::Uniform { keys } => random.gen_range(0..keys),
            Skew::Zipf { .. } => self.zipf.map_or(0, |zipf| random.sample(zipf) as u64 - 1),
            Skew::Hot { hot, share, .. } if random.gen_bool(share) => random.gen_range(0..hot),
            Skew::Hot { keys, hot, .. } => random.gen_range(hot..keys),
        }
    }
}

/// Keeps a seed or a number of 0 from making all the others the same.
const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: u64 = 400_000;

    /// How far what came is from what is expected: chi squared, and as many less than one as there
    /// are degrees of freedom. In one of 10^6 cases the difference is above 5 of its deviations.
    fn fits(keys: &Keys, expected: &[f64]) {
        let mut counts = vec![0.0; expected.len()];
        for record in 0..RECORDS {
            counts[keys.of(record) as usize] += 1.0;
        }
        let all: f64 = expected.iter().sum();
        let term = |(count, part): (&f64, &f64)| {
            let due = RECORDS as f64 * part / all;
            (count - due).powi(2) / due
        };
        let square: f64 = counts.iter().zip(expected).map(term).sum();
        let freedom = expected.len() as f64 - 1.0;
        let off = (square - freedom) / (2.0 * freedom).sqrt();
        assert!(off.abs() < 5.0, "{keys:?}: {off}");
    }

    #[test]
    fn keys_come_as_often_as_the_skew_says() {
        for (exponent, seed) in [(0.5, 1), (1.0, 2), (1.1, 3), (2.0, 4)] {
            let keys = Keys::new(Skew::Zipf { exponent, keys: 200 }, seed).unwrap();
            let weight = |key: i32| f64::from(key).powf(-exponent);
            fits(&keys, &(1..=200).map(weight).collect::<Vec<_>>());
        }
        fits(&Keys::new(Skew::Uniform { keys: 333 }, 5).unwrap(), &[1.0; 333]);
        let keys = Keys::new(Skew::Hot { keys: 100, hot: 10, share: 0.75 }, 6).unwrap();
        let expected: Vec<f64> = [[0.075; 10].as_slice(), &[0.25 / 90.0; 90]].concat();
        fits(&keys, &expected);
    }

    #[test]
    fn seeds_differ_and_numbers_do() {
        let of = |seed| Keys::new(Skew::Uniform { keys: 1 << 40 }, seed).unwrap();
        let all = |keys: &Keys| (0..1_000).map(|record| keys.of(record)).collect::<Vec<_>>();
        assert_eq!(all(&of(0)), all(&of(0)));
        let mut many: Vec<u64> = (0..10).flat_map(|seed| all(&of(seed))).collect();
        many.sort_unstable();
        many.dedup();
        assert!(many.len() > 9_990, "{}", many.len());
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for text in ["uniform:1000", "zipf:1.1:1000", "hot:1000:10:0.9"] {
            assert_eq!(text.parse::<Skew>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "uniform",
            "uniform:0",
            "zipf:1000",
            "zipf:-1:5",
            "zipf:nan:5",
            "hot:10:10:0.5",
            "hot:10:0:0.5",
            "hot:10:1:1.5",
            "normal:3",
        ] {
            assert!(text.parse::<Skew>().unwrap_err().contains("zipf:1.1:1000"), "{text}");
        }
        let error = Keys::new(Skew::Zipf { exponent: -1.0, keys: 5 }, 0).unwrap_err().to_string();
        assert!(error.contains("zipf:-1:5 is no distribution"), "{error}");
    }
}
