//! How long the turns of shards take.

use std::fmt;
use std::time::Duration;

use crate::operator::Counter;

/// Lengths are told apart by quarters of an octave, from 1 µs to a minute.
const QUARTERS: usize = 4;
const OCTAVES: usize = 26;
/// The shortest length, as a power of two in nanoseconds.
const FIRST: u32 = 10;

/// The lengths of a shard's turns with work, counted by the shard itself; any thread may look.
#[derive(Debug)]
pub(super) struct Watch {
    lengths: [Counter; OCTAVES * QUARTERS],
    nanoseconds: Counter,
}

impl Default for Watch {
    fn default() -> Self {
        let lengths = std::array::from_fn(|_| Counter::default());
        Watch { lengths, nanoseconds: Counter::default() }
    }
}

impl Watch {
    /// A turn took so long, with what came before the next one.
    #[inline]
    pub fn took(&self, turn: Duration) {
        let nanoseconds = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
        self.lengths[bucket(nanoseconds)].add(1);
        self.nanoseconds.add(nanoseconds);
    }
}

/// Where a length is counted.
fn bucket(nanoseconds: u64) -> usize {
    let octave = nanoseconds.max(1 << FIRST).ilog2();
    let quarter = (nanoseconds.max(1 << FIRST) >> (octave - 2)) as usize % QUARTERS;
    ((octave - FIRST) as usize * QUARTERS + quarter).min(OCTAVES * QUARTERS - 1)
}

/// What is counted there is no longer than this.
fn bound(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / QUARTERS, bucket % QUARTERS);
    Duration::from_nanos(((QUARTERS + quarter + 1) as u64) << (FIRST as usize - 2 + octave))
}

/// How long the turns of a job's shards have taken that had work to do, of all shards together.
///
/// In a turn a shard looks once at every source, ring and timer of its own. Between two turns it
/// gives nothing and takes nothing, so a long one is a stop: a slow closure, a window of many keys
/// that ends, a checkpoint, a page of memory that the system clears, or a core that another
/// program had. What passes between two turns counts with the first.
///
/// ```
/// use thalweg::prelude::*;
/// use std::time::Duration;
///
/// let job = Job::new("slow").shards(1);
/// job.source(Counter::to(1))
///     .inspect(|_| std::thread::sleep(Duration::from_millis(20)))
///     .sink(Discard);
/// let running = job.start()?;
/// let before = running.metrics().turns;
/// let turns = running.join()?.turns;
/// assert!(turns.longest() >= Duration::from_millis(20));
/// assert!(turns.since(&before).count() <= turns.count());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// As those of [`Watch`]; none where nothing was counted.
    lengths: Vec<u64>,
    nanoseconds: u64,
}

impl Turns {
    pub(super) fn add(&mut self, watch: &Watch) {
        self.lengths.resize(watch.lengths.len(), 0);
        let counts = watch.lengths.iter().map(Counter::get);
        self.lengths.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.nanoseconds = self.nanoseconds.wrapping_add(watch.nanoseconds.get());
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.lengths.iter().sum()
    }

    /// How long all of them took together: of a busy job on two shards, two seconds a second.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// How long the longest took, rounded up by a quarter at most; zero when there was none.
    pub fn longest(&self) -> Duration {
        self.lengths.iter().rposition(|count| *count > 0).map_or(Duration::ZERO, bound)
    }

    /// A length that this share of all turns, of 1, did not exceed: rounded up likewise.
    pub fn at_quantile(&self, share: f64) -> Duration {
        let wanted = (share.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        let reached = self.lengths.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        reached.map_or(Duration::ZERO, bound)
    }

    /// How many took at most so long, or longer by a quarter.
    pub fn within(&self, length: Duration) -> u64 {
        let nanoseconds = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.lengths.iter().take(bucket(nanoseconds) + 1).sum()
    }

    /// Those that came after an earlier look at the same job. After a restart in between, which
    /// begins to count anew, what that look had not seen.
    #[must_use]
    pub fn since(&self, earlier: &Turns) -> Turns {
        let before = earlier.lengths.iter().copied().chain(std::iter::repeat(0));
        let lengths = self.lengths.iter().zip(before).map(|(now, then)| now.saturating_sub(then));
        Turns {
            lengths: lengths.collect(),
            nanoseconds: self.nanoseconds.saturating_sub(earlier.nanoseconds),
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, total, longest) = (self.count(), self.total(), self.longest());
        write!(f, "{count} turns in {total:?}, the longest within {longest:?}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lengths: &[u64]) -> Turns {
        let watch = Watch::default();
        lengths.iter().for_each(|length| watch.took(Duration::from_nanos(*length)));
        let mut turns = Turns::default();
        turns.add(&watch);
        turns
    }

    proptest! {
        #[test]
        fn a_length_is_rounded_up_by_a_quarter_at_most(length in 1_u64..60_000_000_000) {
            let longest = of(&[length]).longest().as_nanos() as u64;
            prop_assert!(longest > length && longest <= (length + length / 4).max(1_280) + 1);
        }
    }

    #[test]
    fn lengths_beyond_all_bounds_are_the_longest() {
        assert!(of(&[u64::MAX]).longest() > Duration::from_secs(60));
        assert_eq!(of(&[0]).longest(), Duration::from_nanos(1_280));
    }

    #[test]
    fn quantiles_are_those_of_the_lengths() {
        let all: Vec<u64> = (1..=1_000).map(|n| n * 10_000).collect();
        let turns = of(&all);
        for (share, least) in [(0.0, 10), (0.5, 5_000), (0.99, 9_900), (1.0, 10_000)] {
            let (found, least) = (turns.at_quantile(share), Duration::from_micros(least));
            assert!(found >= least && found <= least * 5 / 4, "{share}: {found:?}");
        }
        assert_eq!(turns.count(), 1_000);
        assert!((500..=625).contains(&turns.within(Duration::from_millis(5))));
        assert_eq!(turns.total(), Duration::from_millis(5_005));
    }

    #[test]
    fn what_came_since_is_told() {
        let (before, after) = (of(&[5_000_000, 7]), of(&[5_000_000, 7, 2_000]));
        assert_eq!(after.since(&before), of(&[2_000]));
        assert_eq!(after.since(&Turns::default()), after);
        assert_eq!(before.since(&after).longest(), Duration::ZERO);
        assert_eq!(format!("{:?}", of(&[2_000])), "1 turns in 2µs, the longest within 2.048µs");
    }
}
