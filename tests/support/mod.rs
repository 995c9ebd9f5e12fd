//! A source and a sink that need no connector.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use thalweg::operator::{Feed, Progress, Sink, Source, Split, Writer};
use thalweg::prelude::*;

/// Records dealt out to splits in turn.
pub struct Deal<R>(pub Vec<R>, pub usize);

struct DealSplit<R>(std::vec::IntoIter<R>);

impl<R: Record + Clone> Source for Deal<R> {
    type Record = R;
    fn name(&self) -> String {
        "deal".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let split = |i| self.0.iter().skip(i).step_by(self.1).cloned().collect::<Vec<_>>();
        Ok((0..self.1).map(|i| Box::new(DealSplit(split(i).into_iter())) as _).collect())
    }
}

impl<R: Record> Split<R> for DealSplit<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        while feed.room() > 0 {
            let Some(record) = self.0.next() else {
                return Ok(Progress::Done);
            };
            record.lend(|view| feed.push(view))?;
        }
        Ok(Progress::Busy)
    }
}

/// Everything that arrives.
pub struct Gathered<R>(pub Arc<Mutex<Vec<R>>>);

impl<R> Gathered<R> {
    pub fn new() -> (Self, Arc<Mutex<Vec<R>>>) {
        let all = Arc::new(Mutex::new(Vec::new()));
        (Gathered(all.clone()), all)
    }
}

impl<R: Record> Sink<R> for Gathered<R> {
    type Writer = GatheredWriter<R>;
    fn name(&self) -> String {
        "gathered".into()
    }
    fn open(&mut self, _: usize, _: usize) -> Result<GatheredWriter<R>> {
        Ok(GatheredWriter(self.0.clone()))
    }
}

pub struct GatheredWriter<R>(Arc<Mutex<Vec<R>>>);

impl<R: Record> Writer<R> for GatheredWriter<R> {
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        self.0.lock().unwrap().push(R::own(record));
        Ok(())
    }
}

/// Splits that give numbers, each so many milliseconds after the job's start.
pub struct Timetable(pub Vec<Vec<(u64, u64)>>);

pub struct TimetableSplit {
    begun: Option<Instant>,
    left: VecDeque<(u64, u64)>,
}

impl Source for Timetable {
    type Record = u64;
    fn name(&self) -> String {
        "timetable".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let split = |left: &Vec<_>| TimetableSplit { begun: None, left: left.clone().into() };
        Ok(self.0.iter().map(|left| Box::new(split(left)) as _).collect())
    }
}

impl Split<u64> for TimetableSplit {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        // What is due, and in the same look that nothing more is.
        while let Some((due, number)) = self.left.front() {
            if begun.elapsed() < due.millis() {
                return Ok(Progress::Idle);
            }
            feed.push(*number)?;
            self.left.pop_front();
        }
        Ok(Progress::Done)
    }
}
