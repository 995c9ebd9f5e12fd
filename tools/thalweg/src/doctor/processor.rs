//! Cores: how many, of what kind, and what keeps the engine from them.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use thalweg::sys::probe;

use super::Finding;
use crate::bench::machine::is_virtual;
use crate::procfs::Procfs;

pub(super) fn examine(procfs: &Procfs) -> Vec<Finding> {
    vec![
        cores(probe::cores()),
        affinity(allowed(), online(procfs)),
        quota(procfs),
        governor(procfs),
        hypervisor(procfs),
        numa(procfs),
    ]
}

fn cores(cores: usize) -> Finding {
    let value = format!("{cores}; so many shards by default");
    if cores > 1 {
        return Finding::ok("cores", value);
    }
    Finding::warn("cores", value, "several shards share one core; give the process more")
}

/// How many cores the process's mask allows.
fn allowed() -> Option<usize> {
    let mask = sched_getaffinity(Pid::from_raw(0)).ok()?;
    Some((0..CpuSet::count()).filter(|core| mask.is_set(*core).unwrap_or(false)).count())
}

fn online(procfs: &Procfs) -> Option<usize> {
    count_list(&procfs.read("sys/devices/system/cpu/online")?)
}

/// Counts what a list such as `0-3,8` names.
fn count_list(list: &str) -> Option<usize> {
    let span = |part: &str| -> Option<usize> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    list.trim().split(',').map(span).sum()
}

fn affinity(allowed: Option<usize>, online: Option<usize>) -> Finding {
    match (allowed, online) {
        (Some(allowed), Some(online)) if allowed < online => {
            let value = format!("{allowed} of {online} cores allowed");
            Finding::warn("affinity", value, "widen the mask: taskset, or cpuset of the container")
        }
        (Some(allowed), _) => Finding::ok("affinity", format!("all {allowed} cores allowed")),
        _ => Finding::ok("affinity", "not told"),
    }
}

/// Processor time a period that the control group allows, over the period: cores.
fn quota_cores(procfs: &Procfs) -> Option<f64> {
    let pair = if let Some(text) = procfs.read(&format!("{}/cpu.max", procfs.control_group())) {
        let (quota, period) = text.split_once(' ')?;
        (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?)
    } else {
        let number = |name: &str| -> Option<f64> {
            procfs.read(&format!("sys/fs/cgroup/cpu/cpu.cfs_{name}_us"))?.parse().ok()
        };
        (number("quota")?, number("period")?)
    };
    (pair.0 > 0.0 && pair.1 > 0.0).then(|| pair.0 / pair.1)
}

fn quota(procfs: &Procfs) -> Finding {
    match quota_cores(procfs) {
        None => Finding::ok("quota", "none"),
        Some(cores) => {
            let value = format!("{cores:.1} cores' time; beyond it all shards stand still");
            Finding::warn("quota", value, "raise it, or bind to whole cores by a cpuset instead")
        }
    }
}

fn governor(procfs: &Procfs) -> Finding {
    match procfs.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        None => Finding::ok("frequency", "not ours to set"),
        Some(name) if name == "performance" => Finding::ok("frequency", name),
        Some(name) => {
            let value = format!("governor {name}");
            Finding::warn(
                "frequency",
                value,
                "measure under `cpupower frequency-set -g performance`",
            )
        }
    }
}

fn hypervisor(procfs: &Procfs) -> Finding {
    if !is_virtual(procfs) {
        return Finding::ok("hypervisor", "none seen");
    }
    let maker =
        procfs.read("sys/class/dmi/id/sys_vendor").or_else(|| procfs.read("sys/hypervisor/type"));
    let value = maker.map_or_else(|| "yes".to_owned(), |maker| format!("yes, {maker}"));
    Finding::warn(
        "hypervisor",
        value,
        "neighbours disturb measurements; take the best of several runs",
    )
}

fn numa(procfs: &Procfs) -> Finding {
    let nodes = procfs.read("sys/devices/system/node/online").and_then(|list| count_list(&list));
    match nodes {
        Some(nodes) if nodes > 1 => {
            let remedy = "bind a job to one: numactl --cpunodebind=0 --membind=0";
            Finding::warn("NUMA", format!("{nodes} nodes"), remedy)
        }
        _ => Finding::ok("NUMA", "1 node"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, tree};
    use super::*;

    #[test]
    fn lists_are_counted() {
        assert_eq!(count_list("0-3,8"), Some(5));
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("3-1"), None);
        assert_eq!(count_list(""), None);
    }

    #[test]
    fn a_narrow_mask_is_warned_of() {
        assert_eq!(affinity(Some(2), Some(8)).verdict, Verdict::Warn);
        assert_eq!(affinity(Some(8), Some(8)).verdict, Verdict::Ok);
        assert!(allowed().is_some_and(|cores| cores >= 1));
        assert_eq!(cores(1).verdict, Verdict::Warn);
    }

    #[test]
    fn a_quota_is_read_in_both_versions() {
        let group = ("proc/self/cgroup", "1:cpu:/x\n0::/app\n");
        let (_new, procfs) = tree(&[group, ("sys/fs/cgroup/app/cpu.max", "150000 100000")]);
        assert_eq!(quota_cores(&procfs), Some(1.5));
        let (_free, procfs) = tree(&[group, ("sys/fs/cgroup/app/cpu.max", "max 100000")]);
        assert_eq!(quota(&procfs).verdict, Verdict::Ok);
        let (_old, procfs) = tree(&[
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
        ]);
        assert!(quota(&procfs).value.starts_with("0.5 cores"));
        let (_none, procfs) = tree(&[("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1")]);
        assert_eq!(quota_cores(&procfs), None);
    }

    #[test]
    fn what_disturbs_measurements_is_warned_of() {
        let (_root, procfs) = tree(&[
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("proc/cpuinfo", "flags : fpu hypervisor\n"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("sys/devices/system/node/online", "0-1\n"),
        ]);
        assert_eq!(governor(&procfs).verdict, Verdict::Warn);
        assert_eq!(hypervisor(&procfs).value, "yes, QEMU");
        assert_eq!(numa(&procfs).value, "2 nodes");
        let (_empty, procfs) = tree(&[]);
        assert_eq!(governor(&procfs).verdict, Verdict::Ok);
        assert_eq!(hypervisor(&procfs).verdict, Verdict::Ok);
        assert_eq!(numa(&procfs).verdict, Verdict::Ok);
    }
}
