//! How an operator gets the key of a record.

use std::borrow::Borrow;
use std::marker::PhantomData;

use crate::key;
use crate::record::{Key, Record, ToKey};

/// Takes the key out of a record: computed, or borrowed and copied only when it must be kept.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not give keys of `{R}`",
    label = "not a key of these records",
    note = "`key_by(|bid| bid.auction)` and `key_by_ref(|line| line)` make keys of closures"
)]
pub trait KeyOf<R: Record>: Clone + Send + 'static {
    /// The key that is kept.
    type Key: Key;
    /// What is looked up with.
    type Part<'a>;

    /// The record's key.
    fn part<'a>(&self, record: R::View<'a>) -> Self::Part<'a>;
    /// Its hash, the same as the kept key's.
    fn hash(part: &Self::Part<'_>) -> u64;
    /// Whether it is this kept key.
    fn is(part: &Self::Part<'_>, key: &Self::Key) -> bool;
    /// The key to keep.
    fn own(part: Self::Part<'_>) -> Self::Key;
}

/// A key that a closure computes.
pub struct ByValue<F, K> {
    f: F,
    key: PhantomData<fn() -> K>,
}

impl<F, K> ByValue<F, K> {
    /// Keys by what `f` gives.
    pub fn new(f: F) -> Self {
        ByValue { f, key: PhantomData }
    }
}

impl<F: Clone, K> Clone for ByValue<F, K> {
    fn clone(&self) -> Self {
        ByValue::new(self.f.clone())
    }
}

impl<R, K, F> KeyOf<R> for ByValue<F, K>
where
    R: Record,
    K: Key,
    F: Fn(R::View<'_>) -> K + Clone + Send + 'static,
{
    type Key = K;
    type Part<'a> = K;

    #[inline(always)]
    fn part<'a>(&self, record: R::View<'a>) -> Self::Part<'a> {
        (self.f)(record)
    }
    #[inline(always)]
    fn hash(part: &K) -> u64 {
        key::hash(part)
    }
    #[inline(always)]
    fn is(part: &K, key: &K) -> bool {
        part == key
    }
    #[inline(always)]
    fn own(part: K) -> K {
        part
    }
}

/// A closure that borrows a part of a record: `Fn(R::View<'a>) -> &'a Q`.
pub trait Borrows<'a, R: Record, Q: ?Sized + 'a>: Fn(R::View<'a>) -> &'a Q {}

impl<'a, R: Record, Q: ?Sized + 'a, F: Fn(R::View<'a>) -> &'a Q> Borrows<'a, R, Q> for F {}

/// A key that a closure borrows from the record.
pub struct ByRef<F, Q: ?Sized> {
    f: F,
    key: PhantomData<fn() -> Q>,
}

impl<F, Q: ?Sized> ByRef<F, Q> {
    /// Keys by what `f` borrows.
    pub fn new(f: F) -> Self {
        ByRef { f, key: PhantomData }
    }
}

impl<F: Clone, Q: ?Sized> Clone for ByRef<F, Q> {
    fn clone(&self) -> Self {
        ByRef::new(self.f.clone())
    }
}

impl<R, Q, F> KeyOf<R> for ByRef<F, Q>
where
    R: Record,
    Q: ToKey + ?Sized + 'static,
    F: for<'a> Borrows<'a, R, Q> + Clone + Send + 'static,
{
    type Key = Q::Key;
    type Part<'a> = &'a Q;

    #[inline(always)]
    fn part<'a>(&self, record: R::View<'a>) -> &'a Q {
        (self.f)(record)
    }
    #[inline(always)]
    fn hash(part: &&Q) -> u64 {
        key::hash(*part)
    }
    #[inline(always)]
    fn is(part: &&Q, key: &Q::Key) -> bool {
        *part == key.borrow()
    }
    #[inline(always)]
    fn own(part: &Q) -> Q::Key {
        part.to_key()
    }
}
