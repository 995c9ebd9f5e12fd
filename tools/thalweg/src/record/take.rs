//! Rows and made-up records on their way into a log.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use thalweg::connector::log::Recorder;
use thalweg::record::Shape;
use thalweg::time::Timestamp;

use super::TimeColumn;
use super::rows::{Came, Row};
use crate::args::{self, OnBad};

/// So many rows that do not fit are shown, the others only counted.
const SHOWN: u64 = 5;
/// What has gathered is written no later, so that others can read it.
const FLUSH: Duration = Duration::from_secs(1);

/// What is written, and what is known of it.
pub struct Taking {
    log: Recorder,
    shape: Shape,
    event_time: Option<TimeColumn>,
    arrival: Option<TimeColumn>,
    on_bad: OnBad,
    limit: u64,
    rows: u64,
    bad: u64,
    bytes: Vec<u8>,
    began: Instant,
    flushed: Instant,
}

impl Taking {
    /// Takes records of a shape into a log.
    pub fn new(log: Recorder, shape: Shape, args: &args::Record) -> Taking {
        let now = Instant::now();
        Taking {
            log,
            shape,
            event_time: args.event_time.clone(),
            arrival: args.arrival_time.clone(),
            on_bad: args.on_bad,
            limit: args.events.map_or(u64::MAX, std::num::NonZeroU64::get),
            rows: 0,
            bad: 0,
            bytes: Vec::new(),
            began: now,
            flushed: now,
        }
    }

    /// Records so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether there are as many as were asked for.
    pub fn is_done(&self) -> bool {
        self.rows >= self.limit
    }

    /// Takes a record that is encoded.
    pub fn put(&mut self, at: Timestamp, arrival: Timestamp, encoded: &[u8]) -> anyhow::Result<()> {
        self.log.write(at, arrival, encoded)?;
        self.rows += 1;
        Ok(())
    }

    /// Takes what came.
    pub fn take(&mut self, came: Came) -> anyhow::Result<()> {
        let (place, what) = match came {
            Came::Failed(what) => bail!("{what}"),
            Came::Bad(bad) => (bad.place, bad.what),
            Came::Row(row) => match self.times(&row) {
                Err(what) => (row.place, what),
                Ok((at, arrival)) => {
                    self.log.write(at, arrival, &self.bytes)?;
                    self.rows += 1;
                    // A look at the clock costs less than a row.
                    if self.flushed.elapsed() > FLUSH {
                        self.flush()?;
                    }
                    return Ok(());
                }
            },
        };
        self.bad += 1;
        let (origin, line) = place;
        match self.on_bad {
            OnBad::Fail => {
                let hint = "--on-bad skip passes over such rows";
                Err(anyhow!("{origin} line {line}: {what}; {hint}"))
            }
            OnBad::Skip => {
                if self.bad <= SHOWN {
                    eprintln!("thalweg: left out {origin} line {line}: {what}");
                }
                Ok(())
            }
        }
    }

    /// Encodes a row; gives its event time and arrival.
    fn times(&mut self, row: &Row) -> Result<(Timestamp, Timestamp), String> {
        self.bytes.clear();
        self.shape.write(&row.value, &mut self.bytes).map_err(|misfit| misfit.to_string())?;
        let of = |column: &Option<TimeColumn>| match column {
            Some(column) => column.of(&row.value),
            None => Ok(row.arrival),
        };
        Ok((of(&self.event_time)?, of(&self.arrival)?))
    }

    /// Lets others read what has come.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.flushed = Instant::now();
        Ok(self.log.flush()?)
    }

    /// Ends the log, whatever ended the recording, and says what is in it. One that failed before
    /// the first record leaves none.
    pub fn finish(mut self, ended: anyhow::Result<()>) -> anyhow::Result<()> {
        let finished = self.log.finish().map(drop);
        let (records, bytes) = (self.log.records(), self.log.bytes());
        let path = self.log.path().display();
        if records == 0 && (ended.is_err() || finished.is_err()) {
            // It would only be in the way of another try.
            let removed = fs::remove_file(self.log.path());
            let removed = removed.with_context(|| format!("removing {path}, which is empty"));
            return ended.and(finished.map_err(Into::into)).and(removed);
        }
        let seconds = self.began.elapsed().as_secs_f64();
        eprintln!("thalweg: {records} records, {bytes} bytes in {path}, in {seconds:.2} s");
        if self.bad > 0 {
            eprintln!("thalweg: {} rows do not fit the schema and are left out", self.bad);
        }
        match (ended, finished) {
            (Err(ended), Err(finished)) => Err(ended.context(finished)),
            (ended, finished) => ended.and(finished.map_err(Into::into)),
        }
    }
}
