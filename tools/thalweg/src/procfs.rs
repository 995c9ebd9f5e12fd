//! Facts that Linux tells by files under `/proc` and `/sys`.

use std::fs;
use std::path::PathBuf;

/// The root below which `proc` and `sys` lie: `/`, or a tree made by a test.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
}

impl Procfs {
    /// This machine's own.
    pub fn here() -> Self {
        Self::at("/")
    }

    /// Another tree of the same shape.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A file's text without the blanks around it; `None` if it cannot be read or is empty.
    pub fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// What stands after `name:` in a file of such lines, in the first that has it.
    pub fn field(&self, path: &str, name: &str) -> Option<String> {
        let text = self.read(path)?;
        let value = text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })?;
        (!value.is_empty()).then_some(value)
    }

    /// A field of `proc/meminfo` in bytes.
    pub fn memory_bytes(&self, name: &str) -> Option<u64> {
        kib(&self.field("proc/meminfo", name)?)
    }

    /// The folder of this process's own control group (version 2), which inside a container is
    /// the topmost.
    pub fn control_group(&self) -> String {
        let text = self.read("proc/self/cgroup").unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
        format!("sys/fs/cgroup/{path}").trim_end_matches('/').to_owned()
    }
}

/// `16 kB` in bytes. The kernel writes kB and means KiB.
pub fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Bytes for a reader: `24.0 GiB`, `512 KiB`.
pub fn readable_bytes(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if bytes >= *size {
            let whole = bytes.is_multiple_of(*size);
            let digits = usize::from(!whole);
            return format!("{:.digits$} {unit}", bytes as f64 / *size as f64);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("proc")).expect("proc");
        let text = "MemTotal:       24684084 kB\nMemFree: 5 kB\nEmpty:\n";
        fs::write(root.path().join("proc/meminfo"), text).expect("meminfo");
        let procfs = Procfs::at(root.path());
        assert_eq!(procfs.memory_bytes("MemTotal"), Some(24_684_084 * 1024));
        assert_eq!(procfs.memory_bytes("Mem"), None);
        assert_eq!(procfs.field("proc/meminfo", "Empty"), None);
        assert_eq!(procfs.read("proc/nothing"), None);
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(readable_bytes(512 * 1024), "512 KiB");
        assert_eq!(readable_bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(readable_bytes(0), "0 B");
    }
}
