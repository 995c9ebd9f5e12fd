//! The directory of a job's checkpoints.
//!
//! ```text
//! LOCK                 held as long as a job uses the directory; holds the job's term
//! manifest-0           of even epochs  } two slots: while one is replaced, by renaming what was
//! manifest-1           of odd epochs   } written as manifest-new, the other one holds
//! state-00000012-0-3   what shard 0 saved of epoch 12 in the run of term 3: all, or what has
//!                      changed since epoch 11
//! ```
//!
//! A manifest names the files of its epoch, each with length and checksum: of each shard one that
//! holds all of its state, and those that hold what has changed since. Writing the manifest is the
//! moment at which the checkpoint is made. A file of state is never changed.
//!
//! Whoever opens the directory has a higher *term* than all before. What is left of an older one,
//! where the lock did not hold it off (on some network file systems it does not), makes no
//! checkpoint any more, and touches no file of a newer one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::packed::{Compression, pack};
use super::saved::{self, head};
use crate::error::{Error, Kind, Result};
use crate::state::Saved;
use crate::sys::at_once;
use crate::sys::fs::{self, File, Readable};
use crate::sys::world::Open;

/// The version of the format of all files that are written.
pub(super) const VERSION: u32 = 3;
/// The oldest version that is read.
pub(super) const VERSION_MIN: u32 = 2;
/// A shard's state is kept in at most so many files.
const FILES_MAX: usize = 32;
/// What a manifest begins with, before version, checksum and length of what follows.
const TITLE: &str = "thalweg-manifest";

/// What is written down of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The checkpoint's number, from 1.
    pub epoch: u64,
    /// That of the run which made it; each start of the job has a higher one.
    pub term: u64,
    /// How many shards the job was first begun on.
    pub began_on: usize,
    /// Whether the job has ended by itself: there is nothing to go on with.
    pub finished: bool,
    /// What each shard saved, in the order of the shards: a file that holds all, then those that
    /// hold what has changed since, oldest first.
    pub shards: Vec<Vec<StateFile>>,
    /// The version of the format.
    #[serde(skip)]
    pub version: u32,
}

impl Manifest {
    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &StateFile> {
        self.shards.iter().flatten()
    }

    /// Whether there is nothing yet that what has changed could be added to, or so much of that
    /// that all had better be saved anew.
    pub fn is_long(&self) -> bool {
        let bytes = |files: &[StateFile]| files.iter().map(|file| file.bytes).sum::<u64>();
        let first: u64 =
            self.shards.iter().filter_map(|files| files.first()).map(|f| f.bytes).sum();
        let all: u64 = self.shards.iter().map(|files| bytes(files)).sum();
        let longest = self.shards.iter().map(Vec::len).max().unwrap_or(0);
        longest == 0 || longest >= FILES_MAX || all - first > first
    }
}

/// A file of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// The epoch that it was saved of.
    pub epoch: u64,
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32.
    pub crc32: u32,
    /// Where its sections are compressed: how many bytes they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lz4: Option<u64>,
}

/// A directory of checkpoints that this process alone uses.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Held as long as this lives.
    _lock: File,
    term: u64,
    compression: Compression,
}

/// The file that is locked.
const LOCK: &str = "LOCK";

impl Store {
    /// Opens a directory, made if need be.
    ///
    /// # Errors
    /// When it can't be written, or another process uses it.
    pub fn open(directory: &Path, compression: Compression) -> Result<Store> {
        let shown = directory.display();
        let failed = |cause| Error::io(format_args!("opening the state directory {shown}"), &cause);
        fs::make_to_stay(directory).map_err(failed)?;
        let path = directory.join(LOCK);
        let lock = File::open(&path, Open::Keep).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? {
            let what = format!(
                "another job uses the state directory {shown}; wait until it has ended, or give \
                 this one a directory of its own"
            );
            return Err(Error::new(Kind::Io, what));
        }
        // A run that was killed may have renamed a manifest and not come to sync that: nothing that
        // is read here may be gone after a crash, when more has followed from it.
        fs::sync_directory(directory).map_err(failed)?;
        let manifests = manifests(directory)?;
        let made = manifests.iter().map(|manifest| manifest.term).max().unwrap_or(0);
        let term = made.max(term(directory).map_err(failed)?) + 1;
        write(&path, &[format!("{term}\n").as_bytes()])?;
        Ok(Store { directory: directory.to_owned(), _lock: lock, term, compression })
    }

    /// The term of whoever opened the directory last.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The manifest of the newest checkpoint, if there is one.
    ///
    /// # Errors
    /// As for [`manifests`].
    pub fn newest(&self) -> Result<Option<Manifest>> {
        Ok(manifests(&self.directory)?.into_iter().max_by_key(|manifest| manifest.epoch))
    }

    fn slot(&self, epoch: u64) -> PathBuf {
        slot(&self.directory, epoch)
    }

    /// Makes a checkpoint of what each shard has saved, `full` or since the checkpoint of the
    /// manifest; it holds when this returns.
    ///
    /// # Errors
    /// When it can't be written: the one before holds then, unless it was the last step that
    /// failed, after which either may hold. When the directory was opened by another run since.
    pub fn commit(
        &self,
        mut manifest: Manifest,
        saved: Vec<Written>,
        full: bool,
    ) -> Result<Manifest> {
        let epoch = manifest.epoch;
        manifest.term = self.term;
        manifest.shards.resize_with(saved.len(), Vec::new);
        for (files, written) in manifest.shards.iter_mut().zip(saved) {
            if full {
                files.clear();
            }
            files.push(written.end()?);
        }
        // Their names must stay before anything says that they are there.
        sync(&self.directory)?;
        self.is_newest_term()?;
        write_manifest(&manifest, &self.directory, &self.slot(epoch))?;
        self.clean(&manifest)?;
        Ok(manifest)
    }

    /// That nobody has opened the directory since.
    fn is_newest_term(&self) -> Result {
        let now = term(&self.directory).map_err(|cause| reading(&self.directory, &cause))?;
        if now == self.term {
            return Ok(());
        }
        let what = format!(
            "the state directory {} was taken over by a run with term {now}, and this one has \
             {}: its checkpoints count no more",
            self.directory.display(),
            self.term
        );
        Err(Error::new(Kind::Io, what))
    }

    /// Puts a copy of a checkpoint into a directory, which is made and must not hold anything: a
    /// state directory that a job can be started with.
    ///
    /// # Errors
    /// When it can't be written, or holds something.
    pub fn copy(&self, manifest: &Manifest, to: &Path) -> Result {
        let failed = |cause| Error::io(format_args!("writing savepoint {}", to.display()), &cause);
        fs::make_to_stay(to).map_err(failed)?;
        if !fs::list(to).map_err(failed)?.is_empty() {
            let what = format!("savepoint {}: the directory is not empty", to.display());
            return Err(Error::new(Kind::Io, what));
        }
        for StateFile { name, .. } in manifest.files() {
            // A file of state is never changed: another name for it will do, on the same disk.
            let (file, copy) = (self.directory.join(name), to.join(name));
            fs::link_or_copy(&file, &copy).map_err(failed)?;
        }
        sync(to)?;
        write_manifest(manifest, to, &slot(to, manifest.epoch))
    }

    /// Begins the file of what a shard saves of an epoch.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn begin(&self, epoch: u64, shard: usize) -> Result<Written> {
        let name = format!("state-{epoch:08}-{shard}-{}", self.term);
        let path = self.directory.join(&name);
        // What a killed run left under this name may have another one too, in a savepoint.
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(writing(&path, &cause));
            }
            _ => {}
        }
        let file = File::open(&path, Open::New).map_err(|cause| writing(&path, &cause))?;
        let (bytes, crc, lz4) = (0, crc32fast::Hasher::new(), None);
        let mut written = Written { file, path, name, epoch, bytes, crc, lz4 };
        written.write(&head(VERSION, epoch, shard))?;
        written.lz4 = (self.compression == Compression::Lz4).then_some(0);
        Ok(written)
    }

    /// Removes files of state that neither slot names, but for those of newer terms: they may be
    /// on their way into a checkpoint.
    fn clean(&self, newest: &Manifest) -> Result {
        let manifests = manifests(&self.directory)?;
        let named = manifests.iter().chain([newest]).flat_map(|manifest| manifest.files());
        let named: HashSet<&str> = named.map(|file| file.name.as_str()).collect();
        let failed = |cause| reading(&self.directory, &cause);
        for path in fs::list(&self.directory).map_err(failed)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let unnamed = |name: &str| name.starts_with("state-") && !named.contains(name);
            if name.is_some_and(|name| unnamed(name) && term_of(name) <= self.term) {
                // One that stays is removed the next time.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

/// A file of state that is being written.
#[derive(Debug)]
pub struct Written {
    file: File,
    path: PathBuf,
    name: String,
    epoch: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
    /// Bytes before they were compressed, where they are.
    lz4: Option<u64>,
}

impl Written {
    /// Writes some more.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result {
        let Some(all) = &mut self.lz4 else { return self.write(bytes) };
        *all += bytes.len() as u64;
        self.write(&pack(bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> Result {
        self.crc.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.append(bytes).map_err(|cause| writing(&self.path, &cause))
    }

    /// Syncs it: that was all.
    fn end(self) -> Result<StateFile> {
        self.file.sync().map_err(|cause| writing(&self.path, &cause))?;
        let Written { name, epoch, bytes, crc, lz4, .. } = self;
        Ok(StateFile { epoch, name, bytes, crc32: crc.finalize(), lz4 })
    }
}

/// Whole manifests of a directory, none to two.
///
/// # Errors
/// When a manifest is damaged or of another version. No crash leaves one half written, so one
/// that is not whole may have been the newest, and going on from the other would give results
/// twice.
pub fn manifests(directory: &Path) -> Result<Vec<Manifest>> {
    let mut whole = Vec::new();
    for path in (0..2).map(|epoch| slot(directory, epoch)) {
        match fs::read(&path) {
            Ok(bytes) => whole.push(parse(&bytes).map_err(|error| within(&error, &path))?),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(reading(&path, &cause)),
        }
    }
    Ok(whole)
}

/// What the shards saved of a checkpoint: the files of each, oldest first.
///
/// # Errors
/// When a file is missing or not what was written.
pub fn load(directory: &Path, manifest: &Manifest) -> Result<Vec<Vec<Saved>>> {
    // Reading and checking take their time.
    let loaded = at_once(manifest.shards.iter().enumerate(), |(shard, files)| {
        files.iter().map(|file| load_file(directory, shard, file)).collect()
    });
    loaded.into_iter().collect()
}

fn load_file(directory: &Path, shard: usize, file: &StateFile) -> Result<Saved> {
    let path = directory.join(&file.name);
    let bytes = Readable::open(&path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            within(&damaged("the manifest names it, and it is not there".into()), &path)
        }
        _ => reading(&path, &cause),
    })?;
    saved::open(bytes, shard, file).map_err(|error| within(&error, &path))
}

/// Where the manifest of an epoch is.
fn slot(directory: &Path, epoch: u64) -> PathBuf {
    directory.join(format!("manifest-{}", epoch % 2))
}

/// The term in the name of a file of state; names of older versions have none.
fn term_of(name: &str) -> u64 {
    name.split('-').nth(3).and_then(|term| term.parse().ok()).unwrap_or(0)
}

/// The term of whoever opened a directory last; 0 when that is not known.
fn term(directory: &Path) -> std::io::Result<u64> {
    let text = fs::read(&directory.join(LOCK))?;
    Ok(String::from_utf8_lossy(&text).trim().parse().unwrap_or(0))
}

/// Writes a manifest: it is there, whole, or not at all.
fn write_manifest(manifest: &Manifest, directory: &Path, slot: &Path) -> Result {
    let body = serde_json::to_vec_pretty(manifest)
        .map_err(|error| Error::new(Kind::Internal, format!("a manifest: {error}")))?;
    let title = format!("{TITLE} {VERSION} {:08x} {}\n", crc32fast::hash(&body), body.len());
    let new = directory.join("manifest-new");
    write(&new, &[title.as_bytes(), &body])?;
    fs::rename(&new, slot).map_err(|cause| writing(slot, &cause))?;
    sync(directory)
}

fn sync(directory: &Path) -> Result {
    fs::sync_directory(directory).map_err(|cause| writing(directory, &cause))
}

/// A manifest from the bytes of its file.
fn parse(bytes: &[u8]) -> Result<Manifest> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = (String::from_utf8_lossy(&bytes[..end]), bytes.get(end + 1..));
    let words: Vec<&str> = line.split(' ').collect();
    let (body, [TITLE, version, crc, len]) = (body.unwrap_or_default(), &words[..]) else {
        return Err(damaged("it is no manifest".into()));
    };
    let known = version.parse().ok().filter(|version| (VERSION_MIN..=VERSION).contains(version));
    let Some(known) = known else {
        let what =
            format!("it has version {version}, this engine reads {VERSION_MIN} to {VERSION}");
        return Err(damaged(what));
    };
    if len.parse() != Ok(body.len()) {
        return Err(damaged(format!(
            "it has {} bytes behind its first line and had {len}",
            body.len()
        )));
    }
    if *crc != format!("{:08x}", crc32fast::hash(body)) {
        return Err(damaged("its checksum is wrong".into()));
    }
    let manifest: Manifest =
        serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
    // Only files of this directory are its own.
    let is_plain = |name: &str| Path::new(name).file_name() == Some(name.as_ref());
    if let Some(file) = manifest.files().find(|file| !is_plain(&file.name)) {
        return Err(damaged(format!("it names {:?}, which is no file's name", file.name)));
    }
    Ok(Manifest { version: known, ..manifest })
}

/// What is said of a file that is not what was written.
pub(super) fn damaged(what: String) -> Error {
    let remedy = "restore the state directory from a copy, or start anew in another one";
    Error::new(Kind::Data, format!("{what}; {remedy}"))
}

/// Writes a file anew and syncs it.
fn write(path: &Path, pieces: &[&[u8]]) -> Result {
    let written = File::open(path, Open::Truncate).and_then(|mut file| {
        pieces.iter().try_for_each(|piece| file.append(piece))?;
        file.sync()
    });
    written.map_err(|cause| writing(path, &cause))
}

fn reading(path: &Path, cause: &std::io::Error) -> Error {
    Error::io(format_args!("reading {}", path.display()), cause)
}

fn writing(path: &Path, cause: &std::io::Error) -> Error {
    Error::io(format_args!("writing {}", path.display()), cause)
}

fn within(error: &Error, path: &Path) -> Error {
    error.clone().within(path.display())
}
