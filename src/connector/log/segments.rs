//! The files of one split, in their order.
//!
//! ```text
//! part-3.tlog             shard 3, in a job without checkpoints
//! part-3.1.tlog           what it wrote then, with `segments_of` or `segments_every`
//! part-3-00000012.tlog    epoch 12 of shard 3, in a job with checkpoints
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::EXTENSION;
use super::segment::Segment;
use crate::connector::files::place;
use crate::error::{Error, Kind, Result};
use crate::sys::fs;
use crate::time::Timestamp;

/// Where a file is among those of its shard: the shard, the epoch and the number within it.
fn part(path: &Path) -> Option<(usize, u64, u64)> {
    let name = path.file_name()?.to_str()?;
    if let Some((shard, epoch)) = place::part(name, EXTENSION) {
        return Some((shard, epoch, 0));
    }
    let (base, number) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.rsplit_once('.')?;
    let (shard, epoch) = place::part(&format!("{base}.{EXTENSION}"), EXTENSION)?;
    Some((shard, epoch, number.parse().ok().filter(|number| *number > 0)?))
}

/// The files that one shard wrote, in their order; others one by one.
///
/// ```
/// use thalweg::connector::log::splits;
///
/// let names = ["a.tlog", "part-0.1.tlog", "part-0.10.tlog", "part-0.2.tlog", "part-0.tlog"];
/// let splits = splits(names.iter().map(Into::into).collect());
/// assert_eq!(splits.len(), 2);
/// let last = splits.iter().find(|files| files.len() == 4).and_then(|files| files.last());
/// assert_eq!(last.and_then(|path| path.to_str()), Some("part-0.10.tlog"));
/// ```
pub fn splits(files: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    let mut splits: BTreeMap<(PathBuf, usize, PathBuf), Vec<((u64, u64), PathBuf)>> =
        BTreeMap::new();
    for path in files {
        let (of, number) = match part(&path) {
            Some((shard, epoch, number)) => {
                let directory = path.parent().unwrap_or(Path::new("")).to_owned();
                ((directory, shard, PathBuf::new()), (epoch, number))
            }
            None => ((PathBuf::new(), 0, path.clone()), (0, 0)),
        };
        splits.entry(of).or_default().push((number, path));
    }
    let paths = |mut files: Vec<((u64, u64), PathBuf)>| {
        files.sort_unstable();
        files.into_iter().map(|(_, path)| path).collect()
    };
    splits.into_values().map(paths).collect()
}

/// That no file is missing between two of a shard's, as far as their numbers tell: those of a job
/// with checkpoints have the numbers of epochs, which may have had no records. The first ones may
/// be gone.
///
/// ```
/// use thalweg::connector::log::{none_missing, splits};
///
/// let files = |names: &[&str]| splits(names.iter().map(Into::into).collect());
/// assert!(none_missing(&files(&["part-0.4.tlog", "part-0.5.tlog", "part-1.tlog"])).is_ok());
/// let error = none_missing(&files(&["part-0.tlog", "part-0.2.tlog"])).unwrap_err().to_string();
/// assert!(error.starts_with("part-0.1.tlog is missing between part-0.tlog and part-0.2.tlog"));
/// ```
///
/// # Errors
/// When one is, with its name.
pub fn none_missing(splits: &[Vec<PathBuf>]) -> Result {
    for (one, next) in splits.iter().flat_map(|files| files.iter().zip(files.iter().skip(1))) {
        let (Some((shard, epoch, number)), Some(behind)) = (part(one), part(next)) else {
            continue;
        };
        if epoch == behind.1 && number + 1 < behind.2 {
            let missing = one.with_file_name(format!("part-{shard}.{}.{EXTENSION}", number + 1));
            let [missing, one, next] = [&missing, one, next].map(|path| path.display());
            let what = format!(
                "{missing} is missing between {one} and {next}; bring it back, or read the files \
                 before it and those behind it each by themselves"
            );
            return Err(Error::new(Kind::Data, what));
        }
    }
    Ok(())
}

/// The files of a directory that are part of a shard's, with their shards.
fn parts(directory: &Path) -> Result<Vec<((usize, u64, u64), PathBuf)>> {
    if fs::kind(directory).is_none() {
        return Ok(Vec::new());
    }
    let failed = |cause| Error::io(format_args!("reading {}", directory.display()), &cause);
    let files = fs::list(directory).map_err(failed)?;
    Ok(files.into_iter().filter_map(|path| Some((part(&path)?, path))).collect())
}

/// The files of a directory that are not their shard's first one, with their shards.
pub(super) fn later(directory: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let parts = parts(directory)?.into_iter();
    Ok(parts
        .filter(|((.., number), _)| *number > 0)
        .map(|((shard, ..), path)| (shard, path))
        .collect())
}

/// The last file of a shard, if there is one.
pub(super) fn last(directory: &Path, shard: usize) -> Result<Option<PathBuf>> {
    let own = parts(directory)?.into_iter().filter(|((of, ..), _)| *of == shard);
    Ok(own.max().map(|(_, path)| path))
}

/// The file of the split that comes behind this one, if it is there now.
pub(super) fn behind(path: &Path) -> Result<Option<PathBuf>> {
    let Some(own) = part(path) else { return Ok(None) };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parts = parts(parent.unwrap_or(Path::new(".")))?.into_iter();
    let later = parts.filter(|(of, _)| of.0 == own.0 && *of > own);
    Ok(later.min().map(|(_, path)| path))
}

/// A point in time from which on a split is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Event(Timestamp),
    Arrival(Timestamp),
}

impl From {
    /// The first file of a split, by its number, in which there may be a record of this time or a
    /// later one; the last file when there is none. Of n files it opens log n.
    pub fn first(self, files: &[PathBuf]) -> Result<usize> {
        let (mut first, mut last) = (0, files.len().saturating_sub(1));
        while first < last {
            let middle = usize::midpoint(first, last);
            let latest = Segment::open(&files[middle])?.latest()?;
            let is_before = match self {
                From::Event(at) => latest.event < at.micros(),
                From::Arrival(at) => latest.arrival < at.micros(),
            };
            if is_before {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        Ok(first)
    }

    /// Goes to the place within that file.
    pub fn seek(self, log: &mut Segment) -> Result {
        match self {
            From::Event(at) => log.seek_event(at),
            From::Arrival(at) => log.seek_arrival(at),
        }
    }
}
