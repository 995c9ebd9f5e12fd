//! The directory that a sink writes into, looked at without touching it.

use std::fs::{self, File, TryLockError};
use std::path::{Component, Path, PathBuf};

use crate::connector::text::failed;
use crate::error::{Error, Kind, Result};
use crate::sys::place::{is_kernels_own, may_make_files};

/// Whether so many shards can write their files into a directory, which need not be there yet.
pub(in crate::connector) fn check(directory: &Path, shards: usize, extension: &str) -> Result {
    let found = nearest(directory);
    let facts = found.metadata().map_err(|cause| failed(found.display(), &cause))?;
    if !facts.is_dir() {
        let found = found.display();
        let what = format!("{found} is no directory; name one for the sink to write files into");
        return Err(Error::new(Kind::Io, what));
    }
    if is_kernels_own(found) {
        let what = "is a view of the kernel's and takes no files; write to another directory";
        return Err(Error::new(Kind::Io, format!("{} {what}", found.display())));
    }
    let there = if found == directory { check_files(directory, shards, extension)? } else { 0 };
    if there == shards {
        return Ok(());
    }
    may_make_files(found)
        .map_err(|cause| Error::io(format_args!("making files in {}", found.display()), &cause))
}

/// What all files of a sink are, by one name whatever way leads to them.
pub(in crate::connector) fn all_files(directory: &Path, extension: &str) -> PathBuf {
    let found = nearest(directory);
    let mut whole = found.canonicalize().unwrap_or_else(|_| found.to_owned());
    for missing in directory.strip_prefix(found).unwrap_or(directory).components() {
        match missing {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    whole.join(format!("part-*.{extension}"))
}

/// Locks a sink's file as long as it is open.
pub(super) fn lock(path: &Path, file: &File) -> Result {
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        let path = path.display();
        let what = format!("{path} is being read or written; write to another directory");
        return Err(Error::new(Kind::Io, what));
    }
    Ok(())
}

/// The directory itself, or what is there of the way to it.
fn nearest(directory: &Path) -> &Path {
    let there = |path: &&Path| path.symlink_metadata().is_ok();
    directory.ancestors().find(there).unwrap_or(Path::new("."))
}

/// Looks at the files that are there, in their order; how many of the shards' are.
fn check_files(directory: &Path, shards: usize, extension: &str) -> Result<usize> {
    let entries = fs::read_dir(directory).map_err(|cause| failed(directory.display(), &cause))?;
    let numbered = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let rest = name.to_str()?.strip_prefix("part-")?.strip_suffix(extension)?;
        Some((rest.strip_suffix('.')?.parse::<usize>().ok()?, entry.path()))
    });
    let mut files: Vec<_> = numbered.collect();
    files.sort_unstable();
    for (number, path) in &files {
        if *number >= shards {
            // It would be taken for a result of this run.
            let path = path.display();
            let what = format!("{path} is of an earlier run on more shards; remove it first");
            return Err(Error::new(Kind::Io, what));
        }
        check_file(path)?;
    }
    Ok(files.len())
}

/// Whether a file can be written over. Only what stays as it is when it is opened is opened.
fn check_file(path: &Path) -> Result {
    let failed = |cause| failed(path.display(), &cause);
    // A link to a file that is not there yet is as good as none.
    let Ok(facts) = path.metadata() else { return Ok(()) };
    if facts.is_dir() {
        let what = "is a directory, and a file is to have that name; remove it or write to another \
                    directory";
        return Err(Error::new(Kind::Io, format!("{} {what}", path.display())));
    }
    if facts.is_file() {
        let file = File::options().write(true).open(path).map_err(failed)?;
        lock(path, &file)?;
    }
    Ok(())
}
