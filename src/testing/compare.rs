//! The difference between two runs' results.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::Record;

/// What one run gave less or more often than another.
#[derive(Debug)]
pub(super) struct Difference {
    missing: Vec<String>,
    surplus: Vec<String>,
}

impl Difference {
    /// Compares records in whatever order; none when both gave the same.
    pub fn between<O: Record + fmt::Debug>(expected: &[O], got: &[O]) -> Option<Difference> {
        let mut counts: BTreeMap<u64, i64> = BTreeMap::new();
        let digest = |record: &O| record.lend(|view| O::digest(view));
        for record in expected {
            *counts.entry(digest(record)).or_default() -= 1;
        }
        for record in got {
            *counts.entry(digest(record)).or_default() += 1;
        }
        // Takes from each side as many records of a digest as the other lacks.
        let mut only = |records: &[O], sign: i64| {
            let mut shown = Vec::new();
            for record in records {
                let count = counts.entry(digest(record)).or_default();
                if *count * sign > 0 {
                    *count -= sign;
                    shown.push(format!("{record:?}"));
                }
            }
            shown
        };
        let (missing, surplus) = (only(expected, -1), only(got, 1));
        (!missing.is_empty() || !surplus.is_empty()).then_some(Difference { missing, surplus })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} results missing, {} too many", self.missing.len(), self.surplus.len())?;
        if let Some(first) = self.missing.first() {
            write!(f, "; the first missing: {first}")?;
        }
        if let Some(first) = self.surplus.first() {
            write!(f, "; the first too many: {first}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_but_number_does() {
        assert!(Difference::between(&[1_u64, 2, 2], &[2, 1, 2]).is_none());
        let difference = Difference::between(&[1_u64, 2, 2], &[2, 3, 1, 1]).unwrap().to_string();
        let wanted = "1 results missing, 2 too many; \
                      the first missing: 2; the first too many: 3";
        assert_eq!(difference, wanted);
    }
}
