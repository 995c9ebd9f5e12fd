//! What a connector's author implements to let records out.

use std::marker::PhantomData;
use std::path::PathBuf;

use super::{Lifecycle, Output, Stage, Stamp};
use crate::error::Result;
use crate::record::Record;
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
    /// another reason, so that all that is wrong with it is said at once.
    ///
    /// # Errors
    /// Why it could not be opened on so many shards.
    fn check(&self, shards: usize) -> Result {
        let _ = shards;
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
}

/// Writes the records of one shard.
pub trait Writer<R: Record>: Send + 'static {
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
}

/// The stage that writes into a sink.
pub struct Written<R, W> {
    writer: W,
    record: PhantomData<fn() -> R>,
}

impl<R: Record, W: Writer<R>> Written<R, W> {
    /// Writes with this writer.
    pub fn new(writer: W) -> Self {
        Written { writer, record: PhantomData }
    }
}

impl<R: Record, W: Writer<R>> Lifecycle for Written<R, W> {
    fn flush(&mut self, _: &mut Output<'_>) -> Result {
        self.writer.flush()
    }
    fn finish(&mut self, _: &mut Output<'_>) -> Result {
        self.writer.finish()
    }
}

impl<R: Record, W: Writer<R>> Stage<R> for Written<R, W> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, _: &mut Output<'_>) -> Result {
        self.writer.write(stamp.at, record)
    }
}
