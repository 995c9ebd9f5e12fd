//! Files that show when the checkpoint is made that they belong to.
//!
//! ```text
//! part-3-00000012.csv            rows of shard 3 up to epoch 12, published
//! .part-3-00000013.csv.pending   its rows since then
//! .part.csv.lock                 locked as long as a job writes here
//! ```
//!
//! A crash finds each pending file in one of three states, and whoever goes on deals with it so:
//!
//! 1. Its checkpoint was not made: the file is removed, its rows come again.
//! 2. Its checkpoint was made, which names the file: [`publish`] renames it, before anything else.
//! 3. It was published: [`publish`] finds it done.
//!
//! So nothing is lost if the file and its name are synced before its checkpoint is made, and
//! nothing shows twice if the new name is synced before the next one is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::place;
use super::sink::PartFile;
use crate::connector::text::{Target, failed};
use crate::error::{Error, Kind, Result};
use crate::operator::Publish;
use crate::sys::fs::{self, File};
use crate::sys::world::Open;

/// The files of one shard, one an epoch in which there are rows.
#[derive(Debug)]
pub struct EpochFiles {
    /// From the root, for it outlasts the process.
    directory: PathBuf,
    shard: usize,
    extension: &'static str,
    /// The last epoch that was prepared.
    epoch: u64,
    /// What is being written, when there are rows.
    file: Option<PartFile>,
    #[expect(dead_code, reason = "it is the lock that counts")]
    held: Arc<File>,
}

impl EpochFiles {
    /// Goes on after `epoch`; the first shard looks over and makes the directory. Pending files
    /// of this shard go away, and with the first one those of shards that are no more.
    pub(super) fn resume(
        directory: &Path,
        (shard, shards): (usize, usize),
        extension: &'static str,
        epoch: u64,
        holder: &mut Holder,
    ) -> Result<EpochFiles> {
        if shard == 0 {
            place::check(directory, shards, extension, Some(epoch))?;
            fs::make_to_stay(directory).map_err(|cause| failed(directory.display(), &cause))?;
        }
        let failed = |cause| failed(directory.display(), &cause);
        let directory = fs::canonicalize(directory).map_err(failed)?;
        let held = holder.hold(&directory, shard, extension)?;
        if shard == 0 {
            // Once more, now that nobody else publishes there.
            place::check_epochs(&directory, extension, epoch)?;
        }
        for path in pending(&directory, extension)? {
            let own = |of: usize| of == shard || (shard == 0 && of >= shards);
            if own(path.0) {
                fs::remove_file(&path.1).map_err(failed)?;
            }
        }
        Ok(EpochFiles { directory, shard, extension, epoch, file: None, held })
    }

    fn text(&self, path: PathBuf) -> Result<String> {
        path.into_os_string().into_string().map_err(|_| not_text(&self.directory))
    }
}

impl Target for EpochFiles {
    fn write(&mut self, text: &[u8]) -> Result {
        if self.file.is_none() {
            let (shard, next) = (self.shard, self.epoch + 1);
            let name = format!(".{}.pending", name(shard, next, self.extension));
            self.file = Some(PartFile::create_new(self.directory.join(name))?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(text))
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        if epoch <= self.epoch {
            let what = format!("epoch {epoch} of a sink comes after epoch {}", self.epoch);
            return Err(Error::new(Kind::Internal, what));
        }
        self.epoch = epoch;
        let Some(mut file) = self.file.take() else { return Ok(Vec::new()) };
        file.finish()?;
        let from = self.text(file.path().to_owned())?;
        let to = self.directory.join(name(self.shard, epoch, self.extension));
        Ok(vec![Publish { from, to: self.text(to)? }])
    }
}

/// Lets a sink's file show, for good. Whether it does already makes no difference, so that this
/// can be done again after a crash; when the checkpoint is made, and before the next one is.
///
/// # Errors
/// When the file is neither there nor published, and what the operating system says.
pub(crate) fn publish(file: &Publish) -> Result {
    let (from, to) = (Path::new(&file.from), Path::new(&file.to));
    let failed = |cause| failed(to.display(), &cause);
    match fs::rename(from, to) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            if fs::kind(to).is_none() {
                let (from, to) = (from.display(), to.display());
                let what = format!(
                    "{from} was to become {to}, and neither is there; bring back one of them, or \
                     make an empty {to} if its rows were taken away on purpose"
                );
                return Err(Error::new(Kind::Data, what));
            }
        }
        renamed => renamed.map_err(failed)?,
    }
    fs::sync_directory(place::parent(to)).map_err(failed)
}

/// Keeps two jobs from writing into one directory, which would remove each other's pending files.
/// The lock lasts as long as any writer: a job may be started again when they are gone.
#[derive(Debug, Default)]
pub(in crate::connector) struct Holder(Weak<File>);

impl Holder {
    /// Takes the lock for the first shard, shares it with the others.
    fn hold(&mut self, directory: &Path, shard: usize, extension: &str) -> Result<Arc<File>> {
        if let Some(held) = self.0.upgrade().filter(|_| shard > 0) {
            return Ok(held);
        }
        let path = lock_path(directory, extension);
        let file = File::open(&path, Open::Keep).map_err(|cause| failed(path.display(), &cause))?;
        lock(directory, &file)?;
        let held = Arc::new(file);
        self.0 = Arc::downgrade(&held);
        Ok(held)
    }
}

/// That no job writes files into a directory, one with checkpoints.
pub(super) fn check_free(directory: &Path, extension: &str) -> Result {
    let path = lock_path(directory, extension);
    if fs::kind(&path).is_none() {
        return Ok(());
    }
    lock(directory, &File::open(&path, Open::Keep).map_err(|cause| failed(path.display(), &cause))?)
}

fn lock(directory: &Path, file: &File) -> Result {
    if let Ok(false) = file.try_lock() {
        let directory = directory.display();
        let what = format!("a job writes to {directory}; let it end or write to another directory");
        return Err(Error::new(Kind::Io, what));
    }
    Ok(())
}

fn lock_path(directory: &Path, extension: &str) -> PathBuf {
    directory.join(format!(".part.{extension}.lock"))
}

pub(super) fn not_text(directory: &Path) -> Error {
    let what = "is no UTF-8, which a sink of a job with checkpoints needs; name another directory";
    Error::new(Kind::Plan, format!("{} {what}", directory.display()))
}

fn name(shard: usize, epoch: u64, extension: &str) -> String {
    format!("part-{shard}-{epoch:08}.{extension}")
}

/// The shard and epoch of a file that such a name is of.
pub(super) fn numbers(name: &str, extension: &str) -> Option<(usize, u64)> {
    let stem = name.strip_prefix("part-")?.strip_suffix(extension)?.strip_suffix('.')?;
    let (shard, epoch) = stem.split_once('-')?;
    Some((shard.parse().ok()?, epoch.parse().ok()?))
}

/// The pending files in a directory, with their shards.
fn pending(directory: &Path, extension: &str) -> Result<Vec<(usize, PathBuf)>> {
    let files = place::files(directory)?.into_iter().filter_map(|(name, path)| {
        let name = name.strip_prefix('.')?.strip_suffix(".pending")?;
        Some((numbers(name, extension)?.0, path))
    });
    Ok(files.collect())
}
