//! Timers on their way to a checkpoint and back.
//!
//! A chain of files keeps each timer once: a file holds those that were set since the one before,
//! and still wait. Timers fire in the order of time, so it is enough to know how far they had come:
//! `name fired` is a time at which all had fired that were set before it was reached. What an older
//! file holds of that time or before does not wait any more. A timer that was set *for* such a time
//! fires next, and stands in every file until then. Timers of lives that are over are found dead by
//! whoever loads them.

use super::pile::Pile;
use super::{Timer, Timers, at};
use crate::error::Result;
use crate::record::Key;
use crate::state::{Loader, Saver};
use crate::time::Timestamp;

/// Timers that are saved at once.
const SLICE: usize = 4096;

fn fired(part: &str) -> String {
    format!("{part} fired")
}

impl<K: Clone> Timers<K> {
    /// Begins to save the timers that wait now: all of them, or those that were set since this was
    /// called before and those for `fired` or before; all have fired that were set before `fired`
    /// was reached. The save before must have come to its end.
    pub fn begin_save(&mut self, full: bool, fired: Timestamp) {
        debug_assert!(!self.is_saving(), "one save at a time");
        let fired = fired.max(at(self.later.reached()));
        let Timers { fresh, due, soon, later, saved, leaving, depot, .. } = self;
        let waits = fresh.extract_if(.., |timer| timer.at > fired);
        waits.for_each(|timer| later.set(timer, depot));
        let soon = soon.iter().map(|queued| &queued.0);
        let behind = fresh.iter().chain(&*due).chain(soon);
        behind.for_each(|timer| leaving.push(timer.clone(), depot));
        later.begin_save(leaving, depot);
        if full {
            saved.begin_save(leaving, depot);
        }
        saved.append(later, depot);
        self.showing = Some(0);
    }

    /// Shows some `timers` of the save that was begun; true when that was all of it.
    pub fn save_some(&mut self, timers: usize, mut show: impl FnMut(&Timer<K>)) -> bool {
        let Timers { saved, leaving, depot, showing, .. } = self;
        let copies = leaving.len().min(timers);
        let some = std::iter::from_fn(|| leaving.pop(depot)).take(timers);
        some.for_each(|timer| show(&timer));
        *showing = showing
            .filter(|_| copies < timers)
            .map_or(*showing, |from| saved.save_some(timers - copies, from, depot, &mut show));
        if leaving.len() == 0 {
            *leaving = Pile::default();
        }
        !self.is_saving()
    }
}

impl Saver {
    /// Begins to save the timers that wait at the barrier; all have fired that were set before
    /// `fired` was reached. [`timers`](Saver::timers) does the work.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn begin_timers<K: Key>(
        &mut self,
        part: &str,
        timers: &mut Timers<K>,
        until: Timestamp,
    ) -> Result {
        self.part::<(K, u64)>(part, |_| ())?;
        if self.epoch() > 0 {
            timers.begin_save(self.is_full(), until);
        }
        self.part::<Timestamp>(fired(part), |part| part.put(until))
    }

    /// Saves some of the timers; true when all are saved.
    ///
    /// # Errors
    /// As [`part`](Saver::part).
    pub fn timers<K: Key>(&mut self, part: &str, timers: &mut Timers<K>) -> Result<bool> {
        let mut done = true;
        if !timers.is_saving() {
            return Ok(done);
        }
        self.part::<(K, u64)>(part, |part| {
            done = timers.save_some(SLICE, |Timer { at, life, key, .. }| {
                key.lend(|key| part.put_at(*at, (K::shorten(key), *life)));
            });
        })?;
        Ok(done)
    }
}

impl Loader<'_> {
    /// Shows the timers of all keys that waited when they were saved: when, the key, and the
    /// number of the key's life that set it.
    ///
    /// # Errors
    /// As [`part`](Loader::part).
    pub fn timers<K: Key>(
        &self,
        part: &str,
        mut show: impl FnMut(Timestamp, K::View<'_>, u64),
    ) -> Result {
        for files in self.files() {
            // What newer files say to have fired.
            let mut over = None;
            for file in files.iter().rev() {
                file.each::<(K, u64)>(self.owner(), part, &mut |_, at, (key, life)| {
                    if Some(at) > over {
                        show(at, key, life);
                    }
                })?;
                file.each::<Timestamp>(self.owner(), &fired(part), &mut |_, _, at| {
                    over = over.max(Some(at));
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;
    use crate::state::{Owner, Saved};

    fn timer(us: i64, key: u64) -> Timer<u64> {
        Timer { at: Timestamp::from_micros(us), hash: key::hash(&key), life: key, key }
    }

    /// A file with what a save gives after timers have fired until `fired`.
    fn file(timers: &mut Timers<u64>, epoch: u64, fired: i64) -> (Saved, usize) {
        let mut saver = Saver::new();
        saver.set_full(epoch == 1);
        saver.enter(epoch, &Owner { step: "".into(), asked: "".into(), input: 0 });
        saver.begin_timers("t", timers, Timestamp::from_micros(fired)).unwrap();
        // What is set meanwhile is not saved.
        timers.set(timer(1_000 + epoch as i64, 0));
        while !saver.timers("t", timers).unwrap() {}
        let saved = Saved::read(&saver.take()).unwrap();
        let rows = saved.parts().filter(|(head, ..)| head.part == "t").map(|(_, rows, _)| rows);
        let rows = rows.sum();
        (saved, rows)
    }

    fn loaded(files: &[Vec<Saved>]) -> Vec<(i64, u64)> {
        let mut all = Vec::new();
        let loader = Loader::new(files, 0, 1);
        loader.timers::<u64>("t", |at, key, life| all.push((at.micros(), key + life))).unwrap();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_chain_holds_each_timer_that_waits_once() {
        let mut timers = Timers::new();
        let mut files = vec![Vec::new()];
        let fire = |timers: &mut Timers<u64>, until| {
            while timers.pop_due(Timestamp::from_micros(until)).is_some() {}
        };
        [10, 20, 30, 40].iter().zip(1..).for_each(|(at, key)| timers.set(timer(*at, key)));
        fire(&mut timers, 15);
        let (saved, rows) = file(&mut timers, 1, 15);
        files[0].push(saved);
        assert_eq!((rows, loaded(&files)), (3, vec![(20, 4), (30, 6), (40, 8)]));

        // One for a time that has passed waits for the next time that is reached.
        [12, 15, 50].iter().zip(5..).for_each(|(at, key)| timers.set(timer(*at, key)));
        let (saved, rows) = file(&mut timers, 2, 15);
        files[0].push(saved);
        let expected = vec![(12, 10), (15, 12), (20, 4), (30, 6), (40, 8), (50, 14), (1_001, 0)];
        assert_eq!((rows, loaded(&files)), (4, expected.clone()));

        // It still waits: it is in this file, too, but counts once.
        let (saved, rows) = file(&mut timers, 3, 15);
        files[0].push(saved);
        let expected = [expected, vec![(1_002, 0)]].concat();
        assert_eq!((rows, loaded(&files)), (3, expected));

        fire(&mut timers, 35);
        timers.set(timer(33, 8));
        let (saved, rows) = file(&mut timers, 4, 35);
        files[0].push(saved);
        let expected = vec![(33, 16), (40, 8), (50, 14), (1_001, 0), (1_002, 0), (1_003, 0)];
        assert_eq!((rows, loaded(&files)), (2, expected));
        let left = std::iter::from_fn(|| timers.pop_due(Timestamp::MAX));
        let left: Vec<i64> = left.map(|timer| timer.at.micros()).collect();
        assert_eq!(left, [33, 40, 50, 1_001, 1_002, 1_003, 1_004], "in the order of time");
    }
}
