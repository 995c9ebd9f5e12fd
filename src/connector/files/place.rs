//! The directory that a sink writes into, looked at without touching it.

use std::path::{Component, Path, PathBuf};

use super::epochs;
use crate::connector::text::failed;
use crate::error::{Error, Kind, Result};
use crate::sys::fs::{self, File};
use crate::sys::place::{is_kernels_own, may_make_files};
use crate::sys::world::Open;

/// Whether so many shards can write their files into a directory, which need not be there yet; with
/// checkpoints, whether they can after an epoch.
pub(in crate::connector) fn check(
    directory: &Path,
    shards: usize,
    extension: &str,
    resumes: Option<u64>,
) -> Result {
    let found = nearest(directory);
    let is_directory = fs::is_directory(found);
    if !is_directory.map_err(|cause| failed(found.display(), &cause))? {
        let found = found.display();
        let what = format!("{found} is no directory; name one for the sink to write files into");
        return Err(Error::new(Kind::Io, what));
    }
    if is_kernels_own(found) {
        let what = "is a view of the kernel's and takes no files; write to another directory";
        return Err(Error::new(Kind::Io, format!("{} {what}", found.display())));
    }
    let there = found == directory;
    match resumes {
        None if there && check_files(directory, shards, extension)? == shards => return Ok(()),
        None => {}
        Some(_) if directory.to_str().is_none() => return Err(epochs::not_text(directory)),
        Some(epoch) if there => {
            epochs::check_free(directory, extension)?;
            check_epochs(directory, extension, epoch)?;
        }
        Some(_) => {}
    }
    may_make_files(found)
        .map_err(|cause| Error::io(format_args!("making files in {}", found.display()), &cause))
}

/// What all files of a sink are, by one name whatever way leads to them.
pub(in crate::connector) fn all_files(directory: &Path, extension: &str) -> PathBuf {
    let found = nearest(directory);
    let mut whole = fs::canonicalize(found).unwrap_or_else(|_| found.to_owned());
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
    if let Ok(false) = file.try_lock() {
        let path = path.display();
        let what = format!("{path} is being read or written; write to another directory");
        return Err(Error::new(Kind::Io, what));
    }
    Ok(())
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The files in a directory whose names are text, in their order.
pub(super) fn files(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |cause| failed(directory.display(), &cause);
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    Ok(fs::list(directory).map_err(failed)?.into_iter().filter_map(named).collect())
}

/// That what shows in a directory was written by a job with checkpoints up to an epoch; when that
/// is 0, that nothing shows.
pub(super) fn check_epochs(directory: &Path, extension: &str, epoch: u64) -> Result {
    for (name, path) in files(directory)? {
        let of = epochs::numbers(&name, extension);
        let why = match of {
            None if number(&name, extension).is_none() => continue,
            Some((_, of)) if of <= epoch && epoch > 0 => continue,
            _ if epoch == 0 => "and the job begins anew".to_owned(),
            None => "of a run without checkpoints".to_owned(),
            Some((_, of)) => format!("of epoch {of}, and the job goes on after epoch {epoch}"),
        };
        // It would be taken for a result of this job, or its rows would be there twice.
        let path = path.display();
        let what = format!("{path} is there, {why}; remove it or write to another directory");
        return Err(Error::new(Kind::Io, what));
    }
    Ok(())
}

/// The shard of a file that is named `part-3.csv`, say.
fn number(name: &str, extension: &str) -> Option<usize> {
    let stem = name.strip_prefix("part-")?.strip_suffix(extension)?.strip_suffix('.')?;
    stem.parse().ok()
}

/// The shard and the epoch of a sink's file; 0 without checkpoints.
pub(in crate::connector) fn part(name: &str, extension: &str) -> Option<(usize, u64)> {
    let one = || number(name, extension).map(|shard| (shard, 0));
    epochs::numbers(name, extension).or_else(one)
}

/// The directory itself, or what is there of the way to it.
fn nearest(directory: &Path) -> &Path {
    let there = |path: &&Path| fs::kind(path).is_some();
    directory.ancestors().find(there).unwrap_or(Path::new("."))
}

/// Looks at the files that are there, in their order; how many of the shards' are.
fn check_files(directory: &Path, shards: usize, extension: &str) -> Result<usize> {
    let mut numbered = Vec::new();
    for (name, path) in files(directory)? {
        if epochs::numbers(&name, extension).is_some() {
            let path = path.display();
            let what = format!("{path} is of an earlier run with checkpoints; remove it first");
            return Err(Error::new(Kind::Io, what));
        }
        numbered.extend(number(&name, extension).map(|number| (number, path)));
    }
    numbered.sort_unstable();
    for (number, path) in &numbered {
        if *number >= shards {
            // It would be taken for a result of this run.
            let path = path.display();
            let what = format!("{path} is of an earlier run on more shards; remove it first");
            return Err(Error::new(Kind::Io, what));
        }
        check_file(path)?;
    }
    Ok(numbered.len())
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
        lock(path, &File::open(path, Open::Keep).map_err(failed)?)?;
    }
    Ok(())
}
