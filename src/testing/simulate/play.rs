//! A source whose splits fall silent and come back, and never bring a record that is late.
//!
//! Event time is cut into acts, each as long as the disorder that the job says its records have,
//! [`ACT`]. In each act some of the splits give records, and the others none. The next act begins
//! when all records of this one have been given and the job is at rest: no shard has had anything
//! to do for some turns, and no checkpoint is being made.
//!
//! So which splits are idle when, and what of it each shard has heard yet, changes no result. While
//! act `n` is played the newest record is before its end, so every watermark is before its begin;
//! and all that is still to come is of this act or later ones. What is on its way between shards is
//! of this act, too, and what is behind an idle split that comes back is nothing. Without the rest
//! it would not do: a shard may hear how far the others have come before it hears that a split is
//! back, whose records, of the act before, are then late for it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::jobs::Event;
use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, Progress, Source, Split};
use crate::testing::Cuts;

/// Milliseconds of event time in an act.
pub const ACT: u64 = 20;
/// Splits of the source.
const SPLITS: usize = 3;
/// The most records that a poll gives.
const GIVEN_MAX: usize = 6;

/// How far a play has come; its splits and whoever lets it go on share it.
#[derive(Debug)]
pub struct Acts {
    /// How many rows show.
    rows: AtomicU64,
    /// The act that is played.
    now: AtomicU64,
    /// Of each split the act of the next record; of one that is no more the end of time.
    next: [AtomicU64; SPLITS],
}

impl Default for Acts {
    fn default() -> Self {
        let next = std::array::from_fn(|_| AtomicU64::new(u64::MAX));
        Acts { rows: AtomicU64::new(0), now: AtomicU64::new(0), next }
    }
}

impl Acts {
    /// So many rows show now.
    pub fn show(&self, rows: usize) {
        self.rows.store(rows as u64, Relaxed);
    }

    /// How many rows show.
    pub fn shown(&self) -> usize {
        self.rows.load(Relaxed) as usize
    }

    /// The job begins once more, and its splits, which are no more, where they were at its last
    /// checkpoint.
    pub fn begin(&self) {
        self.now.store(0, Relaxed);
    }

    /// The job is at rest: the next act begins, if this one is over.
    pub fn rest(&self) {
        if let Some(next) = self.next.iter().map(|next| next.load(Relaxed)).min() {
            self.now.fetch_max(if next == u64::MAX { 0 } else { next }, Relaxed);
        }
    }
}

/// The source.
#[derive(Debug)]
pub struct Play {
    splits: Vec<Arc<Vec<Event>>>,
    cuts: Cuts,
    acts: Arc<Acts>,
}

fn act((_, ms, _): &Event) -> u64 {
    ms / ACT
}

impl Play {
    /// Deals these records to splits, as the seed says.
    pub fn new(events: &[Event], seed: u64, cuts: Cuts, acts: &Arc<Acts>) -> Play {
        let mut dice = SmallRng::seed_from_u64(seed ^ 0x91a7);
        let mut events = events.to_vec();
        events.sort_by_key(act);
        let mut splits = vec![Vec::new(); SPLITS];
        for scene in events.chunk_by(|one, other| act(one) == act(other)) {
            let mut on: Vec<usize> = (0..SPLITS).filter(|_| dice.gen_bool(0.5)).collect();
            if on.is_empty() {
                on.push(dice.gen_range(0..SPLITS));
            }
            scene.iter().for_each(|event| splits[on[dice.gen_range(0..on.len())]].push(*event));
        }
        let splits = splits.into_iter().map(Arc::new).collect();
        Play { splits, cuts, acts: acts.clone() }
    }
}

impl Play {
    /// How records are cut into batches.
    pub fn cuts(&self) -> Cuts {
        self.cuts
    }
}

impl Source for Play {
    type Record = Event;

    fn name(&self) -> String {
        "play".into()
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let few = if self.cuts == Cuts::Single { 1 } else { GIVEN_MAX };
        let seed = if let Cuts::Random(seed) | Cuts::Small(seed) = self.cuts { seed } else { 0 };
        let role = |(number, records): (usize, &Arc<Vec<Event>>)| -> Box<dyn Split<Event>> {
            let (records, acts) = (records.clone(), self.acts.clone());
            let dice = SmallRng::seed_from_u64(seed.wrapping_add(number as u64));
            let role = Role { number, records, next: 0, few, acts, dice };
            role.say();
            Box::new(role)
        };
        Ok(self.splits.iter().enumerate().map(role).collect())
    }
}

/// One split.
struct Role {
    number: usize,
    records: Arc<Vec<Event>>,
    next: usize,
    few: usize,
    acts: Arc<Acts>,
    dice: SmallRng,
}

impl Role {
    /// The act of the next record.
    fn act(&self) -> u64 {
        self.records.get(self.next).map_or(u64::MAX, act)
    }

    /// Says which act that is. The job may be at rest before the split was asked for a record.
    fn say(&self) {
        self.acts.next[self.number].store(self.act(), Relaxed);
    }
}

impl Drop for Role {
    /// A split that has come to its end is no more, also when the job goes on.
    fn drop(&mut self) {
        self.acts.next[self.number].store(u64::MAX, Relaxed);
    }
}

impl Split<Event> for Role {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        let now = self.acts.now.load(Relaxed);
        let waits = self.act() > now && self.next < self.records.len();
        // It is awake for a moment although it has nothing: no record comes of that.
        let awake = self.dice.gen_ratio(1, if waits { 60 } else { 4 });
        let given = match (waits || self.dice.gen_ratio(1, 4), awake) {
            (_, true) => Progress::Busy,
            (true, false) => Progress::Idle,
            (false, false) => {
                for _ in 0..self.dice.gen_range(1..=self.few) {
                    if self.act() > now {
                        break;
                    }
                    feed.push(self.records[self.next])?;
                    self.next += 1;
                }
                Progress::Busy
            }
        };
        self.say();
        Ok(if self.next >= self.records.len() { Progress::Done } else { given })
    }

    fn offset(&self) -> u64 {
        self.next as u64
    }

    fn name(&self) -> String {
        format!("role {} of a play, {} records", self.number, self.records.len())
    }

    fn seek(&mut self, offset: u64) -> Result {
        if offset > self.records.len() as u64 {
            let what = format!("{offset} records were given and only {} are there", self.next);
            return Err(Error::new(Kind::Data, what));
        }
        self.next = offset as usize;
        self.say();
        Ok(())
    }
}
