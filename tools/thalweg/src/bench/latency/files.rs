//! What is kept of a measurement for other programs: HdrHistogram logs and raw times.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::recorder::Results;

/// The files that were asked for, if any; each is made when it is opened.
#[derive(Debug)]
pub struct Files {
    hlog: Option<(PathBuf, BufWriter<File>)>,
    raw: Option<(PathBuf, BufWriter<File>)>,
    /// When the next interval of the log begins.
    at: Duration,
}

/// The first line of a file of raw times.
pub const RAW_HEADER: &str = "job,rate,due_ns,left_ns";

/// What the results of a run are filed under.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// The job's short name.
    pub job: &'a str,
    /// Records a second.
    pub rate: f64,
    /// For how long they were measured.
    pub measured: Duration,
}

fn make(path: Option<&Path>) -> anyhow::Result<Option<(PathBuf, BufWriter<File>)>> {
    let Some(path) = path else { return Ok(None) };
    let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
    Ok(Some((path.to_owned(), BufWriter::new(file))))
}

impl Files {
    /// Makes the files.
    ///
    /// # Errors
    /// When one can't be made, named by its path.
    pub fn make(hlog: Option<&Path>, raw: Option<&Path>) -> anyhow::Result<Self> {
        let mut files = Self { hlog: make(hlog)?, raw: make(raw)?, at: Duration::ZERO };
        files.raw(|to| writeln!(to, "{RAW_HEADER}"))?;
        Ok(files)
    }

    /// Whether raw times are wanted.
    pub fn wants_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Adds the results of a run: an interval of the log, tagged `job-rate`, and a line for each
    /// result. All is in the files when this returns.
    ///
    /// # Errors
    /// When a file can't be written, named by its path.
    pub fn add(&mut self, label: Label<'_>, results: &Results) -> anyhow::Result<()> {
        let Label { job, rate, .. } = label;
        self.raw(|to| {
            for times in results.raw.iter().flatten() {
                writeln!(to, "{job},{rate:.0},{},{}", times.due_ns, times.left_ns)?;
            }
            to.flush()
        })?;
        let begins = self.at;
        self.at += label.measured;
        let Some((path, file)) = &mut self.hlog else { return Ok(()) };
        log(file, begins, label, results)
            .and_then(|()| Ok(file.flush()?))
            .with_context(|| format!("cannot write to {}", path.display()))
    }

    fn raw(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let Some((path, file)) = &mut self.raw else { return Ok(()) };
        write(file).with_context(|| format!("cannot write to {}", path.display()))
    }
}

/// Writes one interval, with the log's head before the first.
fn log(
    to: &mut BufWriter<File>,
    begins: Duration,
    label: Label<'_>,
    results: &Results,
) -> anyhow::Result<()> {
    let tag = format!("{}-{:.0}", label.job, label.rate);
    let tag = Tag::new(&tag).ok_or_else(|| anyhow!("{tag} is no tag"))?;
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    if begins.is_zero() {
        builder.add_comment("Latency of results in nanoseconds, from when they were due");
    }
    let mut writer = builder.begin_log_with(to, &mut serializer)?;
    let written = writer.write_histogram(&results.histogram, begins, label.measured, Some(tag));
    written.map_err(|error| anyhow!("{error:?}"))
}
