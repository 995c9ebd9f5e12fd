//! The least, the greatest, the first, the last.

use std::marker::PhantomData;

use super::Aggregate;
use crate::record::Record;
use crate::time::Timestamp;

/// Declares an aggregate that holds a closure `F` and mentions some types.
macro_rules! described {
    ($(#[$doc:meta])* $name:ident<F $(, $type:ident)* $(; const $flag:ident)?>) => {
        $(#[$doc])*
        pub struct $name<F $(, $type)* $(, const $flag: bool)?> {
            f: F,
            types: PhantomData<fn() -> ($($type,)*)>,
        }

        impl<F $(, $type)* $(, const $flag: bool)?> $name<F $(, $type)* $(, $flag)?> {
            pub(super) fn new(f: F) -> Self {
                $name { f, types: PhantomData }
            }
        }

        impl<F: Clone $(, $type)* $(, const $flag: bool)?> Clone
            for $name<F $(, $type)* $(, $flag)?>
        {
            fn clone(&self) -> Self {
                $name::new(self.f.clone())
            }
        }
    };
}
pub(super) use described;

/// Whether `new` takes the place of `old`.
#[inline(always)]
fn beats<T: PartialOrd, const MAX: bool>(new: &T, old: &T) -> bool {
    if MAX { new > old } else { new < old }
}

described! {
    /// The least or greatest of what a closure gives.
    Extreme<F, T; const MAX>
}

impl<R, T, F, const MAX: bool> Aggregate<R> for Extreme<F, T, MAX>
where
    R: Record,
    T: Record + Clone + PartialOrd,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = T;
    type Out = T;

    #[inline(always)]
    fn start(&self, _: Timestamp, record: R::View<'_>) -> T {
        (self.f)(record)
    }
    #[inline(always)]
    fn add(&self, acc: &mut T, _: Timestamp, record: R::View<'_>) {
        let new = (self.f)(record);
        if beats::<T, MAX>(&new, acc) {
            *acc = new;
        }
    }
    #[inline(always)]
    fn merge(&self, acc: &mut T, other: &T) {
        if beats::<T, MAX>(other, acc) {
            acc.clone_from(other);
        }
    }
    fn name(&self) -> String {
        (if MAX { "max" } else { "min" }).into()
    }
    fn result(&self, acc: &T) -> T {
        acc.clone()
    }
}

described! {
    /// What a closure gives for the first or last record by event time.
    ByTime<F, T; const LAST>
}

impl<R, T, F, const LAST: bool> Aggregate<R> for ByTime<F, T, LAST>
where
    R: Record,
    T: Record + Clone + PartialOrd,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = (Timestamp, T);
    type Out = T;

    fn start(&self, at: Timestamp, record: R::View<'_>) -> (Timestamp, T) {
        (at, (self.f)(record))
    }
    #[inline]
    fn add(&self, acc: &mut (Timestamp, T), at: Timestamp, record: R::View<'_>) {
        if at == acc.0 || beats::<_, LAST>(&at, &acc.0) {
            self.merge_one(acc, at, &(self.f)(record));
        }
    }
    fn merge(&self, acc: &mut (Timestamp, T), other: &(Timestamp, T)) {
        self.merge_one(acc, other.0, &other.1);
    }
    fn name(&self) -> String {
        (if LAST { "last" } else { "first" }).into()
    }
    fn result(&self, acc: &(Timestamp, T)) -> T {
        acc.1.clone()
    }
}

impl<F, T: Clone + PartialOrd, const LAST: bool> ByTime<F, T, LAST> {
    fn merge_one(&self, acc: &mut (Timestamp, T), at: Timestamp, value: &T) {
        let tie = at == acc.0 && beats::<T, LAST>(value, &acc.1);
        if tie || beats::<_, LAST>(&at, &acc.0) {
            *acc = (at, value.clone());
        }
    }
}

described! {
    /// The record for which a closure gives the least or greatest.
    ExtremeBy<F, R, T; const MAX>
}

impl<R, T, F, const MAX: bool> Aggregate<R> for ExtremeBy<F, R, T, MAX>
where
    R: Record + Clone,
    T: Record + Clone + PartialOrd,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = (T, R);
    type Out = R;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> (T, R) {
        ((self.f)(record), R::own(record))
    }
    #[inline]
    fn add(&self, acc: &mut (T, R), _: Timestamp, record: R::View<'_>) {
        let new = (self.f)(record);
        if beats::<T, MAX>(&new, &acc.0) {
            *acc = (new, R::own(record));
        }
    }
    fn merge(&self, acc: &mut (T, R), other: &(T, R)) {
        if beats::<T, MAX>(&other.0, &acc.0) {
            acc.clone_from(other);
        }
    }
    fn name(&self) -> String {
        (if MAX { "max by" } else { "min by" }).into()
    }
    fn result(&self, acc: &(T, R)) -> R {
        acc.1.clone()
    }
}

described! {
    /// All records for which a closure gives the greatest.
    Ties<F, R, T>
}

impl<R, T, F> Aggregate<R> for Ties<F, R, T>
where
    R: Record + Clone,
    T: Record + Clone + PartialOrd,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = (T, Vec<R>);
    type Out = Vec<R>;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> (T, Vec<R>) {
        ((self.f)(record), vec![R::own(record)])
    }
    #[inline(always)]
    fn add(&self, acc: &mut (T, Vec<R>), _: Timestamp, record: R::View<'_>) {
        let new = (self.f)(record);
        if new < acc.0 {
            return;
        }
        if new > acc.0 {
            acc.0 = new;
            acc.1.clear();
        }
        acc.1.push(R::own(record));
    }
    fn merge(&self, acc: &mut (T, Vec<R>), other: &(T, Vec<R>)) {
        if other.0 > acc.0 {
            acc.clone_from(other);
        } else if other.0 == acc.0 {
            acc.1.extend_from_slice(&other.1);
        }
    }
    fn name(&self) -> String {
        "all max by".into()
    }
    fn result(&self, acc: &(T, Vec<R>)) -> Vec<R> {
        acc.1.clone()
    }
}
