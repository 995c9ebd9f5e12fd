//! Checkpoints: from what the shards save to what holds on disk.
//!
//! ```text
//! coordinator        asks for epoch 7 ──▶ shards: sources begin it, barriers flow, nodes save
//!                    ◀── what each shard has saved, when all its nodes have
//!                    writes files of state, syncs, writes the manifest: the checkpoint is made
//!                    shows the files that sinks have prepared; asks for epoch 8 some time later
//! ```
//!
//! Whatever stops this between two lines, the job goes on from the last checkpoint that was made:
//! what sinks prepared after it is done away with, what they prepared before is shown.

mod coordinator;
mod epochs;
mod inspect;
mod packed;
mod saved;
mod store;

pub(super) use coordinator::{Coordinator, Making};
pub use epochs::{Epochs, PIECE, Piece};
pub use inspect::{CheckpointView, PartView, PreparedView, SplitView, StateDirectory};
pub use packed::Compression;
pub use store::{Manifest, Store, Written};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::connector::publish;
use crate::error::{Error, Kind, Result};
use crate::operator::{Node, PUBLISH, Publish};
use crate::state::{Loader, PartHead, Saved, Saver};
use crate::sys::at_once;

/// A job's checkpoints before it is started.
pub(super) struct Checkpoints {
    store: Store,
    every: Duration,
    /// What the job goes on from.
    from: Option<(Manifest, Vec<Vec<Saved>>)>,
}

impl Checkpoints {
    /// Opens the directory and shows what belongs to the checkpoint that is there.
    ///
    /// # Errors
    /// When it can't be used, is another job's, or is damaged.
    pub fn open(
        directory: &std::path::Path,
        every: Duration,
        compression: Compression,
        job: &str,
    ) -> Result<Checkpoints> {
        let store = Store::open(directory, compression)?;
        let Some(manifest) = store.newest()? else {
            return Ok(Checkpoints { store, every, from: None });
        };
        if manifest.job != job {
            let what = format!(
                "the state directory {} is of job {}; give this job a directory of its own",
                directory.display(),
                manifest.job
            );
            return Err(Error::new(Kind::Plan, what));
        }
        let saved = store::load(directory, &manifest)?;
        show(saved.iter().filter_map(|files| files.last()))?;
        Ok(Checkpoints { store, every, from: Some((manifest, saved)) })
    }

    /// The epoch that the job goes on after; 0 when it begins anew.
    pub fn epoch(&self) -> u64 {
        self.from.as_ref().map_or(0, |(manifest, _)| manifest.epoch)
    }

    /// How many shards it was first begun on, if it was.
    pub fn began_on(&self) -> Option<usize> {
        self.from.as_ref().map(|(manifest, _)| manifest.began_on)
    }

    /// Whether it had ended by itself.
    pub fn has_finished(&self) -> bool {
        self.from.as_ref().is_some_and(|(manifest, _)| manifest.finished)
    }

    /// Sees whether all state could be saved, and takes up what was saved.
    ///
    /// # Errors
    /// What can't be kept, or does not fit what was.
    pub fn take_up(&self, shards: &mut [Vec<Node>]) -> Result {
        let mut saver = Saver::new();
        for node in shards.first_mut().into_iter().flatten() {
            node.save(0, &mut saver)?;
        }
        let Some((manifest, saved)) = &self.from else { return Ok(()) };
        let context = |error: Error| {
            let what = "the job does not fit its checkpoint";
            error.within(format!("{what} of epoch {}", manifest.epoch))
        };
        all_wanted(saved, &shards[0]).map_err(context)?;
        if manifest.version == BEFORE_SERIES {
            all_read(saved, &Saved::read(&saver.take())?).map_err(context)?;
        }
        let (count, epoch) = (shards.len(), manifest.epoch);
        let loaded = at_once(shards.iter_mut().enumerate(), |(shard, nodes)| {
            let loader = Loader::new(saved, shard, count);
            for node in nodes {
                node.load(&loader)?;
                node.resume(epoch);
            }
            Ok(())
        });
        loaded.into_iter().collect::<Result>().map_err(context)
    }

    /// The coordinator of the job that now starts.
    pub fn coordinator(self, job: &str, shared: Arc<Shared>, epochs: Arc<Epochs>) -> Coordinator {
        let shards = epochs.shards();
        let manifest = Manifest {
            job: job.to_owned(),
            epoch: self.epoch(),
            term: self.store.term(),
            began_on: self.began_on().unwrap_or(shards),
            finished: false,
            shards: Vec::new(),
            version: 0,
        };
        Coordinator::new(self.store, self.every, manifest, shared, epochs)
    }
}

/// That no operator is gone of which something was saved.
fn all_wanted(saved: &[Vec<Saved>], nodes: &[Node]) -> Result {
    let here: HashSet<&str> = nodes.iter().map(|node| &*node.kept.step).collect();
    let parts = saved.iter().flatten().flat_map(Saved::parts).filter(|(head, records, _)| {
        *records > 0 && head.part != PUBLISH && !here.contains(&*head.step)
    });
    let gone: HashSet<&str> = parts.map(|(head, ..)| &*head.step).collect();
    let Some(one) = gone.iter().min() else { return Ok(()) };
    let what = format!(
        "there is no operator {one} any more, of which state was saved; bring it back (its name \
         is what `.named(…)` gives it), or start anew in another directory"
    );
    Err(Error::new(Kind::Plan, what))
}

/// The version in which windows and joins by time were kept under other names.
const BEFORE_SERIES: u32 = 2;

/// That nothing was saved of keys under a name that is not saved now.
fn all_read(saved: &[Vec<Saved>], now: &Saved) -> Result {
    // Times alone depend on the number of shards and on steps without state.
    let of_keys = |head: &PartHead| {
        head.schema.starts_with("struct") && !head.part.starts_with("newest of input")
    };
    let names: Vec<_> = now.parts().map(|(head, ..)| (&head.step, &head.part)).collect();
    let is_read = |head: &PartHead| {
        let begins = |name: &str| head.part.strip_prefix(name);
        // What belongs to a table is named after it.
        let its = |name: &str| begins(name).is_some_and(|rest| matches!(rest, "" | " cleared"));
        names.iter().any(|(step, name)| **step == head.step && its(name))
    };
    let parts = saved.iter().flatten().flat_map(Saved::parts);
    let mut left = parts.filter(|(head, records, _)| {
        *records > 0 && head.part != PUBLISH && of_keys(head) && !is_read(head)
    });
    let Some((PartHead { step, part, .. }, ..)) = left.next() else { return Ok(()) };
    let what = format!(
        "{step}: {part} was saved by an older version of the engine, in a way that is not read any \
         more; let that version come to the job's end, or start anew in another directory"
    );
    Err(Error::new(Kind::Data, what))
}

/// Shows the files that sinks have prepared.
fn show<'a>(saved: impl IntoIterator<Item = &'a Saved>) -> Result {
    for shard in saved {
        let mut files = Vec::new();
        shard.each_of::<(String, String)>(PUBLISH, |sink, (from, to)| {
            files.push((sink.to_owned(), Publish { from: from.into(), to: to.into() }));
        })?;
        for (sink, file) in &files {
            publish(file).map_err(|error| error.within(sink))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Owner;

    fn saved(parts: &[(&str, &str)]) -> Saved {
        let mut saver = Saver::new();
        for (step, part) in parts {
            saver.enter(1, &Owner { step: (*step).into(), asked: "".into(), input: 0 });
            saver.part::<(u64, u64)>(*part, |to| to.put((1, 2))).unwrap();
            saver.part::<u64>("a number", |to| to.put(1)).unwrap();
        }
        Saved::read(&saver.take()).unwrap()
    }

    #[test]
    fn what_is_not_read_any_more_is_refused() {
        let now = saved(&[("join", "records"), ("table", "keys")]);
        let was = |parts: &[(&str, &str)]| [vec![saved(parts)], Vec::new()];
        let same = was(&[("table", "keys"), ("table", "keys cleared"), ("join", "records")]);
        all_read(&same, &now).unwrap();
        for other in [("join", "left"), ("table", "records"), ("table", "keys of old")] {
            let error = all_read(&was(&[("table", "keys"), other]), &now).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{}: {} was saved by", other.0, other.1)),
                "{error}"
            );
        }
    }
}
