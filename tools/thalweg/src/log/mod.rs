//! `thalweg cat`, `head`, `index`, `info` and `verify`: what is in record logs.

mod index;
mod info;
mod rates;
mod show;
mod verify;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;

pub use index::index;
pub use info::info;
pub use show::{cat, head};
pub use verify::verify;

/// The ending of a log file's name.
const EXTENSION: &str = "tlog";

/// The files that are named, and those of the directories that are named, by their names.
pub(crate) fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(files_in(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn files_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = directory.display();
    let reading = || format!("reading {shown}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    anyhow::ensure!(!files.is_empty(), "{shown} holds no file that ends in .{EXTENSION}");
    files.sort_unstable();
    Ok(files)
}

/// Whoever reads the output may have seen enough.
fn unless_closed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
