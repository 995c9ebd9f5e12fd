//! Partitioners: which shard a record goes to.

use super::Seat;
use crate::key::{self, mix};
use crate::record::Record;

/// Says where a record goes. Every shard has a copy of its own.
pub trait Partition<R: Record>: Clone + Send + 'static {
    /// Called once on the shard.
    fn open(&mut self, seat: &Seat) {
        let _ = seat;
    }
    /// Calls `to` for every shard below `shards` that gets the record.
    fn shards(&mut self, shards: usize, record: R::View<'_>, to: impl FnMut(usize));
}

/// To the shard that owns the hash: `F` gives a record's hash.
#[derive(Clone)]
pub struct ByKey<F>(pub F);

impl<R: Record, F: FnMut(R::View<'_>) -> u64 + Clone + Send + 'static> Partition<R> for ByKey<F> {
    #[inline(always)]
    fn shards(&mut self, shards: usize, record: R::View<'_>, mut to: impl FnMut(usize)) {
        to(key::owner(key::group((self.0)(record)), shards));
    }
}

/// To the shard whose range holds the key: `bounds[i]` is the first key of shard `i + 1`.
#[derive(Clone)]
pub struct ByRange<F, K> {
    f: F,
    bounds: Vec<K>,
}

impl<F, K: Ord> ByRange<F, K> {
    /// Ranges of what `f` gives between these bounds, in any order.
    pub fn new(f: F, mut bounds: Vec<K>) -> Self {
        bounds.sort_unstable();
        ByRange { f, bounds }
    }
}

impl<R, F, K> Partition<R> for ByRange<F, K>
where
    R: Record,
    K: Ord + Clone + Send + 'static,
    F: FnMut(R::View<'_>) -> K + Clone + Send + 'static,
{
    #[inline]
    fn shards(&mut self, shards: usize, record: R::View<'_>, mut to: impl FnMut(usize)) {
        let key = (self.f)(record);
        let range = self.bounds.partition_point(|bound| *bound <= key);
        // More ranges than shards: neighbours share one.
        to(range * shards / (self.bounds.len() + 1).max(shards));
    }
}

/// Cuts a sample of keys into `ranges` ranges of about as many keys each: the bounds between them,
/// at most `ranges - 1`. A bound stands once, however many keys of the sample equal it.
///
/// ```
/// # use thalweg::prelude::*;
/// assert_eq!(bounds_of((0..100).rev(), 4), [25, 50, 75]);
/// assert_eq!(bounds_of([7, 7, 7, 7], 4), [7]);
/// ```
pub fn bounds_of<K: Ord + Clone>(sample: impl IntoIterator<Item = K>, ranges: usize) -> Vec<K> {
    let mut sample: Vec<K> = sample.into_iter().collect();
    sample.sort_unstable();
    let bound = |range: usize| sample.get(range * sample.len() / ranges).cloned();
    let mut bounds: Vec<K> = (1..ranges).filter_map(bound).collect();
    bounds.dedup();
    bounds
}

/// To every shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

impl<R: Record> Partition<R> for Broadcast {
    #[inline]
    fn shards(&mut self, shards: usize, _: R::View<'_>, to: impl FnMut(usize)) {
        (0..shards).for_each(to);
    }
}

/// To shard 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gather;

impl<R: Record> Partition<R> for Gather {
    #[inline]
    fn shards(&mut self, _: usize, _: R::View<'_>, mut to: impl FnMut(usize)) {
        to(0);
    }
}

/// To one shard after the other (round robin), beginning with the sender's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deal(usize);

impl<R: Record> Partition<R> for Deal {
    fn open(&mut self, seat: &Seat) {
        self.0 = seat.shard;
    }
    #[inline]
    fn shards(&mut self, shards: usize, _: R::View<'_>, mut to: impl FnMut(usize)) {
        to(self.0);
        self.0 = if self.0 + 1 == shards { 0 } else { self.0 + 1 };
    }
}

/// To a shard chosen at random, from a seed: the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A sequence of its own for every shard, all from this seed.
    pub fn new(seed: u64) -> Self {
        Random { state: seed }
    }
}

impl<R: Record> Partition<R> for Random {
    fn open(&mut self, seat: &Seat) {
        self.state = mix(self.state ^ seat.shard as u64, 0x9e37_79b9_7f4a_7c15);
    }
    #[inline]
    fn shards(&mut self, shards: usize, _: R::View<'_>, mut to: impl FnMut(usize)) {
        // wyrand (Wang Yi): a Weyl sequence, mixed.
        self.state = self.state.wrapping_add(0xa076_1d64_78bd_642f);
        let random = mix(self.state, self.state ^ 0xe703_7ed1_a0b4_28db);
        to(((u128::from(random) * shards as u128) >> 64) as usize);
    }
}
