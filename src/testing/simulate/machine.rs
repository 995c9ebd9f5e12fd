//! A machine that is made up: a clock, and a disk that forgets what was not synced.
//!
//! What a crash leaves is any of what a file system may: of each page of a file that was written
//! and not synced the new bytes, the old ones, or the new ones up to a sector; any length between
//! the old and the new one; names that were not synced in any subset, or up to some point, but
//! renames whole. A sync that fails leaves pages that are not written and not known to be dirty any
//! more, as Linux does it. A read gives as many bytes as it likes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::Survived;
use crate::sys::world::{Handle, Kind, Open, World};

/// When machines are switched on for the first time: 2026-01-01.
const SWITCHED_ON: Duration = Duration::from_secs(1_767_225_600);

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// After a sync that fails, so many calls that change the disk are heard of at most.
const CALLS_LEFT: u64 = 60;

/// The machine, of which there is one reference in the simulation and one in the thread.
pub struct Machine(RefCell<State>);

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    /// The file of this number.
    File(usize),
}

/// A file's bytes.
#[derive(Default)]
struct Bytes {
    /// As they are on the disk.
    kept: Vec<u8>,
    /// As a process sees them.
    seen: Vec<u8>,
    /// Pages that are to be written.
    dirty: BTreeSet<usize>,
}

/// Names that change together, in a directory.
struct Change {
    directory: PathBuf,
    names: Vec<(PathBuf, Option<Entry>)>,
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power fails at so-manyth call that changes the disk.
    pub off_at: Option<u64>,
    /// The so-manyth sync fails.
    pub sync_fails_at: Option<u64>,
    /// The sync of a directory behind the so-manyth renaming fails.
    pub rename_unsynced_at: Option<u64>,
    /// The so-manyth read fails.
    pub read_fails_at: Option<u64>,
    /// The disk takes so many bytes more.
    pub room: Option<u64>,
}

struct State {
    dice: SmallRng,
    elapsed: Duration,
    of_day: Duration,
    files: Vec<Bytes>,
    names: BTreeMap<PathBuf, Entry>,
    kept: BTreeMap<PathBuf, Entry>,
    changes: Vec<Change>,
    open: BTreeMap<Handle, usize>,
    handles: Handle,
    faults: Faults,
    calls: u64,
    syncs: u64,
    reads: u64,
    renames: u64,
    off: bool,
    /// Whether something has gone wrong as it was to.
    harmed: bool,
    /// The disk says that files are synced, and forgets to: a simulation must find that,
    lies_of_files: bool,
    /// and so of names.
    lies_of_names: bool,
    /// Of all that was done.
    digest: crc32fast::Hasher,
    survived: Survived,
}

fn error(kind: ErrorKind) -> io::Error {
    kind.into()
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

impl Machine {
    /// A machine whose disk is empty.
    pub fn new(seed: u64) -> Machine {
        Machine(RefCell::new(State {
            dice: SmallRng::seed_from_u64(seed),
            elapsed: Duration::ZERO,
            of_day: SWITCHED_ON,
            files: Vec::new(),
            names: BTreeMap::new(),
            kept: BTreeMap::new(),
            changes: Vec::new(),
            open: BTreeMap::new(),
            handles: 0,
            faults: Faults::default(),
            calls: 0,
            syncs: 0,
            reads: 0,
            renames: 0,
            off: false,
            harmed: false,
            lies_of_files: false,
            lies_of_names: false,
            digest: crc32fast::Hasher::new(),
            survived: Survived::default(),
        }))
    }

    /// From now on the disk says that files, or names, are synced, and forgets to.
    #[cfg(test)]
    pub fn lie(&self, of_files: bool, of_names: bool) {
        let mut state = self.0.borrow_mut();
        (state.lies_of_files, state.lies_of_names) = (of_files, of_names);
    }

    /// A digest of all that was done, in order.
    #[cfg(test)]
    pub fn digest(&self) -> u32 {
        self.0.borrow().digest.clone().finalize()
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let mut state = self.0.borrow_mut();
        state.elapsed += time;
        state.of_day += time;
    }

    /// Sets the clock to what this makes of the time that it shows.
    pub fn set_clock(&self, to: impl FnOnce(Duration) -> Duration) {
        let mut state = self.0.borrow_mut();
        state.of_day = to(state.of_day);
        state.survived.clocks_set += 1;
    }

    /// Says what is to go wrong from now on.
    pub fn arm(&self, faults: Faults) {
        let mut state = self.0.borrow_mut();
        (state.calls, state.syncs, state.reads, state.renames) = (0, 0, 0, 0);
        (state.faults, state.harmed) = (faults, false);
    }

    /// Puts a file there, to stay, and the directories that it is in.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        let file = Entry::File(state.files.len());
        let (kept, dirty) = (bytes.clone(), BTreeSet::new());
        state.files.push(Bytes { kept, seen: bytes, dirty });
        for above in path.ancestors().filter(|above| !above.as_os_str().is_empty()) {
            let entry = if above == path { file } else { Entry::Directory };
            state.names.insert(above.to_owned(), entry);
            state.kept.insert(above.to_owned(), entry);
        }
    }

    /// All bytes of a file; none where there is no file.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.0.borrow();
        state.file(path).map(|file| state.files[file].seen.clone()).unwrap_or_default()
    }

    /// Nothing is done any more: what a job still does when it is dropped, a process that is killed
    /// does not do.
    pub fn halt(&self) {
        self.0.borrow_mut().off = true;
    }

    /// Whether nothing is done any more.
    pub fn is_off(&self) -> bool {
        self.0.borrow().off
    }

    /// Whether a disk was full, or a sync or a read failed, as it was to.
    pub fn is_harmed(&self) -> bool {
        self.0.borrow().harmed
    }

    /// What has gone wrong so far.
    pub fn survived(&self) -> Survived {
        self.0.borrow().survived
    }

    /// The process is gone, the machine goes on: nothing is lost but what is open.
    pub fn end_process(&self) {
        let mut state = self.0.borrow_mut();
        state.open.clear();
        state.off = false;
    }

    /// The power fails and comes back.
    pub fn crash(&self) {
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        state.open.clear();
        state.off = false;
        state.keep_names();
        for bytes in &mut state.files {
            bytes.crash(&mut state.dice, &mut state.survived);
        }
    }
}

impl State {
    /// Of what was done to names and not synced, keeps what the dice say.
    fn keep_names(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let in_order = self.dice.gen_bool(0.5);
        let first = self.dice.gen_range(0..=changes.len());
        for (at, change) in changes.into_iter().enumerate() {
            if if in_order { at < first } else { self.dice.gen_bool(0.5) } {
                self.keep(change);
            } else {
                self.survived.names_lost += 1;
            }
        }
        // What was in a directory that is no more is gone with it.
        let there = |path: &Path, all: &BTreeMap<PathBuf, Entry>| {
            let mut above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
            above.all(|above| all.get(above) == Some(&Entry::Directory))
        };
        let kept = self.kept.clone();
        self.kept.retain(|path, _| there(path, &kept));
        self.names = self.kept.clone();
    }

    /// Keeps the first of what was done to names in a directory; the others stay to be synced. A
    /// journal gives up or goes on, it does not forget.
    fn fails_to_sync_names(&mut self, directory: &Path) -> io::Error {
        let own = self.changes.iter().filter(|change| change.directory == directory).count();
        let mut left = self.dice.gen_range(0..=own);
        for change in std::mem::take(&mut self.changes) {
            if left > 0 && change.directory == directory && !self.lies_of_names {
                left -= 1;
                self.keep(change);
            } else {
                self.changes.push(change);
            }
        }
        self.sync_fails()
    }

    /// A sync fails. Whoever goes on in spite of that loses power soon.
    fn sync_fails(&mut self) -> io::Error {
        self.survived.syncs_failed += 1;
        self.harmed = true;
        self.faults.off_at = Some(self.calls + self.dice.gen_range(1..CALLS_LEFT));
        io::Error::other("input/output error")
    }

    fn keep(&mut self, change: Change) {
        for (path, entry) in change.names {
            match entry {
                Some(entry) => drop(self.kept.insert(path, entry)),
                None => drop(self.kept.remove(&path)),
            }
        }
    }

    fn change(&mut self, directory: PathBuf, names: Vec<(PathBuf, Option<Entry>)>) {
        for (path, entry) in &names {
            self.digest.update(path.as_os_str().as_encoded_bytes());
            match entry {
                Some(entry) => drop(self.names.insert(path.clone(), *entry)),
                None => drop(self.names.remove(path)),
            }
        }
        self.changes.push(Change { directory, names });
    }

    /// Counts a call that changes the disk, and does it unless the power fails before.
    fn call<T>(&mut self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        if self.off {
            return Err(io::Error::other("the power has failed"));
        }
        self.calls += 1;
        if self.faults.off_at != Some(self.calls) {
            return act(self);
        }
        // It may have been done, but nobody hears of it.
        if self.dice.gen_bool(0.5) {
            let _ = act(self);
        }
        self.off = true;
        Err(io::Error::other("the power has failed"))
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Entry::File(file)) => Ok(*file),
            Some(Entry::Directory) => Err(error(ErrorKind::IsADirectory)),
            None => Err(error(ErrorKind::NotFound)),
        }
    }

    fn opens(&mut self, file: usize) -> Handle {
        self.handles += 1;
        self.open.insert(self.handles, file);
        self.handles
    }

    fn opened(&self, handle: Handle) -> io::Result<usize> {
        self.open.get(&handle).copied().ok_or_else(|| error(ErrorKind::NotFound))
    }
}

impl Bytes {
    fn append(&mut self, bytes: &[u8]) {
        let from = self.seen.len();
        self.seen.extend(bytes);
        self.dirty.extend(from / PAGE..self.seen.len().div_ceil(PAGE));
    }

    fn empty(&mut self) {
        self.dirty.extend(0..self.kept.len().div_ceil(PAGE));
        self.seen.clear();
    }

    fn sync(&mut self) {
        let Bytes { kept, seen, dirty } = self;
        kept.resize(seen.len(), 0);
        for page in std::mem::take(dirty) {
            let range = page * PAGE..((page + 1) * PAGE).min(seen.len());
            if !range.is_empty() {
                kept[range.clone()].copy_from_slice(&seen[range]);
            }
        }
    }

    /// Writes some of the pages; none is known to be dirty then.
    fn fail_to_sync(&mut self, dice: &mut SmallRng) {
        self.dirty.retain(|_| dice.gen_bool(0.5));
        self.sync();
    }

    fn crash(&mut self, dice: &mut SmallRng, survived: &mut Survived) {
        let Bytes { kept, seen, dirty } = self;
        if kept.len() != seen.len() {
            let (least, most) = (kept.len().min(seen.len()), kept.len().max(seen.len()));
            let len = match dice.gen_range(0..3) {
                0 => kept.len(),
                1 => seen.len(),
                _ => dice.gen_range(least..=most),
            };
            kept.resize(len, 0);
        }
        for page in std::mem::take(dirty) {
            let end = ((page + 1) * PAGE).min(seen.len()).min(kept.len());
            let end = match dice.gen_range(0..3) {
                0 => end,
                1 => {
                    survived.pages_lost += 1;
                    0
                }
                _ => {
                    survived.pages_torn += 1;
                    end.min(page * PAGE + dice.gen_range(1..PAGE / SECTOR) * SECTOR)
                }
            };
            let range = page * PAGE..end;
            if !range.is_empty() {
                kept[range.clone()].copy_from_slice(&seen[range]);
            }
        }
        seen.clone_from(kept);
    }
}

impl World for Machine {
    fn elapsed(&self) -> Duration {
        self.0.borrow().elapsed
    }

    fn of_day(&self) -> Duration {
        self.0.borrow().of_day
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        if path.as_os_str().is_empty() || path == Path::new(".") {
            return Some(Kind::Directory);
        }
        Some(match self.0.borrow().names.get(path)? {
            Entry::Directory => Kind::Directory,
            Entry::File(_) => Kind::File,
        })
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let mut above: Vec<&Path> = path.ancestors().filter(named).collect();
        above.reverse();
        self.0.borrow_mut().call(|state| {
            for path in above {
                match state.names.get(path) {
                    Some(Entry::Directory) => {}
                    Some(Entry::File(_)) => return Err(error(ErrorKind::NotADirectory)),
                    None => {
                        let made = vec![(path.to_owned(), Some(Entry::Directory))];
                        state.change(parent(path), made);
                    }
                }
            }
            Ok(())
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if self.kind(directory) != Some(Kind::Directory) {
            return Err(error(ErrorKind::NotFound));
        }
        let state = self.0.borrow();
        Ok(state.names.keys().filter(|path| parent(path) == directory).cloned().collect())
    }

    fn open_to_read(&self, path: &Path) -> io::Result<(Handle, u64)> {
        let mut state = self.0.borrow_mut();
        let file = state.file(path)?;
        let len = state.files[file].seen.len() as u64;
        Ok((state.opens(file), len))
    }

    fn read(&self, handle: Handle, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        let bytes = &state.files[state.opened(handle)?].seen;
        state.reads += 1;
        if state.faults.read_fails_at == Some(state.reads) {
            state.survived.reads_failed += 1;
            state.harmed = true;
            return Err(io::Error::other("input/output error"));
        }
        let rest = bytes.get(at as usize..).unwrap_or_default();
        let whole = rest.len().min(into.len());
        let some = if state.dice.gen_bool(0.5) { whole.min(1) } else { whole };
        let read = state.dice.gen_range(some..=whole);
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Handle> {
        if self.kind(&parent(path)) != Some(Kind::Directory) {
            return Err(error(ErrorKind::NotFound));
        }
        self.0.borrow_mut().call(|state| {
            let file = match (state.file(path), how) {
                (Ok(_), Open::New) => return Err(error(ErrorKind::AlreadyExists)),
                (Ok(file), _) => file,
                (Err(cause), _) if cause.kind() == ErrorKind::NotFound => {
                    state.files.push(Bytes::default());
                    let file = state.files.len() - 1;
                    state.change(parent(path), vec![(path.to_owned(), Some(Entry::File(file)))]);
                    file
                }
                (Err(cause), _) => return Err(cause),
            };
            if how == Open::Truncate {
                state.files[file].empty();
            }
            Ok(state.opens(file))
        })
    }

    fn append(&self, handle: Handle, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().call(|state| {
            let file = state.opened(handle)?;
            let room = state.faults.room.unwrap_or(u64::MAX).min(bytes.len() as u64);
            state.files[file].append(&bytes[..room as usize]);
            state.digest.update(&bytes[..room as usize]);
            if let Some(left) = &mut state.faults.room {
                *left -= room;
            }
            if (room as usize) < bytes.len() {
                state.survived.disks_full += 1;
                state.harmed = true;
                return Err(error(ErrorKind::StorageFull));
            }
            Ok(())
        })
    }

    fn sync(&self, handle: Handle) -> io::Result<()> {
        self.0.borrow_mut().call(|state| {
            let file = state.opened(handle)?;
            state.syncs += 1;
            if state.faults.sync_fails_at == Some(state.syncs) {
                state.files[file].fail_to_sync(&mut state.dice);
                return Err(state.sync_fails());
            }
            if !state.lies_of_files {
                state.files[file].sync();
            }
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = if path == Path::new(".") { Path::new("") } else { path };
        self.0.borrow_mut().call(|state| {
            state.syncs += 1;
            let unsynced = state.faults.rename_unsynced_at == Some(state.renames);
            if unsynced || state.faults.sync_fails_at == Some(state.syncs) {
                state.faults.rename_unsynced_at = None;
                return Err(state.fails_to_sync_names(path));
            }
            for change in std::mem::take(&mut state.changes) {
                if change.directory == path && !state.lies_of_names {
                    state.keep(change);
                } else {
                    state.changes.push(change);
                }
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.borrow_mut().call(|state| {
            let file = state.file(from)?;
            state.renames += 1;
            let names = vec![(from.to_owned(), None), (to.to_owned(), Some(Entry::File(file)))];
            state.change(parent(to), names);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.borrow_mut().call(|state| {
            let file = state.file(from)?;
            state.change(parent(to), vec![(to.to_owned(), Some(Entry::File(file)))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.borrow_mut().call(|state| {
            state.file(path)?;
            state.change(parent(path), vec![(path.to_owned(), None)]);
            Ok(())
        })
    }
}
