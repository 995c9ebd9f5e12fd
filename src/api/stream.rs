//! [`Stream`]: the fluent chain.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::{Keyed, Windowed};
use crate::error::Result;
use crate::operator::{
    Borrows, ByRef, ByValue, Chain, Counts, Emit, EventTime, Filter, FilterMap, FlatMap, Fused,
    Guarantee, Identity, Inspect, KeyOf, Map, Operator, Sink, Written,
};
use crate::plan::{Ending, Flow, Input, Origin, Plan, Site, Step, Times};
use crate::record::{Key, Record, ToKey};
use crate::time::Timestamp;
use crate::window::Windows;

/// An unbounded sequence of records of type `R`.
///
/// `C` is the chain of closures since the last source, exchange or stateful operator; they are
/// compiled into one loop.
///
/// A clone is another consumer of the same records. The closures of the chain so far run once for
/// each clone; `settle` before cloning makes them run once.
///
/// # In the signature of a function
///
/// [`Stream::settle`] ends the chain and gives a plain `Stream<Bid>`, as does every operator that
/// keeps state. Without it the type of the chain must be hidden: `Stream<Bid, impl Chain<Out =
/// Bid>>`. From the edition of 2024 on such a type is taken to borrow every argument of the
/// function, and `job.run()`, which takes the job, does not compile while the stream is alive.
/// Add `+ use<>` to say that it borrows nothing (and, where the function has type parameters, name
/// those between the brackets):
///
/// ```
/// use thalweg::prelude::*;
///
/// fn settled(job: &Job) -> Stream<u64> {
///     job.source(Counter::to(4)).map(|n| n * 10).settle()
/// }
///
/// fn hidden(job: &Job) -> Stream<u64, impl Chain<Out = u64> + use<>> {
///     job.source(Counter::to(4)).map(|n| n + 1)
/// }
///
/// fn tripled<C: Chain<Out = u64>>(ns: Stream<u64, C>) -> Stream<u64, impl Chain<Out = u64>> {
///     ns.map(|n| n * 3) // takes the stream itself: nothing is borrowed
/// }
///
/// let job = Job::new("functions");
/// let (sink, results) = Collect::new();
/// let numbers = settled(&job).union(tripled(hidden(&job)));
/// numbers.sink(sink);
/// job.run()?;
/// assert_eq!(results.sorted(), [0, 3, 6, 9, 10, 12, 20, 30]);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Stream<R: Record, C: Chain<Out = R> = Identity<R>> {
    pub(super) plan: Rc<RefCell<Plan>>,
    pub(super) from: Origin,
    pub(super) chain: C,
    name: Option<String>,
}

impl<R: Record, C: Chain<Out = R>> Clone for Stream<R, C> {
    fn clone(&self) -> Self {
        let (plan, from, chain) = (self.plan.clone(), self.from, self.chain.clone());
        Stream { plan, from, chain, name: self.name.clone() }
    }
}

impl<R: Record> Stream<R> {
    pub(super) fn at(plan: &Rc<RefCell<Plan>>, from: Origin) -> Stream<R> {
        Stream { plan: plan.clone(), from, chain: Identity::new(), name: None }
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    fn chained<O: Record, D: Chain<Out = O>>(self, link: impl FnOnce(C) -> D) -> Stream<O, D> {
        Stream { plan: self.plan, from: self.from, chain: link(self.chain), name: self.name }
    }

    /// Names the operator that comes **next**, in messages, reports and checkpoints. A sink can be
    /// named thus, too, which nothing comes after. A closure (`map`, `filter`, …) is no operator
    /// but part of the next one: the name goes on to that.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// let job = Job::new("names").shards(1);
    /// job.source(Counter::to(10))
    ///     .named("remainders") // neither the source nor the filter
    ///     .filter(|n| n > 3)
    ///     .key_by(|n| n % 3)
    ///     .aggregate_final(|ns| ns.count())
    ///     .named("results") // not the aggregate
    ///     .sink(Discard);
    /// assert_eq!(
    ///     job.explain().to_string(),
    ///     "job names, 1 shard\n\
    ///      #0 source counter to 10\n\
    ///      #1 remainders (at the end: count)\n   \
    ///         #0 → filter\n\
    ///      #2 results\n   \
    ///         #1"
    /// );
    /// ```
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a step that takes this stream and hands event times on; gives its output.
    pub(super) fn step(&self, kind: &str, flow: Flow) -> Origin {
        self.step_with(Times::Keeps, kind, String::new(), flow)
    }

    /// Adds a step that takes this stream, with what was asked of it; gives its output.
    pub(super) fn step_with(&self, times: Times, kind: &str, asked: String, flow: Flow) -> Origin {
        let inputs = vec![Input::through(self.from, &self.chain)];
        let step = Step { name: self.label(kind), asked, inputs, flow, times };
        self.plan.borrow_mut().add(step)
    }

    /// The name that was given to the next operator, or `kind`.
    pub(super) fn label(&self, kind: &str) -> String {
        self.name.clone().unwrap_or_else(|| kind.to_owned())
    }

    /// One record of every record.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(3)).map(|n| (n, n * n)).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, 0), (1, 1), (2, 4)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map<O, F>(self, f: F) -> Stream<O, Map<C, F, O>>
    where
        O: Record + Clone,
        F: FnMut(R::View<'_>) -> O + Clone + Send + 'static,
    {
        self.chained(|chain| Map { chain, f, out: PhantomData })
    }

    /// The records for which `f` is true.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(10)).filter(|n| n % 4 == 0).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 4, 8]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn filter<F>(self, f: F) -> Stream<R, Filter<C, F>>
    where
        F: FnMut(R::View<'_>) -> bool + Clone + Send + 'static,
    {
        self.chained(|chain| Filter { chain, f })
    }

    /// What `f` makes of the records for which it makes something.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let words = ["7", "seven", "70"].map(str::to_owned);
    /// job.source(Memory::of(words)).filter_map(|word| word.parse::<u64>().ok()).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [7, 70]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn filter_map<O, F>(self, f: F) -> Stream<O, FilterMap<C, F, O>>
    where
        O: Record + Clone,
        F: FnMut(R::View<'_>) -> Option<O> + Clone + Send + 'static,
    {
        self.chained(|chain| FilterMap { chain, f, out: PhantomData })
    }

    /// Any number of records of every record: `f` pushes them. A `String` is pushed as `&str`.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Memory::of(["to be".to_owned(), "or not".to_owned()]))
    ///     .flat_map(|line, out: &mut Emit<'_, String>| {
    ///         line.split(' ').for_each(|word| out.push(word));
    ///     })
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), ["be", "not", "or", "to"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn flat_map<O, F>(self, f: F) -> Stream<O, FlatMap<C, F, O>>
    where
        O: Record + Clone,
        F: FnMut(R::View<'_>, &mut Emit<'_, O>) + Clone + Send + 'static,
    {
        self.chained(|chain| FlatMap { chain, f, out: PhantomData })
    }

    /// Looks at every record as it passes, on the shard's thread. Each shard has a clone of the
    /// closure of its own.
    pub fn inspect<F>(self, f: F) -> Stream<R, Inspect<C, F>>
    where
        F: FnMut(R::View<'_>) + Clone + Send + 'static,
    {
        self.chained(|chain| Inspect { chain, f })
    }

    /// Says when a record happened. Records may be up to `disorder` older than the newest before
    /// them in the same split; the watermark stays so far behind the newest. What is older still
    /// may be late: that is for the operators that follow to say, each for itself. A window, for
    /// one, takes a record as long as the window has not ended.
    ///
    /// Say it once, before streams are united or exchanged: behind, splits can't be told apart.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Memory::of([3_u64, 1, 12]).splits(1))
    ///     .event_time(|ms| Timestamp::from_millis(ms as i64), 5.millis())
    ///     .window(Tumbling::of(10.millis()))
    ///     .aggregate(|ms| ms.count())
    ///     .map(|window| (window.start.millis(), window.value))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, 2), (10, 1)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn event_time<F>(self, f: F, disorder: Duration) -> Stream<R, EventTime<C, F>>
    where
        F: FnMut(R::View<'_>) -> Timestamp + Clone + Send + 'static,
    {
        self.chained(|chain| EventTime::new(chain, f, disorder))
    }

    /// Partitions by a key that `f` computes; the operators that follow keep state for each key.
    /// A key is any record type that has `Eq` and `Hash`: numbers, text, tuples, a `record!` that
    /// derives them. `f` may run more than once for a record and must give the same each time.
    pub fn key_by<K, F>(self, f: F) -> Keyed<R, C, ByValue<F, K>>
    where
        K: Key,
        F: Fn(R::View<'_>) -> K + Clone + Send + 'static,
    {
        Keyed { stream: self, by: ByValue::new(f) }
    }

    /// Partitions by a key that is borrowed from the record: `key_by_ref(|word| word)`. Only a
    /// key that is kept is copied: for text this is faster than [`key_by`](Stream::key_by), which
    /// would make a `String` of every record's.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let words = ["to", "be", "to"].map(str::to_owned);
    /// job.source(Memory::of(words))
    ///     .key_by_ref(|word| word)
    ///     .aggregate_final(|words| words.count())
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [("be".to_owned(), 1), ("to".to_owned(), 2)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn key_by_ref<Q, F>(self, f: F) -> Keyed<R, C, ByRef<F, Q>>
    where
        Q: ToKey + ?Sized + 'static,
        F: for<'a> Borrows<'a, R, Q> + Clone + Send + 'static,
    {
        Keyed { stream: self, by: ByRef::new(f) }
    }

    /// Cuts the whole stream into windows, without a key. Each shard aggregates what it reads, and
    /// partial results meet on one shard when a window closes. Sessions, count windows and
    /// aggregates that can't be merged have no partial results: there all records go to one shard.
    pub fn window<W: Windows>(self, windows: W) -> Windowed<R, C, impl KeyOf<R, Key = ()>, W> {
        self.key_by(|_| ()).window(windows)
    }

    /// Ends the stream in a sink, which writes on every shard what is there; `gather` before it
    /// brings all to one.
    ///
    /// What is wrong with the sink is said by [`Job::start`](crate::api::Job::start), before the
    /// first record flows.
    pub fn sink<S: Sink<R>>(self, sink: S) {
        let name = self.label(&format!("sink {}", sink.name()));
        let inputs = vec![Input::through(self.from, &self.chain)];
        let flow = Flow::Ends(Box::new(Ended { sink, chain: self.chain }));
        let (asked, times) = (String::new(), Times::Keeps);
        self.plan.borrow_mut().add(Step { name, asked, inputs, flow, times });
    }
}

/// A sink and what flows into it.
struct Ended<C, S> {
    chain: C,
    sink: S,
}

impl<C: Chain, S: Sink<C::Out>> Ending for Ended<C, S> {
    fn check(&self, shards: usize, resumes: Option<u64>) -> Result {
        self.sink.check(shards, resumes)
    }

    fn place(&self) -> Option<PathBuf> {
        self.sink.place()
    }

    fn guarantee(&self) -> Guarantee {
        self.sink.guarantee()
    }

    fn counts(&self) -> Option<Counts> {
        self.sink.counts()
    }

    fn make(&mut self, site: &Site<'_>) -> Result<Box<dyn Operator>> {
        let (shard, shards) = (site.seat.shard, site.seat.shards);
        let writer = match site.seat.resumes {
            Some(epoch) => self.sink.resume(shard, shards, epoch)?,
            None => self.sink.open(shard, shards)?,
        };
        let written = Written::<C::Out, S::Writer>::new(writer);
        Ok(Box::new(Fused::new(self.chain.clone(), written, site.lead(0))))
    }
}
