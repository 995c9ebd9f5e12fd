//! `thalweg doctor`: what this machine gives the engine, and what to do about it.

mod clock;
mod memory;
mod processor;

pub(crate) use self::clock::look_ns;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::Serialize;
use thalweg::sys::probe;

use crate::args;
use crate::procfs::Procfs;

/// How good a finding is for the engine.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As the engine likes it.
    Ok,
    /// The engine runs, and not as well as it could.
    Warn,
    /// Measurements here mean little, or jobs may fail.
    Bad,
}

/// One finding.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found.
    pub value: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, value: value.into(), remedy: None }
    }

    fn warn(name: &'static str, value: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name, verdict: Verdict::Warn, value: value.into(), remedy }
    }

    fn bad(name: &'static str, value: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::warn(name, value, remedy) }
    }
}

/// Looks at everything and prints it. Findings are no failure: the exit code is 0.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(args: &args::Doctor) -> anyhow::Result<ExitCode> {
    let findings = examine(&Procfs::here());
    let text =
        if args.json { serde_json::to_string_pretty(&findings)? + "\n" } else { table(&findings) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// All findings, in the order in which they are shown.
pub fn examine(procfs: &Procfs) -> Vec<Finding> {
    let mut findings = vec![io_uring(probe::io_uring())];
    findings.extend(processor::examine(procfs));
    findings.extend(clock::examine(procfs));
    findings.extend(memory::examine(procfs));
    findings
}

fn io_uring(found: Result<(), String>) -> Finding {
    match found {
        Ok(()) => Finding::ok("io_uring", "works; glommio executors drive the shards"),
        Err(reason) => {
            let value = "does not work; plain threads drive the shards";
            Finding::warn("io_uring", value, reason)
        }
    }
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Bad => "BAD",
        };
        table.add_row([verdict, finding.name, &finding.value]);
        if let Some(remedy) = &finding.remedy {
            table.add_row(["", "", &format!("→ {remedy}")]);
        }
    }
    table.trim_fmt() + "\n"
}

/// A tree like `/` with these files, for the tests of the findings.
#[cfg(test)]
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Procfs) {
    let root = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    let procfs = Procfs::at(root.path());
    (root, procfs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_that_is_not_ok_has_a_remedy() {
        let findings = examine(&Procfs::here());
        assert!(findings.len() >= 12, "{findings:?}");
        for finding in &findings {
            assert_eq!(finding.verdict == Verdict::Ok, finding.remedy.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn a_machine_that_tells_nothing_is_still_examined() {
        let (_root, procfs) = tree(&[]);
        assert!(examine(&procfs).len() >= 12);
    }

    #[test]
    fn a_refused_ring_is_no_failure() {
        let finding = io_uring(Err("seccomp".to_owned()));
        assert_eq!(finding.verdict, Verdict::Warn);
        let text = table(&[finding, Finding::bad("x", "y", "z")]);
        assert!(text.contains("→ seccomp") && text.contains("BAD"), "{text}");
    }
}
