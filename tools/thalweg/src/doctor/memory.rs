//! Memory: how much, in which pages, and how much of it may be locked.

use thalweg::sys::probe;

use super::Finding;
use crate::procfs::{Procfs, readable_bytes};

/// Free memory below which larger jobs fail.
const FREE_BYTES_MIN: u64 = 512 << 20;

/// What a glommio executor likes to lock: 10 MiB of buffers, which the kernel counts once for each
/// of the three rings that they are registered with, and the rings.
const MEMLOCK_BYTES_EXECUTOR: u64 = 32 << 20;

/// The bit of `CAP_IPC_LOCK`, with which the limit does not count; see capabilities(7).
const CAP_IPC_LOCK: u64 = 1 << 14;

pub(super) fn examine(procfs: &Procfs) -> Vec<Finding> {
    vec![
        memlock(probe::memlock_bytes(), probe::cores(), is_exempt(procfs)),
        transparent(procfs),
        reserved(procfs),
        free(procfs),
        swap(procfs),
    ]
}

/// Whether this process may lock more than its limit.
fn is_exempt(procfs: &Procfs) -> bool {
    let set = procfs.field("proc/self/status", "CapEff").unwrap_or_default();
    u64::from_str_radix(&set, 16).is_ok_and(|set| set & CAP_IPC_LOCK != 0)
}

fn memlock(limit: Option<u64>, cores: usize, exempt: bool) -> Finding {
    let Some(limit) = limit else {
        return Finding::ok("memlock", "not told");
    };
    if limit == u64::MAX {
        return Finding::ok("memlock", "unlimited");
    }
    let value = readable_bytes(limit);
    let wanted = MEMLOCK_BYTES_EXECUTOR * cores as u64;
    let remedy = format!(
        "`ulimit -l {}` in the shell, or LimitMEMLOCK= in the service's unit",
        wanted / 1024
    );
    if limit < probe::MEMLOCK_BYTES_MIN {
        return Finding::bad("memlock", format!("{value}; io_uring's executor needs more"), remedy);
    }
    if exempt {
        return Finding::ok("memlock", format!("{value}, and the right to lock more"));
    }
    if limit < wanted {
        let value = format!("{value}; direct I/O buffers of {cores} shards may not all be locked");
        return Finding::warn("memlock", value, remedy);
    }
    Finding::ok("memlock", value)
}

/// The kernel marks its choice: `always [madvise] never`.
fn transparent(procfs: &Procfs) -> Finding {
    let text = procfs.read("sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let chosen = text.split(['[', ']']).nth(1).unwrap_or("not told");
    if chosen == "never" {
        let remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
        return Finding::warn("THP", "never", remedy);
    }
    Finding::ok("THP", format!("transparent huge pages: {chosen}"))
}

fn reserved(procfs: &Procfs) -> Finding {
    let number = |name: &str| -> u64 {
        let text = procfs.field("proc/meminfo", name).unwrap_or_default();
        text.parse().unwrap_or(0)
    };
    let (total, free) = (number("HugePages_Total"), number("HugePages_Free"));
    if total == 0 {
        return Finding::ok("huge pages", "none reserved, none needed");
    }
    let size = readable_bytes(procfs.memory_bytes("Hugepagesize").unwrap_or(0));
    Finding::ok("huge pages", format!("{free} of {total} reserved are free, {size} each"))
}

/// What the control group allows, and what of it is taken; `None` without a limit.
fn group_limit(procfs: &Procfs) -> Option<(u64, u64)> {
    let group = procfs.control_group();
    let number = |path: String| procfs.read(&path)?.parse::<u64>().ok();
    let limit = number(format!("{group}/memory.max"))?;
    Some((limit, number(format!("{group}/memory.current")).unwrap_or(0)))
}

fn free(procfs: &Procfs) -> Finding {
    let total = procfs.memory_bytes("MemTotal");
    let Some((mut free, mut total)) = procfs.memory_bytes("MemAvailable").zip(total) else {
        return Finding::ok("memory", "not told");
    };
    let mut whose = "";
    if let Some((limit, taken)) = group_limit(procfs).filter(|(limit, _)| *limit < total) {
        (free, total) = (free.min(limit.saturating_sub(taken)), limit);
        whose = ", by the control group's limit";
    }
    let value = format!("{} of {} free{whose}", readable_bytes(free), readable_bytes(total));
    if free < FREE_BYTES_MIN {
        return Finding::bad("memory", value, "end other programs, or run jobs with few keys");
    }
    Finding::ok("memory", value)
}

fn swap(procfs: &Procfs) -> Finding {
    match procfs.memory_bytes("SwapTotal") {
        None | Some(0) => Finding::ok("swap", "none"),
        Some(total) => {
            let free = procfs.memory_bytes("SwapFree").unwrap_or(total);
            let (used, total) = (readable_bytes(total.saturating_sub(free)), readable_bytes(total));
            let remedy = "state that is swapped out stalls a shard: swapoff -a, or swappiness 1";
            Finding::warn("swap", format!("{used} of {total} used"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, tree};
    use super::*;

    #[test]
    fn too_little_lockable_memory_is_bad() {
        assert_eq!(memlock(Some(64 << 10), 2, true).verdict, Verdict::Bad);
        assert_eq!(memlock(Some(8 << 20), 2, false).verdict, Verdict::Warn);
        assert_eq!(memlock(Some(8 << 20), 2, true).verdict, Verdict::Ok);
        assert_eq!(memlock(Some(64 << 20), 2, false).verdict, Verdict::Ok);
        assert_eq!(memlock(Some(u64::MAX), 64, false).value, "unlimited");
    }

    #[test]
    fn the_right_to_lock_is_one_bit() {
        let status = "proc/self/status";
        let (_root, procfs) = tree(&[(status, "CapEff:\t0000000000004000\n")]);
        assert!(is_exempt(&procfs));
        let (_user, procfs) = tree(&[(status, "CapEff:\t0000000000000000\n")]);
        assert!(!is_exempt(&procfs));
    }

    #[test]
    fn pages_are_read_from_what_the_kernel_marks() {
        let path = "sys/kernel/mm/transparent_hugepage/enabled";
        let (_never, procfs) = tree(&[(path, "always madvise [never]")]);
        assert_eq!(transparent(&procfs).verdict, Verdict::Warn);
        let (_marked, procfs) = tree(&[(path, "always [madvise] never")]);
        assert_eq!(transparent(&procfs).value, "transparent huge pages: madvise");
    }

    #[test]
    fn memory_that_runs_short_is_bad() {
        let meminfo = "MemTotal: 8388608 kB\nMemAvailable: 102400 kB\nSwapTotal: 2048 kB\n\
                       SwapFree: 1024 kB\nHugePages_Total: 4\nHugePages_Free: 3\n\
                       Hugepagesize: 2048 kB\n";
        let (_root, procfs) = tree(&[("proc/meminfo", meminfo)]);
        assert_eq!(free(&procfs).verdict, Verdict::Bad);
        assert_eq!(free(&procfs).value, "100 MiB of 8 GiB free");
        let (_limited, inside) = tree(&[
            ("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n"),
            ("proc/self/cgroup", "0::/app\n"),
            ("sys/fs/cgroup/app/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/app/memory.current", "1048576\n"),
        ]);
        assert_eq!(free(&inside).verdict, Verdict::Ok);
        assert!(free(&inside).value.contains("of 1 GiB free, by"), "{:?}", free(&inside));
        assert_eq!(swap(&procfs).value, "1 MiB of 2 MiB used");
        assert_eq!(reserved(&procfs).value, "3 of 4 reserved are free, 2 MiB each");
    }
}
