//! Who makes the checkpoints of a running job: a state machine, and the thread that drives it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::epochs::Savepoint;
use super::{Epochs, Manifest, Piece, Store, Written, show};
use crate::error::{Error, Result};
use crate::runtime::Shared;
use crate::state::Saved;

/// Makes the checkpoints of a running job.
pub struct Coordinator {
    store: Store,
    every: Duration,
    /// Of the last checkpoint. It names no files before the first one of this run, which holds all:
    /// what was taken up may have come from other shards.
    manifest: Manifest,
    shared: Arc<Shared>,
    epochs: Arc<Epochs>,
}

/// A checkpoint that is being made.
pub struct Making {
    epoch: u64,
    /// Whether the job makes no other.
    last: bool,
    full: bool,
    files: Vec<Written>,
    /// What each shard has saved that is in no table.
    first: Vec<Option<Saved>>,
    savepoints: Vec<Savepoint>,
}

impl Making {
    /// Whether the job makes no other checkpoint.
    pub fn is_last(&self) -> bool {
        self.last
    }
}

impl Coordinator {
    /// Goes on after the checkpoint of this manifest, which names no files.
    pub fn new(
        store: Store,
        every: Duration,
        manifest: Manifest,
        shared: Arc<Shared>,
        epochs: Arc<Epochs>,
    ) -> Coordinator {
        Coordinator { store, every, manifest, shared, epochs }
    }

    /// Makes checkpoints until the job has ended.
    pub fn run(mut self) {
        let mut next = Instant::now() + self.every;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let Some(last) = self.epochs.wait_for_turn(wait, || self.shared.has_failed()) else {
                return;
            };
            next = Instant::now() + self.every;
            match self.make(last) {
                Ok(true) if !last => {}
                Ok(_) => return,
                Err(error) => {
                    self.shared.tell_checkpoint(self.manifest.epoch + 1, Err(&error));
                    return self.shared.fail(error);
                }
            }
        }
    }

    /// Makes one checkpoint, maybe the last; false when the job has failed.
    fn make(&mut self, last: bool) -> Result<bool> {
        let mut making = self.begin(last)?;
        loop {
            let Some(pieces) = self.epochs.wait_for_pieces(|| self.shared.has_failed()) else {
                return Ok(false);
            };
            if pieces.is_empty() {
                self.commit(making)?;
                return Ok(true);
            }
            self.write(&mut making, pieces)?;
        }
    }

    /// Begins a checkpoint: asks the shards for it.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn begin(&mut self, last: bool) -> Result<Making> {
        let epoch = self.manifest.epoch + 1;
        let savepoints = self.epochs.savepoints();
        let full = self.manifest.is_long();
        let begin = |shard| self.store.begin(epoch, shard);
        let files = (0..self.epochs.shards()).map(begin).collect::<Result<Vec<_>>>();
        let files = files.map_err(of(epoch))?;
        let first = files.iter().map(|_| None).collect();
        self.epochs.ask(epoch, full);
        self.shared.bells.ring_all();
        Ok(Making { epoch, last, full, files, first, savepoints })
    }

    /// Writes what shards have delivered.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, making: &mut Making, pieces: Vec<Piece>) -> Result {
        for Piece { shard, sections } in pieces {
            making.files[shard].append(&sections).map_err(of(making.epoch))?;
            if making.first[shard].is_none() {
                making.first[shard] = Some(Saved::read(&sections)?);
            }
            if self.epochs.recycle(sections) {
                self.shared.bells.ring_all();
            }
        }
        Ok(())
    }

    /// Makes the checkpoint of which all is written, and shows what belongs to it.
    ///
    /// # Errors
    /// When it can't be made; which checkpoint holds then, [`Store::commit`] says.
    pub fn commit(&mut self, making: Making) -> Result {
        let Making { epoch, last, full, files, first, savepoints } = making;
        let finished = last && !self.shared.is_stopped();
        let manifest = Manifest { epoch, finished, ..self.manifest.clone() };
        self.manifest = self.store.commit(manifest, files, full).map_err(of(epoch))?;
        show(first.iter().flatten()).map_err(of(epoch))?;
        for savepoint in savepoints {
            let kept = self.store.copy(&self.manifest, &savepoint.to).map(|()| epoch);
            savepoint.made.get_or_init(|| kept);
        }
        if last {
            self.epochs.end(epoch);
        }
        self.epochs.settle(epoch);
        self.shared.tell_checkpoint(epoch, Ok(()));
        self.shared.bells.ring_all();
        Ok(())
    }
}

fn of(epoch: u64) -> impl Fn(Error) -> Error {
    move |error| error.within(format!("checkpoint {epoch}"))
}
