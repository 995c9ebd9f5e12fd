//! Aggregates: what is kept of many records.
//!
//! An [`Aggregate`] is a description; its accumulator is a record itself, so that it can be
//! exchanged between shards and kept in state. Tuples of aggregates are aggregates.

mod basic;
mod collections;
mod extreme;
mod only;
mod own;
mod tuple;

pub use basic::{Count, Mean, Sum, Summable, Variance};
pub use collections::{Distinct, TopN};
pub use extreme::{ByTime, Extreme, ExtremeBy, Ties};
pub use only::Only;
pub use own::{Folded, FoldedAlone};

use std::marker::PhantomData;

use crate::record::{Key, Record};
use crate::time::Timestamp;

/// What is kept of the records of a key and a window.
///
/// Adding in any order and merging in any grouping must give the same result where
/// [`MERGES`](Aggregate::MERGES) is true: if not, results differ between numbers of shards, as
/// those of floating-point sums do in the last digits.
///
/// [`Aggregates::fold`] makes one of two closures. One that depends on event times, or whose
/// result is another type than what is kept, is a type of your own:
///
/// ```
/// use thalweg::operator::Aggregate;
/// use thalweg::prelude::*;
///
/// /// Which of the last bits 0 to 63 were seen.
/// #[derive(Clone)]
/// struct Bits;
///
/// impl Aggregate<u64> for Bits {
///     type Acc = u64;
///     type Out = u32;
///     fn start(&self, _: Timestamp, n: u64) -> u64 { 1 << (n % 64) }
///     fn add(&self, bits: &mut u64, at: Timestamp, n: u64) { *bits |= self.start(at, n); }
///     fn merge(&self, bits: &mut u64, other: &u64) { *bits |= other; }
///     fn result(&self, bits: &u64) -> u32 { bits.count_ones() }
/// }
///
/// # let job = Job::new("doc").shards(2);
/// # let (sink, results) = Collect::new();
/// job.source(Counter::to(1_000)).key_by(|n| n % 2).aggregate_final(|_| Bits).sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [(0, 32), (1, 32)]);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no aggregate of `{R}`",
    label = "not an aggregate, or not of these records",
    note = "the closure's argument makes them: `|bids| bids.count()`, or a tuple of up to \
            eight of these"
)]
pub trait Aggregate<R: Record>: Clone + Send + 'static {
    /// What is kept while records come.
    type Acc: Record + Clone;
    /// What comes out.
    type Out: Record;
    /// Whether accumulators of parts can be merged. Then each shard aggregates before the
    /// exchange.
    const MERGES: bool = true;
    /// Whether [`subtract`](Aggregate::subtract) undoes `merge` exactly, so that sliding windows
    /// need not be computed anew.
    const INVERTS: bool = false;

    /// The accumulator of one record.
    fn start(&self, at: Timestamp, record: R::View<'_>) -> Self::Acc;
    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, at: Timestamp, record: R::View<'_>);
    /// Adds what another accumulator holds.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc);
    /// Takes away what another accumulator holds and this one contains; called only where
    /// [`INVERTS`](Aggregate::INVERTS) is true.
    fn subtract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        let _ = (acc, other);
    }
    /// What comes out.
    fn result(&self, acc: &Self::Acc) -> Self::Out;
    /// What it is called where a job is explained. State that was kept for an aggregate of another
    /// name is refused: what was counted is no sum, though both are numbers.
    fn name(&self) -> String {
        "own".into()
    }
}

/// What the closure of `aggregate` is given: its methods are the aggregates. A tuple of up to
/// eight aggregates is one aggregate, whose result is the tuple of theirs.
///
/// Results are the same for every number of shards, with these exceptions, where they depend on
/// the order in which records are met: sums, means and variances of floating-point numbers may
/// differ in the last digits; [`min_by`](Aggregates::min_by) and [`max_by`](Aggregates::max_by)
/// choose any of several equals; [`all_max_by`](Aggregates::all_max_by) has no order; of values
/// that can't be compared (NaN) `min`, `max` and their like may keep or drop any; and your own
/// closures may depend on it.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Counter::to(100))
///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
///     .key_by(|n| n % 2)
///     .window(Tumbling::of(1.seconds()))
///     .aggregate(|ns| (ns.count(), ns.max(|n| n), ns.mean(|n| n as f64)))
///     .map(|result| (result.key, result.value))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted_by_key(|(key, _)| *key), [(0, (50, 98, 49.0)), (1, (50, 99, 50.0))]);
/// # Ok::<(), Error>(())
/// ```
pub struct Aggregates<R>(PhantomData<fn() -> R>);

impl<R> Default for Aggregates<R> {
    fn default() -> Self {
        Aggregates(PhantomData)
    }
}

impl<R: Record> Aggregates<R> {
    /// How many records: `u64`.
    pub fn count(&self) -> Count {
        Count
    }

    /// The sum of what `f` gives. Whole numbers are summed in 64 bits, those of 128 bits in 128,
    /// with or without sign as they are, and wrap; `f64` in `f64`.
    pub fn sum<T, F>(&self, f: F) -> Sum<F, T>
    where
        T: Summable,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Sum::new(f)
    }

    /// The least of what `f` gives. A tuple is compared from its first part on.
    pub fn min<T, F>(&self, f: F) -> Extreme<F, T, false>
    where
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Extreme::new(f)
    }

    /// The greatest of what `f` gives. A tuple is compared from its first part on.
    pub fn max<T, F>(&self, f: F) -> Extreme<F, T, true>
    where
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Extreme::new(f)
    }

    /// The mean of what `f` gives: `f64`.
    pub fn mean<F>(&self, f: F) -> Mean<F>
    where
        F: Fn(R::View<'_>) -> f64 + Clone + Send + 'static,
    {
        Mean::new(f)
    }

    /// The population variance (divided by the count) of what `f` gives: `f64`. It does not lose
    /// digits when the mean is large.
    pub fn variance<F>(&self, f: F) -> Variance<F>
    where
        F: Fn(R::View<'_>) -> f64 + Clone + Send + 'static,
    {
        Variance::new(f)
    }

    /// What `f` gives for the record with the least event time; of equals the least value.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .window(Tumbling::of(50.millis()))
    ///     .aggregate(|ns| (ns.first(|n| n), ns.last(|n| n)))
    ///     .map(|window| window.value)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, 49), (50, 99)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn first<T, F>(&self, f: F) -> ByTime<F, T, false>
    where
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        ByTime::new(f)
    }

    /// What `f` gives for the record with the greatest event time; of equals the greatest value.
    pub fn last<T, F>(&self, f: F) -> ByTime<F, T, true>
    where
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        ByTime::new(f)
    }

    /// How many different values `f` gives, exactly: `u64`. It keeps every value, so its memory
    /// grows with the result.
    pub fn distinct<T, F>(&self, f: F) -> Distinct<F, T>
    where
        T: Key + Ord,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Distinct::new(f)
    }

    /// The `n` greatest of what `f` gives, the greatest first: `Vec<T>`, shorter where there are
    /// fewer. Equal values stand in it as often as they come. For the records themselves in the
    /// order of a field, let `f` give a tuple that begins with the field.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .key_by(|n| n % 2)
    ///     .aggregate_final(|ns| ns.top_n(2, |n| n % 10))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, vec![8, 8]), (1, vec![9, 9])]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn top_n<T, F>(&self, n: usize, f: F) -> TopN<F, T>
    where
        T: Record + Clone + Ord,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        TopN::new(n, f)
    }

    /// The record for which `f` is least; of equals any, so let `f` give a tuple with a tie-break
    /// where the record matters.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let sales = [(1_u64, 30_u64), (2, 12), (3, 12)];
    /// job.source(Memory::of(sales))
    ///     .key_by(|_| ())
    ///     .aggregate_final(|sales| sales.min_by(|(id, price)| (price, id)))
    ///     .map(|(_, cheapest)| cheapest)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.take(), [(2, 12)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn min_by<T, F>(&self, f: F) -> ExtremeBy<F, R, T, false>
    where
        R: Clone,
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        ExtremeBy::new(f)
    }

    /// The record for which `f` is greatest; as for [`min_by`](Aggregates::min_by).
    pub fn max_by<T, F>(&self, f: F) -> ExtremeBy<F, R, T, true>
    where
        R: Clone,
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        ExtremeBy::new(f)
    }

    /// All records for which `f` is greatest: `Vec<R>`, in no particular order. It keeps all that
    /// tie.
    pub fn all_max_by<T, F>(&self, f: F) -> Ties<F, R, T>
    where
        R: Clone,
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Ties::new(f)
    }

    /// The aggregate `of` of the records for which `when` is true, as `FILTER (WHERE …)` in SQL;
    /// its type's default when there is none. A key whose records all fail still has a result.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .event_time(|_| Timestamp::from_millis(0), 0.seconds())
    ///     .window(Tumbling::of(1.seconds()))
    ///     .aggregate(|ns| (ns.count(), ns.only(|n| n < 7, ns.count())))
    ///     .map(|result| result.value)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(100, 7)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn only<F, A>(&self, when: F, of: A) -> Only<F, A>
    where
        F: Fn(R::View<'_>) -> bool + Clone + Send + 'static,
        A: Aggregate<R>,
    {
        Only::new(when, of)
    }

    /// An aggregate of your own that can be merged: from `T::default()` on, `add` takes each
    /// record in, `merge` takes another such value in. It must not matter to the result which
    /// records were added to which value, nor in which order.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .key_by(|n| n % 2)
    ///     .aggregate_final(|ns| ns.fold(|xor: &mut u64, n| *xor ^= n, |xor, other| *xor ^= other))
    ///     .sink(sink);
    /// # job.run()?;
    /// let xor = |odd| (0..100_u64).filter(|n| n % 2 == odd).fold(0, |xor, n| xor ^ n);
    /// assert_eq!(results.sorted(), [(0, xor(0)), (1, xor(1))]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fold<T, A, M>(&self, add: A, merge: M) -> Folded<T, A, M>
    where
        T: Record + Clone + Default,
        A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
        M: Fn(&mut T, &T) + Clone + Send + 'static,
    {
        Folded::new(add, merge)
    }

    /// An aggregate of your own that can't be merged: all records of a key go to one shard first,
    /// and are added from `T::default()` on in the order of arrival. That is the split's order for
    /// records of one split, and any for those of several.
    pub fn fold_alone<T, A>(&self, add: A) -> FoldedAlone<T, A>
    where
        T: Record + Clone + Default,
        A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
    {
        FoldedAlone::new(add)
    }
}
