//! What is in a directory of checkpoints, for people and programs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::store::{self, Manifest};
use crate::error::{Error, Kind, Result};
use crate::limits::KEY_GROUPS;
use crate::operator::{PUBLISH, SPLITS};
use crate::record::Record;
use crate::state::Saved;

/// A directory of checkpoints, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateDirectory {
    /// The job's name.
    pub job: String,
    /// Over how many groups the keys are spread, whatever the number of shards.
    pub key_groups: u32,
    /// Its checkpoints, the newest first.
    pub checkpoints: Vec<CheckpointView>,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointView {
    /// Its number.
    pub epoch: u64,
    /// That of the run that made it.
    pub term: u64,
    /// Whether the job had ended by itself.
    pub finished: bool,
    /// How many shards made it, and on how many the job was first begun.
    pub shards: usize,
    /// On how many the job was first begun: its sources are split for as many.
    pub began_on: usize,
    /// How large its files are, in bytes.
    pub bytes: u64,
    /// Why its files can't be read, if they can't.
    pub damage: Option<String>,
    /// Where the sources' splits were.
    pub splits: Vec<SplitView>,
    /// What the operators remembered, over all shards.
    pub parts: Vec<PartView>,
    /// Files that sinks had prepared: they show when the checkpoint is made.
    pub prepared: Vec<PreparedView>,
}

/// A split of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitView {
    /// The source.
    pub source: String,
    /// Its number.
    pub number: u32,
    /// What it reads.
    pub name: String,
    /// How many records it had given.
    pub offset: u64,
    /// Whether it had none left.
    pub ended: bool,
}

/// A part of what an operator remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartView {
    /// The operator.
    pub operator: String,
    /// The part.
    pub part: String,
    /// The type of its records.
    pub schema: String,
    /// How many there are in the checkpoint's files: a row that was written whole and then changed
    /// is in two of them.
    pub records: usize,
    /// How large they are there, in bytes.
    pub bytes: usize,
}

/// A file that a sink had prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreparedView {
    /// What it is called until the checkpoint is made.
    pub from: String,
    /// What it is called then.
    pub to: String,
    /// Whether it shows by now.
    pub shown: bool,
}

impl StateDirectory {
    /// Reads a directory, which may be a running job's, and changes nothing. Every checksum is
    /// looked at; files of state that are damaged are no error but [`CheckpointView::damage`].
    ///
    /// # Errors
    /// When it is no directory of checkpoints, or a manifest is damaged.
    ///
    /// ```
    /// use thalweg::prelude::*;
    /// use thalweg::runtime::StateDirectory;
    ///
    /// # let state = std::env::temp_dir().join(format!("thalweg-inspect-{}", std::process::id()));
    /// let job = Job::new("counts").shards(2).checkpoints(&state, 10.seconds());
    /// job.source(Counter::to(10)).sink(Discard);
    /// job.run()?;
    /// let directory = StateDirectory::read(&state)?;
    /// assert_eq!((directory.job.as_str(), directory.checkpoints.len()), ("counts", 1));
    /// assert!(directory.checkpoints[0].finished);
    /// assert_eq!(directory.checkpoints[0].splits[1].offset, 5);
    /// # std::fs::remove_dir_all(state).ok();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read(directory: impl AsRef<Path>) -> Result<StateDirectory> {
        let directory = directory.as_ref();
        loop {
            let mut manifests = store::manifests(directory)?;
            manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.epoch));
            let Some(newest) = manifests.first() else {
                let what = format!("{} holds no checkpoint", directory.display());
                return Err(Error::new(Kind::Io, what));
            };
            let job = newest.job.clone();
            let views = manifests.iter().map(|manifest| view(directory, manifest));
            let checkpoints: Vec<CheckpointView> = views.collect();
            let damaged = checkpoints.iter().any(|checkpoint| checkpoint.damage.is_some());
            // Of a job that runs files may go between one look and the next.
            if !damaged || newest.epoch == newest_epoch(directory)? {
                return Ok(StateDirectory { job, key_groups: KEY_GROUPS, checkpoints });
            }
        }
    }
}

fn newest_epoch(directory: &Path) -> Result<u64> {
    let manifests = store::manifests(directory)?;
    Ok(manifests.iter().map(|manifest| manifest.epoch).max().unwrap_or(0))
}

fn view(directory: &Path, manifest: &Manifest) -> CheckpointView {
    let mut view = CheckpointView {
        epoch: manifest.epoch,
        term: manifest.term,
        finished: manifest.finished,
        shards: manifest.shards.len(),
        began_on: manifest.began_on,
        bytes: manifest.files().fold(0, |sum, file| sum.saturating_add(file.bytes)),
        damage: None,
        splits: Vec::new(),
        parts: Vec::new(),
        prepared: Vec::new(),
    };
    let filled = store::load(directory, manifest).and_then(|saved| fill(&mut view, &saved));
    view.damage = filled.err().map(|error| error.to_string());
    view
}

fn fill(view: &mut CheckpointView, saved: &[Vec<Saved>]) -> Result {
    let mut parts: BTreeMap<(&str, &str), PartView> = BTreeMap::new();
    // What is written whole each time counts as the newest file has it.
    for newest in saved.iter().filter_map(|files| files.last()) {
        newest.each_of::<(u32, String, u64, bool)>(
            SPLITS,
            |source, (number, name, offset, ended)| {
                let (name, ended) = (String::own(name), bool::own(ended));
                let source = source.to_owned();
                view.splits.push(SplitView { source, number, name, offset, ended });
            },
        )?;
        newest.each_of::<(String, String)>(PUBLISH, |_, (from, to)| {
            let (from, to) = (String::own(from), String::own(to));
            let shown = !Path::new(&from).exists() && Path::new(&to).exists();
            view.prepared.push(PreparedView { from, to, shown });
        })?;
    }
    for file in saved.iter().flatten() {
        let own = |part: &str| part != SPLITS && part != PUBLISH;
        for (head, records, bytes) in file.parts().filter(|(head, ..)| own(&head.part)) {
            let part = parts.entry((&head.step, &head.part)).or_insert_with(|| PartView {
                operator: head.step.clone(),
                part: head.part.clone(),
                schema: head.schema.clone(),
                records: 0,
                bytes: 0,
            });
            part.records = part.records.saturating_add(records);
            part.bytes = part.bytes.saturating_add(bytes);
        }
    }
    view.splits.sort_by(|one, other| (&one.source, one.number).cmp(&(&other.source, other.number)));
    view.parts.extend(parts.into_values().filter(|part| part.records > 0));
    Ok(())
}
