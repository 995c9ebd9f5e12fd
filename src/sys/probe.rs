//! What this machine gives the engine, found out by asking it.
//!
//! A probe never ends the process, prints nothing, and leaves neither threads nor open files
//! behind.

use std::fs;
use std::io;
use std::thread;

use io_uring::opcode::{
    Accept, Close, Connect, Fallocate, Fsync, LinkTimeout, Nop, OpenAt, PollAdd, PollRemove, Read,
    ReadFixed, Readv, Recv, RecvMsg, Send, SendMsg, Statx, Timeout, TimeoutRemove, Write,
    WriteFixed, Writev,
};
use io_uring::{IoUring, Probe};
use rustix::thread::{MembarrierCommand, membarrier};

/// Lockable memory, in bytes, without which the glommio executor refuses to start.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// As deep as the rings of a glommio executor are by default, so that what fails there fails here.
const RING_DEPTH: u32 = 128;

/// What glommio submits. On a kernel that lacks one of these it ends the process, which is why
/// they are asked for here first.
const OPERATIONS: &[(&str, u8)] = &[
    ("nop", Nop::CODE),
    ("readv", Readv::CODE),
    ("writev", Writev::CODE),
    ("fsync", Fsync::CODE),
    ("read_fixed", ReadFixed::CODE),
    ("write_fixed", WriteFixed::CODE),
    ("poll_add", PollAdd::CODE),
    ("poll_remove", PollRemove::CODE),
    ("sendmsg", SendMsg::CODE),
    ("recvmsg", RecvMsg::CODE),
    ("timeout", Timeout::CODE),
    ("timeout_remove", TimeoutRemove::CODE),
    ("accept", Accept::CODE),
    ("link_timeout", LinkTimeout::CODE),
    ("connect", Connect::CODE),
    ("fallocate", Fallocate::CODE),
    ("openat", OpenAt::CODE),
    ("close", Close::CODE),
    ("statx", Statx::CODE),
    ("read", Read::CODE),
    ("write", Write::CODE),
    ("send", Send::CODE),
    ("recv", Recv::CODE),
];

/// How many shards can run at once: the cores that this process may use, less what a quota of its
/// control group takes away; at least 1.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The soft limit on lockable memory in bytes; `u64::MAX` is no limit, `None` is unknown.
pub fn memlock_bytes() -> Option<u64> {
    parse_memlock(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// Whether io_uring can drive a shard: sets up a ring as deep as the executor's, asks which
/// operations the kernel knows, and closes it again.
///
/// # Errors
///
/// The reason in one sentence, with what to do about it. The engine runs on plain threads then.
///
/// ```
/// match thalweg::sys::probe::io_uring() {
///     Ok(()) => println!("files are read through io_uring"),
///     Err(reason) => println!("files are read by plain calls: {reason}"),
/// }
/// ```
pub fn io_uring() -> Result<(), String> {
    let ring =
        IoUring::new(RING_DEPTH).map_err(|error| explain(&error, disabled(), has_seccomp()))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| format!("the kernel does not say what its io_uring can do: {error}"))?;
    let missing: Vec<&str> = OPERATIONS
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!("this kernel's io_uring lacks {missing}; use Linux 5.8 or later"));
    }
    enough_memlock(memlock_bytes())
}

/// Tells the kernel that threads of this process will wait for each other by memory barriers, as a
/// glommio executor does before it sleeps. The first one to say so in a process of several threads
/// waits for the kernel for 5 to 15 ms: better here, mostly before there are any, than in a shard.
pub fn announce_barriers() {
    // Without it the executor does with other barriers.
    let _ = membarrier(MembarrierCommand::RegisterPrivateExpedited);
}

fn enough_memlock(limit: Option<u64>) -> Result<(), String> {
    match limit {
        Some(bytes) if bytes < MEMLOCK_BYTES_MIN => Err(format!(
            "only {} KiB of memory may be locked, io_uring's executor needs {} KiB; \
             raise it with `ulimit -l` or LimitMEMLOCK",
            bytes / 1024,
            MEMLOCK_BYTES_MIN / 1024
        )),
        _ => Ok(()),
    }
}

/// `kernel.io_uring_disabled`: 0 all may, 1 only a group or a privileged process, 2 nobody.
fn disabled() -> u8 {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn has_seccomp() -> bool {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"]))
}

/// Why a ring could not be set up. One error number has several causes, told apart by what the
/// system says about itself.
fn explain(error: &io::Error, disabled: u8, seccomp: bool) -> String {
    match (error.kind(), disabled) {
        (io::ErrorKind::PermissionDenied, 2..) => {
            "io_uring is switched off by kernel.io_uring_disabled=2; \
             `sysctl kernel.io_uring_disabled=0` allows it"
                .to_owned()
        }
        (io::ErrorKind::PermissionDenied, 1) => {
            "io_uring is kept to privileged processes by kernel.io_uring_disabled=1; \
             join the group in kernel.io_uring_group or set it to 0"
                .to_owned()
        }
        (io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported, _) if seccomp => {
            "a seccomp filter refuses io_uring, as the default profiles of containers do; \
             allow io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned()
        }
        (io::ErrorKind::Unsupported, _) => {
            "this kernel has no io_uring; use Linux 5.8 or later".to_owned()
        }
        (io::ErrorKind::OutOfMemory, _) => "too little memory may be locked for a ring; \
             raise it with `ulimit -l` or LimitMEMLOCK"
            .to_owned(),
        _ => format!("io_uring cannot be set up: {error}"),
    }
}

/// Reads the soft limit from the table of `/proc/self/limits`.
fn parse_memlock(limits: &str) -> Option<u64> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match row.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        bytes => bytes.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn because(number: i32, disabled: u8, seccomp: bool) -> String {
        explain(&io::Error::from_raw_os_error(number), disabled, seccomp)
    }

    #[test]
    fn each_cause_has_its_own_words() {
        const EPERM: i32 = 1;
        const ENOMEM: i32 = 12;
        const ENOSYS: i32 = 38;
        assert!(because(EPERM, 2, true).contains("io_uring_disabled=2"));
        assert!(because(EPERM, 1, false).contains("io_uring_group"));
        assert!(because(EPERM, 0, true).contains("seccomp"));
        assert!(because(EPERM, 0, false).contains("not permitted"));
        assert!(because(ENOSYS, 0, true).contains("seccomp"));
        assert!(because(ENOSYS, 0, false).contains("no io_uring"));
        assert!(because(ENOMEM, 0, false).contains("ulimit -l"));
    }

    #[test]
    fn the_limit_is_read_from_the_table() {
        let table = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max processes             96416                96416                processes\n\
                 Max locked memory         {soft}              8388608              bytes\n"
            )
        };
        assert_eq!(parse_memlock(&table("65536")), Some(65536));
        assert_eq!(parse_memlock(&table("unlimited")), Some(u64::MAX));
        assert_eq!(parse_memlock("Max processes 1 1"), None);
        assert!(memlock_bytes().is_some());
    }

    #[test]
    fn too_low_a_limit_is_named() {
        assert!(enough_memlock(Some(MEMLOCK_BYTES_MIN)).is_ok());
        assert!(enough_memlock(None).is_ok());
        let reason = enough_memlock(Some(65536)).expect_err("64 KiB are too few");
        assert!(reason.contains("64 KiB"), "{reason}");
    }

    #[test]
    fn the_probe_agrees_with_the_switch() {
        let found = io_uring();
        if disabled() == 2 {
            assert!(found.expect_err("switched off").contains("io_uring_disabled=2"));
        } else if let Err(reason) = found {
            assert!(!reason.contains("io_uring_disabled=2"), "{reason}");
        }
    }

    #[test]
    fn a_probe_leaves_no_open_files() {
        let rings = || {
            let entries = fs::read_dir("/proc/self/fd").expect("procfs");
            entries
                .flatten()
                .filter_map(|entry| fs::read_link(entry.path()).ok())
                .filter(|target| target.to_string_lossy().contains("io_uring"))
                .count()
        };
        for _ in 0..100 {
            io_uring().ok();
        }
        // Another test's probe may hold its one ring just now.
        assert!(rings() <= 1, "{} rings are open", rings());
    }

    #[test]
    fn there_is_at_least_one_core() {
        assert!(cores() >= 1);
    }
}
