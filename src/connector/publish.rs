//! Showing the files that sinks have prepared.

use std::fs::{self, File};
use std::path::Path;

use crate::connector::text::failed;
use crate::error::Result;
use crate::operator::Publish;

/// Shows a file, unless it shows already.
///
/// # Errors
/// When it is not there, or can't be renamed.
pub(crate) fn publish(Publish { from, to }: &Publish) -> Result {
    if !Path::new(from).exists() && Path::new(to).exists() {
        return Ok(());
    }
    let directory = Path::new(to).parent().unwrap_or(Path::new("."));
    let shown = fs::rename(from, to).and_then(|()| File::open(directory)?.sync_all());
    shown.map_err(|cause| failed(to, &cause))
}
