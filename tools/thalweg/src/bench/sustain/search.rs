//! The search for the highest rate that is sustained.
//!
//! Rates lie on a ladder, each a tenth above the one below. The search gallops from a first one, up
//! if that is sustained and else down, twice as far each time, until it has passed the limit
//! (Bentley and Yao, *An almost optimal algorithm for unbounded searching*, 1976), and halves what
//! is left. A machine has stalls of its own: a rate is sustained, or is not, when two runs say so,
//! of three at most.

/// From one rate of the ladder to the next.
const STEP: f64 = 1.1;

/// Steps of the ladder above the first rate, to some 19 times as much, and below it, to some 6,000
/// times less.
const TOP: i32 = 31;
const BOTTOM: i32 = -91;

/// Runs that must agree.
const VOTES: u32 = 2;

/// A search that is told how each run went and says what to run next.
#[derive(Clone, Debug)]
pub struct Search {
    first: f64,
    /// The rung that is being tried: how many steps above the first rate.
    at: i32,
    /// Of its runs, those in which it was sustained and was not.
    votes: (u32, u32),
    /// The lowest rung that is known not to be sustained, if one is.
    bad: Option<i32>,
    /// The highest that is known to be.
    good: Option<i32>,
    done: bool,
}

impl Search {
    /// Begins at this rate.
    pub fn from(first: f64) -> Self {
        Self { first, at: 0, votes: (0, 0), bad: None, good: None, done: false }
    }

    fn rate(&self, rung: i32) -> f64 {
        self.first * STEP.powi(rung)
    }

    /// The rate to run at next; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        (!self.done).then(|| self.rate(self.at))
    }

    /// The highest rate that is known to be sustained.
    pub fn found(&self) -> Option<f64> {
        self.good.map(|rung| self.rate(rung))
    }

    /// How the run went that was asked for.
    pub fn tell(&mut self, sustained: bool) {
        let (yes, no) = &mut self.votes;
        *(if sustained { yes } else { no }) += 1;
        match self.votes {
            (VOTES.., _) => self.good = Some(self.at),
            (_, VOTES..) => self.bad = Some(self.at),
            _ => return,
        }
        self.votes = (0, 0);
        let next = match (self.good, self.bad) {
            (Some(good), Some(bad)) => i32::midpoint(good, bad),
            // 0, 1, 3, 7, … steps up or down.
            _ if sustained => (2 * self.at + 1).min(TOP),
            _ => (2 * self.at - 1).max(BOTTOM),
        };
        self.done = self.good == Some(next) || self.bad == Some(next);
        self.at = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a search on what `sustains` says of the rate and the number of the run.
    fn search(first: f64, mut sustains: impl FnMut(f64, u32) -> bool) -> (Option<f64>, u32) {
        let (mut search, mut runs) = (Search::from(first), 0);
        while let Some(rate) = search.next() {
            search.tell(sustains(rate, runs));
            runs += 1;
            assert!(runs < 100, "it does not end");
        }
        (search.found(), runs)
    }

    /// Powers are computed in more than one way.
    fn same(a: Option<f64>, b: Option<f64>) -> bool {
        a == b || a.zip(b).is_some_and(|(a, b)| (a / b - 1.0).abs() < 1e-9)
    }

    proptest! {
        /// Against a walk down the ladder.
        #[test]
        fn the_highest_sustained_rate_is_found(first in 1.0_f64..1e9, power in -14.0_f64..4.0) {
            let limit = first * power.exp2();
            let (found, runs) = search(first, |rate, _| rate <= limit);
            let mut ladder = (BOTTOM..=TOP).rev().map(|rung| first * STEP.powi(rung));
            let expected = ladder.find(|rate| *rate <= limit);
            prop_assert!(same(found, expected), "{:?}, not {:?}", found, expected);
            prop_assert!(runs <= 2 * 15, "{} runs", runs);
        }

        /// One run in five says the contrary, never two in a row.
        #[test]
        fn a_stall_now_and_then_changes_nothing(share in 0.01_f64..9.0, first in 0_u32..5) {
            let limit = 1e6 * share;
            let stalled = |run: u32| (run + first).is_multiple_of(5);
            let (found, _) = search(1e6, |rate, run| (rate <= limit) != stalled(run));
            let (expected, _) = search(1e6, |rate, _| rate <= limit);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_ladder_ends() {
        assert!(same(search(1e6, |_, _| true).0, Some(1e6 * STEP.powi(TOP))));
        assert_eq!(search(1e6, |_, _| false).0, None);
    }
}
