//! The operator that reads the splits of a source that belong to its shard.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{
    BAD_PORT, Downstream, Feed, OnBadRecord, Operator, Output, Progress, Seat, Split, SplitState,
};
use crate::error::{Error, Kind, Result};
use crate::limits::{FLUSH_BATCHES, PARKED, SOURCE_RECORDS};
use crate::record::{Batch, Block, Record};
use crate::state::{Loader, Saver};
use crate::sys::clock;
use crate::time::Timestamp;

/// Reads splits in turn, tells those that are silent or have ended.
pub struct SourceNode<R: Record> {
    splits: Vec<Reader<R>>,
    policy: OnBadRecord,
    block: Block<R>,
    /// Splits that have ended, and where.
    past: Vec<Place>,
    next: usize,
    /// Batches since what is held back was last sent.
    unsent: u32,
    seat: Option<Seat>,
    announced: bool,
    /// Whether what is behind was told that all is silent: where event time is taken behind another
    /// operator, splits can't be told apart.
    idle: bool,
    /// Whether splits have heard that the job is stopped.
    stopped: bool,
    ended: bool,
}

struct Reader<R: Record> {
    number: u32,
    split: Box<dyn Split<R>>,
    state: SplitState,
    /// Since when it has given nothing.
    silent: Option<Instant>,
    /// Whether it still gives what it holds although the job is stopped.
    drains: bool,
}

/// What is kept of a split: its number, what it reads, where it is, and whether it has ended.
type Place = (u32, String, u64, bool);

/// The part of a source's state that says where its splits are: their numbers, what they read, how
/// many records they have given, and whether they have ended.
pub const SPLITS: &str = "splits";

/// The way out for what a split gives: it is silent no longer, whatever it says of itself, and
/// what is behind learns that before it gets the records.
struct Waking<'a, 'b> {
    number: u32,
    state: &'a mut SplitState,
    silent: &'a mut Option<Instant>,
    idle: &'a mut bool,
    out: &'a mut Output<'b>,
}

impl Downstream for Waking<'_, '_> {
    fn take(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        *self.silent = None;
        if *self.state == SplitState::Idle {
            *self.state = SplitState::Active;
            if std::mem::take(self.idle) {
                self.out.idle(false)?;
            }
            self.out.split(self.number, SplitState::Active)?;
        }
        match port {
            BAD_PORT => self.out.divert(port, batch),
            _ => self.out.dispatch(port, batch),
        }
    }
}

impl<R: Record> SourceNode<R> {
    /// Reads these splits, each with its number in the source.
    pub fn new(splits: Vec<(u32, Box<dyn Split<R>>)>, policy: OnBadRecord) -> Self {
        let reader = |(number, split)| {
            let (state, silent, drains) = (SplitState::Active, None, false);
            Reader { number, split, state, silent, drains }
        };
        let splits = splits.into_iter().map(reader).collect();
        let block = Block::new();
        SourceNode {
            splits,
            policy,
            block,
            past: Vec::new(),
            next: 0,
            unsent: 0,
            seat: None,
            announced: false,
            idle: false,
            stopped: false,
            ended: false,
        }
    }

    /// Polls one split and says what it gave.
    fn read(&mut self, index: usize, out: &mut Output<'_>) -> Result<Progress> {
        let reader = &mut self.splits[index];
        let mut bad = 0;
        let Reader { number, state, silent, .. } = reader;
        let idle = &mut self.idle;
        let mut waking = Waking { number: *number, state, silent, idle, out };
        let feed = Feed::new(*number, &mut self.block, &mut bad, self.policy, &mut waking);
        let room = self.seat.as_ref().map_or(SOURCE_RECORDS, |seat| seat.pace.records());
        let mut feed = feed.with_room(room);
        let progress = reader.split.poll(&mut feed).and_then(|progress| {
            feed.flush()?;
            Ok(progress)
        });
        out.counters().bad.add(bad);
        progress.map_err(|error| {
            let context = format!("split {}, offset {}", reader.number, reader.split.offset());
            error.within(context)
        })
    }

    /// After what silence a split no longer holds the watermark back.
    fn patience(&self) -> Duration {
        let idle_us = self.seat.as_ref().map_or(i64::MAX, |seat| seat.idle_us);
        Duration::from_micros(idle_us.unsigned_abs())
    }

    /// Notes what a split gave; tells the operators behind when its state changes.
    fn note(&mut self, index: usize, progress: Progress, out: &mut Output<'_>) -> Result {
        let patience = self.patience();
        let reader = &mut self.splits[index];
        let state = match progress {
            Progress::Done => SplitState::Ended,
            Progress::Busy => {
                reader.silent = None;
                SplitState::Active
            }
            Progress::Idle | Progress::Parked => {
                let silent = clock::since(*reader.silent.get_or_insert_with(clock::now));
                let idle = silent > patience || reader.split.is_vacant();
                if idle { SplitState::Idle } else { reader.state }
            }
        };
        if state == reader.state {
            return Ok(());
        }
        // What is behind may give results, and nothing else may come.
        self.unsent += 1;
        reader.state = state;
        let number = reader.number;
        if state == SplitState::Ended {
            let Reader { number, split, .. } = self.splits.remove(index);
            self.past.push((number, split.name(), split.offset(), true));
        }
        if state == SplitState::Active && std::mem::take(&mut self.idle) {
            out.idle(false)?;
        }
        out.split(number, state)?;
        let silent = |reader: &Reader<R>| reader.state == SplitState::Idle;
        let idle = !self.splits.is_empty() && self.splits.iter().all(silent);
        if std::mem::replace(&mut self.idle, idle) == idle {
            return Ok(());
        }
        out.idle(idle)
    }

    /// Whether a split that waits for the bell needs no look before: one that will be told idle
    /// sooner than the next look comes in any case does.
    fn may_park(&self, index: usize) -> bool {
        let Reader { state, silent, .. } = &self.splits[index];
        let silent = silent.map_or(Duration::ZERO, clock::since);
        *state == SplitState::Idle || silent.saturating_add(PARKED) < self.patience()
    }

    /// Tells the operators behind of the splits.
    fn announce(&mut self, out: &mut Output<'_>) -> Result {
        if self.announced {
            return Ok(());
        }
        self.announced = true;
        for reader in &self.splits {
            out.split(reader.number, SplitState::Active)?;
        }
        // Now that all are known, what is behind may say how far they had come.
        out.idle(false)
    }

    /// The job is stopped: reads what splits hold that nobody could give again, and ends.
    fn stop(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        if !self.stopped {
            self.stopped = true;
            self.splits.iter_mut().for_each(|reader| reader.drains = reader.split.stop());
        }
        let Some(index) = self.splits.iter().position(|reader| reader.drains) else {
            return self.end(false, out);
        };
        self.announce(out)?;
        self.splits[index].drains = self.read(index, out)? == Progress::Busy;
        out.flush()?;
        Ok(Progress::Busy)
    }

    fn end(&mut self, drain: bool, out: &mut Output<'_>) -> Result<Progress> {
        self.ended = true;
        if drain {
            out.watermark(Timestamp::MAX)?;
        }
        out.flush()?;
        out.finish()?;
        Ok(Progress::Done)
    }
}

impl<R: Record> Operator for SourceNode<R> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.seat = Some(seat.clone());
        let bell = || seat.bells.ringer(seat.shard);
        self.splits.iter_mut().for_each(|reader| reader.split.open(bell()));
        Ok(())
    }

    fn process(&mut self, _: usize, _: &Batch<'_>, _: &mut Output<'_>) -> Result {
        Err(Error::new(Kind::Internal, "a source has no input port"))
    }

    fn begins(&self) -> bool {
        true
    }

    fn save(&mut self, to: &mut Saver) -> Result {
        to.part::<Place>(SPLITS, |part| {
            for Reader { number, split, .. } in &self.splits {
                part.put((*number, &split.name(), split.offset(), false));
            }
            for (number, name, offset, ended) in &self.past {
                part.put((*number, name, *offset, *ended));
            }
        })
    }

    fn load(&mut self, from: &Loader<'_>) -> Result {
        let mut places: HashMap<u32, Place> = HashMap::new();
        from.part::<Place>(SPLITS, |_, _, place| {
            places.insert(place.0, Place::own(place));
        })?;
        if places.is_empty() {
            // It was not there when the checkpoint was made.
            return Ok(());
        }
        for mut reader in std::mem::take(&mut self.splits) {
            let (number, name) = (reader.number, reader.split.name());
            let Some((_, was, offset, ended)) = places.remove(&number) else {
                let what = format!("split {number}, {name:?}, is new since the checkpoint");
                return Err(Error::new(Kind::Data, what));
            };
            if was != name {
                let what = format!("split {number} was {was:?} and is {name:?} now");
                return Err(Error::new(Kind::Data, what));
            }
            if ended {
                self.past.push((number, name, offset, ended));
                continue;
            }
            let context = |error: Error| error.within(format!("split {number}, offset {offset}"));
            reader.split.seek(offset).map_err(context)?;
            self.splits.push(reader);
        }
        let own = |number: u32| number as usize % from.shards() == from.shard();
        for (number, name, offset, ended) in places.into_values().filter(|place| own(place.0)) {
            if !ended {
                let what = format!("split {number}, {name:?}, was not read to its end and is gone");
                return Err(Error::new(Kind::Data, what));
            }
            self.past.push((number, name, offset, ended));
        }
        Ok(())
    }

    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        if self.ended {
            return Ok(Progress::Done);
        }
        if self.seat.as_ref().is_some_and(|seat| seat.stop.load(Relaxed)) {
            return self.stop(out);
        }
        if self.splits.is_empty() {
            return self.end(true, out);
        }
        self.announce(out)?;
        self.next = (self.next + 1) % self.splits.len();
        let mut progress = Progress::Parked;
        for i in 0..self.splits.len() {
            let index = (self.next + i) % self.splits.len();
            let given = self.read(index, out)?;
            self.note(index, given, out)?;
            match given {
                Progress::Busy | Progress::Done => {
                    progress = Progress::Busy;
                    break;
                }
                Progress::Parked if self.may_park(index) => {}
                Progress::Parked | Progress::Idle => progress = Progress::Idle,
            }
        }
        let busy = progress == Progress::Busy;
        self.unsent += u32::from(busy);
        if self.unsent >= FLUSH_BATCHES || (self.unsent > 0 && !busy) {
            self.unsent = 0;
            out.flush()?;
        }
        Ok(progress)
    }
}
