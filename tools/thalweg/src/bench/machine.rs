//! The block that says on which machine, and with which build, something was measured.

use std::env;
use std::process::{Command, Stdio};

use jiff::{Timestamp, Unit};
use serde::Serialize;
use thalweg::sys::probe;

use crate::procfs::{Procfs, readable_bytes};

/// A machine at the time of a measurement. What cannot be found out is `unknown` or 0.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name as it gives it itself.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Installed memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Whether the machine is a guest of another.
    pub virtual_machine: bool,
    /// What was measured: `git describe` of the program's own source, `+` where it was changed.
    pub commit: String,
    /// The compiler that built the program.
    pub compiler: String,
    /// When, in UTC, to the second.
    pub date: String,
}

impl Machine {
    /// This machine, now.
    pub fn here() -> Self {
        let procfs = Procfs::here();
        let unknown = || "unknown".to_owned();
        let now = Timestamp::now();
        Self {
            cpu: cpu(&procfs).unwrap_or_else(unknown),
            cores: probe::cores(),
            memory_bytes: procfs.memory_bytes("MemTotal").unwrap_or(0),
            kernel: procfs.read("proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            virtual_machine: is_virtual(&procfs),
            commit: commit().unwrap_or_else(unknown),
            compiler: option_env!("THALWEG_RUSTC").map_or_else(unknown, str::to_owned),
            date: now.round(Unit::Second).unwrap_or(now).to_string(),
        }
    }

    /// Names and values, in the order in which they are shown.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let guest = if self.virtual_machine { ", virtual" } else { "" };
        vec![
            ("machine", format!("{}, {} cores{guest}", self.cpu, self.cores)),
            ("memory", readable_bytes(self.memory_bytes)),
            ("kernel", self.kernel.clone()),
            ("commit", self.commit.clone()),
            ("compiler", self.compiler.clone()),
            ("date", self.date.clone()),
        ]
    }
}

/// Whether the processor says that it is a guest's.
pub fn is_virtual(procfs: &Procfs) -> bool {
    let flags = procfs.field("proc/cpuinfo", "flags").unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "hypervisor")
}

/// x86 gives a model name, some others only a hardware name.
fn cpu(procfs: &Procfs) -> Option<String> {
    ["model name", "Model", "Hardware", "uarch"]
        .iter()
        .find_map(|name| procfs.field("proc/cpuinfo", name))
}

/// Asks git about the folder that the program lies in, which is the checkout it was built in
/// unless it was installed elsewhere; a build may also name its commit in `THALWEG_COMMIT`.
fn commit() -> Option<String> {
    if let Some(commit) = option_env!("THALWEG_COMMIT") {
        return Some(commit.to_owned());
    }
    let program = env::current_exe().ok()?;
    let output = Command::new("git")
        .arg("-C")
        .arg(program.parent()?)
        .args(["describe", "--always", "--tags", "--dirty=+"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let commit = text.trim();
    (output.status.success() && !commit.is_empty()).then(|| commit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_a_date() {
        let machine = Machine::here();
        assert!(machine.cores >= 1);
        assert!(machine.memory_bytes > 1 << 20, "{machine:?}");
        assert!(machine.compiler.starts_with("rustc "), "{machine:?}");
        assert!(machine.date.parse::<Timestamp>().is_ok(), "{machine:?}");
        assert!(machine.lines().iter().all(|(_, value)| !value.is_empty()));
    }

    #[test]
    fn the_processor_is_read_from_what_it_says() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("proc")).expect("proc");
        let text = "processor\t: 0\nmodel name\t: Quick 9000\nflags\t\t: fpu hypervisor sse\n";
        std::fs::write(root.path().join("proc/cpuinfo"), text).expect("cpuinfo");
        let procfs = Procfs::at(root.path());
        assert_eq!(cpu(&procfs).as_deref(), Some("Quick 9000"));
        assert!(is_virtual(&procfs));
    }
}
