//! What a connector's author implements to let records out.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::{Counts, Lifecycle, Output, Progress, Seat, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;
use crate::ring::Ringer;
use crate::state::{Loader, Saver};
use crate::time::Timestamp;

/// Where records leave: a description that opens one [`Writer`] a shard when the job starts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no sink of `{R}`",
    label = "can't take these records",
    note = "there are `Stdout::csv()`, `Files::to_csv(…)`, `Files::to_json(…)`, \
            `RecordLog::write(…)`, `Collect::new()`, `Discard`",
    note = "`Files::to_lines` and `Stdout::lines` take what has a `Display`: text and numbers"
)]
pub trait Sink<R: Record>: Send + 'static {
    /// What writes on each shard.
    type Writer: Writer<R>;

    /// How messages name it: what kind it is and where it writes.
    fn name(&self) -> String;

    /// What can be found wrong while nothing outside is changed: a directory that can't be
    /// written, say. Called before any sink of the job is opened, also when the job is refused for
    /// another reason, so that all that is wrong with it is said at once. `resumes` is the epoch
    /// that [`resume`](Sink::resume) will get, none when it is [`open`](Sink::open) that is called.
    ///
    /// # Errors
    /// Why it could not be opened on so many shards.
    fn check(&self, shards: usize, resumes: Option<u64>) -> Result {
        let _ = (shards, resumes);
        Ok(())
    }

    /// What no other sink of the job may write to, if there is such a thing: `out/part-*.csv`, say.
    /// Names of the same place must be the same.
    fn place(&self) -> Option<PathBuf> {
        None
    }

    /// Opens the writer of one shard; called for all shards before the first record flows, when
    /// nothing has been found wrong with the job. May write over what was there.
    ///
    /// # Errors
    /// What [`check`](Sink::check) could not know.
    fn open(&mut self, shard: usize, shards: usize) -> Result<Self::Writer>;

    /// How often a record arrives when the job has checkpoints and goes on after a failure.
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    /// What it counts beside records.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// Opens the writer of one shard for a job that has checkpoints and goes on after `epoch`; 0
    /// when it begins anew. What an earlier run of the job wrote up to that epoch stays; what it
    /// wrote later and did not publish is done away with. By now the files are published that the
    /// checkpoint names, and an earlier run's writers are gone; it may have had more shards.
    ///
    /// # Errors
    /// As for [`open`](Sink::open); that there are results already when the job begins anew, which
    /// would be taken for its own.
    fn resume(&mut self, shard: usize, shards: usize, epoch: u64) -> Result<Self::Writer> {
        let _ = epoch;
        self.open(shard, shards)
    }
}

/// How often a sink gets a record, or one of a source counts, when a job goes on from a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Once: what comes after a checkpoint shows only when the next one is made.
    ExactlyOnce,
    /// Once, and again what came after the checkpoint.
    AtLeastOnce,
    /// Once, or not at all if it came after the checkpoint: nobody has it any more.
    AtMostOnce,
    /// Once as a rule: what was under way when a peer was lost may be missing, and what came after
    /// the checkpoint comes again.
    BestEffort,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::ExactlyOnce => "exactly once",
            Guarantee::AtLeastOnce => "at least once",
            Guarantee::AtMostOnce => "at most once",
            Guarantee::BestEffort => "best effort",
        })
    }
}

/// A file that is complete and synced, and shows under its name once the checkpoint is made that
/// it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// What it is called until then.
    pub from: String,
    /// The name.
    pub to: String,
}

/// Writes the records of one shard.
pub trait Writer<R: Record>: Send + 'static {
    /// Called once, on the shard's thread and before anything else, with what wakes the shard: for
    /// whoever makes room for a writer that is not always [ready](Writer::ready).
    fn open(&mut self, bell: Ringer) {
        let _ = bell;
    }

    /// Whether it has room. While it has none, nothing is read on the shard that would come to it,
    /// and so on up to the sources of all shards; what is under way already, the rest of a batch
    /// and what comes of it, is written all the same and must be kept. In a job that is stopped it
    /// is no longer asked.
    fn ready(&mut self) -> bool {
        true
    }

    /// Moves on what it had no room for, in every turn of the shard: `Busy` when something went,
    /// `Parked` when all of it waits for the bell, `Done` when there is nothing. The job does not
    /// end before that.
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    fn poll(&mut self) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Writes one record; may keep it until [`flush`](Writer::flush).
    ///
    /// # Errors
    /// Anything that makes writing on impossible; the job ends with it.
    fn write(&mut self, at: Timestamp, record: R::View<'_>) -> Result;

    /// The stream has nothing more at the moment: what is kept goes out.
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    fn flush(&mut self) -> Result {
        Ok(())
    }

    /// The stream has ended: everything goes out for good. Called once, last.
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    fn finish(&mut self) -> Result {
        self.flush()
    }

    /// Ends what belongs to an epoch (the first phase of a two-phase commit): it is written and
    /// synced, so that it can't be lost, but does not show yet. Gives the files that the second
    /// phase shows, when the checkpoint is made: this one's, and no earlier ones. May be called
    /// after [`finish`](Writer::finish).
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        let _ = epoch;
        self.flush()?;
        Ok(Vec::new())
    }

    /// Whether all that came before the last [`prepare`](Writer::prepare) is where it can't be
    /// lost: for a writer that hands on to a thread of its own. The checkpoint waits for it, the
    /// stream does not.
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    fn is_prepared(&mut self) -> Result<bool> {
        Ok(true)
    }
}

/// The part of a sink's state that names files to be shown: what they are called, and their names.
pub const PUBLISH: &str = "publish";

/// The stage that writes into a sink.
pub struct Written<R, W> {
    writer: W,
    /// Set when the job is stopped.
    stop: Option<Arc<AtomicBool>>,
    record: PhantomData<fn() -> R>,
}

impl<R: Record, W: Writer<R>> Written<R, W> {
    /// Writes with this writer.
    pub fn new(writer: W) -> Self {
        Written { writer, stop: None, record: PhantomData }
    }
}

impl<R: Record, W: Writer<R>> Lifecycle for Written<R, W> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.writer.open(seat.bells.ringer(seat.shard));
        self.stop = Some(seat.stop.clone());
        Ok(())
    }
    fn ready(&mut self) -> bool {
        // A source that is not polled does not see that it shall stop.
        self.writer.ready() || self.stop.as_ref().is_some_and(|stop| stop.load(Relaxed))
    }
    fn poll(&mut self, _: &mut Output<'_>) -> Result<Progress> {
        self.writer.poll()
    }
    fn flush(&mut self, _: &mut Output<'_>) -> Result {
        self.writer.flush()
    }
    fn finish(&mut self, _: &mut Output<'_>) -> Result {
        self.writer.finish()
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        let files = if to.epoch() > 0 { self.writer.prepare(to.epoch())? } else { Vec::new() };
        to.part::<(String, String)>(PUBLISH, |part| {
            files.iter().for_each(|Publish { from, to }| part.put((from, to)));
        })
    }
    fn save_more(&mut self, _: &mut Saver) -> Result<bool> {
        self.writer.is_prepared()
    }
    fn load(&mut self, _: &Loader<'_>) -> Result {
        // Whoever takes up a checkpoint has shown its files.
        Ok(())
    }
}

impl<R: Record, W: Writer<R>> Stage<R> for Written<R, W> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, _: &mut Output<'_>) -> Result {
        self.writer.write(stamp.at, record)
    }
}
