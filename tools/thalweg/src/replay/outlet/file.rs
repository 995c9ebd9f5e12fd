//! Files and standard output.

use std::fs::{File, FileType};
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::Context;

use super::{Batch, Outlet, Unsent};

/// Whether what is written there may wait for somebody who reads it.
pub fn may_block(path: &Path) -> bool {
    path.metadata().is_ok_and(|facts| has_reader(facts.file_type()))
}

/// As [`may_block`], of standard output.
pub fn stdout_may_block() -> bool {
    let own = stdout().as_fd().try_clone_to_owned().map(File::from);
    let facts = own.and_then(|own| own.metadata());
    stdout().is_terminal() || facts.is_ok_and(|facts| has_reader(facts.file_type()))
}

fn has_reader(what: FileType) -> bool {
    what.is_fifo() || what.is_socket()
}

/// What is written to.
pub struct Written {
    name: String,
    to: Box<dyn Write + Send>,
    /// What comes before the first record; nothing any more when that was written.
    header: Vec<u8>,
}

impl Written {
    /// A file, which is written over, or gone on with.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(path: &Path, header: Vec<u8>, go_on: bool) -> anyhow::Result<Written> {
        let name = path.display().to_string();
        let mut options = File::options();
        options.create(true).write(true).append(go_on).truncate(!go_on);
        let file = options.open(path).with_context(|| format!("cannot write to {name}"))?;
        // One in which there is nothing was not begun.
        let is_begun = go_on && file.metadata().is_ok_and(|facts| facts.len() > 0);
        let header = if is_begun { Vec::new() } else { header };
        Ok(Written { name, to: Box::new(file), header })
    }

    /// Standard output.
    pub fn stdout(header: Vec<u8>) -> Written {
        Written { name: "standard output".into(), to: Box::new(stdout()), header }
    }

    fn failed(&self, error: &std::io::Error) -> Unsent {
        Unsent::over(format!("cannot write to {}: {error}", self.name))
    }
}

impl Outlet for Written {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let header = std::mem::take(&mut self.header);
        let written = self.to.write_all(&header).and_then(|()| self.to.write_all(batch.bytes));
        written.and_then(|()| self.to.flush()).map_err(|error| self.failed(&error))
    }
}
