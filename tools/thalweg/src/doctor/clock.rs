//! The clock: which one the kernel reads, and what a look at it costs.

use std::hint::black_box;
use std::time::Instant;

use super::Finding;
use crate::procfs::Procfs;

/// Looks for one measurement; some tens of microseconds.
const LOOKS: u32 = 1_000;

/// Measurements, of which the fastest counts.
const TRIES: u32 = 20;

/// A look in nanoseconds beyond which the clock is read by a system call.
const LOOK_NS_MAX: f64 = 200.0;

/// Read in user space, without a system call.
const FAST: &[&str] = &["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

pub(super) fn examine(procfs: &Procfs) -> Vec<Finding> {
    let source = procfs.read("sys/devices/system/clocksource/clocksource0/current_clocksource");
    vec![clock(source.as_deref(), look_ns())]
}

fn clock(source: Option<&str>, look_ns: f64) -> Finding {
    let value = format!("{}, {look_ns:.0} ns a look", source.unwrap_or("not told"));
    let fast = source.is_none_or(|name| FAST.contains(&name));
    if look_ns > LOOK_NS_MAX {
        let remedy =
            "boot with clocksource=tsc if the processor's is steady; latencies read too long";
        return Finding::bad("clock", value, remedy);
    }
    if fast {
        return Finding::ok("clock", value);
    }
    Finding::warn("clock", value, "boot with clocksource=tsc if the processor's is steady")
}

/// What `Instant::now` costs, in nanoseconds.
pub(crate) fn look_ns() -> f64 {
    let once = || {
        let began = Instant::now();
        for _ in 0..LOOKS {
            black_box(Instant::now());
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKS)
    };
    (0..TRIES).map(|_| once()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_slow_clock_is_bad() {
        assert_eq!(clock(Some("tsc"), 25.0).verdict, Verdict::Ok);
        assert_eq!(clock(Some("hpet"), 150.0).verdict, Verdict::Warn);
        assert_eq!(clock(Some("hpet"), 900.0).verdict, Verdict::Bad);
        assert_eq!(clock(None, 25.0).verdict, Verdict::Ok);
    }

    #[test]
    fn a_look_costs_something() {
        let cost = look_ns();
        assert!(cost > 0.5 && cost < 100_000.0, "{cost}");
    }
}
