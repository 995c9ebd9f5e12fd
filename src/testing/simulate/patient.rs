//! A source that ends only when enough of what its job gives shows: what a job does at the end of
//! its input does not help.

use std::sync::Arc;

use super::jobs::Event;
use super::play::Acts;
use crate::error::Result;
use crate::operator::{Feed, Progress, Source, Split};
use crate::testing::{Cuts, Scheduled};

/// Splits that give nothing.
const MUTE: usize = 2;

/// The source: one split gives all records, the others none.
#[derive(Debug)]
pub struct Patient {
    records: Arc<Vec<Event>>,
    cuts: Cuts,
    /// How many rows it waits for.
    rows: usize,
    acts: Arc<Acts>,
}

impl Patient {
    /// Gives these records, and waits for so many rows.
    pub fn new(records: &Arc<Vec<Event>>, cuts: Cuts, rows: usize, acts: &Arc<Acts>) -> Patient {
        Patient { records: records.clone(), cuts, rows, acts: acts.clone() }
    }
}

impl Source for Patient {
    type Record = Event;

    fn name(&self) -> String {
        "patient".into()
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let mut all = Scheduled::new(self.records.clone(), 1, self.cuts).splits(shards)?;
        all.extend(Scheduled::new(Arc::default(), MUTE, self.cuts).splits(shards)?);
        let waits = |split| -> Box<dyn Split<Event>> {
            Box::new(Waits { split, over: false, rows: self.rows, acts: self.acts.clone() })
        };
        Ok(all.into_iter().map(waits).collect())
    }
}

/// One split.
struct Waits {
    split: Box<dyn Split<Event>>,
    /// Whether all records were given.
    over: bool,
    rows: usize,
    acts: Arc<Acts>,
}

impl Split<Event> for Waits {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        if !self.over {
            let progress = self.split.poll(feed)?;
            self.over = progress == Progress::Done;
            return Ok(if self.over { Progress::Idle } else { progress });
        }
        Ok(if self.acts.shown() < self.rows { Progress::Idle } else { Progress::Done })
    }

    fn offset(&self) -> u64 {
        self.split.offset()
    }

    fn name(&self) -> String {
        self.split.name()
    }

    fn seek(&mut self, offset: u64) -> Result {
        self.split.seek(offset)
    }
}
