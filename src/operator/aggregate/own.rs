//! Aggregates of the user's own.

use std::marker::PhantomData;

use super::Aggregate;
use crate::record::Record;
use crate::time::Timestamp;

/// The user's own aggregate, with merge.
pub struct Folded<T, A, M> {
    add: A,
    merge: M,
    acc: PhantomData<fn() -> T>,
}

impl<T, A, M> Folded<T, A, M> {
    pub(super) fn new(add: A, merge: M) -> Self {
        Folded { add, merge, acc: PhantomData }
    }
}

impl<T, A: Clone, M: Clone> Clone for Folded<T, A, M> {
    fn clone(&self) -> Self {
        Folded::new(self.add.clone(), self.merge.clone())
    }
}

impl<R, T, A, M> Aggregate<R> for Folded<T, A, M>
where
    R: Record,
    T: Record + Clone + Default,
    A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
    M: Fn(&mut T, &T) + Clone + Send + 'static,
{
    type Acc = T;
    type Out = T;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> T {
        let mut acc = T::default();
        (self.add)(&mut acc, record);
        acc
    }
    fn add(&self, acc: &mut T, _: Timestamp, record: R::View<'_>) {
        (self.add)(acc, record);
    }
    fn merge(&self, acc: &mut T, other: &T) {
        (self.merge)(acc, other);
    }
    fn name(&self) -> String {
        "fold".into()
    }
    fn result(&self, acc: &T) -> T {
        acc.clone()
    }
}

/// The user's own aggregate, without merge.
pub struct FoldedAlone<T, A> {
    add: A,
    acc: PhantomData<fn() -> T>,
}

impl<T, A> FoldedAlone<T, A> {
    pub(super) fn new(add: A) -> Self {
        FoldedAlone { add, acc: PhantomData }
    }
}

impl<T, A: Clone> Clone for FoldedAlone<T, A> {
    fn clone(&self) -> Self {
        FoldedAlone::new(self.add.clone())
    }
}

impl<R, T, A> Aggregate<R> for FoldedAlone<T, A>
where
    R: Record,
    T: Record + Clone + Default,
    A: Fn(&mut T, R::View<'_>) + Clone + Send + 'static,
{
    type Acc = T;
    type Out = T;
    const MERGES: bool = false;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> T {
        let mut acc = T::default();
        (self.add)(&mut acc, record);
        acc
    }
    fn add(&self, acc: &mut T, _: Timestamp, record: R::View<'_>) {
        (self.add)(acc, record);
    }
    fn merge(&self, _: &mut T, _: &T) {
        unreachable!("an aggregate without merge is never merged");
    }
    fn name(&self) -> String {
        "fold alone".into()
    }
    fn result(&self, acc: &T) -> T {
        acc.clone()
    }
}
