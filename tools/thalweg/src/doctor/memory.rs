//! Memory: how much, in which pages, and how much of it may be locked.

use thalweg::sys::probe;

use super::Finding;
use crate::procfs::{Procfs, readable_bytes};

/// Free memory below which larger jobs fail.
const FREE_BYTES_MIN: u64 = 512 << 20;

/// What glommio likes to lock for an executor: 10 MiB of buffers, and its rings.
const MEMLOCK_BYTES_EXECUTOR: u64 = 12 << 20;

pub(super) fn examine(procfs: &Procfs) -> Vec<Finding> {
    vec![
        memlock(probe::memlock_bytes(), probe::cores()),
        transparent(procfs),
        reserved(procfs),
        free(procfs),
        swap(procfs),
    ]
}

fn memlock(limit: Option<u64>, cores: usize) -> Finding {
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
        return Finding::bad(
            "memlock",
            format!("{value}; io_uring's executor needs more"),
            remedy,
        );
    }
    if limit < wanted {
        let value = format!("{value}; direct I/O buffers of {cores} shards may not all be locked");
        return Finding::warn("memlock", value, remedy);
    }
    Finding::ok("memlock", value)
}

/// The kernel marks its choice: `always [madvise] never`.
fn transparent(procfs: &Procfs) -> Finding {
    let text = procfs
        .read("sys/kernel/mm/transparent_hugepage/enabled")
        .unwrap_or_default();
    let chosen = text.split(['[', ']']).nth(1).unwrap_or("not told");
    if chosen == "never" {
        let remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
        return Finding::warn("huge pages", "transparent: never", remedy);
    }
    Finding::ok("huge pages", format!("transparent: {chosen}"))
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
    Finding::ok(
        "huge pages",
        format!("{free} of {total} reserved are free, {size} each"),
    )
}

fn free(procfs: &Procfs) -> Finding {
    let total = procfs.memory_bytes("MemTotal");
    let Some((free, total)) = procfs.memory_bytes("MemAvailable").zip(total) else {
        return Finding::ok("memory", "not told");
    };
    let value = format!("{} of {} free", readable_bytes(free), readable_bytes(total));
    if free < FREE_BYTES_MIN {
        return Finding::bad(
            "memory",
            value,
            "end other programs, or run jobs with few keys",
        );
    }
    Finding::ok("memory", value)
}

fn swap(procfs: &Procfs) -> Finding {
    match procfs.memory_bytes("SwapTotal") {
        None | Some(0) => Finding::ok("swap", "none"),
        Some(total) => {
            let free = procfs.memory_bytes("SwapFree").unwrap_or(total);
            let (used, total) = (
                readable_bytes(total.saturating_sub(free)),
                readable_bytes(total),
            );
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
        assert_eq!(memlock(Some(64 << 10), 2).verdict, Verdict::Bad);
        assert_eq!(memlock(Some(8 << 20), 2).verdict, Verdict::Warn);
        assert_eq!(memlock(Some(64 << 20), 2).verdict, Verdict::Ok);
        assert_eq!(memlock(Some(u64::MAX), 64).value, "unlimited");
    }

    #[test]
    fn pages_are_read_from_what_the_kernel_marks() {
        let path = "sys/kernel/mm/transparent_hugepage/enabled";
        let (_never, procfs) = tree(&[(path, "always madvise [never]")]);
        assert_eq!(transparent(&procfs).verdict, Verdict::Warn);
        let (_marked, procfs) = tree(&[(path, "always [madvise] never")]);
        assert_eq!(transparent(&procfs).value, "transparent: madvise");
    }

    #[test]
    fn memory_that_runs_short_is_bad() {
        let meminfo = "MemTotal: 8388608 kB\nMemAvailable: 102400 kB\nSwapTotal: 2048 kB\n\
                       SwapFree: 1024 kB\nHugePages_Total: 4\nHugePages_Free: 3\n\
                       Hugepagesize: 2048 kB\n";
        let (_root, procfs) = tree(&[("proc/meminfo", meminfo)]);
        assert_eq!(free(&procfs).verdict, Verdict::Bad);
        assert_eq!(free(&procfs).value, "100 MiB of 8 GiB free");
        assert_eq!(swap(&procfs).value, "1 MiB of 2 MiB used");
        assert_eq!(
            reserved(&procfs).value,
            "3 of 4 reserved are free, 2 MiB each"
        );
    }
}
