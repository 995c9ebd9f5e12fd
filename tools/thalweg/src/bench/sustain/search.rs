//! The search for the highest rate that is sustained.
//!
//! Rates lie on a ladder, each a tenth above the one below. The search gallops down from the top,
//! twice as far each time, until a rate is sustained (Bentley and Yao, *An almost optimal algorithm
//! for unbounded searching*, 1976), and halves what is left between that and the last one that was
//! not. A machine has stalls of its own: a rate is sustained, or is not, when two runs say so, of
//! three at most.

/// From one rate of the ladder to the next.
pub const STEP: f64 = 1.1;

/// Rates of the ladder: the lowest is some 6,000 times below the highest.
const RUNGS: usize = 92;

/// Runs that must agree.
const VOTES: u32 = 2;

/// A search that is told how each run went and says what to run next.
#[derive(Clone, Debug)]
pub struct Search {
    highest: f64,
    /// The rung that is being tried, counted from the highest rate down.
    at: usize,
    /// Of its runs, those in which it was sustained and was not.
    votes: (u32, u32),
    /// The lowest rate that is known not to be sustained, if one is.
    bad: Option<usize>,
    /// The highest that is known to be.
    good: Option<usize>,
    done: bool,
}

impl Search {
    /// Begins at this rate, the highest that may be found.
    pub fn from(highest: f64) -> Self {
        Self { highest, at: 0, votes: (0, 0), bad: None, good: None, done: false }
    }

    fn rate(&self, rung: usize) -> f64 {
        self.highest / STEP.powi(rung as i32)
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
        let sustained = match self.votes {
            (VOTES.., _) => true,
            (_, VOTES..) => false,
            _ => return,
        };
        self.votes = (0, 0);
        if sustained {
            self.good = Some(self.at);
        } else {
            self.bad = Some(self.at);
        }
        let above = self.bad.map_or(0, |bad| bad + 1);
        match self.good {
            Some(good) if above >= good => self.done = true,
            Some(good) => self.at = usize::midpoint(above, good),
            None if above >= RUNGS => self.done = true,
            // 0, 1, 3, 7, …
            None => self.at = (2 * self.at + 1).min(RUNGS - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a search on what `sustains` says of the rate and the number of the run.
    fn search(highest: f64, mut sustains: impl FnMut(f64, u32) -> bool) -> (Option<f64>, u32) {
        let (mut search, mut runs) = (Search::from(highest), 0);
        while let Some(rate) = search.next() {
            search.tell(sustains(rate, runs));
            runs += 1;
            assert!(runs < 100, "it does not end");
        }
        (search.found(), runs)
    }

    proptest! {
        /// Against a walk down the ladder.
        #[test]
        fn the_highest_sustained_rate_is_found(highest in 1.0_f64..1e9, share in 0.0_f64..1.2) {
            let limit = highest * share;
            let (found, runs) = search(highest, |rate, _| rate <= limit);
            let ladder = (0..RUNGS).map(|rung| highest / STEP.powi(rung as i32));
            let expected = ladder.into_iter().find(|rate| *rate <= limit);
            prop_assert_eq!(found, expected);
            prop_assert!(runs <= 2 * 14, "{} runs", runs);
        }

        /// One run in five says the contrary, never two in a row.
        #[test]
        fn a_stall_now_and_then_changes_nothing(share in 0.01_f64..1.0, first in 0_u32..5) {
            let limit = 1e6 * share;
            let stalled = |run: u32| (run + first).is_multiple_of(5);
            let (found, _) = search(1e6, |rate, run| (rate <= limit) != stalled(run));
            let (expected, _) = search(1e6, |rate, _| rate <= limit);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_highest_rate_itself_may_be_sustained() {
        assert_eq!(search(1e6, |_, _| true), (Some(1e6), 2));
        assert_eq!(search(1e6, |_, _| false).0, None);
    }
}
