//! Session windows: records of a key that follow one another without a long gap.

use std::fmt;
use std::time::Duration;

use super::Windows;
use super::check::check_span;
use super::results::{Results, tell_behind};
use super::saved::{save_told, told};
use super::spec::us;
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, KeyOf, Lifecycle, Output, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, Held, Loader, PagedTable, Saver, Timer, Timers};
use crate::time::{Timestamp, Watermark, in_words, span};

/// Windows that last while a key's records are less than a gap apart. Such a window starts at its
/// first record and ends a gap after its last one.
///
/// A record between two sessions that touches both makes one of them, so the aggregate must be one
/// that can be merged; the job does not start with another. A record is late when it is older than
/// the watermark of its split less the allowed lateness. With an allowed lateness a session that
/// has been given may grow or join another: it is given again, and then replaces every earlier
/// result of its key that lies within its bounds.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Memory::of([1_u64, 2, 3, 10, 11]))
///     .event_time(|n| Timestamp::from_millis(n as i64 * 1_000), 0.seconds())
///     .window(Session::gap(5.seconds()))
///     .aggregate(|ns| ns.count())
///     .map(|session| (session.start.millis(), session.end.millis(), session.value))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [(1_000, 8_000, 3), (10_000, 16_000, 2)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    gap: i64,
}

impl Session {
    /// Sessions that end after a silence of `gap`. The job does not start if it is less than a
    /// microsecond.
    pub fn gap(gap: Duration) -> Session {
        Session { gap: span(gap) }
    }

    /// The silence that ends a session, microseconds.
    pub fn gap_us(&self) -> i64 {
        self.gap
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session, gap {}", in_words(self.gap))
    }
}

impl Windows for Session {
    fn check(&self) -> Result {
        check_span("gap between sessions", self.gap)
    }
}

/// A session that is open or may still be given again.
#[derive(Clone)]
struct Open<T> {
    first: Timestamp,
    last: Timestamp,
    /// When it is to be looked at next; one timer of `Sessions::due` is for it.
    due: Timestamp,
    /// Whether it has records that were not given yet.
    changed: bool,
    acc: T,
}

/// How a session is saved: first, last; whether it has changed; accumulator.
type Saved<T> = ((Timestamp, Timestamp), bool, T);

impl<T: Record + Clone> Held for Vec<Open<T>> {
    /// Each with when it is due.
    type As = Vec<(Timestamp, Saved<T>)>;
    fn lend_as<X>(&self, look: impl FnOnce(<Self::As as Record>::View<'_>) -> X) -> X {
        let each = |Open { first, last, due, changed, acc }: &Open<T>| {
            (*due, ((*first, *last), *changed, acc.clone()))
        };
        self.iter().map(each).collect::<Self::As>().lend(look)
    }
    fn own_as(view: <Vec<(Timestamp, Saved<T>)> as Record>::View<'_>) -> Self {
        let each = |(due, ((first, last), changed, acc))| Open {
            first,
            last,
            due,
            changed,
            acc: T::own(acc),
        };
        view.iter().map(each).collect()
    }
}

fn wake<K>(at: Timestamp, hash: u64, key: K) -> Timer<K> {
    Timer { at, hash, life: 0, key }
}

/// The sessions of the keys that this shard owns.
pub struct Sessions<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    gap: i64,
    lateness: i64,
    /// Sessions of each key, oldest first; no two overlap.
    open: PagedTable<B::Key, Vec<Open<A::Acc>>>,
    due: Timers<B::Key>,
    told: Watermark,
    results: Results<R, B::Key, A>,
}

impl<R, B, A> Sessions<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Sessions; `lateness` in microseconds. State is kept where `backend` says.
    pub fn new(by: B, aggregate: A, windows: Session, lateness: i64, backend: &Backend) -> Self {
        let (open, due) = (PagedTable::of(backend.clone()), Timers::of(backend));
        let (told, results) = (Timestamp::MIN, Results::new(aggregate));
        Sessions { by, gap: windows.gap, lateness, open, due, told, results }
    }

    /// Gives and forgets what a key has to give and forget.
    fn look(&mut self, timer: Timer<B::Key>, at: Watermark, out: &mut Output<'_>) -> Result {
        let Timer { at: due, hash, key, .. } = timer;
        let is = |other: &B::Key| *other == key;
        let found = self.open.get(hash, is);
        if !found.is_some_and(|sessions| sessions.iter().any(|session| session.due == due)) {
            // The session is part of another one now, or has grown after it was given.
            return Ok(());
        }
        let Some(sessions) = self.open.get_mut(hash, is) else {
            return Ok(());
        };
        let mut i = 0;
        while let Some(session) = sessions.get_mut(i) {
            i += 1;
            if session.due != due {
                continue;
            }
            let end = us(session.last, self.gap);
            let gone = us(end, self.lateness);
            if end <= at && session.changed {
                session.changed = false;
                let bounds = (session.first, end);
                self.results.give(us(end, -1), bounds, &key, &session.acc, out)?;
            }
            if gone <= at {
                i -= 1;
                sessions.remove(i);
                continue;
            }
            session.due = if end <= at { gone } else { end };
            self.due.set(wake(session.due, hash, key.clone()));
        }
        if sessions.is_empty() {
            self.open.remove(hash, is);
        }
        Ok(())
    }
}

impl<R, B, A> Lifecycle for Sessions<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.open.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        while let Some(timer) = self.due.pop_due(at) {
            self.look(timer, at, out)?;
        }
        // A job that goes on is told again what it was told.
        self.told = self.told.max(at);
        self.results.flush(out)?;
        tell_behind(at, self.lateness, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        save_told(self.told, to)?;
        to.begin_table::<_, _, (B::Key, Vec<Saved<A::Acc>>)>("sessions", &mut self.open)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let open = &mut self.open;
        to.table::<_, _, (B::Key, Vec<Saved<A::Acc>>)>("sessions", open, |part, key, sessions| {
            let saved = |Open { first, last, changed, acc, .. }: &Open<A::Acc>| {
                ((*first, *last), *changed, acc.clone())
            };
            let saved: Vec<Saved<A::Acc>> = sessions.iter().map(saved).collect();
            key.lend(|key| {
                saved.lend(|saved| part.put((B::Key::shorten(key), Vec::shorten(saved))));
            });
        })
    }
    fn state_bytes(&self) -> usize {
        self.open.bytes() + self.due.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.told = told(from)?;
        let Sessions { gap, lateness, open, due, .. } = self;
        let own = |saved: <Saved<A::Acc> as Record>::View<'_>| {
            let ((first, last), changed, acc) = Saved::own(saved);
            let end = us(last, *gap);
            Open { first, last, due: if changed { end } else { us(end, *lateness) }, changed, acc }
        };
        from.table::<_, _, (B::Key, Vec<Saved<A::Acc>>)>("sessions", open, |(key, sessions)| {
            (B::Key::own(key), sessions.iter().map(own).collect())
        })?;
        open.for_each(|key, sessions| {
            let hash = key::hash(key);
            sessions.iter().for_each(|session| due.set(wake(session.due, hash, key.clone())));
        });
        Ok(())
    }
}

impl<R, B, A> Stage<(Timestamp, R)> for Sessions<R, B, A>
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
        if at < us(self.told, -self.lateness) {
            // The shard that sent it was idle, and the others did not wait for it.
            out.counters().late.add(1);
            return Ok(());
        }
        let Sessions { by, gap, open, due, results, .. } = self;
        let (gap, aggregate) = (*gap, &results.aggregate);
        let part = by.part(record);
        let hash = B::hash(&part);
        let none = || (B::own(by.part(record)), Vec::new());
        let sessions = open.entry(hash, |key| B::is(&part, key), none);
        // The newest session is nearly always the one: look from the back.
        let older = sessions.iter().rposition(|session| us(session.last, gap) <= at);
        let i = older.map_or(0, |i| i + 1);
        let end = us(at, gap);
        let mut fresh = false;
        match sessions.get_mut(i).filter(|session| session.first < end) {
            Some(session) => {
                aggregate.add(&mut session.acc, at, record);
                session.first = session.first.min(at);
                session.last = session.last.max(at);
                session.changed = true;
            }
            None => {
                let acc = aggregate.start(at, record);
                sessions.insert(i, Open { first: at, last: at, due: end, changed: true, acc });
                fresh = true;
            }
        }
        let end = us(sessions[i].last, gap);
        if sessions.get(i + 1).is_some_and(|next| next.first < end) {
            let next = sessions.remove(i + 1);
            let session = &mut sessions[i];
            aggregate.merge(&mut session.acc, &next.acc);
            session.last = session.last.max(next.last);
        }
        let session = &mut sessions[i];
        let end = us(session.last, gap);
        if fresh || session.due > end {
            session.due = end;
            due.set(wake(end, hash, B::own(part)));
        }
        Ok(())
    }
}
