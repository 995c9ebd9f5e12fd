//! Aggregates over windows of panes.
//!
//! On one shard [`Whole`] does it all. On several, [`Partial`] aggregates on every shard what it
//! reads and hands on a partial result for each key when a pane closes; [`Merging`] puts them
//! together. A raw record then never crosses a ring, and a hot key costs nothing.

use super::closing::Closing;
use super::each::Each;
use super::global::Totals;
use super::pulse::Pulse;
use super::results::{LATE_PORT, tell_behind};
use super::saved::{read, save_read, save_told, told};
use super::spec::us;
use super::{Again, Panes, Place, WindowSpec};
use crate::error::Result;
use crate::key;
use crate::operator::{Aggregate, KeyOf, Late, Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::record::{Key, Record};
use crate::state::{Backend, Loader, Saver};
use crate::time::{Timestamp, Watermark};

/// Records of `R` on their way into panes.
struct Filling<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    aggregate: A,
    spec: WindowSpec,
    lateness: i64,
    panes: Panes<B::Key, A::Acc>,
    /// Records of the last record's pane miss a window once the mark reaches this.
    late_from: Timestamp,
    /// The watermark that this shard was told.
    told: Watermark,
    /// Records that came too late for some of their windows: end of the first window that they
    /// count in, pane, key, accumulator.
    tardy: Vec<(Timestamp, Timestamp, B::Key, A::Acc)>,
    late: Late<R>,
}

impl<R, B, A> Filling<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn new(
        (by, aggregate): (B, A),
        spec: WindowSpec,
        lateness: i64,
        side: bool,
        backend: &Backend,
    ) -> Self {
        let panes = Panes::new(spec.pane, spec.offset, backend);
        let (late_from, told) = (Timestamp::MIN, Timestamp::MIN);
        let (tardy, late) = (Vec::new(), Late::new(side.then_some(LATE_PORT)));
        Filling { by, aggregate, spec, lateness, panes, late_from, told, tardy, late }
    }

    /// Notes what the shards that did not wait for this one have reached meanwhile.
    fn come_back(&mut self, reached: Watermark) {
        self.told = self.told.max(reached);
        self.panes.leave();
    }

    /// Makes the pane of this record the current one unless the record misses a window.
    #[cold]
    #[inline(never)]
    fn enter(&mut self, Stamp { at, mark }: Stamp) {
        let first = us(self.spec.first_end(self.spec.pane_of(at)), self.lateness);
        // A split that was idle comes back behind the watermark: its own mark says nothing then.
        self.late_from = if self.told >= first { Timestamp::MIN } else { first };
        if mark < self.late_from {
            self.panes.enter(at);
        }
    }

    /// Takes a record that comes too late for a window, maybe for all.
    #[cold]
    #[inline(never)]
    fn miss(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let Stamp { at, mark } = stamp;
        // The current pane may be another one's, `late_from` is this one's.
        self.panes.leave();
        let pane = self.spec.pane_of(at);
        match self.spec.place(pane, us(mark.max(self.told), -self.lateness)) {
            Place::Late => return self.late.take(stamp, record, out),
            Place::Nowhere => {}
            Place::From(end) => {
                let key = B::own(self.by.part(record));
                self.tardy.push((end, pane, key, self.aggregate.start(at, record)));
            }
        }
        Ok(())
    }

    /// Adds a record to its pane.
    #[inline(always)]
    fn add(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let Stamp { at, mark } = stamp;
        if !self.panes.holds(at) {
            self.enter(stamp);
        }
        if mark >= self.late_from {
            return self.miss(stamp, record, out);
        }
        let part = self.by.part(record);
        let hash = B::hash(&part);
        let table = self.panes.current();
        if let Some(acc) = table.get_mut(hash, |key| B::is(&part, key)) {
            self.aggregate.add(acc, at, record);
        } else {
            table.insert_new(hash, B::own(part), self.aggregate.start(at, record));
        }
        Ok(())
    }
}

/// Aggregates what this shard reads and hands partial results, `(key, pane, accumulator)`, on to
/// `to`, the exchange.
pub struct Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    filling: Filling<R, B, A>,
    pulse: Pulse,
    to: X,
}

impl<R, B, A, X> Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Partial results for these windows.
    pub fn new(by: B, aggregate: A, spec: WindowSpec, again: Again, side: bool, to: X) -> Self {
        // Until it is opened.
        let backend = Backend::Memory;
        let filling = Filling::new((by, aggregate), spec, again.lateness, side, &backend);
        Partial { filling, pulse: Pulse::new(again.early_after), to }
    }

    /// Hands on the partial results of all panes that start before a time.
    fn send(&mut self, before: Timestamp, out: &mut Output<'_>) -> Result
    where
        X: Stage<(B::Key, Timestamp, A::Acc)>,
    {
        let Partial { filling: Filling { panes, told, .. }, to, .. } = self;
        while let Some(pane) = panes.close_before(before) {
            let stamp = Stamp { at: pane, mark: *told };
            panes.try_for_each(pane, |key, acc| {
                key.lend(|key| {
                    acc.lend(|acc| {
                        let partial = (B::Key::shorten(key), pane, A::Acc::shorten(acc));
                        to.record(stamp, partial, out)
                    })
                })
            })?;
            panes.forget(pane);
        }
        Ok(())
    }

    /// Hands on what came too late for some of its windows.
    fn send_tardy(&mut self, out: &mut Output<'_>) -> Result
    where
        X: Stage<(B::Key, Timestamp, A::Acc)>,
    {
        for (from, pane, key, acc) in self.filling.tardy.drain(..) {
            // Behind the exchange a partial result with a time after its pane's start counts only
            // in the windows that end at that time or later.
            let stamp = Stamp { at: from, mark: self.filling.told };
            (key, pane, acc).lend(|partial| self.to.record(stamp, partial, out))?;
        }
        Ok(())
    }
}

impl<R, B, A, X> Lifecycle for Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<(B::Key, Timestamp, A::Acc)>,
{
    fn open(&mut self, seat: &Seat) -> Result {
        let Filling { spec, panes, .. } = &mut self.filling;
        *panes = Panes::new(spec.pane, spec.offset, &seat.backend);
        self.to.open(seat)
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.filling.panes.tend();
        self.filling.late.end(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.filling.told = self.filling.told.max(at);
        self.send_tardy(out)?;
        self.send(self.filling.spec.closed(at), out)?;
        self.to.watermark(at, out)?;
        // For the late records that leave here.
        out.watermark(at)
    }
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        if idle {
            // Windows close without this shard from now on, but not without what it has read.
            self.send(Timestamp::MAX, out)?;
        }
        self.to.idle(idle, out)?;
        self.filling.come_back(self.to.reached());
        out.idle(idle)
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.to.flush(out)?;
        out.flush()
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let sent = self.to.poll(out)?;
        if self.to.ready() && self.pulse.is_due() {
            self.send(Timestamp::MAX, out)?;
            self.to.flush(out)?;
            return Ok(Progress::Busy);
        }
        Ok(if self.pulse.runs() && sent == Progress::Done { Progress::Idle } else { sent })
    }
    fn ready(&mut self) -> bool {
        self.to.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.pulse.stop();
        self.to.finish(out)?;
        out.finish()
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        // Partial results are at home where they are put together.
        self.send_tardy(out)?;
        self.send(Timestamp::MAX, out)
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.to.barrier(epoch, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        save_read(self.filling.told, to)?;
        self.to.save(to)
    }
    fn state_bytes(&self) -> usize {
        self.filling.panes.state_bytes() + self.to.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.filling.told = read(from)?;
        self.to.load(from)
    }
}

impl<R, B, A, X> Stage<R> for Partial<R, B, A, X>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
    X: Stage<(B::Key, Timestamp, A::Acc)>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        self.filling.add(stamp, record, out)
    }
}

/// What makes windows of panes.
enum Windows<R: Record, K: Key, A: Aggregate<R>> {
    /// Every result once.
    Closing(Box<Closing<R, K, A>>),
    /// Results again when they change.
    Each(Each<R, K, A>),
    /// Results of all records so far.
    Totals(Totals<R, K, A>),
}

impl<R: Record, K: Key, A: Aggregate<R>> Windows<R, K, A> {
    fn new(aggregate: A, spec: WindowSpec, again: Again, backend: &Backend) -> Self {
        if again == Again::default() {
            return Windows::Closing(Box::new(Closing::new(aggregate, spec, backend)));
        }
        if again.totals {
            return Windows::Totals(Totals::new(aggregate, spec, backend));
        }
        Windows::Each(Each::new(aggregate, spec, again, backend))
    }

    fn save(&mut self, to: &mut Saver) -> Result {
        match self {
            Windows::Closing(closing) => closing.save(to),
            Windows::Each(each) => each.save(to),
            Windows::Totals(totals) => totals.save(to),
        }
    }

    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        match self {
            Windows::Closing(closing) => closing.save_more(to),
            Windows::Each(each) => each.save_more(to),
            Windows::Totals(totals) => totals.save_more(to),
        }
    }

    fn state_bytes(&self) -> usize {
        match self {
            Windows::Closing(closing) => closing.state_bytes(),
            Windows::Each(each) => each.state_bytes(),
            Windows::Totals(totals) => totals.state_bytes(),
        }
    }

    /// Takes up what was saved, and the panes.
    fn load(&mut self, panes: &mut Panes<K, A::Acc>, from: &Loader<'_>) -> Result {
        if let Windows::Closing(closing) = self {
            return closing.load(panes, from);
        }
        panes.load(from)?;
        match self {
            Windows::Each(each) => each.load(from),
            Windows::Totals(totals) => totals.load(from),
            Windows::Closing(_) => Ok(()),
        }
    }

    /// Gives what other shards had given when the job's state was saved.
    fn catch_up(&mut self, panes: &mut Panes<K, A::Acc>, out: &mut Output<'_>) -> Result {
        match self {
            Windows::Closing(closing) => closing.catch_up(panes, out),
            Windows::Each(_) | Windows::Totals(_) => Ok(()),
        }
    }

    fn tardy(&mut self, from: Timestamp, pane: Timestamp, key: &K, acc: &A::Acc) {
        match self {
            Windows::Closing(closing) => closing.tardy(from, pane, key, acc),
            Windows::Each(each) => each.merge(from, pane, key, acc),
            Windows::Totals(_) => unreachable!("nothing is late for a window without end"),
        }
    }

    fn close(
        &mut self,
        panes: &mut Panes<K, A::Acc>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result {
        match self {
            Windows::Closing(closing) => closing.close(panes, at, out),
            Windows::Each(each) => each.close(panes, at, out),
            Windows::Totals(totals) => totals.close(panes, at, out),
        }
    }

    fn give_open(&mut self, panes: &mut Panes<K, A::Acc>, out: &mut Output<'_>) -> Result {
        match self {
            Windows::Each(each) => each.give_open(panes, out),
            Windows::Closing(_) | Windows::Totals(_) => Ok(()),
        }
    }
}

/// Puts the shards' partial results together.
pub struct Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    aggregate: A,
    spec: WindowSpec,
    again: Again,
    panes: Panes<K, A::Acc>,
    windows: Windows<R, K, A>,
    pulse: Pulse,
    /// The watermark that this shard was told.
    told: Watermark,
}

impl<R, K, A> Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    /// Results for these windows, whose state is kept where `backend` says.
    pub fn new(aggregate: A, spec: WindowSpec, again: Again, backend: &Backend) -> Self {
        let panes = Panes::new(spec.pane, spec.offset, backend);
        let windows = Windows::new(aggregate.clone(), spec, again, backend);
        let (pulse, told) = (Pulse::new(again.early_after), Timestamp::MIN);
        Merging { aggregate, spec, again, panes, windows, pulse, told }
    }
}

impl<R, K, A> Lifecycle for Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.panes.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        // A job that goes on is told again what it was told.
        self.told = self.told.max(at);
        self.windows.catch_up(&mut self.panes, out)?;
        self.windows.close(&mut self.panes, at, out)?;
        tell_behind(at, self.again.behind(), out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let Merging { windows, panes, pulse, .. } = self;
        pulse.poll(out, |out| windows.give_open(panes, out))
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.pulse.stop();
        out.finish()
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.windows.catch_up(&mut self.panes, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        save_told(self.told, to)?;
        self.panes.save(to)?;
        self.windows.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        Ok(self.panes.save_more(to)? && self.windows.save_more(to)?)
    }
    fn state_bytes(&self) -> usize {
        self.panes.state_bytes() + self.windows.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.told = told(from)?;
        self.windows.load(&mut self.panes, from)
    }
}

impl<R, K, A> Stage<(K, Timestamp, A::Acc)> for Merging<R, K, A>
where
    R: Record,
    K: Key,
    A: Aggregate<R>,
{
    fn record(
        &mut self,
        Stamp { mut at, .. }: Stamp,
        (key, pane, acc): <(K, Timestamp, A::Acc) as Record>::View<'_>,
        out: &mut Output<'_>,
    ) -> Result {
        let (key, other) = (K::own(key), A::Acc::own(acc));
        let closed = us(self.told, -self.again.lateness);
        if us(pane, self.spec.pane) <= closed {
            // The shard that sent it was idle, and the others did not wait for it.
            match self.spec.place(pane, closed) {
                Place::From(end) => at = at.max(end),
                Place::Late => {
                    out.counters().late.add(1);
                    return Ok(());
                }
                Place::Nowhere => return Ok(()),
            }
        }
        if at > pane {
            self.windows.tardy(at, pane, &key, &other);
            return Ok(());
        }
        let hash = key::hash(&key);
        let table = self.panes.at(pane);
        if let Some(acc) = table.get_mut(hash, |kept| *kept == key) {
            self.aggregate.merge(acc, &other);
        } else {
            table.insert_new(hash, key, other);
        }
        Ok(())
    }
}

/// Aggregates records into windows on one shard.
pub struct Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    filling: Filling<R, B, A>,
    windows: Windows<R, B::Key, A>,
    again: Again,
    pulse: Pulse,
}

impl<R, B, A> Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Results for these windows, whose state is kept where `backend` says.
    pub fn new(
        (by, aggregate): (B, A),
        spec: WindowSpec,
        again: Again,
        side: bool,
        backend: &Backend,
    ) -> Self {
        let parts = (by, aggregate.clone());
        let filling = Filling::new(parts, spec, again.lateness, side, backend);
        let windows = Windows::new(aggregate, spec, again, backend);
        Whole { filling, windows, again, pulse: Pulse::new(again.early_after) }
    }

    /// Puts what came too late for some of its windows into the others.
    fn take_tardy(&mut self) {
        for (from, pane, key, acc) in self.filling.tardy.drain(..) {
            self.windows.tardy(from, pane, &key, &acc);
        }
    }
}

impl<R, B, A> Lifecycle for Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.filling.panes.tend();
        self.filling.late.end(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        // A job that goes on is told again what it was told.
        self.filling.told = self.filling.told.max(at);
        self.windows.catch_up(&mut self.filling.panes, out)?;
        self.take_tardy();
        self.windows.close(&mut self.filling.panes, at, out)?;
        tell_behind(at, self.again.behind(), out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        let Whole { filling, windows, pulse, .. } = self;
        pulse.poll(out, |out| windows.give_open(&mut filling.panes, out))
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.pulse.stop();
        out.finish()
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.windows.catch_up(&mut self.filling.panes, out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.take_tardy();
        save_told(self.filling.told, to)?;
        self.filling.panes.save(to)?;
        self.windows.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        Ok(self.filling.panes.save_more(to)? && self.windows.save_more(to)?)
    }
    fn state_bytes(&self) -> usize {
        self.filling.panes.state_bytes() + self.windows.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.filling.told = told(from)?;
        self.windows.load(&mut self.filling.panes, from)
    }
}

impl<R, B, A> Stage<R> for Whole<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        self.filling.add(stamp, record, out)
    }
}
