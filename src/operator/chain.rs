//! Chains: a user's closures, fused into one loop.
//!
//! A chain is a type that grows with every step, as an iterator's does, so that the compiler sees
//! all closures of a chain at once. It ends where records change shards or an operator keeps
//! state.

use std::marker::PhantomData;

use super::quiet::{all_idle, least};
use super::{Emit, SplitState};
use crate::error::Result;
use crate::record::Record;
use crate::state::{Loader, Saver};
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
    /// What changes with every record of a batch. It lies on the stack of the loop over the batch,
    /// where the compiler sees that nothing else changes it and keeps it in registers.
    type Local;
    /// Whether event time is taken from the records within this chain.
    const TIMED: bool = false;

    /// What its steps are called, in their order.
    fn closures() -> Vec<&'static str> {
        Vec::new()
    }

    /// A batch of this split begins.
    fn begin(&mut self, split: u32) -> Self::Local;

    /// Runs one record of the batch through the chain.
    fn push<P: Push<Self::Out>>(
        &mut self,
        local: &mut Self::Local,
        stamp: Stamp,
        record: <Self::In as Record>::View<'_>,
        to: &mut P,
    );

    /// What a record that is pushed later gives, if it gives anything, where that can be told
    /// without asking a closure.
    #[inline(always)]
    fn foresee<'r>(
        &self,
        record: <Self::In as Record>::View<'r>,
    ) -> Option<<Self::Out as Record>::View<'r>> {
        let _ = record;
        None
    }

    /// The batch has ended.
    fn end(&mut self, local: Self::Local);

    /// A split changed its state.
    fn split(&mut self, split: u32, state: SplitState) {
        let _ = (split, state);
    }

    /// The watermark after what was pushed so far, given the input's.
    fn watermark(&self, input: Watermark) -> Watermark {
        input
    }

    /// Whether it is silent for long, given whether its input is.
    fn is_idle(&self, input: bool) -> bool {
        input
    }

    /// Saves how far event time has come, for the step's input port `input`. What closures
    /// remember is theirs: it is not saved.
    ///
    /// # Errors
    /// That it can't be.
    fn save(&self, input: usize, to: &mut Saver) -> Result {
        let _ = (input, to);
        Ok(())
    }

    /// Takes up what was saved.
    ///
    /// # Errors
    /// What does not fit.
    fn load(&mut self, input: usize, from: &Loader<'_>) -> Result {
        let _ = (input, from);
        Ok(())
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
    type Local = ();
    fn begin(&mut self, _: u32) {}
    #[inline(always)]
    fn push<P: Push<R>>(&mut self, (): &mut (), stamp: Stamp, record: R::View<'_>, to: &mut P) {
        to.push(stamp, record);
    }
    fn foresee<'r>(&self, record: R::View<'r>) -> Option<R::View<'r>> {
        Some(record)
    }
    fn end(&mut self, (): ()) {}
}

/// A closure of the user's and what its results are pushed into: what a step hands to the chain
/// before it. Structs, because the compiler does not reliably inline closures that are passed on
/// by reference, which costs a call per record.
struct Link<'a, F, P, O> {
    f: &'a mut F,
    to: &'a mut P,
    out: PhantomData<O>,
}

/// How each kind of step pushes.
macro_rules! link {
    ($name:ident<$out:ident>($($f:tt)*) |$link:ident, $stamp:ident, $record:ident| $body:expr) => {
        struct $name<'a, F, P, O>(Link<'a, F, P, O>);

        impl<R, $out, F, P> Push<R> for $name<'_, F, P, fn() -> $out>
        where
            R: Record,
            $out: Record,
            F: $($f)*,
            P: Push<$out>,
        {
            #[inline(always)]
            fn push(&mut self, $stamp: Stamp, $record: R::View<'_>) {
                let $link = &mut self.0;
                $body
            }
        }
    };
}

link!(Mapping<O>(FnMut(R::View<'_>) -> O) |link, stamp, record| {
    (link.f)(record).lend(|made| link.to.push(stamp, made));
});
link!(FilterMapping<O>(FnMut(R::View<'_>) -> Option<O>) |link, stamp, record| {
    if let Some(made) = (link.f)(record) {
        made.lend(|made| link.to.push(stamp, made));
    }
});
link!(FlatMapping<O>(FnMut(R::View<'_>, &mut Emit<'_, O>)) |link, stamp, record| {
    (link.f)(record, &mut Emit::new(&mut |made| link.to.push(stamp, made)));
});

struct Filtering<'a, F, P>(Link<'a, F, P, fn()>);

impl<R: Record, F: FnMut(R::View<'_>) -> bool, P: Push<R>> Push<R> for Filtering<'_, F, P> {
    #[inline(always)]
    fn push(&mut self, stamp: Stamp, record: R::View<'_>) {
        if (self.0.f)(record) {
            self.0.to.push(stamp, record);
        }
    }
}

struct Inspecting<'a, F, P>(Link<'a, F, P, fn()>);

impl<R: Record, F: FnMut(R::View<'_>), P: Push<R>> Push<R> for Inspecting<'_, F, P> {
    #[inline(always)]
    fn push(&mut self, stamp: Stamp, record: R::View<'_>) {
        (self.0.f)(record);
        self.0.to.push(stamp, record);
    }
}

struct Timing<'a, F, P> {
    f: &'a mut F,
    to: &'a mut P,
    newest: &'a mut Newest,
}

impl<R: Record, F: FnMut(R::View<'_>) -> Timestamp, P: Push<R>> Push<R> for Timing<'_, F, P> {
    #[inline(always)]
    fn push(&mut self, _: Stamp, record: R::View<'_>) {
        let at = (self.f)(record);
        let mark = self.newest.mark();
        self.newest.see(at);
        self.to.push(Stamp { at, mark }, record);
    }
}

/// The newest time of a split, and the bound on its disorder.
#[derive(Clone, Copy)]
pub struct Newest {
    /// Microseconds; at least `i64::MIN` and the disorder, so that the mark can't overflow.
    at: i64,
    /// Microseconds, not negative.
    disorder: i64,
}

impl Newest {
    /// Of a split that has given nothing.
    fn none(disorder: i64) -> Newest {
        Newest { at: i64::MIN + disorder, disorder }
    }

    #[inline(always)]
    fn see(&mut self, at: Timestamp) {
        self.at = self.at.max(at.micros());
    }

    /// The watermark.
    #[inline(always)]
    fn mark(self) -> Watermark {
        Timestamp::from_micros(self.at.wrapping_sub(self.disorder))
    }
}

/// The names of the chain before, then this one.
macro_rules! closures {
    ($name:literal) => {
        fn closures() -> Vec<&'static str> {
            let mut all = C::closures();
            all.push($name);
            all
        }
    };
}

/// What a record gives is what the chain before makes of it, or less.
macro_rules! foresee {
    () => {
        #[inline(always)]
        fn foresee<'r>(
            &self,
            record: <C::In as Record>::View<'r>,
        ) -> Option<<C::Out as Record>::View<'r>> {
            self.chain.foresee(record)
        }
    };
}

/// Hands what a chain is told on to the chain before it.
macro_rules! forward {
    ($name:literal) => {
        type Local = C::Local;
        const TIMED: bool = C::TIMED;
        closures!($name);
        fn begin(&mut self, split: u32) -> C::Local {
            self.chain.begin(split)
        }
        fn end(&mut self, local: C::Local) {
            self.chain.end(local);
        }
        fn split(&mut self, split: u32, state: SplitState) {
            self.chain.split(split, state);
        }
        fn watermark(&self, input: Watermark) -> Watermark {
            self.chain.watermark(input)
        }
        fn is_idle(&self, input: bool) -> bool {
            self.chain.is_idle(input)
        }
        fn save(&self, input: usize, to: &mut Saver) -> Result {
            self.chain.save(input, to)
        }
        fn load(&mut self, input: usize, from: &Loader<'_>) -> Result {
            self.chain.load(input, from)
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
    forward!("map");
    #[inline(always)]
    fn push<P: Push<O>>(
        &mut self,
        local: &mut C::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let mut link = Mapping(Link { f: &mut self.f, to, out: PhantomData::<fn() -> O> });
        self.chain.push(local, stamp, record, &mut link);
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
    forward!("filter");
    foresee!();
    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        local: &mut Self::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let mut link = Filtering(Link { f: &mut self.f, to, out: PhantomData::<fn()> });
        self.chain.push(local, stamp, record, &mut link);
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
    forward!("filter_map");
    #[inline(always)]
    fn push<P: Push<O>>(
        &mut self,
        local: &mut C::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let out = PhantomData::<fn() -> O>;
        let mut link = FilterMapping(Link { f: &mut self.f, to, out });
        self.chain.push(local, stamp, record, &mut link);
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
    forward!("flat_map");
    #[inline(always)]
    fn push<P: Push<O>>(
        &mut self,
        local: &mut C::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let mut link = FlatMapping(Link { f: &mut self.f, to, out: PhantomData::<fn() -> O> });
        self.chain.push(local, stamp, record, &mut link);
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
    forward!("inspect");
    foresee!();
    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        local: &mut Self::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let mut link = Inspecting(Link { f: &mut self.f, to, out: PhantomData::<fn()> });
        self.chain.push(local, stamp, record, &mut link);
    }
}

/// What is kept of a split: its number, whether nothing was heard of it since the job went on, and
/// its newest time.
type Mark = (u32, bool, Timestamp);

/// A chain, then a closure that says when a record happened, and the watermarks that follow from
/// it: for each split the newest time seen less the bound on disorder, and of the splits that are
/// neither idle nor ended the least.
#[derive(Clone)]
pub struct EventTime<C, F> {
    chain: C,
    f: F,
    disorder: i64,
    /// The split that was read last.
    current: usize,
    /// No state: nothing was heard of the split, other than from a checkpoint.
    splits: Vec<(Newest, Option<SplitState>)>,
}

impl<C, F> EventTime<C, F> {
    /// Takes event times from `f`; records may come up to `disorder` after newer ones.
    pub fn new(chain: C, f: F, disorder: std::time::Duration) -> Self {
        let (disorder, current, splits) = (span(disorder), 0, Vec::new());
        EventTime { chain, f, disorder, current, splits }
    }

    /// The watermark of each split, and whether it is idle.
    fn marks(&self) -> impl Iterator<Item = (Watermark, bool)> {
        self.splits.iter().map(|(newest, state)| match state {
            Some(SplitState::Active) => (newest.mark(), false),
            Some(SplitState::Idle) => (newest.mark(), true),
            Some(SplitState::Ended) | None => (Timestamp::MAX, false),
        })
    }

    fn grow(&mut self, split: usize) {
        if split >= self.splits.len() {
            self.splits.resize(split + 1, (Newest::none(self.disorder), None));
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
    type Local = (C::Local, Newest);
    const TIMED: bool = true;
    closures!("event_time");
    foresee!();

    #[inline(always)]
    fn push<P: Push<C::Out>>(
        &mut self,
        local: &mut Self::Local,
        stamp: Stamp,
        record: <C::In as Record>::View<'_>,
        to: &mut P,
    ) {
        let (before, newest) = local;
        let mut link = Timing { f: &mut self.f, to, newest };
        self.chain.push(before, stamp, record, &mut link);
    }

    fn begin(&mut self, split: u32) -> Self::Local {
        let before = self.chain.begin(split);
        self.current = split as usize;
        self.grow(self.current);
        let (newest, state) = &mut self.splits[self.current];
        *state = Some(SplitState::Active);
        (before, *newest)
    }

    fn end(&mut self, (before, newest): Self::Local) {
        self.chain.end(before);
        self.splits[self.current].0 = newest;
    }

    fn split(&mut self, split: u32, state: SplitState) {
        self.chain.split(split, state);
        self.grow(split as usize);
        self.splits[split as usize].1 = Some(state);
    }

    fn watermark(&self, input: Watermark) -> Watermark {
        if input == Timestamp::MAX {
            return input;
        }
        let heard = self.splits.iter().any(|(_, state)| state.is_some());
        if heard { least(self.marks()) } else { Timestamp::MIN }
    }

    fn is_idle(&self, input: bool) -> bool {
        input || all_idle(self.marks())
    }

    fn save(&self, input: usize, to: &mut Saver) -> Result {
        // Of two in a chain the last one counts.
        to.part::<Mark>(format!("newest of input {input}"), |part| {
            for (split, (newest, state)) in (0_u32..).zip(&self.splits) {
                if newest.at > i64::MIN + self.disorder {
                    part.put((split, state.is_none(), Timestamp::from_micros(newest.at)));
                }
            }
        })
    }

    fn load(&mut self, input: usize, from: &Loader<'_>) -> Result {
        let (own, same) = (from.shard(), from.were() == from.shards());
        let mut marks: Vec<(u32, u8, Timestamp)> = Vec::new();
        let part = format!("newest of input {input}");
        from.part::<Mark>(&part, |shard, _, (split, unheard, at)| {
            let own = same && shard == own;
            marks.push((split, if unheard { 2 } else { u8::from(!own) }, at));
        })?;
        // A shard of which nothing was heard may have missed what came elsewhere. Behind an
        // exchange each shard has a mark of each shard: where they are others now, the least holds
        // for all.
        marks.sort_unstable();
        marks.dedup_by_key(|(split, ..)| *split);
        for (split, _, at) in marks {
            self.grow(split as usize);
            self.splits[split as usize].0.see(at);
        }
        Ok(())
    }
}
