//! Files that are read, and that must be what they are after a crash, on whatever machine the
//! thread is on. What each function does is said of its like in [`std::fs`].

use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use glob::{GlobResult, MatchOptions, Pattern, PatternError};

use super::clock;
use super::world::{self, Handle, Kind, Open, World};

/// How long a file that somebody has alone is waited for, to read it.
const MOMENT: Duration = Duration::from_millis(100);

/// A file that is written.
pub struct File(Inner);

enum Inner {
    Real(fs::File),
    Made { handle: Handle },
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Real(file) => file.fmt(f),
            Inner::Made { handle } => f.debug_tuple("File").field(handle).finish(),
        }
    }
}

/// What a file is asked for that was opened on a machine which is no more.
fn gone() -> io::Error {
    io::Error::other("the machine is no more")
}

fn made() -> io::Result<Rc<dyn World>> {
    world::current().ok_or_else(gone)
}

impl File {
    /// Opens a file for writing.
    ///
    /// # Errors
    /// As the operating system.
    pub fn open(path: &Path, how: Open) -> io::Result<File> {
        if let Some(world) = world::current() {
            return Ok(File(Inner::Made { handle: world.open(path, how)? }));
        }
        let mut options = fs::File::options();
        options.write(true);
        let file = match how {
            Open::Truncate => options.create(true).truncate(true).open(path)?,
            Open::Keep => options.create(true).truncate(false).open(path)?,
            Open::New => options.create_new(true).open(path)?,
        };
        Ok(File(Inner::Real(file)))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As the operating system.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Inner::Real(file) => file.write_all(bytes),
            Inner::Made { handle } => made()?.append(*handle, bytes),
        }
    }

    /// Takes away what was there, if it is a file on a disk.
    ///
    /// # Errors
    /// As the operating system.
    pub fn empty(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) if file.metadata()?.is_file() => file.set_len(0),
            Inner::Real(_) | Inner::Made { .. } => Ok(()),
        }
    }

    /// Makes sure that what was written stays. A sync that has failed must not be tried again: what
    /// it was to write may be lost by then.
    ///
    /// # Errors
    /// As the operating system.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.sync_all(),
            Inner::Made { handle } => made()?.sync(*handle),
        }
    }

    /// The file as the operating system has it; none on a made-up machine.
    pub fn real(&self) -> Option<&fs::File> {
        match &self.0 {
            Inner::Real(file) => Some(file),
            Inner::Made { .. } => None,
        }
    }

    /// Locks the file as long as it is open; false when another process has. A made-up machine
    /// runs one process at a time.
    ///
    /// # Errors
    /// As the operating system.
    pub fn try_lock(&self) -> io::Result<bool> {
        match self.real().map(fs::File::try_lock) {
            None | Some(Ok(())) => Ok(true),
            Some(Err(fs::TryLockError::WouldBlock)) => Ok(false),
            Some(Err(fs::TryLockError::Error(cause))) => Err(cause),
        }
    }

    /// From now on others may lock the file as well, to read it, and still not alone.
    pub fn share(&self) {
        // Where there are no locks nobody misses it.
        self.real().map(fs::File::try_lock_shared);
    }
}

/// Reads a file.
///
/// # Errors
/// As the operating system.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !world::is_made_up() {
        return fs::read(path);
    }
    let file = Readable::open(path)?;
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A file that is read, at any place.
#[derive(Debug)]
pub struct Readable {
    of: Source,
    len: u64,
}

#[derive(Debug)]
enum Source {
    Real(fs::File),
    Made(Handle),
}

impl Readable {
    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system.
    pub fn open(path: &Path) -> io::Result<Readable> {
        if let Some(world) = world::current() {
            let (handle, len) = world.open_to_read(path)?;
            return Ok(Readable { of: Source::Made(handle), len });
        }
        let file = fs::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Readable { of: Source::Real(file), len })
    }

    /// How many bytes it had when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the bytes from byte `at` on, as many as there is room for.
    ///
    /// # Errors
    /// As the operating system, and when there are not so many.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match &self.of {
            Source::Real(file) => file.read_exact_at(into, at),
            Source::Made(handle) => InOrder(Place::Made { handle: *handle, at }).read_exact(into),
        }
    }
}

/// A file that is read in order.
#[derive(Debug)]
pub struct InOrder(Place);

#[derive(Debug)]
enum Place {
    /// The operating system knows it.
    Real(fs::File),
    Made {
        handle: Handle,
        at: u64,
    },
}

impl InOrder {
    /// Opens a file that is read from byte `from` on.
    ///
    /// # Errors
    /// As the operating system.
    pub fn open(path: &Path, from: u64) -> io::Result<InOrder> {
        if let Some(world) = world::current() {
            let (handle, _) = world.open_to_read(path)?;
            return Ok(InOrder(Place::Made { handle, at: from }));
        }
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(InOrder(Place::Real(file)))
    }
}

impl Read for InOrder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Place::Real(file) => file.read(into),
            Place::Made { handle, at } => {
                let read = made()?.read(*handle, *at, into)?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}

/// Opens a file and locks it, so that it is not cut short as long as what this gives lives. Whoever
/// cuts it has it alone for a moment, which is waited for. None where it can't be had, and on a
/// made-up machine, which runs one process at a time.
pub fn hold(path: &Path) -> Option<fs::File> {
    if world::is_made_up() {
        return None;
    }
    let file = fs::File::open(path).ok()?;
    // Who makes a file locks it first.
    if file.metadata().ok()?.len() == 0 {
        return None;
    }
    let begin = clock::now();
    while let Err(error) = file.try_lock_shared() {
        if matches!(error, fs::TryLockError::Error(_)) || clock::since(begin) > MOMENT {
            return None;
        }
        std::thread::yield_now();
    }
    Some(file)
}

/// Makes a directory, and those that it is in.
///
/// # Errors
/// As the operating system.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    world::current().map_or_else(|| fs::create_dir_all(path), |world| world.make_directory(path))
}

/// Makes a directory, and those that it is in, to stay. Those that are there are synced as well:
/// a process that was killed may have made them and come no further.
///
/// # Errors
/// As the operating system.
pub fn make_to_stay(path: &Path) -> io::Result<()> {
    create_dir_all(path)?;
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match sync_directory(above) {
            // Not one that this process could have made.
            Err(cause) if cause.kind() == ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// The paths in a directory, in their order.
///
/// # Errors
/// As the operating system.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = match world::current() {
        Some(world) => world.list(directory)?,
        None => fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?,
    };
    paths.sort_unstable();
    Ok(paths)
}

/// What stands under a path, links not followed; none where nothing does.
pub fn kind(path: &Path) -> Option<Kind> {
    if let Some(world) = world::current() {
        return world.kind(path);
    }
    let facts = path.symlink_metadata().ok()?;
    Some(match facts.file_type() {
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    })
}

/// Whether a path leads to a file, links followed.
pub fn is_file(path: &Path) -> bool {
    match world::current() {
        Some(world) => world.kind(path) == Some(Kind::File),
        None => path.is_file(),
    }
}

/// The paths that a pattern stands for, in the order of their names, as [`glob::glob_with`] finds
/// them.
///
/// # Errors
/// What is wrong with the pattern.
pub fn glob(
    pattern: &str,
    options: MatchOptions,
) -> Result<Box<dyn Iterator<Item = GlobResult>>, PatternError> {
    let Some(world) = world::current() else {
        return Ok(Box::new(glob::glob_with(pattern, options)?));
    };
    let pattern = Pattern::new(pattern)?;
    let options = MatchOptions { require_literal_separator: true, ..options };
    let all = below(&*world, Path::new("")).into_iter();
    Ok(Box::new(all.filter(move |path| pattern.matches_path_with(path, options)).map(Ok)))
}

/// All paths below a directory of a made-up machine.
fn below(world: &dyn World, directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in world.list(directory).unwrap_or_default() {
        let inner = below(world, &path);
        all.push(path);
        all.extend(inner);
    }
    all
}

/// Whether a path leads to a directory, links followed.
///
/// # Errors
/// As the operating system, when it leads nowhere.
pub fn is_directory(path: &Path) -> io::Result<bool> {
    match world::current() {
        Some(world) => Ok(world.kind(path).ok_or(ErrorKind::NotFound)? == Kind::Directory),
        None => Ok(path.metadata()?.is_dir()),
    }
}

/// Gives a file another name.
///
/// # Errors
/// As the operating system.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    world::current().map_or_else(|| fs::rename(from, to), |world| world.rename(from, to))
}

/// Takes a file's name away.
///
/// # Errors
/// As the operating system.
pub fn remove_file(path: &Path) -> io::Result<()> {
    world::current().map_or_else(|| fs::remove_file(path), |world| world.remove(path))
}

/// Gives a file that never changes a second name, or makes a synced copy of it where that can't be.
///
/// # Errors
/// As the operating system.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(world) = world::current() {
        return world.link(from, to);
    }
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        fs::File::open(to)?.sync_all()?;
    }
    Ok(())
}

/// Makes sure that the names in a directory stay.
///
/// # Errors
/// As the operating system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    match world::current() {
        Some(world) => world.sync_directory(path),
        None => fs::File::open(path)?.sync_all(),
    }
}

/// The one path of a directory that is there.
///
/// # Errors
/// As the operating system.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    match world::current() {
        Some(world) if world.kind(path).is_none() => Err(ErrorKind::NotFound.into()),
        Some(_) => Ok(path.to_owned()),
        None => path.canonicalize(),
    }
}
