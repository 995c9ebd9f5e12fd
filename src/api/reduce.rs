//! What becomes of all records of a key, without windows: running values, totals, first records.

use std::time::Duration;

use super::keyed::{PARTIAL, TO_OWNER, ToOwner};
use super::{Keyed, Stream, local, sending};
use crate::key;
use crate::operator::{
    Aggregate, Aggregates, ByKey, Chain, Context, Exchange, Identity, KeyOf, Moment, PartTotals,
    Timeless, Totals,
};
use crate::plan::{Flow, Times};
use crate::record::Record;
use crate::state::OF;
use crate::time::{Timestamp, Units};

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>> Keyed<R, C, B> {
    /// Joins each record of a key to what its records have come to so far, and emits the new value
    /// for every record, with the record's event time. The first one is the value to begin with.
    ///
    /// Every key keeps one record for ever. A key's records of one split come in order; those of
    /// several splits in any order, so that the last value is always the same only if the order
    /// makes no difference to `f`, and the values on the way only if a key's records come from one
    /// split.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(6).splits(1))
    ///     .key_by(|n| n % 2)
    ///     .reduce(|sum, n| *sum += n)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 2, 4, 6, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reduce<F>(self, f: F) -> Stream<R>
    where
        R: Clone,
        F: Fn(&mut R, R::View<'_>) + Clone + Send + 'static,
    {
        let reduce = reducing(f);
        let each =
            move |sum: &mut Option<R>, record: R::View<'_>, ctx: &mut Context<'_, B::Key, R>| {
                ctx.give(reduce(sum, record));
            };
        self.processed::<Timeless<_>, _, _, _>(("reduce", String::new()), each, |_, _, _| ())
    }

    /// As [`reduce`](Keyed::reduce), where a key is forgotten `ttl` of event time after its newest
    /// record, as for [`process_within`](Keyed::process_within). Late records are counted and left
    /// out.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // User, minute, clicks. After ten minutes without one a user's clicks are counted anew.
    /// job.source(Memory::of([(7_u64, 1_u64, 1_u64), (7, 5, 2), (7, 30, 4)]).splits(1))
    ///     .event_time(|(_, minute, _)| Timestamp::from_seconds(minute as i64 * 60), 0.seconds())
    ///     .key_by(|(user, _, _)| user)
    ///     .reduce_within(10.minutes(), |sum, (_, _, clicks)| sum.2 += clicks)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(7, 1, 1), (7, 1, 3), (7, 30, 4)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reduce_within<F>(self, ttl: Duration, f: F) -> Stream<R>
    where
        R: Clone,
        F: Fn(&mut R, R::View<'_>) + Clone + Send + 'static,
    {
        let reduce = reducing(f);
        let each =
            move |sum: &mut Option<R>, record: R::View<'_>, ctx: &mut Moment<'_, '_, _, R>| {
                ctx.give(reduce(sum, record));
            };
        self.within("reduce", (ttl, ""), each)
    }

    /// An aggregate over all records of a key so far, emitted with the key for every record, with
    /// the record's event time. Order and state are as for [`reduce`](Keyed::reduce).
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(4).splits(1))
    ///     .key_by(|n| n % 2)
    ///     .aggregate_running(|ns| (ns.count(), ns.sum(|n| n)))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, (1, 0)), (0, (2, 2)), (1, (1, 1)), (1, (2, 4))]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_running<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<(B::Key, A::Out)> {
        let aggregate = of(&Aggregates::default());
        let asked = format!("running{OF}{}", aggregate.name());
        let run = running::<R, B, A>(aggregate);
        let each =
            move |acc: &mut Option<A::Acc>, record: R::View<'_>, ctx: &mut Context<'_, _, _>| {
                run(acc, record, &mut Moment::of(ctx));
            };
        self.processed::<Timeless<_>, _, _, _>(("aggregate", asked), each, |_, _, _| ())
    }

    /// As [`aggregate_running`](Keyed::aggregate_running), where a key is forgotten `ttl` of event
    /// time after its newest record, as for [`process_within`](Keyed::process_within). Late records
    /// are counted and left out.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // User, minute. Numbers the records of each user, anew after ten minutes without one.
    /// job.source(Memory::of([(7_u64, 1_i64), (7, 5), (7, 30)]).splits(1))
    ///     .event_time(|(_, minute)| Timestamp::from_seconds(minute * 60), 0.seconds())
    ///     .key_by(|(user, _)| user)
    ///     .aggregate_running_within(10.minutes(), |records| records.count())
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(7, 1), (7, 1), (7, 2)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_running_within<A: Aggregate<R>>(
        self,
        ttl: Duration,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<(B::Key, A::Out)> {
        let aggregate = of(&Aggregates::default());
        let how = format!(", running{OF}{}", aggregate.name());
        self.within("aggregate", (ttl, &how), running::<R, B, A>(aggregate))
    }

    /// An aggregate over all records of a key, emitted with the key once: at the end of the input,
    /// with the event time of the key's newest record. An input without end gives nothing.
    ///
    /// Aggregates that can be merged are aggregated on every shard, and one partial result for
    /// each key and shard crosses at the end. The result is the same for every number of shards as
    /// far as the aggregate's does not depend on the order of records: see [`Aggregates`].
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .key_by(|n| n % 2)
    ///     .aggregate_final(|ns| (ns.count(), ns.max(|n| n)))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, (50, 98)), (1, (50, 99))]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_final<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<(B::Key, A::Out)> {
        let Keyed { stream, by } = self;
        let aggregate = of(&Aggregates::default());
        let asked = format!("at the end{OF}{}", aggregate.name());
        let parts = (by, aggregate);
        let totals = parts.clone();
        let alone = local(stream.chain.clone(), move |site| {
            let (by, aggregate) = totals.clone();
            Ok(Totals::<R, B, A, false>::new(by, aggregate, &site.seat.backend))
        });
        let totals = parts.clone();
        let (send, receiver) = if A::MERGES {
            let send = sending(stream.chain.clone(), PARTIAL, move |lanes, bells| {
                let (by, aggregate) = parts.clone();
                let owner = |(key, _, _): PartView<'_, R, B, A>| key::hash(&B::Key::own(key));
                let exchange = Exchange::new(ByKey(owner), lanes, bells);
                PartTotals::<R, B, A, _>::new(by, aggregate, exchange)
            });
            let receiver = local(Identity::new(), move |site| {
                let (by, aggregate) = totals.clone();
                Ok(Totals::<R, B, A, true>::new(by, aggregate, &site.seat.backend))
            });
            (send, receiver)
        } else {
            let send = sending(stream.chain.clone(), TO_OWNER, move |lanes, bells| {
                Exchange::new(ToOwner::<R, B>::new(parts.0.clone()), lanes, bells)
            });
            let receiver = local(Identity::new(), move |site| {
                let (by, aggregate) = totals.clone();
                Ok(Totals::<R, B, A, false>::new(by, aggregate, &site.seat.backend))
            });
            (send, receiver)
        };
        let flow = Flow::Exchanged { senders: vec![send], receiver, alone };
        Stream::at(&stream.plan, stream.step_with(Times::Keeps, "aggregate", asked, flow))
    }

    /// The first record of each key to arrive, at once. Every key is remembered for ever.
    ///
    /// Of records in several splits it depends on chance which one is first; see
    /// [`first_by_time`](Keyed::first_by_time).
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100).splits(1)).key_by(|n| n % 3).first().sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn first(self) -> Stream<R> {
        let each = |seen: &mut bool, record: R::View<'_>, ctx: &mut Context<'_, B::Key, R>| {
            if !std::mem::replace(seen, true) {
                ctx.emit(record);
            }
        };
        self.processed::<Timeless<_>, _, _, _>(("first", String::new()), each, |_, _, _| ())
    }

    /// As [`first`](Keyed::first), but a key is forgotten `ttl` of event time after the record
    /// that was let through: the next record from then on is a first one again. The job does not
    /// start if that is less than a microsecond. Late records are counted and left out. Of records
    /// in several splits it depends on chance which one is let through, as for
    /// [`first`](Keyed::first).
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100).splits(1))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .key_by(|n| n % 2)
    ///     .first_within(40.millis())
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 40, 41, 80, 81]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn first_within(self, ttl: Duration) -> Stream<R> {
        type Seen = (bool, Timestamp);
        let each = move |(seen, until): &mut Seen,
                         record: R::View<'_>,
                         ctx: &mut Context<'_, B::Key, R>| {
            if !*seen || *until <= ctx.time() {
                (*seen, *until) = (true, ctx.time() + ttl);
                ctx.timer_at(*until);
                ctx.emit(record);
            }
        };
        let due = |seen: &mut Seen, at, ctx: &mut Context<'_, B::Key, R>| {
            if seen.1 <= at {
                ctx.clear();
            }
        };
        self.on_time("first", (ttl, ""), each, due)
    }

    /// The record of each key with the least event time, given when the watermark has passed it.
    /// A key is forgotten `ttl` after its record, as for [`first_within`](Keyed::first_within).
    /// Late records are counted and left out.
    ///
    /// Of records of one key and the same time the first to arrive is taken. Within a split that
    /// is the first in its order; between splits it is chance. So the result is the same for
    /// every number of shards where times differ, or where equal ones lie in one split.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .key_by(|n| n % 2)
    ///     .first_by_time(40.millis())
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 40, 41, 80, 81]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn first_by_time(self, ttl: Duration) -> Stream<R>
    where
        R: Clone,
    {
        type Waits<R> = (bool, Timestamp, Vec<(Timestamp, R)>);
        let each = |(seen, until, waiting): &mut Waits<R>,
                    record: R::View<'_>,
                    ctx: &mut Context<'_, B::Key, R>| {
            let at = ctx.time();
            if *seen && at < *until {
                return;
            }
            if let Err(place) = waiting.binary_search_by_key(&at, |(at, _)| *at) {
                waiting.insert(place, (at, R::own(record)));
                ctx.timer_at(at + 1.micros());
            }
        };
        let due = move |(seen, until, waiting): &mut Waits<R>,
                        now: Timestamp,
                        ctx: &mut Context<'_, B::Key, R>| {
            let passed = waiting.partition_point(|(at, _)| *at < now);
            for (at, record) in waiting.drain(..passed) {
                if !*seen || *until <= at {
                    (*seen, *until) = (true, at + ttl);
                    ctx.timer_at(*until);
                    record.lend(|record| ctx.emit_at(at, record));
                }
            }
            if waiting.is_empty() && *until <= now {
                ctx.clear();
            }
        };
        self.on_time("first", (ttl, ", by time"), each, due)
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// An aggregate over all records so far, emitted for every record with the record's event time.
    /// All records go to one shard. Order is as for [`Keyed::reduce`].
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(4).splits(1)).aggregate_running(|ns| ns.sum(|n| n)).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 3, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_running<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<A::Out, impl Chain<Out = A::Out>>
    where
        A::Out: Clone,
    {
        let keyed = self.key_by(|_| ());
        keyed.aggregate_running(of).map(|(_, value)| A::Out::own(value))
    }

    /// An aggregate over the whole stream, emitted once: at the end of the input, with the event
    /// time of the newest record. An input without end, or without a record, gives nothing. What is
    /// said of [`Keyed::aggregate_final`] holds here too: each shard aggregates what it reads.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(100)).aggregate_final(|ns| (ns.count(), ns.max(|n| n))).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(100, 99)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_final<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<A::Out, impl Chain<Out = A::Out>>
    where
        A::Out: Clone,
    {
        self.key_by(|_| ()).aggregate_final(of).map(|(_, value)| A::Out::own(value))
    }
}

type PartView<'a, R, B, A> =
    <(<B as KeyOf<R>>::Key, Timestamp, <A as Aggregate<R>>::Acc) as Record>::View<'a>;

/// Joins a record to what a key's have come to so far, which is then given.
fn reducing<R: Record>(
    f: impl Fn(&mut R, R::View<'_>) + Clone,
) -> impl for<'s> Fn(&'s mut Option<R>, R::View<'_>) -> &'s R + Clone {
    move |sum, record| match sum {
        Some(sum) => {
            f(sum, record);
            sum
        }
        None => sum.insert(R::own(record)),
    }
}

type Running<'c, 'a, R, B, A> =
    Moment<'c, 'a, <B as KeyOf<R>>::Key, (<B as KeyOf<R>>::Key, <A as Aggregate<R>>::Out)>;

/// Adds a record to what is kept of its key, and emits what that comes to.
fn running<R: Record, B: KeyOf<R>, A: Aggregate<R>>(
    aggregate: A,
) -> impl Fn(&mut Option<A::Acc>, R::View<'_>, &mut Running<'_, '_, R, B, A>) + Clone {
    move |acc, record, ctx| {
        let at = ctx.time();
        let acc = match acc {
            Some(acc) => {
                aggregate.add(acc, at, record);
                acc
            }
            None => acc.insert(aggregate.start(at, record)),
        };
        let value = aggregate.result(acc);
        ctx.key().lend(|key| {
            value.lend(|value| ctx.emit((B::Key::shorten(key), A::Out::shorten(value))));
        });
    }
}
