//! Chains: a user's closures, fused into one loop.
//!
//! A chain is a type that grows with every step, as an iterator's does, so that the compiler sees
//! all closures of a chain at once. It ends where records change shards or an operator keeps
//! state.

use std::marker::PhantomData;

use super::{Emit, SplitState};
use crate::record::Record;
use crate::time::{Timestamp, Watermark, span};

/// When a record happened, and how far event time had come when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The record's event time, [`Timestamp::MIN`] when it has none.
    pub at: Timestamp,
    /// The watermark of the record's own split just before it: it depends on nothing but the
    /// split's order, so what is late is the same for every number of shards and size of frames.
    pub mark: Watermark,
}

/// What a chain pushes its records into.
pub trait Push<R: Record> {
    /// Takes one record.
    fn push(&mut self, stamp: Stamp, record: R::View<'_>);
}

/// Closures that every shard gets its own copy of.
pub trait Chain: Clone + Send + 'static {
    /// The records it is given.
    type In: Record;
    /// The records it pushes.
    type Out: Record;
    /// Whether event time is taken from the records within this chain.
    const TIMED: bool = false;

    /// Runs one record through the chain.
    fn push<P: Push<Self::Out>>(
        &mut self,
        stamp: Stamp,
        record: <Self::In as Record>::View<'_>,
        to: &mut P,
    );

    /// The next records are of this split.
    fn begin(&mut self, split: u32) {
        let _ = split;
    }

    /// A split changed its state.
    fn split(&mut self, split: u32, state: SplitState) {
        let _ = (split, state);
    }

    /// The watermark after what was pushed so far, given the input's.
    fn watermark(&self, input: Watermark) -> Watermark {
        input
    }
}

/// The chain of no steps.
pub struct Identity<R>(PhantomData<fn() -> R>);

impl<R> Identity<R> {
    /// The chain of no steps.
    pub fn new() -> Self {
        Identity(PhantomData)
    }
}

impl<R> Default for Identity<R> {
    fn default() -> Self {
        Identity::new()
    }
}

impl<R> Clone for Identity<R> {
    fn clone(&self) -> Self {
        Identity::new()
    }
}

impl<R: Record> Chain for Identity<R> {
    type In = R;
    type Out = R;
    #[inline(always)]
    fn push<P: Push<R>>(&mut self, stamp: Stamp, record: R::View<'_>, to: &mut P) {
        to.push(stamp, record);
    }
}

/// A sink made of a closure, for the steps below.
struct With<F>(F);

impl<R: Record, F: FnMut(Stamp, R::View<'_>)> Push<R> for With<F> {
    #[inline(always)]
    fn push(&mut self, stamp: Stamp, record: R::View<'_>) {
        (self.0)(stamp, record);
    }
}

/// Hands what a chain is told on to the chain before it.
macro_rules! forward {
    () => {
        const TIMED: bool = C::TIMED;
        fn begin(&mut self, split: u32) {
            self.chain.begin(split);
        }
        fn split(&mut self, split: u32, state: SplitState) {
            self.chain.split(split, state);
        }
        fn watermark(&self, input: Watermark) -> Watermark {
            self.chain.watermark(input)
        }
    };
}

/// A chain, then a closure that makes one record of one.
#[derive(Clone)]
pub struct Map<C, F, O> {
    pub(crate) chain: C,
    pub(crate) f: F,
    pub(crate) out: PhantomData<fn() -> O>,
}

impl<C, F, O> Chain for Map<C, F, O>
where
    C: Chain,
    O: Record,
    F: FnMut(<C::Out as Record>::View<'_>) -> O + Clone + Send + 'static,
    Self: Clone,
{
    type In = C::In;
    type Out = O;
    forward!();
    #[inline(always)]
    fn push<P: Push<O>>(&mut self, stamp: Stamp, record: <C::In as Record>::View<'_>, to: &mut P) {
        let f = &mut self.f;
        let mut with = |stamp, record: <C::Out as Record>::View<'_>| {
            f(record).lend(|made| to.push(stamp, made));
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }
}

/// A chain, then a closure that keeps some records.
#[derive(Clone)]
pub struct Filter<C, F> {
    pub(crate) chain: C,
    pub(crate) f: F,
}

impl<C, F> Chain for Filter<C, F>
where
    C: Chain,
    F: FnMut(<C::Out as Record>::View<'_>) -> bool + Clone + Send + 'static,
{
    type In = C::In;
    type Out = C::Out;
    forward!();
    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let f = &mut self.f;
        let mut with = |stamp, record: <C::Out as Record>::View<'_>| {
            if f(record) {
                to.push(stamp, record);
            }
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }
}

/// A chain, then a closure that makes at most one record of one.
#[derive(Clone)]
pub struct FilterMap<C, F, O> {
    pub(crate) chain: C,
    pub(crate) f: F,
    pub(crate) out: PhantomData<fn() -> O>,
}

impl<C, F, O> Chain for FilterMap<C, F, O>
where
    C: Chain,
    O: Record,
    F: FnMut(<C::Out as Record>::View<'_>) -> Option<O> + Clone + Send + 'static,
    Self: Clone,
{
    type In = C::In;
    type Out = O;
    forward!();
    #[inline(always)]
    fn push<P: Push<O>>(&mut self, stamp: Stamp, record: <C::In as Record>::View<'_>, to: &mut P) {
        let f = &mut self.f;
        let mut with = |stamp, record: <C::Out as Record>::View<'_>| {
            if let Some(made) = f(record) {
                made.lend(|made| to.push(stamp, made));
            }
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }
}

/// A chain, then a closure that makes any number of records of one.
#[derive(Clone)]
pub struct FlatMap<C, F, O> {
    pub(crate) chain: C,
    pub(crate) f: F,
    pub(crate) out: PhantomData<fn() -> O>,
}

impl<C, F, O> Chain for FlatMap<C, F, O>
where
    C: Chain,
    O: Record,
    F: FnMut(<C::Out as Record>::View<'_>, &mut Emit<'_, O>) + Clone + Send + 'static,
    Self: Clone,
{
    type In = C::In;
    type Out = O;
    forward!();
    #[inline(always)]
    fn push<P: Push<O>>(&mut self, stamp: Stamp, record: <C::In as Record>::View<'_>, to: &mut P) {
        let f = &mut self.f;
        let mut with = |stamp, record: <C::Out as Record>::View<'_>| {
            f(record, &mut Emit::new(&mut |made| to.push(stamp, made)));
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }
}

/// A chain, then a closure that looks at every record.
#[derive(Clone)]
pub struct Inspect<C, F> {
    pub(crate) chain: C,
    pub(crate) f: F,
}

impl<C, F> Chain for Inspect<C, F>
where
    C: Chain,
    F: FnMut(<C::Out as Record>::View<'_>) + Clone + Send + 'static,
{
    type In = C::In;
    type Out = C::Out;
    forward!();
    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let f = &mut self.f;
        let mut with = |stamp, record: <C::Out as Record>::View<'_>| {
            f(record);
            to.push(stamp, record);
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }
}

/// A chain, then a closure that says when a record happened, and the watermarks that follow from
/// it: for each split the newest time seen less the bound on disorder, and of the splits that are
/// neither idle nor ended the least.
#[derive(Clone)]
pub struct EventTime<C, F> {
    chain: C,
    f: F,
    disorder: i64,
    /// The newest time of the split that is being read.
    newest: Timestamp,
    current: usize,
    splits: Vec<(Timestamp, SplitState)>,
}

impl<C, F> EventTime<C, F> {
    /// Takes event times from `f`; records may come up to `disorder` after newer ones.
    pub fn new(chain: C, f: F, disorder: std::time::Duration) -> Self {
        let (disorder, newest) = (span(disorder), Timestamp::MIN);
        EventTime { chain, f, disorder, newest, current: 0, splits: Vec::new() }
    }

    #[inline(always)]
    fn mark(newest: Timestamp, disorder: i64) -> Watermark {
        Timestamp::from_micros(newest.micros().saturating_sub(disorder))
    }

    fn grow(&mut self, split: usize) {
        if split >= self.splits.len() {
            self.splits.resize(split + 1, (Timestamp::MIN, SplitState::Ended));
        }
    }
}

impl<C, F> Chain for EventTime<C, F>
where
    C: Chain,
    F: FnMut(<C::Out as Record>::View<'_>) -> Timestamp + Clone + Send + 'static,
{
    type In = C::In;
    type Out = C::Out;
    const TIMED: bool = true;

    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let (f, newest, disorder) = (&mut self.f, &mut self.newest, self.disorder);
        let mut with = |_, record: <C::Out as Record>::View<'_>| {
            let at = f(record);
            let mark = Self::mark(*newest, disorder);
            *newest = (*newest).max(at);
            to.push(Stamp { at, mark }, record);
        };
        self.chain.push(stamp, record, &mut With(&mut with));
    }

    fn begin(&mut self, split: u32) {
        self.chain.begin(split);
        let split = split as usize;
        self.grow(split.max(self.current));
        self.splits[self.current].0 = self.newest;
        self.current = split;
        self.newest = self.splits[split].0;
        self.splits[split].1 = SplitState::Active;
    }

    fn split(&mut self, split: u32, state: SplitState) {
        self.chain.split(split, state);
        self.grow(split as usize);
        self.splits[split as usize].1 = state;
    }

    fn watermark(&self, input: Watermark) -> Watermark {
        if input == Timestamp::MAX {
            return input;
        }
        let newest = |i: usize, newest| {
            if i == self.current { self.newest } else { newest }
        };
        let of = |wanted| {
            let splits = self.splits.iter().enumerate();
            splits
                .filter(move |(_, (_, state))| *state == wanted)
                .map(|(i, &(at, _))| newest(i, at))
        };
        match (of(SplitState::Active).min(), of(SplitState::Idle).max()) {
            (Some(least), _) => Self::mark(least, self.disorder),
            (None, Some(last)) => Self::mark(last, self.disorder),
            (None, None) if self.splits.is_empty() => Timestamp::MIN,
            (None, None) => Timestamp::MAX,
        }
    }
}
