//! Counts, sums, means, variances.

use std::marker::PhantomData;

use super::Aggregate;
use crate::record::Record;
use crate::time::Timestamp;

/// Counts records; made by [`Aggregates::count`](super::Aggregates::count).
#[derive(Clone, Copy, Debug)]
pub struct Count;

impl<R: Record> Aggregate<R> for Count {
    type Acc = u64;
    type Out = u64;
    const INVERTS: bool = true;

    #[inline(always)]
    fn start(&self, _: Timestamp, _: R::View<'_>) -> u64 {
        1
    }
    #[inline(always)]
    fn add(&self, acc: &mut u64, _: Timestamp, _: R::View<'_>) {
        *acc += 1;
    }
    #[inline(always)]
    fn merge(&self, acc: &mut u64, other: &u64) {
        *acc += other;
    }
    #[inline(always)]
    fn subtract(&self, acc: &mut u64, other: &u64) {
        *acc -= other;
    }
    fn name(&self) -> String {
        "count".into()
    }
    #[inline(always)]
    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// A number that can be summed, and what it is summed in.
///
/// In an archived record a number is rkyv's own; `.to_native()` makes one of it that is summed:
///
/// ```
/// use thalweg::operator::Aggregates;
/// use thalweg::prelude::*;
///
/// record! { struct Trip { zone: String, fare: u64 } }
/// let sum = |trips: &Aggregates<Trip>| trips.sum(|trip| trip.fare.to_native());
/// # let _ = sum;
/// ```
///
/// Without it the compiler says so:
///
/// ```compile_fail,E0277
/// # use thalweg::operator::Aggregates;
/// # use thalweg::prelude::*;
/// # record! { struct Trip { zone: String, fare: u64 } }
/// let sum = |trips: &Aggregates<Trip>| trips.sum(|trip| trip.fare);
/// # let _ = sum;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be summed",
    label = "neither a whole number nor an `f64`",
    note = "a number in an archived record is rkyv's own (`u64_le`); sum its `.to_native()`",
    note = "an `f32` must become an `f64` first: `f64::from(x)`"
)]
pub trait Summable: 'static {
    /// The type of the sum.
    type Total: Record + Clone;
    /// Whether taking away undoes adding exactly.
    const EXACT: bool;
    /// This number as a sum.
    fn total(self) -> Self::Total;
    /// Adds.
    fn add(total: &mut Self::Total, other: &Self::Total);
    /// Takes away.
    fn subtract(total: &mut Self::Total, other: &Self::Total);
}

macro_rules! summable {
    ($($type:ty => $total:ty;)*) => {$(
        impl Summable for $type {
            type Total = $total;
            const EXACT: bool = true;
            #[inline(always)]
            fn total(self) -> $total {
                self.into()
            }
            #[inline(always)]
            fn add(total: &mut $total, other: &$total) {
                *total = total.wrapping_add(*other);
            }
            #[inline(always)]
            fn subtract(total: &mut $total, other: &$total) {
                *total = total.wrapping_sub(*other);
            }
        }
    )*};
}

summable! {
    u8 => u64; u16 => u64; u32 => u64; u64 => u64; u128 => u128;
    i8 => i64; i16 => i64; i32 => i64; i64 => i64; i128 => i128;
}

impl Summable for f64 {
    type Total = f64;
    const EXACT: bool = false;
    #[inline(always)]
    fn total(self) -> f64 {
        self
    }
    #[inline(always)]
    fn add(total: &mut f64, other: &f64) {
        *total += other;
    }
    #[inline(always)]
    fn subtract(total: &mut f64, other: &f64) {
        *total -= other;
    }
}

/// Sums what a closure gives; made by [`Aggregates::sum`](super::Aggregates::sum).
pub struct Sum<F, T> {
    f: F,
    number: PhantomData<fn() -> T>,
}

impl<F, T> Sum<F, T> {
    pub(super) fn new(f: F) -> Self {
        Sum { f, number: PhantomData }
    }
}

impl<F: Clone, T> Clone for Sum<F, T> {
    fn clone(&self) -> Self {
        Sum::new(self.f.clone())
    }
}

impl<R, T, F> Aggregate<R> for Sum<F, T>
where
    R: Record,
    T: Summable,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = T::Total;
    type Out = T::Total;
    const INVERTS: bool = T::EXACT;

    #[inline(always)]
    fn start(&self, _: Timestamp, record: R::View<'_>) -> T::Total {
        (self.f)(record).total()
    }
    #[inline(always)]
    fn add(&self, acc: &mut T::Total, _: Timestamp, record: R::View<'_>) {
        T::add(acc, &(self.f)(record).total());
    }
    #[inline(always)]
    fn merge(&self, acc: &mut T::Total, other: &T::Total) {
        T::add(acc, other);
    }
    #[inline(always)]
    fn subtract(&self, acc: &mut T::Total, other: &T::Total) {
        T::subtract(acc, other);
    }
    fn name(&self) -> String {
        "sum".into()
    }
    fn result(&self, acc: &T::Total) -> T::Total {
        acc.clone()
    }
}

/// The mean of what a closure gives; made by [`Aggregates::mean`](super::Aggregates::mean).
#[derive(Clone)]
pub struct Mean<F> {
    f: F,
}

impl<F> Mean<F> {
    pub(super) fn new(f: F) -> Self {
        Mean { f }
    }
}

impl<R, F> Aggregate<R> for Mean<F>
where
    R: Record,
    F: Fn(R::View<'_>) -> f64 + Clone + Send + 'static,
{
    type Acc = (u64, f64);
    type Out = f64;

    #[inline(always)]
    fn start(&self, _: Timestamp, record: R::View<'_>) -> (u64, f64) {
        (1, (self.f)(record))
    }
    #[inline(always)]
    fn add(&self, acc: &mut (u64, f64), _: Timestamp, record: R::View<'_>) {
        acc.0 += 1;
        acc.1 += (self.f)(record);
    }
    #[inline(always)]
    fn merge(&self, acc: &mut (u64, f64), other: &(u64, f64)) {
        acc.0 += other.0;
        acc.1 += other.1;
    }
    fn name(&self) -> String {
        "mean".into()
    }
    fn result(&self, acc: &(u64, f64)) -> f64 {
        acc.1 / acc.0 as f64
    }
}

/// The population variance of what a closure gives: Welford's update, merged as by Chan, Golub
/// and LeVeque, "Updating Formulae and a Pairwise Algorithm" (1979).
#[derive(Clone)]
pub struct Variance<F> {
    f: F,
}

impl<F> Variance<F> {
    pub(super) fn new(f: F) -> Self {
        Variance { f }
    }
}

impl<R, F> Aggregate<R> for Variance<F>
where
    R: Record,
    F: Fn(R::View<'_>) -> f64 + Clone + Send + 'static,
{
    /// Number, mean, sum of squared distances from the mean.
    type Acc = (u64, f64, f64);
    type Out = f64;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> (u64, f64, f64) {
        (1, (self.f)(record), 0.0)
    }
    fn add(&self, acc: &mut (u64, f64, f64), _: Timestamp, record: R::View<'_>) {
        let x = (self.f)(record);
        let from = x - acc.1;
        acc.0 += 1;
        acc.1 += from / acc.0 as f64;
        acc.2 += from * (x - acc.1);
    }
    fn merge(&self, acc: &mut (u64, f64, f64), other: &(u64, f64, f64)) {
        let (n, m) = (acc.0 as f64, other.0 as f64);
        let from = other.1 - acc.1;
        acc.0 += other.0;
        acc.1 += from * m / (n + m);
        acc.2 += other.2 + from * from * n * m / (n + m);
    }
    fn name(&self) -> String {
        "variance".into()
    }
    fn result(&self, acc: &(u64, f64, f64)) -> f64 {
        acc.2 / acc.0 as f64
    }
}
