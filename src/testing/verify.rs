//! The laws of streams, applied to one operator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::compare::Difference;
use super::{Cuts, Scheduled};
use crate::api::{Job, Stream};
use crate::connector::Collect;
use crate::error::{Error, Kind, Result};
use crate::operator::Chain;
use crate::record::Record;
use crate::runtime::Executor;

/// Runs a stream's program under hostile schedules and panics where a law is broken.
///
/// *Shards do not matter*: 1, 2, 3 and 8 shards give the same results. *Frames do not matter*: so
/// do batches of one record, batches cut at random and batches as large as they get, with polls
/// in between that give nothing. The results are compared in whatever order. The records come in
/// four splits; [`Verify`] has more to choose.
///
/// The records come without event times: begin with
/// [`event_time`](crate::api::Stream::event_time).
///
/// # Panics
/// When a law is broken, with the law, the schedule and the first difference; when a run fails
/// or does not end within 20 s.
///
/// ```should_panic
/// use thalweg::prelude::*;
/// use thalweg::testing::verify;
///
/// // Numbers the records as each shard sees them: that depends on the shards.
/// verify(0..100_u64, |numbers| {
///     let mut seen = 0;
///     numbers.map(move |n| {
///         seen += 1;
///         (n, seen)
///     })
/// });
/// ```
pub fn verify<R, O, C>(
    records: impl IntoIterator<Item = R>,
    program: impl Fn(Stream<R>) -> Stream<O, C>,
) where
    R: Record + Sync,
    O: Record + fmt::Debug,
    C: Chain<Out = O>,
{
    Verify::of(records).run(program);
}

/// [`verify`], with more to choose.
///
/// ```
/// use thalweg::prelude::*;
/// use thalweg::testing::Verify;
///
/// Verify::of(0..500_u64).any_splits().seed(7).run(|numbers| numbers.filter(|n| n % 3 == 0));
/// ```
#[derive(Debug)]
pub struct Verify<R> {
    records: Arc<Vec<R>>,
    splits: Vec<usize>,
    seed: u64,
    patience: Duration,
}

/// One way to run the program.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Way {
    shards: usize,
    splits: usize,
    cuts: Cuts,
    executor: Executor,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Way { shards, splits, cuts, executor } = self;
        write!(f, "shards {shards}, splits {splits}, batches {cuts:?}, executor {executor}")
    }
}

impl<R: Record + Sync> Verify<R> {
    /// Verifies with these records.
    pub fn of(records: impl IntoIterator<Item = R>) -> Verify<R> {
        let records = Arc::new(records.into_iter().collect());
        Verify { records, splits: vec![4], seed: 0, patience: Duration::from_secs(20) }
    }

    /// Deals the records to this many splits, 4 unless said otherwise. With one split they come
    /// in order, on one shard: for operators that go by the order of records.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Self {
        self.splits = vec![splits.max(1)];
        self
    }

    /// Also demands the same results for 1, 2 and 5 splits: where no record comes late and the
    /// order of records does not matter.
    #[must_use]
    pub fn any_splits(mut self) -> Self {
        self.splits = vec![1, 2, 5];
        self
    }

    /// Draws other random cuts.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long one run may take, 20 s unless said otherwise.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs the program in every way and gives the results of the plainest.
    ///
    /// # Panics
    /// As [`verify`] does.
    pub fn run<O, C>(&self, program: impl Fn(Stream<R>) -> Stream<O, C>) -> Vec<O>
    where
        O: Record + fmt::Debug,
        C: Chain<Out = O>,
    {
        let executor = Executor::Threads;
        let plain = Way { shards: 1, splits: self.splits[0], cuts: Cuts::Whole, executor };
        let expected = self.results(plain, &program);
        for way in self.ways() {
            let got = self.results(way, &program);
            if let Some(difference) = Difference::between(&expected, &got) {
                let law = way.law(plain);
                panic!("{law} do not matter, but: {difference}; with {way}, against {plain}");
            }
        }
        expected
    }

    /// All ways but the plainest, those that differ least from it first.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for &splits in &self.splits {
            for shards in [1, 2, 3, 8] {
                let (one, other) = (Cuts::Random(self.seed), Cuts::Random(!self.seed));
                for cuts in [Cuts::Whole, Cuts::Single, one, other] {
                    let executor = if cuts == one { Executor::Auto } else { Executor::Threads };
                    ways.push(Way { shards, splits, cuts, executor });
                }
            }
        }
        ways.remove(0);
        ways
    }

    fn results<O, C>(&self, way: Way, program: &impl Fn(Stream<R>) -> Stream<O, C>) -> Vec<O>
    where
        O: Record,
        C: Chain<Out = O>,
    {
        let job = Job::new("verify").shards(way.shards).executor(way.executor).pin(false);
        let (sink, results) = Collect::new();
        let source = Scheduled::new(Arc::clone(&self.records), way.splits, way.cuts);
        program(job.source(source)).sink(sink);
        if let Err(error) = finished(job, self.patience) {
            panic!("the program must run with {way}: {error}");
        }
        results.take()
    }
}

impl Way {
    /// What makes it differ from the plainest way: the law that a difference breaks.
    fn law(self, plain: Way) -> &'static str {
        if self.splits != plain.splits {
            "splits"
        } else if self.shards == plain.shards {
            "frames"
        } else if self.cuts == plain.cuts {
            "shards"
        } else {
            "shards and frames"
        }
    }
}

/// Runs a job for at most so long.
fn finished(job: Job, patience: Duration) -> Result {
    let running = job.start()?;
    if !running.wait_for(patience) {
        // A job that hangs can't be waited for: it stays behind.
        std::mem::forget(running);
        return Err(Error::new(Kind::Internal, format!("it hangs, after {patience:?}")));
    }
    running.join().map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::time::{Timestamp, Units};
    use crate::window::Tumbling;

    /// The message of a verification that must fail.
    fn broken<O: Record + fmt::Debug, C: Chain<Out = O>>(
        verify: &Verify<u64>,
        program: impl Fn(Stream<u64>) -> Stream<O, C> + std::panic::RefUnwindSafe,
    ) -> String {
        let verify = std::panic::AssertUnwindSafe(verify);
        let panic = catch_unwind(|| verify.run(&program)).expect_err("a law is broken");
        panic.downcast_ref::<String>().expect("a message").clone()
    }

    #[test]
    fn a_lawful_program_gives_its_results() {
        let results = Verify::of(0..3_000_u64).any_splits().run(|numbers| {
            numbers
                .event_time(|n| Timestamp::from_millis(n as i64), 10.seconds())
                .key_by(|n| n % 3)
                .window(Tumbling::of(1.seconds()))
                .aggregate(|numbers| numbers.count())
        });
        assert_eq!(results.len(), 9);
    }

    #[test]
    fn what_depends_on_shards_is_found() {
        // The number of its instance: closures are cloned once for each shard.
        let message = broken(&Verify::of(0..100), |numbers| {
            let mut first = None;
            numbers.map(move |n| *first.get_or_insert(n % 4))
        });
        assert!(message.contains("do not matter, but: "), "{message}");
    }

    #[test]
    fn what_depends_on_the_order_of_splits_is_found() {
        let program = |numbers: Stream<u64>| {
            let mut last = 0;
            numbers.map(move |n| n - std::mem::replace(&mut last, n).min(n))
        };
        let message = broken(&Verify::of(0..100), program);
        assert!(message.starts_with("frames do not matter, but: "), "{message}");
        assert!(message.contains("shards 1, splits 4, batches Single"), "{message}");
        Verify::of(0..100).splits(1).run(program);
    }

    #[test]
    fn what_comes_late_depends_on_splits() {
        let program = |numbers: Stream<u64>| {
            numbers
                .event_time(|n| Timestamp::from_millis((n * 7_919 % 1_000) as i64), 0.seconds())
                .key_by(|n| n % 2)
                .window(Tumbling::of(100.millis()))
                .aggregate(|numbers| numbers.count())
        };
        Verify::of(0..1_000).run(program);
        let message = broken(&Verify::of(0..1_000).any_splits(), program);
        assert!(message.starts_with("splits do not matter, but: "), "{message}");
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let message = broken(&Verify::of(0..10), |numbers| {
            numbers.inspect(|n| assert!(n < 9, "nine")).named("check")
        });
        assert!(message.contains("shards 1, splits 4, batches Whole"), "{message}");
        assert!(message.contains("panicked: nine"), "{message}");
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let message = broken(&Verify::of(0..10).patience(100.millis()), |numbers| {
            numbers.inspect(|n| {
                if n == 5 {
                    std::thread::park();
                }
            })
        });
        assert!(message.contains("it hangs, after 100ms"), "{message}");
    }
}
