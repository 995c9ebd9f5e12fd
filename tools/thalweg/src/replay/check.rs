//! What is refused before anything is sent.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::args::{Form, Framing, Replay, Speed};
use super::outlet::Address;

/// What does not go together.
///
/// # Errors
/// That it does not.
pub fn check(args: &Replay) -> anyhow::Result<()> {
    let (to, sending, timing) = (&args.to, &args.sending, &args.timing);
    let one = matches!(to, Address::File(_) | Address::Job(_) | Address::Log(_) | Address::Stdout);
    ensure!(!one || sending.connections.get() == 1, "{to} has one connection only");
    let again = matches!(to, Address::Job(_) | Address::Log(_));
    ensure!(!again || sending.resume.is_none(), "{to} can't be gone on with by --resume");
    let max = timing.speed == Some(Speed::Max);
    let moved = timing.jitter.is_some() || timing.disorder.is_some();
    ensure!(!(max && moved), "with --speed max no record has a time that it could be moved from");
    let late = args.telling.fail_if.iter().find(|threshold| threshold.is_of_lateness());
    if let Some(late) = late.filter(|_| max) {
        anyhow::bail!("--fail-if '{late}': with --speed max no record is due, and so none is late");
    }
    ensure!(
        timing.pattern.is_none() || timing.rate.is_some(),
        "--pattern says how records follow one another at --rate, which is not there"
    );
    let posts = matches!(to, Address::Http(_));
    ensure!(
        posts || sending.batch.is_none(),
        "--batch says how many records a POST takes; leave it out, or send to http://"
    );
    ensure!(
        !sending.no_header || sending.format == Form::Csv,
        "--no-header is about the names of columns, which only --format csv has"
    );
    let datagrams = matches!(to, Address::Udp(_));
    ensure!(
        !datagrams || sending.framing != Framing::Length,
        "a datagram has a length already; leave --framing length out"
    );
    Ok(())
}

/// What a replay is, in words: one that goes on with another must be the same.
pub fn what(args: &Replay) -> String {
    let Replay { files, to, timing, choice, change, sending, .. } = args;
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let header = if sending.no_header { ", without header" } else { "" };
    format!(
        "{} to {to}; {timing:?}; {choice:?}; {change:?}; {:?} {:?} {}{header}",
        files.join(" "),
        sending.format,
        sending.framing,
        sending.connections
    )
}

/// Files that are there only since somebody looked whether they can be written: unless they are to
/// stay, they go.
pub struct Fresh(Vec<PathBuf>);

impl Fresh {
    /// Looks whether reports can be written.
    ///
    /// # Errors
    /// When one can't.
    pub fn reports(paths: &[PathBuf]) -> anyhow::Result<Fresh> {
        let mut fresh = Fresh(Vec::new());
        for path in paths {
            let failed = || format!("cannot write the report {}", path.display());
            let is_new = !is_there(path);
            File::options().append(true).create(true).open(path).with_context(failed)?;
            if is_new {
                fresh.0.push(path.clone());
            }
        }
        Ok(fresh)
    }

    /// They stay.
    pub fn stay(mut self) {
        self.0.clear();
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for path in &self.0 {
            fs::remove_file(path).ok();
        }
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
