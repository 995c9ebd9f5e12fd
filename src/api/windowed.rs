//! [`Windowed`]: a keyed stream cut into windows.

use std::time::Duration;

use super::{Keyed, Stream, local, refusing};
use crate::operator::{Aggregate, Aggregates, Chain, KeyOf};
use crate::plan::{Flow, Origin, Times};
use crate::record::{InWindow, Record};
use crate::state::OF;
use crate::time::{in_words, span};
use crate::window::{Again, Clock, LATE_PORT, Paned, Windows, check_span};

mod carried;
pub use carried::{Carried, Work};

/// A keyed stream cut into windows; an aggregate makes a stream of results of it.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Windowed<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Windows> {
    pub(super) keyed: Keyed<R, C, B>,
    pub(super) windows: W,
    /// Microseconds.
    pub(super) lateness: i64,
    /// Microseconds between early results, if there are any: of event time,
    pub(super) early: Option<i64>,
    /// of processing time.
    pub(super) early_after: Option<i64>,
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Windows> Windowed<R, C, B, W> {
    /// Keeps a window for so much event time after its end. A record that comes for it within
    /// that time counts, and the result of its key is given again.
    ///
    /// The last result of a key and window holds all records that were not late, whatever the
    /// number of shards; how many results come before it depends on when the records come. The
    /// watermark behind the windows is behind by the lateness, since a result has the event time of
    /// its window's last microsecond however late it is given again: so none is late for what
    /// follows, and windows that follow end by so much later. Count
    /// and global windows, in which nothing is late, ignore it. The guide's
    /// [windows](crate::guide::windows#late-records) has an example.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Windowed { lateness: span(lateness), ..self }
    }
}

/// What windows are not: without an aggregate they have no results.
#[diagnostic::on_unimplemented(
    message = "windows have no results until they have an aggregate",
    label = "needs an aggregate before it",
    note = "an aggregate makes a stream of windows: `.window(…).aggregate(|bids| bids.count())`"
)]
pub trait Aggregated {}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Windows> Windowed<R, C, B, W> {
    /// Never compiles: [`aggregate`](Windowed::aggregate) comes first, and the compiler says so.
    ///
    /// ```compile_fail,E0277
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// job.source(Counter::to(9)).window(CountWindow::of(3)).sink(Discard);
    /// ```
    #[doc(hidden)]
    pub fn sink<S>(self, _: S)
    where
        Self: Aggregated,
    {
    }
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Paned> Windowed<R, C, B, W> {
    /// Gives results of windows that are still open, at every multiple of a span of event time, for
    /// the keys that have changed: what is older than that time. The result at the window's end
    /// replaces them. A record that comes when the watermark has passed such a time is in a later
    /// result. The job does not start if the span is less than a microsecond.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(10).splits(1))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .window(Tumbling::of(1.seconds()))
    ///     .early_every(4.millis())
    ///     .aggregate(|ns| ns.count())
    ///     .map(|so_far| so_far.value)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.take(), [4, 8, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn early_every(self, span: Duration) -> Self {
        Windowed { early: Some(crate::time::span(span)), early_after: None, ..self }
    }

    /// Gives results of windows that are still open, every so much time on the machine's clock, for
    /// the keys that have changed: also while event time stands still. A record shows after twice
    /// that time at the latest, on an idle shard some 40 ms later. The job does not start if the
    /// span is less than a microsecond.
    ///
    /// Which early results there are depends on when records come, so no two runs are alike; the
    /// last result of a key and window is the same always. It takes the place of
    /// [`early_every`](Windowed::early_every), which goes by event time.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(10).splits(1))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .window(Tumbling::of(1.hours()))
    ///     .early_after(100.millis())
    ///     .aggregate(|ns| ns.count())
    ///     .map(|so_far| so_far.value)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.take().last(), Some(&10));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn early_after(self, span: Duration) -> Self {
        Windowed { early: None, early_after: Some(crate::time::span(span)), ..self }
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// Lets records happen when they come here, by the machine's clock, read once a batch. The
    /// watermark is the clock from here on: windows end although no more records come, some 40 ms
    /// at most after their time on an idle shard. Event times from before are forgotten. When the
    /// clock is set forward it is followed; when it is set back, time goes on from where it was.
    ///
    /// Results depend on when records come, so no two runs are alike.
    pub fn processing_time(self) -> Stream<R> {
        let flow = Flow::Local(local(self.chain.clone(), |site| Ok(Clock::of(&site.seat.clock))));
        Stream::at(
            &self.plan,
            self.step_with(Times::Gives(true), "processing time", String::new(), flow),
        )
    }
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Carried> Windowed<R, C, B, W> {
    /// One result for every key and window that has records: when the watermark passes the
    /// window's end. Aggregates that can be merged are aggregated on every shard before the
    /// partial results cross to the key's owner.
    ///
    /// A record counts in those of its windows that are open when it comes, by the watermark of
    /// its own split. If none is, it is late: counted in
    /// [`Report::late`](crate::runtime::Report::late) and left out.
    ///
    /// The kinds of windows differ in this: [`Session`](crate::window::Session),
    /// [`CountWindow`](crate::window::CountWindow) and [`Global`](crate::window::Global) say
    /// when their results come and what is late. See [`Aggregates`] for what aggregates there are.
    ///
    /// # Errors
    /// The job does not start when the stream has no event times and the windows need them; when
    /// something has no length; when sessions, or a trigger of event time, are given an aggregate
    /// that can't be merged.
    pub fn aggregate<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<InWindow<B::Key, A::Out>> {
        self.carry(of, false).0
    }

    /// As [`aggregate`](Windowed::aggregate); the second stream is the records that came too late,
    /// with their event times, on the shards that read them. They are behind the watermark, so what
    /// goes by event time needs an `event_time` of its own on them. Records that a split brings
    /// back from a long silence while the others go on may be found late only where they arrive:
    /// these are counted, but not among them.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// # let (late_sink, too_late) = Collect::new();
    /// let (counts, late) = job
    ///     .source(Memory::of([1_u64, 2, 13, 3]).splits(1))
    ///     .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
    ///     .window(Tumbling::of(10.millis()))
    ///     .aggregate_with_late(|ns| ns.count());
    /// counts.map(|count| count.value).sink(sink);
    /// late.sink(late_sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [1, 2]);
    /// assert_eq!(too_late.sorted(), [3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn aggregate_with_late<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> (Results<R, B, A>, Stream<R>) {
        let (results, side) = self.carry(of, true);
        let late = Stream::at(&results.plan, side);
        (results, late)
    }

    fn carry<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
        side: bool,
    ) -> (Results<R, B, A>, Origin) {
        let Windowed { keyed: Keyed { stream, by }, windows, lateness, early, early_after } = self;
        let mut spans = [early, early_after].into_iter().flatten();
        let checked = windows.check().and_then(|()| {
            spans.try_for_each(|span| check_span("span between early results", span))
        });
        let mut asked = windows_asked(&windows, lateness);
        for (when, span) in [("every", early), ("after", early_after)] {
            if let Some(span) = span {
                asked += &format!(", early {when} {}", in_words(span));
            }
        }
        let (early, early_after) = (early.unwrap_or(0), early_after.unwrap_or(0));
        let again = Again { lateness, early, early_after, totals: false };
        let aggregate = of(&Aggregates::default());
        asked += &format!("{OF}{}", aggregate.name());
        let chain = stream.chain.clone();
        let times = if windows.needs_event_times() { Times::Needs } else { Times::Keeps };
        let flow = match checked {
            Ok(()) => windows.flow(Work { chain, by, aggregate, again, side }),
            Err(error) => refusing(error),
        };
        let origin = stream.step_with(times, "window", asked, flow);
        let late = Origin { port: LATE_PORT, sender: Some(0), ..origin };
        (Stream::at(&stream.plan, origin), late)
    }
}

/// What was asked of windows, for an explanation.
pub(super) fn windows_asked(windows: &impl Windows, lateness: i64) -> String {
    match lateness {
        0 => windows.to_string(),
        _ => format!("{windows}, lateness {}", in_words(lateness)),
    }
}

type Results<R, B, A> = Stream<InWindow<<B as KeyOf<R>>::Key, <A as Aggregate<R>>::Out>>;
