//! What becomes of a job when a shard of it fails.

use std::time::Duration;

/// How often, and how soon, a job with checkpoints is started again within the process when a
/// shard has failed: an operator that could not go on, a closure that panicked. It goes on from
/// its last checkpoint.
///
/// Nothing is lost of sources that can be read again from there: files, a record log, `Memory`,
/// `Counter`, generators, and those of one's own with a [`seek`](crate::operator::Split::seek). Of
/// channels, sockets and HTTP what was read after the checkpoint is lost: a record counts
/// [at most once](crate::operator::Guarantee::AtMostOnce), and
/// [`explain`](crate::api::Job::explain) says so. What a sender has in its ring is still read. Who
/// sends to a job by a [`Channel`](crate::connector::Channel) hears of a restart by
/// [`Report::restarts`](crate::runtime::Report::restarts), and of what was lost by the count that
/// its source has there; [embedding](crate::guide::embedding) says how not to lose any.
///
/// ```
/// use thalweg::prelude::*;
///
/// let job = Job::new("orders")
///     .checkpoints("state", 10.seconds())
///     .restart(Restart::times(3).pause(100.millis(), 1.minutes()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// How often at most.
    pub(super) times: u32,
    /// The first pause, and the longest.
    first: Duration,
    longest: Duration,
}

impl Restart {
    /// Not at all: the job ends with the first error. The default.
    pub const fn never() -> Restart {
        Restart::times(0)
    }

    /// So many times at most, at once. Failures between which a checkpoint was made are not added
    /// up: the job came on.
    pub const fn times(times: u32) -> Restart {
        Restart { times, first: Duration::ZERO, longest: Duration::ZERO }
    }

    /// However often it fails.
    pub const fn always() -> Restart {
        Restart::times(u32::MAX)
    }

    /// Waits before it starts again: `first` after the first failure, and twice as long after each
    /// that follows without a checkpoint between, up to `longest`.
    #[must_use]
    pub const fn pause(mut self, first: Duration, longest: Duration) -> Restart {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// How long to wait after so many failures, one or more.
    pub(super) fn after(self, failures: u32) -> Duration {
        let twice = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(twice).min(self.longest)
    }
}

impl Default for Restart {
    fn default() -> Restart {
        Restart::never()
    }
}

/// How often a job has failed without a checkpoint between.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    /// The last checkpoint when it failed before.
    made: u64,
}

impl Failures {
    /// It has failed once more, when the last checkpoint was that of epoch `made`: how long to wait
    /// before it is started again; none when it is not.
    pub(super) fn add(&mut self, made: u64, restart: Restart) -> Option<Duration> {
        let count = if made > self.made { 1 } else { self.count.saturating_add(1) };
        *self = Failures { count, made };
        (count <= restart.times).then(|| restart.after(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_added_up_until_a_checkpoint_is_made() {
        let millis = Duration::from_millis;
        let (restart, mut failures) =
            (Restart::times(2).pause(millis(1), millis(9)), Failures::default());
        let mut add = |made| failures.add(made, restart).map(|pause| pause.as_millis());
        assert_eq!(
            [0, 0, 3, 3, 4, 4, 4].map(&mut add),
            [1, 2, 1, 2, 1, 2, 0].map(|ms| { (ms > 0).then_some(ms) })
        );
    }

    #[test]
    fn pauses_double() {
        let millis = Duration::from_millis;
        let restart = Restart::always().pause(millis(10), millis(50));
        assert_eq!([1, 2, 3, 4, 400].map(|n| restart.after(n)), [10, 20, 40, 50, 50].map(millis));
        assert_eq!(Restart::times(3).after(2), Duration::ZERO);
    }
}
