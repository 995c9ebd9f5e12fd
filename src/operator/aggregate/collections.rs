//! Aggregates that keep many values.

use std::marker::PhantomData;

use super::Aggregate;
use super::extreme::described;
use crate::record::{Key, Record};
use crate::time::Timestamp;

described! {
    /// How many different values a closure gives.
    Distinct<F, T>
}

impl<R, T, F> Aggregate<R> for Distinct<F, T>
where
    R: Record,
    T: Key + Ord,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    /// The values: sorted up to the number that is kept first, then a tail of newer ones, which
    /// is sorted in when it has grown as long as the sorted part. An insertion costs O(log n)
    /// amortised, as in a log-structured merge tree of two levels.
    type Acc = (u64, Vec<T>);
    type Out = u64;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> (u64, Vec<T>) {
        (1, vec![(self.f)(record)])
    }
    fn add(&self, acc: &mut (u64, Vec<T>), _: Timestamp, record: R::View<'_>) {
        insert(acc, (self.f)(record));
    }
    fn merge(&self, acc: &mut (u64, Vec<T>), other: &(u64, Vec<T>)) {
        other.1.iter().for_each(|value| insert(acc, value.clone()));
    }
    fn name(&self) -> String {
        "distinct".into()
    }
    fn result(&self, acc: &(u64, Vec<T>)) -> u64 {
        let mut acc = acc.clone();
        settle(&mut acc);
        acc.0
    }
}

fn insert<T: Ord>(acc: &mut (u64, Vec<T>), value: T) {
    if acc.1[..acc.0 as usize].binary_search(&value).is_ok() {
        return;
    }
    acc.1.push(value);
    if acc.1.len() >= 2 * (acc.0 as usize).max(8) {
        settle(acc);
    }
}

fn settle<T: Ord>(acc: &mut (u64, Vec<T>)) {
    // The standard stable sort finds the sorted part by itself.
    acc.1.sort();
    acc.1.dedup();
    acc.0 = acc.1.len() as u64;
}

/// The greatest values that a closure gives.
pub struct TopN<F, T> {
    n: usize,
    f: F,
    value: PhantomData<fn() -> T>,
}

impl<F, T> TopN<F, T> {
    pub(super) fn new(n: usize, f: F) -> Self {
        TopN { n, f, value: PhantomData }
    }
}

impl<F: Clone, T> Clone for TopN<F, T> {
    fn clone(&self) -> Self {
        TopN::new(self.n, self.f.clone())
    }
}

impl<F, T: Ord> TopN<F, T> {
    /// Puts a value into its place in the descending list.
    fn put(&self, list: &mut Vec<T>, value: T) {
        if list.len() == self.n && list.last().is_none_or(|least| value <= *least) {
            return;
        }
        let at = list.partition_point(|other| *other >= value);
        list.insert(at, value);
        list.truncate(self.n);
    }
}

impl<R, T, F> Aggregate<R> for TopN<F, T>
where
    R: Record,
    T: Record + Clone + Ord,
    F: Fn(R::View<'_>) -> T + Clone + Send + 'static,
{
    type Acc = Vec<T>;
    type Out = Vec<T>;

    fn start(&self, _: Timestamp, record: R::View<'_>) -> Vec<T> {
        let mut list = Vec::new();
        self.put(&mut list, (self.f)(record));
        list
    }
    fn add(&self, acc: &mut Vec<T>, _: Timestamp, record: R::View<'_>) {
        self.put(acc, (self.f)(record));
    }
    fn merge(&self, acc: &mut Vec<T>, other: &Vec<T>) {
        other.iter().for_each(|value| self.put(acc, value.clone()));
    }
    fn name(&self) -> String {
        format!("top {}", self.n)
    }
    fn result(&self, acc: &Vec<T>) -> Vec<T> {
        acc.clone()
    }
}
