//! Operators that only pass records on: as they are, from two inputs, to one of several outputs.

use std::marker::PhantomData;

use super::fused::remembers_nothing;
use super::{Emitter, Lifecycle, Operator, Output, Stage, Stamp};
use crate::error::{Error, Kind, Result};
use crate::record::{Batch, Record};

/// Hands every batch on untouched: what stands behind the inboxes of a step that only moves
/// records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

impl Operator for Forward {
    remembers_nothing!();
    fn process(&mut self, _: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        out.dispatch(0, batch)
    }
}

/// Materialises the records of a chain, from one input port or from two.
pub struct Pass<R> {
    out: Emitter<R>,
}

impl<R: Record> Pass<R> {
    /// Passes records on.
    pub fn new() -> Self {
        Pass { out: Emitter::new(0) }
    }
}

impl<R: Record> Default for Pass<R> {
    fn default() -> Self {
        Pass::new()
    }
}

impl<R: Record> Lifecycle for Pass<R> {
    remembers_nothing!();
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.out.flush(out)
    }
}

impl<R: Record, const PORT: usize> Stage<R, PORT> for Pass<R> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        self.out.pass(stamp, record, out)
    }
}

/// A way that a record can take: its number, or its name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no way",
    label = "neither a `usize` nor a `&str`",
    note = "the closure of `route` gives the way's number or its name"
)]
pub trait Way {
    /// Its number among these names.
    fn index(&self, names: &[&'static str]) -> Option<usize>;
    /// How messages name it.
    fn said(&self) -> String;
}

impl Way for usize {
    #[inline(always)]
    fn index(&self, names: &[&'static str]) -> Option<usize> {
        (*self < names.len()).then_some(*self)
    }
    fn said(&self) -> String {
        format!("way {self}")
    }
}

impl Way for &str {
    #[inline]
    fn index(&self, names: &[&'static str]) -> Option<usize> {
        names.iter().position(|name| name == self)
    }
    fn said(&self) -> String {
        format!("way {self:?}")
    }
}

/// Passes every record on to the output port that a closure names.
pub struct Routed<R, F, W> {
    f: F,
    names: Vec<&'static str>,
    outs: Vec<Emitter<R>>,
    way: PhantomData<fn() -> W>,
}

impl<R: Record, F, W> Routed<R, F, W> {
    /// Output port `i` is the way named `names[i]`.
    pub fn new(names: &[&'static str], f: F) -> Self {
        let outs = (0..names.len()).map(Emitter::new).collect();
        Routed { f, names: names.to_vec(), outs, way: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn no_way(&self, way: &impl Way) -> Error {
        let (said, names) = (way.said(), self.names.join(", "));
        let what = format!("route gave {said}, but there are only {}: {names}", self.names.len());
        Error::new(Kind::UserCode, what)
    }
}

impl<R, F, W> Lifecycle for Routed<R, F, W>
where
    R: Record,
    F: Send + 'static,
    W: 'static,
{
    remembers_nothing!();
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.outs.iter_mut().try_for_each(|emitter| emitter.flush(out))
    }
}

impl<R, F, W> Stage<R> for Routed<R, F, W>
where
    R: Record,
    W: Way + 'static,
    F: FnMut(R::View<'_>) -> W + Send + 'static,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let way = (self.f)(record);
        match way.index(&self.names) {
            Some(index) => self.outs[index].pass(stamp, record, out),
            None => Err(self.no_way(&way)),
        }
    }
}
