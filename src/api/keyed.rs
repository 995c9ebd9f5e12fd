//! [`Keyed`]: a stream whose records have a key.

use std::marker::PhantomData;

use super::{Stream, Windowed};
use crate::operator::{Chain, KeyOf, Partition};
use crate::record::Record;
use crate::time::Timestamp;
use crate::window::Windows;

/// A stream partitioned by key. What follows keeps its state for each key, on the shard that owns
/// the key.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Keyed<R: Record, C: Chain<Out = R>, B: KeyOf<R>> {
    pub(super) stream: Stream<R, C>,
    pub(super) by: B,
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>> Clone for Keyed<R, C, B> {
    fn clone(&self) -> Self {
        Keyed { stream: self.stream.clone(), by: self.by.clone() }
    }
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>> Keyed<R, C, B> {
    /// Names the operator that comes next, as [`Stream::named`] does.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.stream = self.stream.named(name);
        self
    }

    /// Cuts every key's records into windows. An aggregate is next: see
    /// [`Windowed::aggregate`], and the guide's [windows](crate::guide::windows) for the kinds.
    pub fn window<W: Windows>(self, windows: W) -> Windowed<R, C, B, W> {
        Windowed { keyed: self, windows, lateness: 0, early: None, early_after: None }
    }
}

/// How an explanation says that records go to the owners of their keys,
pub(crate) const TO_OWNER: &str = "by the key's hash";
/// and that partial results do.
pub(crate) const PARTIAL: &str = "partial results, by the key's hash";

/// Sends a record to the shard that owns its key.
pub(crate) struct ToOwner<R, B> {
    by: B,
    record: PhantomData<fn() -> R>,
}

impl<R, B> ToOwner<R, B> {
    /// Sends by this key.
    pub(crate) fn new(by: B) -> Self {
        ToOwner { by, record: PhantomData }
    }
}

impl<R, B: Clone> Clone for ToOwner<R, B> {
    fn clone(&self) -> Self {
        ToOwner { by: self.by.clone(), record: PhantomData }
    }
}

impl<R: Record, B: KeyOf<R>> Partition<R> for ToOwner<R, B> {
    #[inline(always)]
    fn shards(&mut self, shards: usize, record: R::View<'_>, mut to: impl FnMut(usize)) {
        let hash = B::hash(&self.by.part(record));
        to(crate::key::owner(crate::key::group(hash), shards));
    }
}

/// Sends a record that has a time beside it to where `P` sends the record.
pub(crate) struct OfRecord<R, P> {
    partition: P,
    record: PhantomData<fn() -> R>,
}

impl<R, P> OfRecord<R, P> {
    pub(crate) fn new(partition: P) -> Self {
        OfRecord { partition, record: PhantomData }
    }
}

impl<R, P: Clone> Clone for OfRecord<R, P> {
    fn clone(&self) -> Self {
        OfRecord::new(self.partition.clone())
    }
}

impl<R: Record, P: Partition<R>> Partition<(Timestamp, R)> for OfRecord<R, P> {
    #[inline(always)]
    fn shards(
        &mut self,
        shards: usize,
        (_, record): (Timestamp, R::View<'_>),
        to: impl FnMut(usize),
    ) {
        self.partition.shards(shards, record, to);
    }
}
