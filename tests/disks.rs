//! Disks that are full or can't be written, for real: the job ends with words, and goes on from its
//! last checkpoint when there is room again. They need a file system of their own, which only root
//! can mount; for others the simulation has to do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use thalweg::prelude::*;

/// A file system in memory.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this process may not mount one.
    fn new(kib: u32) -> Option<Mounted> {
        let path = tempfile::tempdir().unwrap().keep();
        let size = format!("size={kib}k");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], &path);
        if !mounted {
            eprintln!("not root: no file system can be mounted, nothing is tested");
            fs::remove_dir(path).unwrap();
            return None;
        }
        Some(Mounted(path))
    }

    fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0), "{options}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mut mount = Command::new("mount");
    let mount = mount.args(arguments).arg(path).stderr(std::process::Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

const END: u64 = 300_000;

/// Keys that are ever new, each with its number, into files.
fn job(state: &Path, out: &Path) -> Job {
    let job = Job::new("numbers").shards(2).checkpoints(state, 20.millis());
    job.source(Counter::to(END).rate(3e5))
        .key_by(|n| n)
        .process::<u64, u64>(
            |state, n, context| {
                *state = n;
                context.emit(n);
            },
            |_, _, _| (),
        )
        .sink(Files::to_lines(out));
    job
}

/// All lines that show, in their order.
fn shown(out: &Path) -> Vec<u64> {
    let mut all = Vec::new();
    for entry in fs::read_dir(out).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("part-") {
            all.extend(
                fs::read_to_string(path).unwrap().lines().map(|n| n.parse::<u64>().unwrap()),
            );
        }
    }
    all.sort_unstable();
    all
}

/// Lets a job fail, and then go on to its end.
fn fails_and_goes_on(state: &Path, out: &Path, words: &[&str], mend: impl FnOnce()) {
    let error = job(state, out).run().unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not said: {error}");
    }
    mend();
    job(state, out).run().unwrap();
    assert!(shown(out).into_iter().eq(0..END));
}

#[test]
fn a_full_disk_under_checkpoints() {
    let Some(disk) = Mounted::new(512) else { return };
    let out = tempfile::tempdir().unwrap();
    let words = ["job numbers: checkpoint ", "state-", "No space left on device"];
    let (state, out) = (disk.0.join("state"), out.path().join("out"));
    fails_and_goes_on(&state, &out, &words, || disk.remount("size=256m"));
}

#[test]
fn a_full_disk_under_a_sink() {
    let Some(disk) = Mounted::new(512) else { return };
    let state = tempfile::tempdir().unwrap();
    let words = ["job numbers: shard ", "sink ", "part-", "No space left on device"];
    let (state, out) = (state.path().join("state"), disk.0.join("out"));
    fails_and_goes_on(&state, &out, &words, || disk.remount("size=256m"));
}

#[test]
fn a_disk_that_is_read_only() {
    let Some(disk) = Mounted::new(64 << 10) else { return };
    let out = tempfile::tempdir().unwrap();
    let (state, out) = (disk.0.join("state"), out.path().join("out"));
    let running = job(&state, &out).start().unwrap();
    running.checkpoint().unwrap();
    running.stop();
    running.join().unwrap();
    disk.remount("ro");
    let error = job(&state, &out).run().unwrap_err().to_string();
    for word in ["opening the state directory", "state", "Read-only file system"] {
        assert!(error.contains(word), "{word:?} is not said: {error}");
    }
    disk.remount("rw");
    job(&state, &out).run().unwrap();
    assert!(shown(&out).into_iter().eq(0..END));
}

#[test]
fn a_full_disk_under_state() {
    let Some(disk) = Mounted::new(512) else { return };
    let other = tempfile::tempdir().unwrap();
    let (state, out) = (other.path().join("state"), other.path().join("out"));
    let job = job(&state, &out).state_in(&disk.0);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("there is no room left for state: in /"), "{error}");
    assert!(error.contains("(Job::state_in): No space left on device"), "{error}");
    assert!(error.contains("process"), "no operator is named: {error}");
}
