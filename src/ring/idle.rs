//! What a shard does with a turn that had no work.
//!
//! How long to spin before sleeping is the ski rental problem: who spins for as long as a sleep and
//! its wake-up cost pays at most twice of what one pays who knows the future (Karlin, Li, Manasse,
//! Owicki, *Empirical studies of competitive spinning for a shared-memory multiprocessor*, 1991).
//! A park and an unpark cost some 10 µs, an idle turn some 50 ns.

/// What to do with a core that has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Never sleeps: the lowest latency, at the price of a whole core for each shard, also of an
    /// idle job. With more shards than cores it gives its core away after every turn, but does
    /// not sleep either.
    Spin,
    /// Spins for some microseconds, yields a few times, then sleeps until it is rung. A busy job
    /// never sleeps, an idle one uses no measurable time of a core.
    #[default]
    Backoff,
    /// Sleeps at once: for machines that are busy with other things.
    Park,
}

/// What to do before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Go on at once ([`std::hint::spin_loop`]).
    Spin,
    /// Let another thread run ([`std::thread::yield_now`]).
    Yield,
    /// Sleep until somebody rings.
    Park,
}

/// Idle turns of spinning before the first yield: some 10 µs.
const SPINS: u32 = 200;

/// Yields before the park. With a core for each shard a yield comes back at once and is only a
/// slower spin.
const YIELDS: u32 = 20;

/// Counts idle turns in a row and says how to rest after each.
///
/// ```
/// use thalweg::ring::{Idle, Idler, Rest};
///
/// let mut idler = Idler::new(Idle::Backoff, 2, 2);
/// assert_eq!(idler.idle(), Rest::Spin);
/// while idler.idle() != Rest::Park {}
/// idler.busy();
/// assert_eq!(idler.idle(), Rest::Spin);
/// ```
#[derive(Clone, Debug)]
pub struct Idler {
    idle: Idle,
    /// Whether another shard may be waiting for this core.
    crowded: bool,
    turns: u32,
}

impl Idler {
    /// For one of `shards` shards on `cores` cores. With more shards than cores it never spins: it
    /// would be spinning against the shard that it waits for.
    pub fn new(idle: Idle, shards: usize, cores: usize) -> Self {
        Self { idle, crowded: shards > cores, turns: 0 }
    }

    /// The turn had work.
    #[inline]
    pub fn busy(&mut self) {
        self.turns = 0;
    }

    /// The turn had no work: how to rest before the next.
    #[inline]
    pub fn idle(&mut self) -> Rest {
        let turn = self.turns;
        self.turns = turn.saturating_add(1);
        let spins = if self.crowded { 0 } else { SPINS };
        match self.idle {
            Idle::Park => Rest::Park,
            Idle::Spin if self.crowded => Rest::Yield,
            Idle::Spin => Rest::Spin,
            Idle::Backoff if turn < spins => Rest::Spin,
            Idle::Backoff if turn < spins + YIELDS => Rest::Yield,
            Idle::Backoff => Rest::Park,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn rests(idle: Idle, shards: usize, turns: u32) -> Vec<Rest> {
        let mut idler = Idler::new(idle, shards, 2);
        let mut rests: Vec<_> = (0..turns).map(|_| idler.idle()).collect();
        rests.dedup();
        rests
    }

    #[test]
    fn rests_grow_longer_and_start_anew_after_work() {
        let all = SPINS + YIELDS;
        assert_eq!(rests(Idle::Backoff, 2, all), [Rest::Spin, Rest::Yield]);
        assert_eq!(rests(Idle::Backoff, 2, all + 1), [Rest::Spin, Rest::Yield, Rest::Park]);
        assert_eq!(rests(Idle::Spin, 2, 10 * all), [Rest::Spin]);
        assert_eq!(rests(Idle::Park, 2, all), [Rest::Park]);
    }

    #[test]
    fn nobody_spins_when_shards_outnumber_cores() {
        let all = SPINS + YIELDS;
        assert_eq!(rests(Idle::Backoff, 3, all), [Rest::Yield, Rest::Park]);
        assert_eq!(rests(Idle::Spin, 3, all), [Rest::Yield]);
        assert_eq!(rests(Idle::Park, 3, all), [Rest::Park]);
    }

    #[test]
    fn a_long_sleep_does_not_wrap() {
        let mut idler = Idler { idle: Idle::Backoff, crowded: false, turns: u32::MAX };
        assert_eq!(idler.idle(), Rest::Park);
        assert_eq!(idler.idle(), Rest::Park);
    }
}
