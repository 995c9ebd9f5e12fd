//! What joins make of records of two streams that belong together.

use std::marker::PhantomData;

use crate::record::Record;
use crate::state::{Few, Held};

/// What a join makes of a pair, and of a record that has none to go with.
pub trait Pairing<L: Record, R: Record>: Clone + Send + 'static {
    /// What comes out.
    type Out: Record;
    /// Whether left records without a right one give something.
    const LEFT: bool = false;
    /// Whether right records without a left one give something.
    const RIGHT: bool = false;
    /// Whether one pair of each left record is all that counts.
    const ONCE: bool = false;

    /// What a pair gives.
    fn pair(&mut self, left: L::View<'_>, right: R::View<'_>) -> Self::Out;

    /// What a left record alone gives, where [`LEFT`](Pairing::LEFT) is true.
    fn left(&mut self, left: L::View<'_>) -> Option<Self::Out> {
        let _ = left;
        None
    }

    /// What a right record alone gives, where [`RIGHT`](Pairing::RIGHT) is true.
    fn right(&mut self, right: R::View<'_>) -> Option<Self::Out> {
        let _ = right;
        None
    }

    /// What a left record gives with the one right record there is for it, if there is one.
    #[inline(always)]
    fn either(&mut self, left: L::View<'_>, right: Option<&R>) -> Option<Self::Out> {
        match right {
            Some(right) => Some(right.lend(|right| self.pair(left, right))),
            None => self.left(left),
        }
    }
}

/// A closure that makes rows of type `O`.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<F, O> {
            f: F,
            out: PhantomData<fn() -> O>,
        }

        impl<F, O> $name<F, O> {
            /// Rows made by this closure.
            pub fn new(f: F) -> Self {
                $name { f, out: PhantomData }
            }
        }

        impl<F: Clone, O> Clone for $name<F, O> {
            fn clone(&self) -> Self {
                $name::new(self.f.clone())
            }
        }
    };
}

rows! {
    /// Pairs only: the closure takes `(left, right)`.
    Inner
}
rows! {
    /// Pairs and left records without a right one: the closure takes `(left, Option<right>)`.
    LeftOuter
}
rows! {
    /// Pairs, and records of either side without another: the closure takes
    /// `(Option<left>, Option<right>)`.
    FullOuter
}
rows! {
    /// Left records that have a right one: the closure takes `left`.
    Semi
}

impl<L, R, F, O> Pairing<L, R> for Inner<F, O>
where
    L: Record,
    R: Record,
    O: Record,
    F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
{
    type Out = O;

    #[inline(always)]
    fn pair(&mut self, left: L::View<'_>, right: R::View<'_>) -> O {
        (self.f)(left, right)
    }
}

impl<L, R, F, O> Pairing<L, R> for LeftOuter<F, O>
where
    L: Record,
    R: Record,
    O: Record,
    F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = true;

    #[inline(always)]
    fn pair(&mut self, left: L::View<'_>, right: R::View<'_>) -> O {
        (self.f)(left, Some(right))
    }
    fn left(&mut self, left: L::View<'_>) -> Option<O> {
        Some((self.f)(left, None))
    }
}

impl<L, R, F, O> Pairing<L, R> for FullOuter<F, O>
where
    L: Record,
    R: Record,
    O: Record,
    F: FnMut(Option<L::View<'_>>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = true;
    const RIGHT: bool = true;

    #[inline(always)]
    fn pair(&mut self, left: L::View<'_>, right: R::View<'_>) -> O {
        (self.f)(Some(left), Some(right))
    }
    fn left(&mut self, left: L::View<'_>) -> Option<O> {
        Some((self.f)(Some(left), None))
    }
    fn right(&mut self, right: R::View<'_>) -> Option<O> {
        Some((self.f)(None, Some(right)))
    }
}

impl<L, R, F, O> Pairing<L, R> for Semi<F, O>
where
    L: Record,
    R: Record,
    O: Record,
    F: FnMut(L::View<'_>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const ONCE: bool = true;

    #[inline(always)]
    fn pair(&mut self, left: L::View<'_>, _: R::View<'_>) -> O {
        (self.f)(left)
    }
}

/// What is kept of a key, by the stream that it came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sides<A, B> {
    /// Of the left stream.
    pub left: A,
    /// Of the right stream.
    pub right: B,
}

impl<A: Held, B: Held> Held for Sides<A, B> {
    type As = (A::As, B::As);
    fn lend_as<T>(&self, look: impl FnOnce(<Self::As as Record>::View<'_>) -> T) -> T {
        let Sides { left, right } = self;
        left.lend_as(|left| {
            right.lend_as(|right| look((A::As::shorten(left), B::As::shorten(right))))
        })
    }
    fn own_as((left, right): <(A::As, B::As) as Record>::View<'_>) -> Self {
        Sides { left: A::own_as(left), right: B::own_as(right) }
    }
}

/// What is kept of a side's records.
pub trait Keep<R: Record>: Held + Default + Send + 'static {
    /// What can be read again.
    type Kept: Record;

    /// Keeps a record.
    fn keep(&mut self, record: R::View<'_>);
    /// Keeps what has been kept before.
    fn keep_again(&mut self, kept: <Self::Kept as Record>::View<'_>);
    /// Keeps what another has kept, after its own.
    fn append(&mut self, other: Self);
    /// What has been kept.
    fn kept(&self) -> impl Iterator<Item = &Self::Kept>;
}

impl<R: Record> Keep<R> for Few<R> {
    type Kept = R;

    #[inline(always)]
    fn keep(&mut self, record: R::View<'_>) {
        self.push(R::own(record));
    }
    fn keep_again(&mut self, kept: R::View<'_>) {
        self.push(R::own(kept));
    }
    fn append(&mut self, other: Self) {
        Few::append(self, other);
    }
    fn kept(&self) -> impl Iterator<Item = &R> {
        self.iter()
    }
}

/// Keeps only that there was a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen(bool);

impl Held for Seen {
    type As = bool;
    fn lend_as<T>(&self, look: impl FnOnce(bool) -> T) -> T {
        look(self.0)
    }
    fn own_as(seen: bool) -> Self {
        Seen(seen)
    }
}

impl<R: Record> Keep<R> for Seen {
    type Kept = ();

    #[inline(always)]
    fn keep(&mut self, _: R::View<'_>) {
        self.0 = true;
    }
    fn keep_again(&mut self, (): ()) {
        self.0 = true;
    }
    fn append(&mut self, other: Self) {
        self.0 |= other.0;
    }
    fn kept(&self) -> impl Iterator<Item = &()> {
        self.0.then_some(&()).into_iter()
    }
}
