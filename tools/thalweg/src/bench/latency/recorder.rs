//! What is noted of every result: how long after its due time it left the last operator.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

use super::schedule::Schedule;

/// The longest latency that is told from longer ones: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Significant digits of a latency in the histogram: it is right to a thousandth.
const DIGITS: u8 = 3;

/// Most results of a run whose raw times are kept, 16 bytes of memory each.
pub const RAW_RESULTS: usize = 50_000_000;

/// Raw times that are kept together, so that a growing list is never copied under way.
const CHUNK: usize = 1 << 16;

/// When a result was due and when it left the last operator, in nanoseconds since the beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    /// When it was due.
    pub due_ns: u64,
    /// When it left.
    pub left_ns: u64,
}

/// The results of a run.
#[derive(Clone)]
pub struct Results {
    /// Of their latencies.
    pub histogram: Histogram<u64>,
    /// All times, where they are kept, with the place in which they were noted (a shard's).
    pub raw: Vec<Vec<Times>>,
    /// How many were more than are kept.
    pub raw_lost: u64,
}

impl Default for Results {
    fn default() -> Self {
        Self { histogram: histogram(), raw: Vec::new(), raw_lost: 0 }
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} results", self.histogram.len())
    }
}

/// An empty histogram of latencies in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("the bounds are in order")
}

/// What all shards' results come to.
pub type Total = Arc<Mutex<Results>>;

/// Notes the results of one shard; a clone begins anew, and each adds its own to the total when it
/// is dropped.
pub struct Recorder {
    schedule: Schedule,
    /// Due times of the results that count.
    measured: Range<u64>,
    raw: bool,
    own: Results,
    total: Total,
}

impl Recorder {
    /// Notes what is due within `measured`, and the raw times where they are wanted.
    pub fn new(schedule: Schedule, measured: Range<u64>, raw: bool, total: Total) -> Self {
        Self { schedule, measured, raw, own: Results::default(), total }
    }

    /// A result leaves now that was due then.
    #[inline]
    pub fn note(&mut self, due_ns: u64) {
        let left_ns = self.schedule.now_ns();
        if self.measured.contains(&due_ns) {
            self.add(Times { due_ns, left_ns });
        }
    }

    fn add(&mut self, times: Times) {
        let Times { due_ns, left_ns } = times;
        self.own.histogram.saturating_record(left_ns.saturating_sub(due_ns));
        if self.raw {
            self.keep(times);
        }
    }

    fn keep(&mut self, times: Times) {
        let Results { raw, raw_lost, .. } = &mut self.own;
        if raw.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            if raw.len() * CHUNK >= RAW_RESULTS {
                *raw_lost += 1;
                return;
            }
            raw.push(Vec::with_capacity(CHUNK));
        }
        raw.last_mut().into_iter().for_each(|chunk| chunk.push(times));
    }

    /// The schedule that it goes by.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        let Self { schedule, measured, raw, total, .. } = self;
        Self::new(*schedule, measured.clone(), *raw, Arc::clone(total))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorder of {:?}", self.own)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.own.histogram.is_empty() {
            return;
        }
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        // Histograms of the same bounds always add.
        total.histogram.add(&self.own.histogram).ok();
        total.raw.append(&mut self.own.raw);
        total.raw_lost += self.own.raw_lost;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least latency that at least this share of all does not exceed, by sorting.
    fn naive(latencies: &mut [u64], share: f64) -> u64 {
        latencies.sort_unstable();
        let rank = (share * latencies.len() as f64).ceil().max(1.0) as usize;
        latencies[rank - 1]
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_latencies(
            times in proptest::collection::vec((0_u64..5_000_000, 1_u64..10_000_000_000), 1..400),
            shards in 1_usize..4,
        ) {
            let total = Total::default();
            let schedule = Schedule::begin(Some(1.0), 1, 1);
            let first = Recorder::new(schedule, 0..u64::MAX, true, Arc::clone(&total));
            let mut recorders: Vec<Recorder> = (0..shards).map(|_| first.clone()).collect();
            drop(first);
            for (at, (due_ns, latency)) in times.iter().enumerate() {
                let times = Times { due_ns: *due_ns, left_ns: due_ns + latency };
                recorders[at % shards].add(times);
            }
            drop(recorders);
            let results = total.lock().expect("nobody panicked").clone();
            let raw = results.raw.concat();
            prop_assert_eq!(raw.len(), times.len());
            let mut latencies: Vec<u64> = raw.iter().map(|t| t.left_ns - t.due_ns).collect();
            for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
                let exact = naive(&mut latencies, share);
                let told = results.histogram.value_at_quantile(share);
                let off = told.abs_diff(exact) as f64 / exact as f64;
                prop_assert!(off <= 0.001, "{told} for {exact} at {share}");
            }
        }
    }

    #[test]
    fn only_what_is_due_in_the_measured_time_counts() {
        let total = Total::default();
        let schedule = Schedule::begin(Some(1.0), 1, 1);
        let mut recorder = Recorder::new(schedule, 10..20, true, Arc::clone(&total));
        [9, 10, 19, 20].into_iter().for_each(|due| recorder.note(due));
        drop(recorder);
        let results = total.lock().expect("nobody panicked");
        assert_eq!(results.histogram.len(), 2);
        let due: Vec<u64> = results.raw.concat().iter().map(|times| times.due_ns).collect();
        assert_eq!(due, [10, 19]);
    }
}
