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
/// [`MERGES`](Aggregate::MERGES) is true.
pub trait Aggregate<R: Record>: Clone + Send + 'static {
    /// What is kept while records come.
    type Acc: Record + Clone;
    /// What comes out.
    type Out: Record;
    /// Whether accumulators of parts can be merged. Then each shard aggregates before the
    /// exchange.
    const MERGES: bool = true;
    /// Whether [`subtract`](Aggregate::subtract) undoes `merge`, so that sliding windows need not
    /// be computed anew.
    const INVERTS: bool = false;

    /// The accumulator of one record.
    fn start(&self, at: Timestamp, record: R::View<'_>) -> Self::Acc;
    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, at: Timestamp, record: R::View<'_>);
    /// Adds what another accumulator holds.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc);
    /// Takes away what another accumulator holds and this one contains.
    fn subtract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        let _ = (acc, other);
    }
    /// What comes out.
    fn result(&self, acc: &Self::Acc) -> Self::Out;
}

/// What the closure of `aggregate` is given: its methods are the aggregates.
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

    /// The sum of what `f` gives. Whole numbers are summed in 64 bits and wrap.
    pub fn sum<T, F>(&self, f: F) -> Sum<F, T>
    where
        T: Summable,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Sum::new(f)
    }

    /// The least of what `f` gives.
    pub fn min<T, F>(&self, f: F) -> Extreme<F, T, false>
    where
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Extreme::new(f)
    }

    /// The greatest of what `f` gives.
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

    /// The population variance of what `f` gives: `f64`.
    pub fn variance<F>(&self, f: F) -> Variance<F>
    where
        F: Fn(R::View<'_>) -> f64 + Clone + Send + 'static,
    {
        Variance::new(f)
    }

    /// What `f` gives for the record with the least event time; of equals the least value.
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

    /// How many different values `f` gives, exactly: `u64`. It keeps every value.
    pub fn distinct<T, F>(&self, f: F) -> Distinct<F, T>
    where
        T: Key + Ord,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Distinct::new(f)
    }

    /// The `n` greatest of what `f` gives, the greatest first: `Vec<T>`. For the records
    /// themselves in the order of a field, let `f` give a tuple that begins with the field.
    pub fn top_n<T, F>(&self, n: usize, f: F) -> TopN<F, T>
    where
        T: Record + Clone + Ord,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        TopN::new(n, f)
    }

    /// The record for which `f` is least; of equals the one that came first to be merged, so let
    /// `f` give a tuple with a tie-break.
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

    /// All records for which `f` is greatest: `Vec<R>`, in no particular order.
    pub fn all_max_by<T, F>(&self, f: F) -> Ties<F, R, T>
    where
        R: Clone,
        T: Record + Clone + PartialOrd,
        F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
    {
        Ties::new(f)
    }

    /// The aggregate `of` of the records for which `when` is true, as `FILTER (WHERE …)` in SQL;
    /// its type's default when there is none.
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
    /// record in, `merge` joins two.
    pub fn fold<T, A, M>(&self, add: A, merge: M) -> Folded<T, A, M>
    where
        T: Record + Clone + Default,
        A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
        M: Fn(&mut T, &T) + Clone + Send + 'static,
    {
        Folded::new(add, merge)
    }

    /// An aggregate of your own that can't be merged: all records of a key go to one shard first.
    pub fn fold_alone<T, A>(&self, add: A) -> FoldedAlone<T, A>
    where
        T: Record + Clone + Default,
        A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
    {
        FoldedAlone::new(add)
    }
}
