//! Files that shards write.

use std::path::{Path, PathBuf};

use crate::connector::text::{Encode, Encoder, Target, TextWriter, failed};
use crate::error::Result;
use crate::operator::{Guarantee, Publish, Sink};
use crate::record::Record;

use super::decode::Csv;
use super::epochs::{EpochFiles, Holder};
use super::place;
use crate::sys::fs::{self, File};
use crate::sys::world::{Kind, Open};

/// A sink into a directory, which is made if need be: shard 3 writes `part-3.csv`, and so on.
/// Files of an earlier run are written over, unless they are being read or written. Made by
/// [`Files`](super::Files).
///
/// The files are synced when the stream ends; until then a reader sees whole rows.
///
/// When the job has checkpoints, every row shows exactly once: what comes before the checkpoint of
/// epoch 12 shows when that is made, as `part-3-00000012.csv`, and is hidden until then. A job that
/// begins anew wants a directory without such files; one that goes on, with those that it wrote.
#[derive(Debug)]
pub struct FileSink<E> {
    directory: PathBuf,
    encode: E,
    holder: Holder,
}

impl<E> FileSink<E> {
    pub(super) fn new(directory: PathBuf, encode: E) -> FileSink<E> {
        FileSink { directory, encode, holder: Holder::default() }
    }
}

impl FileSink<Csv<()>> {
    /// What stands between cells; a comma unless set.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.encode.set_delimiter(delimiter);
        self
    }
}

impl<R: Record, E: Encode<R>> Sink<R> for FileSink<E> {
    type Writer = TextWriter<R, E::Encoder, Parts>;

    fn name(&self) -> String {
        format!("{} files in {}", self.encode.extension(), self.directory.display())
    }

    fn check(&self, shards: usize, resumes: Option<u64>) -> Result {
        place::check(&self.directory, shards, self.encode.extension(), resumes)
    }

    fn place(&self) -> Option<PathBuf> {
        Some(place::all_files(&self.directory, self.encode.extension()))
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<Self::Writer> {
        let mut encoder = self.encode.encoder();
        encoder.header();
        let (extension, header) = (self.encode.extension(), encoder.text());
        let file = Parts::open(&self.directory, (shard, shards), extension, header)?;
        encoder.clear();
        Ok(TextWriter::new(encoder, file))
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn resume(&mut self, shard: usize, shards: usize, epoch: u64) -> Result<Self::Writer> {
        let (seat, extension) = ((shard, shards), self.encode.extension());
        let files = Parts::resume(&self.directory, seat, extension, epoch, &mut self.holder)?;
        Ok(TextWriter::with_headers(self.encode.encoder(), files))
    }
}

/// What a shard writes.
#[derive(Debug)]
pub enum Parts {
    /// One file.
    One(PartFile),
    /// A file for each epoch.
    Epochs(EpochFiles),
}

impl Parts {
    /// Opens the one file of a shard out of so many, which begins with `head`.
    pub(in crate::connector) fn open(
        directory: &Path,
        (shard, shards): (usize, usize),
        extension: &str,
        head: &[u8],
    ) -> Result<Parts> {
        PartFile::create(directory, (shard, shards), extension, head).map(Parts::One)
    }

    /// Goes on after an epoch.
    pub(in crate::connector) fn resume(
        directory: &Path,
        seat: (usize, usize),
        extension: &'static str,
        epoch: u64,
        holder: &mut Holder,
    ) -> Result<Parts> {
        EpochFiles::resume(directory, seat, extension, epoch, holder).map(Parts::Epochs)
    }
}

impl Target for Parts {
    fn write(&mut self, text: &[u8]) -> Result {
        match self {
            Parts::One(file) => file.write(text),
            Parts::Epochs(files) => files.write(text),
        }
    }

    fn finish(&mut self) -> Result {
        match self {
            Parts::One(file) => file.finish(),
            Parts::Epochs(files) => files.finish(),
        }
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<Publish>> {
        match self {
            Parts::One(file) => file.prepare(epoch),
            Parts::Epochs(files) => files.prepare(epoch),
        }
    }
}

/// A file that a shard writes. One that a failed job leaves without a record goes with it: it would
/// be taken for a result.
#[derive(Debug)]
pub struct PartFile {
    path: PathBuf,
    file: File,
    /// Nothing was written behind the head, nor was it said that this is all.
    void: bool,
}

impl PartFile {
    /// Makes the file of one shard, with what comes before the first record; the first one makes
    /// the directory too.
    fn create(
        directory: &Path,
        (shard, shards): (usize, usize),
        extension: &str,
        head: &[u8],
    ) -> Result<PartFile> {
        if shard == 0 {
            place::check(directory, shards, extension, None)?;
            let made = fs::create_dir_all(directory);
            made.map_err(|cause| failed(directory.display(), &cause))?;
        }
        let path = directory.join(format!("part-{shard}.{extension}"));
        let failed = |cause| failed(path.display(), &cause);
        let file = File::open(&path, Open::Keep).map_err(failed)?;
        place::lock(&path, &file)?;
        file.empty().map_err(failed)?;
        let mut part = PartFile { path, file, void: true };
        part.append(head)?;
        // It only grows now: whoever reads it may keep it from being written over.
        part.file.share();
        Ok(part)
    }

    fn append(&mut self, text: &[u8]) -> Result {
        self.file.append(text).map_err(|cause| failed(self.path.display(), &cause))
    }

    /// Makes a file that must not be there yet.
    pub(super) fn create_new(path: PathBuf) -> Result<PartFile> {
        let file = File::open(&path, Open::New).map_err(|cause| failed(path.display(), &cause))?;
        Ok(PartFile { path, file, void: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether sinks name their files so.
pub(super) fn is_part(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"part-"))
}

impl Target for PartFile {
    fn write(&mut self, text: &[u8]) -> Result {
        self.void = false;
        self.append(text)
    }

    /// Syncs the file, and the directory so that its name stays too.
    fn finish(&mut self) -> Result {
        self.void = false;
        let synced = self.file.sync().and_then(|()| fs::sync_directory(place::parent(&self.path)));
        synced.map_err(|cause| failed(self.path.display(), &cause))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // What a link or a device stands for is not this sink's to remove.
        if self.void && fs::kind(&self.path) == Some(Kind::File) {
            // An empty file that stays is no worse than a failure told here.
            let _ = fs::remove_file(&self.path);
        }
    }
}
