//! One window over the whole stream, with a trigger that says when its result is given.

use std::fmt;
use std::time::Duration;

use super::check::{check_count, check_span};
use super::results::Results;
use super::saved::{save_time, times};
use super::spec::us;
use super::{Panes, WindowSpec, Windows};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, KeyOf, Lifecycle, Output, Stage, Stamp};
use crate::record::{Key, Record};
use crate::state::{Backend, Loader, PagedTable, Saver};
use crate::time::{Timestamp, Watermark, in_words};

/// When a window without end gives results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// After every so many records of a key, in the order of arrival; at least one.
    EveryN(u64),
    /// When the watermark passes a multiple of so many microseconds, for every key with records
    /// since: what is older than that multiple; at least one microsecond.
    Every(i64),
    /// When the stream has ended.
    AtEnd,
}

impl Trigger {
    /// After every `n` records of a key. The job does not start if it is 0.
    pub fn every_n(n: u64) -> Trigger {
        Trigger::EveryN(n)
    }

    /// At every multiple of a span of event time. It needs an aggregate that can be merged. The job
    /// does not start if the span is less than a microsecond.
    pub fn every(span: Duration) -> Trigger {
        Trigger::Every(crate::time::span(span))
    }

    /// When the stream has ended.
    pub fn at_end() -> Trigger {
        Trigger::AtEnd
    }
}

/// One window that holds all records of a key. Nothing is late in it, and every key is kept to the
/// end.
///
/// Its results are those of the records so far. `start` is [`Timestamp::MIN`]; `end` is the time
/// of the trigger, or [`Timestamp::MAX`] if that is none of event time. Those of
/// [`Trigger::every_n`] follow the order of arrival: of records in several splits it is chance
/// which ones are among the first `n`.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Counter::to(10))
///     .key_by(|n| n % 2)
///     .window(Global::trigger(Trigger::every_n(2)))
///     .aggregate(|ns| ns.sum(|n| n))
///     .map(|so_far| (so_far.key, so_far.value))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [(0, 2), (0, 12), (1, 4), (1, 16)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    trigger: Trigger,
}

impl Global {
    /// The window and when it gives results.
    pub fn trigger(trigger: Trigger) -> Global {
        Global { trigger }
    }

    /// When it gives results.
    pub fn when(self) -> Trigger {
        self.trigger
    }
}

impl fmt::Display for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trigger {
            Trigger::EveryN(n) => write!(f, "global, every {n} records"),
            Trigger::Every(us) => write!(f, "global, every {}", in_words(us)),
            Trigger::AtEnd => f.write_str("global, at the end"),
        }
    }
}

impl Windows for Global {
    fn needs_event_times(&self) -> bool {
        matches!(self.trigger, Trigger::Every(_))
    }
    fn check(&self) -> Result {
        match self.trigger {
            Trigger::EveryN(n) => check_count("number of records between results", n),
            Trigger::Every(us) => check_span("span between results", us),
            Trigger::AtEnd => Ok(()),
        }
    }
}

/// The panes of a trigger of every `span` microseconds.
pub fn ticks(span: i64) -> WindowSpec {
    WindowSpec { size: span, step: span, pane: span, offset: 0, cumulating: false }
}

/// What all panes so far come to.
pub(super) struct Totals<R: Record, K: Key, A: Aggregate<R>> {
    spec: WindowSpec,
    totals: PagedTable<K, A::Acc>,
    /// The last trigger.
    last: Timestamp,
    results: Results<R, K, A>,
}

impl<R: Record, K: Key, A: Aggregate<R>> Totals<R, K, A> {
    pub fn new(aggregate: A, spec: WindowSpec, backend: &Backend) -> Self {
        let (totals, results) = (PagedTable::of(backend.clone()), Results::new(aggregate));
        Totals { spec, totals, last: Timestamp::MIN, results }
    }

    pub fn save(&mut self, to: &mut Saver) -> Result {
        save_time("last trigger", self.last, to)?;
        to.begin_table::<_, _, (K, Timestamp, A::Acc)>("totals", &mut self.totals)
    }

    pub fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let (totals, at) = (&mut self.totals, Timestamp::MIN);
        to.table::<_, _, (K, Timestamp, A::Acc)>("totals", totals, |part, key, acc| {
            key.lend(|key| acc.lend(|acc| part.put((K::shorten(key), at, A::Acc::shorten(acc)))));
        })
    }

    pub fn state_bytes(&self) -> usize {
        self.totals.bytes()
    }

    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        let totals = &mut self.totals;
        from.table::<_, _, (K, Timestamp, A::Acc)>("totals", totals, |(key, _, acc)| {
            (K::own(key), A::Acc::own(acc))
        })?;
        self.last = times("last trigger", from)?.into_iter().max().unwrap_or(Timestamp::MIN);
        Ok(())
    }

    pub fn close(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result {
        let closed = self.spec.closed(at);
        while let Some(pane) = panes.close_before(closed) {
            // Records that are older than the last trigger count from then on.
            self.last = self.last.max(us(pane, self.spec.pane));
            let bounds = (Timestamp::MIN, self.last);
            panes.try_for_each(pane, |key, acc| {
                let hash = key::hash(key);
                if let Some(total) = self.totals.get_mut(hash, |other| other == key) {
                    self.results.aggregate.merge(total, acc);
                    return self.results.give(us(self.last, -1), bounds, key, total, out);
                }
                self.totals.insert_new(hash, key.clone(), acc.clone());
                self.results.give(us(self.last, -1), bounds, key, acc, out)
            })?;
            panes.forget(pane);
        }
        self.results.flush(out)
    }
}

/// The window at the owner of the key, for triggers that are not of event time.
pub struct Running<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    /// Records of a key between results; 0: only at the end.
    every: u64,
    totals: PagedTable<B::Key, (u64, A::Acc)>,
    results: Results<R, B::Key, A>,
}

impl<R, B, A> Running<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Gives results after `every` records of a key; 0: only at the end. State is kept where
    /// `backend` says.
    pub fn new(by: B, aggregate: A, every: u64, backend: &Backend) -> Self {
        Running {
            by,
            every,
            totals: PagedTable::of(backend.clone()),
            results: Results::new(aggregate),
        }
    }
}

/// What is kept of a key: how many records it has had, and what they come to.
type Total<R, B, A> = (<B as KeyOf<R>>::Key, u64, <A as Aggregate<R>>::Acc);

const ALWAYS: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

impl<R, B, A> Lifecycle for Running<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.totals.tend();
        self.results.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at == Timestamp::MAX && self.every == 0 {
            for (key, (_, acc)) in self.totals.drain() {
                self.results.give(us(at, -1), ALWAYS, &key, &acc, out)?;
            }
            self.results.flush(out)?;
        }
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_table::<_, _, Total<R, B, A>>("totals", &mut self.totals)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        to.table::<_, _, Total<R, B, A>>("totals", &mut self.totals, |part, key, (n, acc)| {
            key.lend(|key| {
                acc.lend(|acc| part.put((B::Key::shorten(key), *n, A::Acc::shorten(acc))));
            });
        })
    }
    fn state_bytes(&self) -> usize {
        self.totals.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        from.table::<_, _, Total<R, B, A>>("totals", &mut self.totals, |(key, n, acc)| {
            (B::Key::own(key), (n, A::Acc::own(acc)))
        })
    }
}

impl<R, B, A> Stage<(Timestamp, R)> for Running<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    #[inline]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        (_, record): (Timestamp, R::View<'_>),
        out: &mut Output<'_>,
    ) -> Result {
        let Running { by, every, totals, results } = self;
        let part = by.part(record);
        let hash = B::hash(&part);
        if let Some((n, acc)) = totals.get_mut(hash, |key| B::is(&part, key)) {
            *n += 1;
            results.aggregate.add(acc, at, record);
        } else {
            let acc = results.aggregate.start(at, record);
            totals.insert_new(hash, B::own(by.part(record)), (1, acc));
        }
        let due = totals.get(hash, |key| B::is(&part, key));
        if let Some((_, acc)) = due.filter(|(n, _)| *every > 0 && n.is_multiple_of(*every)) {
            results.give(at, ALWAYS, &B::own(part), acc, out)?;
        }
        Ok(())
    }
}
