//! [`Stream`]: the fluent chain.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use super::{Keyed, Windowed, local};
use crate::error::Error;
use crate::operator::{
    Borrows, ByRef, ByValue, Chain, Emit, EventTime, Filter, FilterMap, FlatMap, Identity, Inspect,
    KeyOf, Map, Sink, Written,
};
use crate::plan::{Flow, Origin, Plan, Site, Step};
use crate::record::{Key, Record, ToKey};
use crate::time::Timestamp;
use crate::window::Windows;

/// An unbounded sequence of records of type `R`.
///
/// `C` is the chain of closures since the last source, exchange or stateful operator; they are
/// compiled into one loop. Write `Stream<Bid, impl Chain<Out = Bid>>` in a function's signature,
/// or end the chain with [`Stream::settle`] to get a plain `Stream<Bid>`.
///
/// A clone is another consumer of the same records. The closures of the chain so far run once for
/// each clone; `settle` before cloning makes them run once.
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

    /// Names the next operator in messages and metrics.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a step that takes this stream; gives its output.
    pub(super) fn step(&self, kind: &str, flow: Flow) -> Origin {
        let name = self.name.clone().unwrap_or_else(|| kind.to_owned());
        let step = Step { name, inputs: vec![self.from], flow };
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
    pub fn filter<F>(self, f: F) -> Stream<R, Filter<C, F>>
    where
        F: FnMut(R::View<'_>) -> bool + Clone + Send + 'static,
    {
        self.chained(|chain| Filter { chain, f })
    }

    /// What `f` makes of the records for which it makes something.
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

    /// Looks at every record as it passes.
    pub fn inspect<F>(self, f: F) -> Stream<R, Inspect<C, F>>
    where
        F: FnMut(R::View<'_>) + Clone + Send + 'static,
    {
        self.chained(|chain| Inspect { chain, f })
    }

    /// Says when a record happened. Records may come up to `disorder` after newer ones of the
    /// same split; the watermark stays so far behind the newest. What comes later still is late.
    pub fn event_time<F>(self, f: F, disorder: Duration) -> Stream<R, EventTime<C, F>>
    where
        F: FnMut(R::View<'_>) -> Timestamp + Clone + Send + 'static,
    {
        self.chained(|chain| EventTime::new(chain, f, disorder))
    }

    /// Partitions by a key that `f` computes; the operators that follow keep state for each key.
    pub fn key_by<K, F>(self, f: F) -> Keyed<R, C, ByValue<F, K>>
    where
        K: Key,
        F: Fn(R::View<'_>) -> K + Clone + Send + 'static,
    {
        Keyed { stream: self, by: ByValue::new(f) }
    }

    /// Partitions by a key that is borrowed from the record: `key_by_ref(|word| word)`. Only a
    /// key that is kept is copied.
    pub fn key_by_ref<Q, F>(self, f: F) -> Keyed<R, C, ByRef<F, Q>>
    where
        Q: ToKey + ?Sized + 'static,
        F: for<'a> Borrows<'a, R, Q> + Clone + Send + 'static,
    {
        Keyed { stream: self, by: ByRef::new(f) }
    }

    /// Cuts the whole stream into windows of event time. Each shard aggregates what it reads;
    /// their partial results meet on one shard when a window closes.
    pub fn window<W: Windows>(self, windows: W) -> Windowed<R, C, impl KeyOf<R, Key = ()>, W> {
        self.key_by(|_| ()).window(windows)
    }

    /// Ends the stream in a sink.
    ///
    /// An opening error of the sink ends the job before the first record flows.
    pub fn sink<S: Sink<R>>(self, mut sink: S) {
        let kind = format!("sink {}", sink.name());
        let stage = move |site: &Site<'_>| {
            let writer = sink.open(site.seat.shard, site.seat.shards)?;
            Ok::<_, Error>(Written::<R, S::Writer>::new(writer))
        };
        let name = self.label(&kind);
        let flow = Flow::Local(local(self.chain, stage));
        self.plan.borrow_mut().add_sink(Step { name, inputs: vec![self.from], flow });
    }
}
