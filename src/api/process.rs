//! The process function on [`Keyed`].

use std::time::Duration;

use super::keyed::{TO_OWNER, ToOwner};
use super::{Keyed, Stream, local, refusing, sending};
use crate::operator::{
    Chain, Context, Exchange, Identity, KeyOf, Late, Moment, Process, Punctual, Row, Timed,
    Timeless, not_behind,
};
use crate::plan::{Flow, Site, Times};
use crate::record::Record;
use crate::time::{Timestamp, in_words, span};
use crate::window::check_span;

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>> Keyed<R, C, B> {
    /// Runs closures of your own over state `S` and timers for each key; they emit records of `O`.
    ///
    /// `each` is called for every record, also for late ones, on the shard that owns the key; `due`
    /// when a timer of the key is due, see [`Context::timer_at`] and
    /// [`Context::timer_after`]. A key's state begins as `S::default()` with its first record and
    /// stays until [`Context::clear`]. At the end of the input all timers fire, those set by
    /// timers too, in the order of time; in a job that is stopped none does. The guide's
    /// [state](crate::guide::state) explains more.
    ///
    /// A key's records of one split come in the split's order; of several splits in any order. A
    /// record with an event time after a timer's may come before the timer fires: compare with
    /// [`Context::time`] where it matters.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // The greatest of each remainder's numbers in the second after its first one.
    /// job.source(Counter::to(3_000).splits(1))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .key_by(|n| n % 3)
    ///     .process::<(Timestamp, u64), (u64, u64)>(
    ///         |(until, max), n, ctx| {
    ///             if *until == Timestamp::default() {
    ///                 *until = ctx.time() + 1.seconds();
    ///                 ctx.timer_at(*until);
    ///             }
    ///             if ctx.time() < *until {
    ///                 *max = n.max(*max);
    ///             }
    ///         },
    ///         |(_, max), _, ctx| ctx.emit((*ctx.key(), *max)),
    ///     )
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(0, 999), (1, 1000), (2, 1001)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn process<S, O>(
        self,
        each: impl FnMut(&mut S, R::View<'_>, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
        due: impl FnMut(&mut S, Timestamp, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
    ) -> Stream<O>
    where
        S: Record + Clone + Default,
        O: Record,
    {
        self.processed::<Timed<S>, _, _, _>(("process", String::new()), each, due)
    }

    /// As [`process`](Keyed::process), without timers: a key costs what its state does, and nothing
    /// more.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // Each key's numbers that are greater than all before.
    /// job.source(Memory::of([(1_u64, 5_u64), (2, 7), (1, 4), (1, 6)]).splits(1))
    ///     .key_by(|(key, _)| key)
    ///     .process_each::<u64, (u64, u64)>(|greatest, (key, n), ctx| {
    ///         if n > *greatest {
    ///             *greatest = n;
    ///             ctx.emit((key, n));
    ///         }
    ///     })
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(1, 5), (1, 6), (2, 7)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn process_each<S, O>(
        self,
        mut each: impl FnMut(&mut S, R::View<'_>, &mut Moment<'_, '_, B::Key, O>)
        + Clone
        + Send
        + 'static,
    ) -> Stream<O>
    where
        S: Record + Clone + Default,
        O: Record,
    {
        let each = move |state: &mut S, record: R::View<'_>, ctx: &mut Context<'_, B::Key, O>| {
            each(state, record, &mut Moment::of(ctx));
        };
        self.processed::<Timeless<S>, _, _, _>(("process", String::new()), each, |_, _, _| ())
    }

    /// A process function with rows `W`, as an operator of this kind, with what was asked of it.
    pub(super) fn processed<W, O, F, G>(
        self,
        (kind, asked): (&str, String),
        each: F,
        due: G,
    ) -> Stream<O>
    where
        W: Row,
        O: Record,
        F: FnMut(&mut W::State, R::View<'_>, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
        G: FnMut(&mut W::State, Timestamp, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
    {
        let Keyed { stream, by } = self;
        let owner = ToOwner::<R, B>::new(by.clone());
        let stage = move |site: &Site<'_>| {
            let (by, each, due) = (by.clone(), each.clone(), due.clone());
            Ok(Process::<R, B, W, O, F, G>::new(by, each, due, &site.seat.backend))
        };
        let behind = stage.clone();
        let send = sending(stream.chain.clone(), TO_OWNER, move |lanes, bells| {
            Exchange::marked(owner.clone(), lanes, bells)
        });
        let receiver = local(Identity::new(), behind);
        let alone = local(stream.chain.clone(), stage);
        let flow = Flow::Exchanged { senders: vec![send], receiver, alone };
        Stream::at(&stream.plan, stream.step_with(Times::Keeps, kind, asked, flow))
    }

    /// As [`process`](Keyed::process), without timers, where a key is forgotten `ttl` of event time
    /// after its newest record: a record of then or later finds `S::default()`, whenever it comes,
    /// and the key takes no memory once the watermark has got there. The job does not start if
    /// `ttl` is less than a microsecond. Late records are counted and left out.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // User, minute. Numbers the records of each user; after ten minutes without one it begins
    /// // anew.
    /// job.source(Memory::of([(7_u64, 1_u64), (7, 5), (7, 14), (7, 30)]).splits(1))
    ///     .event_time(|(_, minute)| Timestamp::from_millis(minute as i64 * 60_000), 0.seconds())
    ///     .key_by(|(user, _)| user)
    ///     .process_within::<u64, (u64, u64)>(10.minutes(), |seen, (_, minute), ctx| {
    ///         *seen += 1;
    ///         ctx.emit((minute, *seen));
    ///     })
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(1, 1), (5, 2), (14, 3), (30, 1)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn process_within<S, O>(
        self,
        ttl: Duration,
        f: impl FnMut(&mut S, R::View<'_>, &mut Moment<'_, '_, B::Key, O>) + Clone + Send + 'static,
    ) -> Stream<O>
    where
        S: Record + Clone + Default,
        O: Record,
    {
        self.within("process", (ttl, ""), f)
    }

    /// A process function, as an operator of this kind, whose keys are forgotten `ttl` after their
    /// newest record; `how` says more of it.
    pub(super) fn within<S, O>(
        self,
        kind: &str,
        (ttl, how): (Duration, &str),
        mut each: impl FnMut(&mut S, R::View<'_>, &mut Moment<'_, '_, B::Key, O>)
        + Clone
        + Send
        + 'static,
    ) -> Stream<O>
    where
        S: Record + Clone + Default,
        O: Record,
    {
        /// Whether the key is known, until when, and its state.
        type Stays<S> = (bool, Timestamp, S);
        let each = move |(known, until, state): &mut Stays<S>,
                         record: R::View<'_>,
                         ctx: &mut Context<'_, B::Key, O>| {
            let (at, end) = (ctx.time(), ctx.time() + ttl);
            if !std::mem::replace(known, true) {
                *until = end;
                ctx.timer_at(end);
            } else if *until <= at {
                *state = S::default();
            }
            *until = end.max(*until);
            each(state, record, &mut Moment::of(ctx));
        };
        let due = |(_, until, _): &mut Stays<S>, now, ctx: &mut Context<'_, B::Key, O>| {
            if *until <= now || ctx.watermark() == Timestamp::MAX {
                ctx.clear();
            } else {
                ctx.timer_at(*until);
            }
        };
        self.on_time(kind, (ttl, how), each, due)
    }

    /// A process function, as an operator of this kind, that remembers keys for `ttl`; `how` says
    /// more of it. Late records are left out.
    pub(super) fn on_time<S, O, F, G>(
        self,
        kind: &str,
        (ttl, how): (Duration, &str),
        each: F,
        due: G,
    ) -> Stream<O>
    where
        S: Record + Clone + Default,
        O: Record,
        F: FnMut(&mut S, R::View<'_>, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
        G: FnMut(&mut S, Timestamp, &mut Context<'_, B::Key, O>) + Clone + Send + 'static,
    {
        let Keyed { stream, by } = self;
        let owner = ToOwner::<R, B>::new(by.clone());
        let stage = move |site: &Site<'_>| {
            let (by, each, due) = (by.clone(), each.clone(), due.clone());
            let backend = &site.seat.backend;
            let process = Process::<R, B, Timed<S>, O, F, G>::new(by, each, due, backend);
            Ok(Punctual::new(process, not_behind, Late::<R>::new(None)))
        };
        let behind = stage.clone();
        let send = sending(stream.chain.clone(), TO_OWNER, move |lanes, bells| {
            let exchange = Exchange::marked(owner.clone(), lanes, bells);
            Punctual::sending(exchange, not_behind, Late::<R>::new(None))
        });
        let receiver = local(Identity::new(), behind);
        let alone = local(stream.chain.clone(), stage);
        let checked = check_span("time that a key is remembered for", span(ttl));
        let exchanged = Flow::Exchanged { senders: vec![send], receiver, alone };
        let flow = checked.map_or_else(refusing, |()| exchanged);
        let asked = format!("within {}{how}", in_words(span(ttl)));
        Stream::at(&stream.plan, stream.step_with(Times::Needs, kind, asked, flow))
    }
}
