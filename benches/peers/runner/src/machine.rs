//! What was measured where, and the command that repeats it.

use crate::engine::workspace;
use std::fs;
use std::process::Command;

/// Lines of markdown; what the system does not tell is left out.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    let processor = value("/proc/cpuinfo", "model name").unwrap_or("unknown".into());
    let memory = value("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    [
        ("processor", format!("{processor}, {cores} cores")),
        ("memory", memory),
        ("kernel", kernel),
        ("compiler", output("rustc", &["--version"])),
        ("commit", output("git", &["describe", "--always", "--dirty"])),
        ("date", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string()),
        ("command", format!("`benches/peers/run {}`", arguments.join(" "))),
    ]
    .iter()
    .filter(|(_, text)| !text.trim().is_empty())
    .map(|(name, text)| format!("* {name}: {}\n", text.trim()))
    .collect()
}

/// The value of the first line `name : value` of a file.
fn value(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(workspace()).output();
    output.map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).into_owned())
}
