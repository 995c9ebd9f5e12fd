//! An aggregate of some of the records.

use super::Aggregate;
use crate::record::Record;
use crate::time::Timestamp;

/// Another aggregate, of the records for which a closure is true.
#[derive(Clone)]
pub struct Only<F, A> {
    when: F,
    of: A,
}

impl<F, A> Only<F, A> {
    pub(super) fn new(when: F, of: A) -> Self {
        Only { when, of }
    }
}

impl<R, F, A> Aggregate<R> for Only<F, A>
where
    R: Record,
    F: Fn(R::View<'_>) -> bool + Clone + Send + 'static,
    A: Aggregate<R>,
    A::Out: Default,
{
    /// None until a record counts.
    type Acc = Option<A::Acc>;
    type Out = A::Out;
    const MERGES: bool = A::MERGES;

    #[inline(always)]
    fn start(&self, at: Timestamp, record: R::View<'_>) -> Option<A::Acc> {
        (self.when)(record).then(|| self.of.start(at, record))
    }
    #[inline(always)]
    fn add(&self, acc: &mut Option<A::Acc>, at: Timestamp, record: R::View<'_>) {
        if !(self.when)(record) {
            return;
        }
        match acc {
            Some(acc) => self.of.add(acc, at, record),
            None => *acc = Some(self.of.start(at, record)),
        }
    }
    fn merge(&self, acc: &mut Option<A::Acc>, other: &Option<A::Acc>) {
        match (acc, other) {
            (Some(acc), Some(other)) => self.of.merge(acc, other),
            (acc @ None, Some(other)) => *acc = Some(other.clone()),
            (_, None) => {}
        }
    }
    fn name(&self) -> String {
        format!("only {}", self.of.name())
    }
    fn result(&self, acc: &Option<A::Acc>) -> A::Out {
        acc.as_ref().map(|acc| self.of.result(acc)).unwrap_or_default()
    }
}
