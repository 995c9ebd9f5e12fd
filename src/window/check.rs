//! What windows can't be, in words.

use std::fmt;

use super::WindowSpec;
use crate::error::{Error, Kind, Result};
use crate::limits::PANES;
use crate::time::in_words;

/// Refuses a length, in words: a window of none would never end.
///
/// # Errors
/// When `length`, in microseconds, is below one.
pub fn check_span(what: &str, length: i64) -> Result {
    if length > 0 {
        return Ok(());
    }
    let what = format!("the {what} is less than a microsecond; give a span such as 1.seconds()");
    Err(Error::new(Kind::Plan, what))
}

/// Refuses a number of records, in words.
///
/// # Errors
/// When there are none.
pub(super) fn check_count(what: &str, records: u64) -> Result {
    if records > 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Plan, format!("the {what} is 0 records; give at least 1")))
}

/// Refuses panes that are too short for their windows; `words` says why they are, and what to give
/// instead.
pub(super) fn check_panes<W: fmt::Display, G: fmt::Display>(
    spec: WindowSpec,
    words: impl FnOnce() -> (W, G),
) -> Result {
    let panes = spec.size / spec.pane;
    if panes <= PANES {
        return Ok(());
    }
    let (why, give) = words();
    let (size, pane) = (in_words(spec.size), in_words(spec.pane));
    let what = format!(
        "a window of {size} is made of {panes} panes of {pane}{why}; at most {PANES} are allowed: \
         {give}"
    );
    Err(Error::new(Kind::Plan, what))
}

/// Refuses early results that cut panes into ones that are too short.
///
/// # Errors
/// What to give instead of so many microseconds between early results.
pub fn check_early(spec: WindowSpec, early: i64) -> Result {
    check_panes(spec.with_early(early), || {
        let (early, pane) = (in_words(early), in_words(spec.pane));
        let why = format!(
            ", the greatest length that divides both its panes and the {early} between early \
             results"
        );
        (why, format!("give a longer span between them that divides {pane}"))
    })
}

/// A length near `slide`, below it if there is one, that cuts `size` into as many equal panes as
/// are allowed or fewer.
pub(super) fn divisor_near(size: i64, slide: i64) -> i64 {
    let least = (size / slide + 1).min(PANES);
    let mut counts = (least..=PANES).chain((1..least).rev());
    counts.find(|panes| size % panes == 0).map_or(size, |panes| size / panes)
}
