//! Another record log.

use std::path::Path;
use std::time::{Duration, Instant};

use thalweg::connector::log::Recorder;
use thalweg::error::Error;
use thalweg::record::Shape;
use thalweg::time::Timestamp;

use super::{Batch, Outlet, Unsent};

/// Records are in the file no later than so long after they were sent, if others follow.
const GATHER: Duration = Duration::from_millis(100);

/// A log that is written: records as they lay in the one that is read.
pub struct Recorded {
    log: Recorder,
    flushed: Instant,
    /// Records that were given.
    given: u64,
    is_finished: bool,
}

impl Recorded {
    /// A file that is not there yet.
    ///
    /// # Errors
    /// When it is, or can't be made.
    pub fn create(path: &Path, shape: &Shape) -> anyhow::Result<Recorded> {
        let log = Recorder::create(path, shape)?;
        Ok(Recorded { log, flushed: Instant::now(), given: 0, is_finished: false })
    }

    fn put(&mut self, batch: Batch<'_>) -> Result<(), Error> {
        let arrival = Timestamp::now();
        for (at, encoded) in batch.records() {
            self.log.write(at, arrival, encoded)?;
        }
        if self.flushed.elapsed() > GATHER {
            self.flushed = Instant::now();
            self.log.flush()?;
        }
        Ok(())
    }

    /// Ends the log; what is not in it then was not sent.
    fn end(&mut self, written: Result<(), Error>) -> Result<(), Unsent> {
        self.is_finished = true;
        let finished = self.log.finish().map(drop);
        let has = Some(self.log.records());
        match written.and(finished) {
            Err(error) => Err(Unsent { cause: error.to_string(), over: true, has }),
            Ok(()) if self.log.records() < self.given => {
                let (path, lost) = (self.log.path().display(), self.given - self.log.records());
                let cause = format!(
                    "{path}: the disk is full, and {lost} records made room for the log's index"
                );
                Err(Unsent { cause, over: true, has })
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Outlet for Recorded {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        if self.is_finished {
            return Err(Unsent::over(format!("{} has ended", self.log.path().display())));
        }
        match self.put(batch) {
            Ok(()) => self.given += batch.ends.len() as u64,
            written => return self.end(written),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Unsent> {
        if self.is_finished { Ok(()) } else { self.end(Ok(())) }
    }
}
