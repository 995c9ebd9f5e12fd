//! The directory of a job's checkpoints.
//!
//! ```text
//! LOCK                 held as long as a process uses the directory
//! manifest-0           of even epochs  } two slots: while one is written over, the other one
//! manifest-1           of odd epochs   } holds
//! state-00000012-0     what shard 0 saved of epoch 12
//! ```
//!
//! A manifest names the files of its epoch, each with length and checksum; writing it is the moment
//! at which the checkpoint is made. A file of state is never changed.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::state::Saved;

/// The version of the format of all files; another one is refused.
const VERSION: u32 = 1;
/// What a file of state begins with, before version, shard and epoch.
const MAGIC: &[u8; 8] = b"thalwegS";
/// Bytes before the sections of a file of state.
const HEAD_BYTES: usize = 24;
/// What a manifest begins with, before version, checksum and length of what follows.
const TITLE: &str = "thalweg-manifest";

/// What is written down of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The checkpoint's number, from 1.
    pub epoch: u64,
    /// How many shards the job was first begun on.
    pub began_on: usize,
    /// Whether the job has ended by itself: there is nothing to go on with.
    pub finished: bool,
    /// What each shard saved, in the order of the shards.
    pub files: Vec<StateFile>,
}

/// A file of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32.
    pub crc32: u32,
}

/// A directory of checkpoints that this process alone uses.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    #[expect(dead_code, reason = "it is the lock that counts")]
    lock: File,
}

impl Store {
    /// Opens a directory, made if need be.
    ///
    /// # Errors
    /// When it can't be written, or another process uses it.
    pub fn open(directory: &Path) -> Result<Store> {
        let shown = directory.display();
        let failed = |cause| Error::io(format_args!("opening the state directory {shown}"), &cause);
        fs::create_dir_all(directory).map_err(failed)?;
        let path = directory.join("LOCK");
        let lock = File::options().create(true).truncate(false).write(true).open(path);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Store { directory: directory.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => {
                let what = format!(
                    "another job uses the state directory {shown}; wait until it has ended, or \
                     give this one a directory of its own"
                );
                Err(Error::new(Kind::Io, what))
            }
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }

    /// The manifest of the newest checkpoint, if there is one.
    ///
    /// # Errors
    /// When there are manifests and none is whole, or one is of another version.
    pub fn newest(&self) -> Result<Option<Manifest>> {
        Ok(self.manifests()?.into_iter().max_by_key(|manifest| manifest.epoch))
    }

    fn manifests(&self) -> Result<Vec<Manifest>> {
        let (mut whole, mut torn) = (Vec::new(), Vec::new());
        for path in (0..2).map(|slot| self.slot(slot)) {
            match fs::read(&path) {
                Ok(bytes) => match parse(&bytes).map_err(|error| within(&error, &path))? {
                    Some(manifest) => whole.push(manifest),
                    None => torn.push(path),
                },
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => return Err(reading(&path, &cause)),
            }
        }
        // One that was torn while it was written is nothing: the other one holds. The first ever
        // has no other, and nothing had been shown of it.
        let first = self.slot(1);
        if whole.is_empty() && torn.iter().any(|path| *path != first) {
            let names: Vec<_> = torn.iter().map(|path| path.display().to_string()).collect();
            let what = format!(
                "no manifest is whole: {}; restore the directory from a copy, or start anew in \
                 another one",
                names.join(", ")
            );
            return Err(Error::new(Kind::Data, what));
        }
        Ok(whole)
    }

    fn slot(&self, epoch: u64) -> PathBuf {
        self.directory.join(format!("manifest-{}", epoch % 2))
    }

    /// What the shards saved of a checkpoint.
    ///
    /// # Errors
    /// When a file is missing or not what was written.
    pub fn load(&self, manifest: &Manifest) -> Result<Vec<Saved>> {
        let load = |(shard, file): (usize, &StateFile)| {
            let path = self.directory.join(&file.name);
            let bytes = fs::read(&path).map_err(|cause| reading(&path, &cause))?;
            let saved = open_state(&bytes, manifest.epoch, shard, file);
            saved.map_err(|error| within(&error, &path))
        };
        manifest.files.iter().enumerate().map(load).collect()
    }

    /// Makes a checkpoint of what each shard has saved; it holds when this returns.
    ///
    /// # Errors
    /// When it can't be written: the one before holds then.
    pub fn commit(&self, mut manifest: Manifest, shards: &[Vec<u8>]) -> Result<Manifest> {
        let epoch = manifest.epoch;
        manifest.files.clear();
        for (shard, sections) in shards.iter().enumerate() {
            manifest.files.push(self.write_state(epoch, shard, sections)?);
        }
        // Their names must stay before anything says that they are there.
        self.sync()?;
        let body = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| Error::new(Kind::Internal, format!("a manifest: {error}")))?;
        let mut bytes =
            format!("{TITLE} {VERSION} {:08x} {}\n", crc32fast::hash(&body), body.len())
                .into_bytes();
        bytes.extend(body);
        write(&self.slot(epoch), &[&bytes])?;
        self.sync()?;
        self.clean(&manifest)?;
        Ok(manifest)
    }

    fn write_state(&self, epoch: u64, shard: usize, sections: &[u8]) -> Result<StateFile> {
        let name = format!("state-{epoch:08}-{shard}");
        let head = head(epoch, shard);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head);
        crc.update(sections);
        write(&self.directory.join(&name), &[&head, sections])?;
        let bytes = (head.len() + sections.len()) as u64;
        Ok(StateFile { name, bytes, crc32: crc.finalize() })
    }

    /// Removes files of state that neither slot names.
    fn clean(&self, newest: &Manifest) -> Result {
        let manifests = self.manifests()?;
        let named = manifests.iter().chain([newest]).flat_map(|manifest| &manifest.files);
        let named: HashSet<&str> = named.map(|file| file.name.as_str()).collect();
        let failed = |cause| reading(&self.directory, &cause);
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with("state-")) else {
                continue;
            };
            if !named.contains(name) {
                // One that stays is removed the next time.
                let _ = fs::remove_file(self.directory.join(name));
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result {
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|cause| writing(&self.directory, &cause))
    }
}

/// A manifest from the bytes of its file; none when it is torn.
fn parse(bytes: &[u8]) -> Result<Option<Manifest>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let (line, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 1..]);
    let words: Vec<&str> = line.split(' ').collect();
    let [TITLE, version, crc, len] = words[..] else { return Ok(None) };
    if version.parse() != Ok(VERSION) {
        let what = format!("it has version {version}, this engine reads {VERSION}");
        return Err(Error::new(Kind::Data, what));
    }
    let whole =
        len.parse() == Ok(body.len()) && u32::from_str_radix(crc, 16) == Ok(crc32fast::hash(body));
    Ok(serde_json::from_slice(body).ok().filter(|_| whole))
}

fn head(epoch: u64, shard: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&(shard as u32).to_le_bytes());
    head[16..].copy_from_slice(&epoch.to_le_bytes());
    head
}

/// Looks a file of state over and reads it.
fn open_state(bytes: &[u8], epoch: u64, shard: usize, file: &StateFile) -> Result<Saved> {
    let refuse = |what: String| {
        let what = format!("{what}; restore the directory from a copy, or start anew in another");
        Err(Error::new(Kind::Data, what))
    };
    if bytes.len() as u64 != file.bytes {
        return refuse(format!("it has {} bytes and had {}", bytes.len(), file.bytes));
    }
    if crc32fast::hash(bytes) != file.crc32 {
        return refuse("its checksum is wrong".into());
    }
    match bytes.strip_prefix(&head(epoch, shard)) {
        Some(sections) => Saved::read(sections),
        None => refuse(format!("it is not what shard {shard} saved of epoch {epoch}")),
    }
}

/// Writes a file anew and syncs it.
fn write(path: &Path, pieces: &[&[u8]]) -> Result {
    let written = File::create(path).and_then(|mut file| {
        pieces.iter().try_for_each(|piece| file.write_all(piece))?;
        file.sync_all()
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
