//! A query of Nexmark, in this process.

use std::sync::Arc;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use thalweg::connector::nexmark::Event;
use thalweg::connector::{Channel, Sender};
use thalweg::prelude::*;
use thalweg::record::{Batch as Records, Shape};
use thalweg::runtime::Running;

use super::{Batch, Outlet, Unsent};
use crate::bench::nexmark::{Digest, Events, Input, QUERIES};

/// Records in the ring between the replay and the job.
const RING: usize = 1 << 14;

/// A job that takes the records.
pub struct Query {
    name: String,
    sender: Option<Sender<Event>>,
    running: Option<Running>,
    rows: Digest,
    /// Encodings, aligned to 8 bytes.
    words: Vec<u64>,
    /// Where it may write.
    #[expect(dead_code, reason = "is removed with it")]
    folder: TempDir,
}

impl Query {
    /// The query of this name, which reads events from here on.
    ///
    /// # Errors
    /// When the log holds something else.
    pub fn start(name: &str, shape: &Shape) -> anyhow::Result<Query> {
        let query = QUERIES.iter().find(|query| query.name == name);
        let query = query.context("there is no such query")?;
        ensure!(
            Event::shape().is_some_and(|event| event.is_like(shape)),
            "the queries of Nexmark read events, and the log holds {}; thalweg record makes some",
            shape.data_type()
        );
        let folder = tempfile::tempdir().context("cannot make a folder for the job")?;
        let (sender, events) = Channel::source::<Event>(RING);
        let (rows, job) = (Digest::default(), Job::new(name));
        let input = Input {
            events: Events::Sent(Arc::new(events.timed())),
            folder: folder.path().to_owned(),
        };
        (query.build)(&job, &input, rows.clone());
        let (running, name) = (Some(job.start()?), name.to_owned());
        let (sender, words) = (Some(sender), Vec::new());
        Ok(Query { name, sender, running, rows, words, folder })
    }

    fn failed(&self, cause: impl std::fmt::Display) -> Unsent {
        Unsent::over(format!("job {}: {cause}", self.name))
    }
}

impl Outlet for Query {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        self.words.clear();
        let words = batch.bytes.as_chunks::<8>().0.iter();
        self.words.extend(words.map(|word| u64::from_ne_bytes(*word)));
        let records = bytemuck::cast_slice(&self.words);
        let Some(records) = Records::restored_untimed::<Event>(records, batch.ends.len()) else {
            return Err(self.failed("the log's records lie in another way than this build's"));
        };
        let Some(sender) = &mut self.sender else { return Err(self.failed("it has ended")) };
        for ((_, event), at) in records.records::<Event>().zip(batch.events) {
            if sender.send_at(*at, Event::own(event)).is_err() {
                return self.finish().and(Err(self.failed("it has ended by itself")));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Unsent> {
        self.sender = None;
        let Some(running) = self.running.take() else { return Ok(()) };
        let report = running.join().map_err(|error| self.failed(error))?;
        eprintln!("{report}\nrows {}, digest {}", self.rows.rows(), self.rows);
        Ok(())
    }
}
