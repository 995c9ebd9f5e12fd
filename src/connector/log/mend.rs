//! Giving an index to a file that has none.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;

use super::frame::{Found, find};
use super::head::Head;
use super::index::{Index, Latest};
use crate::error::{Error, Kind, Result};
use crate::sys::map::Map;

/// What [`mend`] has found in a file, and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mended {
    /// Records of the file.
    pub records: u64,
    /// Whether it had an index, and nothing was done.
    pub had_index: bool,
    /// Bytes behind the last whole frame that were cut off.
    pub cut: u64,
}

/// Gives an index to a log file that has none: a crash has kept its writer from doing so. Where the
/// file ends within a frame, that is cut off if `cut` says so.
///
/// # Errors
/// When the file is no log, is damaged, is being read or written, or ends within a frame that must
/// not be cut off: then it stays as it is.
pub fn mend(path: &Path, cut: bool) -> Result<Mended> {
    let shown = path.display();
    let failed = |cause| Error::io(format_args!("mending {shown}"), &cause);
    let refused = |what: String| Err(Error::new(Kind::Data, format!("{shown} {what}")));
    let mut file = File::options().read(true).append(true).open(path).map_err(failed)?;
    let alone = || match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => refused("is being read or written".into()).map(drop),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    };
    alone()?;
    // Others may read it while it is looked through, and none may write it.
    file.lock_shared().map_err(failed)?;
    let map = Map::open(path).map_err(failed)?;
    let (_, first) = Head::read(&map, path)?;
    let has_index = Index::place(&map);
    let (mut place, mut records, mut index) = (first, 0, Index::behind(Latest::NONE));
    loop {
        match find(&map[..has_index.unwrap_or(map.len())], place) {
            Found::Frame(head, _) if !head.is_index() => {
                index.note(place as u64, &head);
                records += u64::from(head.records);
                place += head.len();
            }
            // An index whose end is not there is cut off as well.
            Found::Frame(..) | Found::Torn | Found::End => break,
            Found::Damaged(what) => return refused(format!("is damaged at byte {place}: {what}")),
        }
    }
    if has_index.is_some() {
        return Ok(Mended { records, had_index: true, cut: 0 });
    }
    let rest = (map.len() - place) as u64;
    drop(map);
    if rest > 0 && !cut {
        let what = format!("ends within a frame: {rest} bytes behind {records} whole records");
        return refused(format!("{what} would have to be cut off"));
    }
    alone()?;
    if rest > 0 {
        file.set_len(place as u64).map_err(failed)?;
    }
    let mut bytes = Vec::new();
    if records > 0 {
        index.put(place as u64, records, &mut bytes)?;
    }
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(Mended { records, had_index: false, cut: rest })
}
