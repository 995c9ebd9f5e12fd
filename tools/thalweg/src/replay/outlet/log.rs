//! Another record log.

use std::path::Path;
use std::time::{Duration, Instant};

use thalweg::connector::log::Recorder;
use thalweg::record::Shape;
use thalweg::time::Timestamp;

use super::{Batch, Outlet, Unsent};

/// Records are in the file no later than so long after they were sent, if others follow.
const GATHER: Duration = Duration::from_millis(100);

/// A log that is written: records as they lay in the one that is read.
pub struct Recorded {
    log: Recorder,
    flushed: Instant,
}

impl Recorded {
    /// A file that is not there yet.
    ///
    /// # Errors
    /// When it is, or can't be made.
    pub fn create(path: &Path, shape: &Shape) -> anyhow::Result<Recorded> {
        Ok(Recorded { log: Recorder::create(path, shape)?, flushed: Instant::now() })
    }
}

impl Outlet for Recorded {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let arrival = Timestamp::now();
        let mut written =
            batch.records().try_for_each(|(at, encoded)| self.log.write(at, arrival, encoded));
        if self.flushed.elapsed() > GATHER {
            self.flushed = Instant::now();
            written = written.and_then(|()| self.log.flush());
        }
        written.map_err(|error| Unsent { cause: error.to_string(), over: true })
    }

    fn finish(&mut self) -> Result<(), Unsent> {
        let finished = self.log.finish().map(drop);
        finished.map_err(|error| Unsent { cause: error.to_string(), over: true })
    }
}
