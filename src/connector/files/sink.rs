//! Files that shards write.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::connector::text::{Encode, Encoder, Target, TextWriter, failed};
use crate::error::Result;
use crate::operator::Sink;
use crate::record::Record;

use super::decode::Csv;
use super::place;

/// A sink into a directory, which is made if need be: shard 3 writes `part-3.csv`, and so on.
/// Files of an earlier run are written over, unless they are being read or written. Made by
/// [`Files`](super::Files).
///
/// The files are synced when the stream ends; until then a reader sees whole rows.
#[derive(Debug)]
pub struct FileSink<E> {
    directory: PathBuf,
    encode: E,
}

impl<E> FileSink<E> {
    pub(super) fn new(directory: PathBuf, encode: E) -> FileSink<E> {
        FileSink { directory, encode }
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
    type Writer = TextWriter<R, E::Encoder, PartFile>;

    fn name(&self) -> String {
        format!("{} files in {}", self.encode.extension(), self.directory.display())
    }

    fn check(&self, shards: usize) -> Result {
        place::check(&self.directory, shards, self.encode.extension())
    }

    fn place(&self) -> Option<PathBuf> {
        Some(place::all_files(&self.directory, self.encode.extension()))
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<Self::Writer> {
        let mut encoder = self.encode.encoder();
        encoder.header();
        let (extension, header) = (self.encode.extension(), encoder.text());
        let file = PartFile::create(&self.directory, shard, shards, extension, header)?;
        encoder.clear();
        Ok(TextWriter::new(encoder, file))
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
    pub(in crate::connector) fn create(
        directory: &Path,
        shard: usize,
        shards: usize,
        extension: &str,
        head: &[u8],
    ) -> Result<PartFile> {
        if shard == 0 {
            place::check(directory, shards, extension)?;
            let made = fs::create_dir_all(directory);
            made.map_err(|cause| failed(directory.display(), &cause))?;
        }
        let path = directory.join(format!("part-{shard}.{extension}"));
        let failed = |cause| failed(path.display(), &cause);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        place::lock(&path, &file)?;
        if file.metadata().map_err(failed)?.is_file() {
            file.set_len(0).map_err(failed)?;
        }
        let mut part = PartFile { path, file, void: true };
        part.append(head)?;
        Ok(part)
    }

    fn append(&mut self, text: &[u8]) -> Result {
        let written = self.file.write_all(text);
        written.map_err(|cause| failed(self.path.display(), &cause))
    }
}

/// Keeps sinks of this and of other jobs from writing over a file as long as what this gives
/// lives; a file that is being written can be read all the same. None where files can't be locked.
pub(in crate::connector) fn hold(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock_shared().ok().map(|()| file)
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
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let synced = self.file.sync_all().and_then(|()| File::open(directory)?.sync_all());
        synced.map_err(|cause| failed(self.path.display(), &cause))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // What a link or a device stands for is not this sink's to remove.
        if self.void && self.path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            // An empty file that stays is no worse than a failure told here.
            let _ = fs::remove_file(&self.path);
        }
    }
}
