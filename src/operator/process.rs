//! The process function: a user's own state and timers for each key.
//!
//! The states of keys lie in a [`PagedTable`]. Where there are timers, each with the *life* of its
//! key: it has a number, begins with the first timer, and ends when the key is cleared or its
//! timers are cancelled. A timer names the life that set it, so cancelling all of a key's timers is
//! to end its life, and timers of a life that is over do nothing when they are due.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::row::{Life, Row};
use super::{KeyOf, Lifecycle, Output, Progress, Stage, Stamp};
use crate::error::{Error, Kind, Result};
use crate::key;
use crate::limits::LAST_TIMERS;
use crate::record::{Block, Key, Record};
use crate::state::{Backend, Loader, PagedTable, Saver, Timer, Timers};
use crate::sys::clock;
use crate::time::{Timestamp, Watermark};

/// Which clock a call of a process function goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Event time: a record, or a timer of [`Context::timer_at`].
    Event,
    /// Processing time: a timer of [`Context::timer_after`].
    Processing,
}

/// What a process function is given besides its state: the key, the times, the way out.
pub struct Context<'a, K, O: Record> {
    key: &'a K,
    hash: u64,
    time: Timestamp,
    /// What of the operators behind is late as seen from here.
    mark: Watermark,
    clock: Clock,
    /// The event time of the timer that fires.
    fires: Option<Timestamp>,
    cleared: bool,
    life: &'a mut Life,
    around: &'a mut Around<K, O>,
}

/// What the calls for all keys share.
struct Around<K, O> {
    watermark: Watermark,
    results: Block<O>,
    full: bool,
    timers: Timers<K>,
    /// Timers by processing time.
    alarms: Timers<K>,
    /// All alarms up to this time have fired.
    rung: Timestamp,
    /// The machine's clock when the operator was made, and since when.
    begun: (Timestamp, Instant),
    /// The number of the last life that began.
    number: u64,
    /// Keys whose life has begun.
    lives: usize,
    /// Timers that were set by timers since the watermark reached its end.
    last: u64,
}

impl<'a, K: Key, O: Record> Context<'a, K, O> {
    /// The key.
    pub fn key(&self) -> &'a K {
        self.key
    }

    /// The event time of the record ([`Timestamp::MIN`] when it has none), or the time that the
    /// timer was set for. In a call by processing time it is the watermark before the input's
    /// end.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// How far event time has come; [`Timestamp::MAX`] once the input has ended. While records
    /// come it depends on how they are cut into batches, so decide by [`time`](Context::time)
    /// where you can.
    pub fn watermark(&self) -> Watermark {
        self.around.watermark
    }

    /// Whether this is a call by event time (all records, and timers of
    /// [`timer_at`](Context::timer_at)) or by processing time.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Emits a record by its view, with the event time [`time`](Context::time).
    #[inline(always)]
    pub fn emit(&mut self, record: O::View<'_>) {
        self.emit_at(self.time, record);
    }

    /// Emits a record by its view with an event time of your own. One before the watermark is late
    /// for the operators behind.
    #[inline(always)]
    pub fn emit_at(&mut self, at: Timestamp, record: O::View<'_>) {
        self.around.full |= self.around.results.push_marked(at, self.mark, record);
    }

    /// Emits an owned record.
    #[inline(always)]
    pub fn give(&mut self, record: &O) {
        record.lend(|view| self.emit(view));
    }

    /// Calls the timer closure for this key once the watermark has reached `at`: all records of
    /// an earlier event time have come then, unless they are late. Timers fire in the order of
    /// their times. The same time set twice fires once. A time that the watermark has passed
    /// fires when it next grows; a timer that sets one for its own time or before gets it one
    /// microsecond later.
    #[inline]
    pub fn timer_at(&mut self, at: Timestamp) {
        // The least time stands for no timer.
        let after = self.fires.unwrap_or(Timestamp::MIN);
        let at = at.max(Timestamp::from_micros(after.micros().saturating_add(1)));
        // One that the watermark has passed may have fired.
        if std::mem::replace(&mut self.life.0, at) == at && at > self.around.watermark {
            return;
        }
        let (hash, life, key) = (self.hash, self.number(), self.key.clone());
        if self.fires.is_some() && self.around.watermark == Timestamp::MAX {
            self.around.last += 1;
        }
        self.around.timers.set(Timer { at, hash, life, key });
    }

    /// Calls the timer closure for this key after so much time on the machine's clock, exact to
    /// some 40 ms; at the end of the input at once. A job that is stopped does not call it.
    pub fn timer_after(&mut self, delay: Duration) {
        let at = self.around.now() + delay;
        let (hash, life, key) = (self.hash, self.number(), self.key.clone());
        self.around.alarms.set(Timer { at, hash, life, key });
    }

    /// The number of the key's life, which begins if it has none.
    fn number(&mut self) -> u64 {
        if self.life.1 == 0 {
            self.around.number += 1;
            self.around.lives += 1;
            self.life.1 = self.around.number;
        }
        self.life.1
    }

    /// Whether the key is to be forgotten; its life is over then.
    #[inline(always)]
    fn is_over(&mut self) -> bool {
        if self.cleared {
            self.cancel_timers();
        }
        self.cleared
    }

    /// Cancels all timers of this key that were set so far; O(1).
    pub fn cancel_timers(&mut self) {
        self.around.lives -= usize::from(self.life.1 != 0);
        *self.life = Life::default();
    }

    /// Forgets this key when the closure returns: its state and all its timers. Its next record
    /// finds `S::default()` again.
    pub fn clear(&mut self) {
        self.cleared = true;
    }
}

impl<K: Key, O: Record> Around<K, O> {
    fn of(backend: &Backend) -> Self {
        let (timers, alarms) = (Timers::of(backend), Timers::of(backend));
        let (watermark, results) = (Timestamp::MIN, Block::new());
        Around {
            watermark,
            results,
            full: false,
            timers,
            alarms,
            rung: Timestamp::MIN,
            begun: (Timestamp::now(), clock::now()),
            number: 0,
            lives: 0,
            last: 0,
        }
    }

    /// The machine's clock, without what it was set back or forth meanwhile, nor back before the
    /// time to which the job had come in an earlier run.
    fn now(&self) -> Timestamp {
        self.begun.0 + clock::since(self.begun.1)
    }

    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.full = false;
        if self.results.is_empty() {
            return Ok(());
        }
        let result = out.dispatch(0, &self.results.batch());
        self.results.clear();
        result
    }
}

/// Forgets timers of lives that are over, once they may be many.
fn prune<K: Key, W: Row>(timers: &mut Timers<K>, table: &mut PagedTable<K, W>) {
    timers.prune(|Timer { hash, life, key, .. }| {
        let row = table.get(*hash, |other| other == key);
        let lives = row.is_some_and(|row| row.life() == *life);
        table.relieve();
        lives
    });
}

/// Sets the saved timers of this shard's keys; gives the greatest number of a life that has one.
/// Whether a life is over shows when its timer is due.
fn set_again<K: Key>(timers: &mut Timers<K>, part: &str, from: &Loader<'_>) -> Result<u64> {
    let mut number = 0;
    from.timers::<K>(part, |at, key, life| {
        let key = K::own(key);
        let hash = key::hash(&key);
        if from.owns(hash) {
            number = number.max(life);
            timers.set(Timer { at, hash, life, key });
        }
    })?;
    Ok(number)
}

/// The stage that runs a process function.
pub struct Process<R, B, W, O, F, G>
where
    R: Record,
    B: KeyOf<R>,
{
    by: B,
    on_record: F,
    on_timer: G,
    table: PagedTable<B::Key, W>,
    around: Around<B::Key, O>,
    ended: bool,
    record: PhantomData<fn() -> R>,
}

impl<R, B, W, O, F, G> Process<R, B, W, O, F, G>
where
    R: Record,
    B: KeyOf<R>,
    W: Row,
    O: Record,
    G: FnMut(&mut W::State, Timestamp, &mut Context<'_, B::Key, O>) + Send + 'static,
{
    /// Runs these closures on state for each key, kept where `backend` says.
    pub fn new(by: B, on_record: F, on_timer: G, backend: &Backend) -> Self {
        let (table, around) = (PagedTable::of(backend.clone()), Around::of(backend));
        Process { by, on_record, on_timer, table, around, ended: false, record: PhantomData }
    }

    /// Calls the timer closure unless the life of the key that set the timer is over.
    fn fire(&mut self, timer: &Timer<B::Key>, clock: Clock, time: Timestamp, at: Timestamp) {
        let Process { table, around, on_timer, .. } = self;
        let Timer { hash, key, .. } = timer;
        let (is, hash) = (|other: &B::Key| other == key, *hash);
        table.change(hash, is, |row| {
            let mut none = Life::default();
            let (state, life) = row.parts(&mut none);
            if life.1 != timer.life {
                return true;
            }
            let fires = (clock == Clock::Event).then_some(at);
            // No later watermark has been handed on before all timers of event time up to it fire.
            let (mark, cleared) = (time, false);
            let mut ctx = Context { key, hash, time, mark, clock, fires, cleared, life, around };
            on_timer(state, at, &mut ctx);
            !ctx.is_over()
        });
    }

    /// Hands results on and forgets timers of lives that are over.
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        let Process { table, around, .. } = self;
        // Otherwise hardly one can be over, and to look at all keys may bring them into memory.
        if around.timers.len() + around.alarms.len() > 2 * around.lives {
            prune(&mut around.timers, table);
            prune(&mut around.alarms, table);
        }
        around.flush(out)
    }

    /// Fires the event-time timers that are due.
    fn fire_timers(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.around.watermark = at;
        let mut last = None;
        while let Some(timer) = self.around.timers.pop_due(at) {
            // The life alone does not say which key it is: keys may have come from other shards.
            let this = Some((timer.at, timer.hash, timer.life));
            if std::mem::replace(&mut last, this) == this {
                continue;
            }
            self.fire(&timer, Clock::Event, timer.at, timer.at);
            if self.around.full {
                self.around.flush(out)?;
            }
            if self.around.last > LAST_TIMERS {
                let what = format!(
                    "timers set {LAST_TIMERS} more timers after the input's end; \
                     set none when the watermark is Timestamp::MAX"
                );
                return Err(Error::new(Kind::UserCode, what));
            }
        }
        self.settle(out)
    }

    /// Fires the processing-time timers that are due, or all; true when there was one.
    fn fire_alarms(&mut self, all: bool, out: &mut Output<'_>) -> Result<bool> {
        let mut due: Vec<_> = Vec::new();
        let until = if all { Timestamp::MAX } else { self.around.now() };
        while let Some(timer) = self.around.alarms.pop_due(until) {
            due.push(timer);
        }
        self.around.rung = until.max(self.around.rung);
        let (time, at) = (self.around.watermark, self.around.now());
        for timer in &due {
            self.fire(timer, Clock::Processing, time, at);
            if self.around.full {
                self.around.flush(out)?;
            }
        }
        self.settle(out)?;
        Ok(!due.is_empty())
    }
}

impl<R, B, W, O, F, G> Lifecycle for Process<R, B, W, O, F, G>
where
    R: Record,
    B: KeyOf<R>,
    W: Row,
    O: Record,
    F: Send + 'static,
    G: FnMut(&mut W::State, Timestamp, &mut Context<'_, B::Key, O>) + Send + 'static,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.table.tend();
        self.settle(out)
    }

    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        // A job that goes on is told again what it was told.
        if at == Timestamp::MAX && self.around.watermark < at {
            self.fire_alarms(true, out)?;
        }
        self.fire_timers(at.max(self.around.watermark), out)?;
        out.watermark(at)
    }

    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        // A stopped job does not wait for timers.
        if self.ended || self.around.alarms.is_empty() {
            return Ok(Progress::Done);
        }
        if !self.fire_alarms(false, out)? {
            return Ok(Progress::Idle);
        }
        out.flush()?;
        Ok(Progress::Busy)
    }

    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.ended = true;
        out.finish()
    }

    fn save(&mut self, to: &mut Saver) -> Result {
        let Process { table, around, .. } = self;
        to.part::<Timestamp>("process watermark", |part| part.put(around.watermark))?;
        to.part::<Timestamp>("process clock", |part| part.put(around.now()))?;
        W::save(table, to)?;
        to.begin_timers("timers", &mut around.timers, around.watermark)?;
        // What is left at the input's end is never due.
        let mut none = Timers::new();
        let over = around.watermark == Timestamp::MAX;
        let alarms = if over { &mut none } else { &mut around.alarms };
        to.begin_timers("alarms", alarms, around.rung)
    }

    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let Process { table, around, .. } = self;
        Ok(W::save_more(table, to)?
            && to.timers("timers", &mut around.timers)?
            && to.timers("alarms", &mut around.alarms)?)
    }

    fn state_bytes(&self) -> usize {
        self.table.bytes() + self.around.timers.bytes() + self.around.alarms.bytes()
    }

    fn load(&mut self, from: &Loader<'_>) -> Result {
        let Process { table, around, .. } = self;
        from.part::<Timestamp>("process watermark", |_, _, at| {
            around.watermark = around.watermark.max(at);
        })?;
        W::load(table, from)?;
        table.for_each(|_, row| {
            around.number = around.number.max(row.life());
            around.lives += usize::from(row.life() != 0);
        });
        from.part::<Timestamp>("process clock", |_, _, at| {
            around.begun.0 = around.begun.0.max(at);
        })?;
        let timers = set_again(&mut around.timers, "timers", from)?;
        let alarms = set_again(&mut around.alarms, "alarms", from)?;
        around.number = around.number.max(timers).max(alarms);
        Ok(())
    }
}

impl<R, B, W, O, F, G> Stage<R> for Process<R, B, W, O, F, G>
where
    R: Record,
    B: KeyOf<R>,
    W: Row,
    O: Record,
    F: FnMut(&mut W::State, R::View<'_>, &mut Context<'_, B::Key, O>) + Send + 'static,
    G: FnMut(&mut W::State, Timestamp, &mut Context<'_, B::Key, O>) + Send + 'static,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let Process { by, table, around, on_record, .. } = self;
        let part = by.part(record);
        let hash = B::hash(&part);
        let is = |key: &B::Key| B::is(&part, key);
        let make = || (B::own(by.part(record)), W::default());
        let (key, row) = table.entry_pair(hash, is, make);
        let mut none = Life::default();
        let (state, life) = row.parts(&mut none);
        let (Stamp { at: time, mark }, clock, fires) = (stamp, Clock::Event, None);
        let cleared = false;
        let mut context = Context { key, hash, time, mark, clock, fires, cleared, life, around };
        on_record(state, record, &mut context);
        if context.is_over() {
            table.remove(hash, is);
        }
        if around.full {
            return around.flush(out);
        }
        Ok(())
    }

    fn looks_ahead(&self) -> bool {
        self.table.is_far()
    }
    #[inline(always)]
    fn foresee(&self, record: R::View<'_>) -> u64 {
        let hash = B::hash(&self.by.part(record));
        self.table.foresee(hash);
        hash
    }
    #[inline(always)]
    fn expect(&self, hash: u64) {
        self.table.expect(hash);
    }
}
