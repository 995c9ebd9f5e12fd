//! What no job can be faster than: the clock, a hop between two cores, and the machine's own
//! stalls.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use thalweg::ring::ring;

use super::recorder::histogram;
use super::row::Percentiles;
use crate::doctor::look_ns;

/// From one time at which the clock's reader wants to see the clock to the next.
const EVERY_NS: u64 = 10_000;

/// Numbers sent there and back for one measurement of the ring, of which there are some.
const TRIPS: u32 = 20_000;
const TRIES: usize = 5;

/// What was measured of the machine before a job ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// What a look at the clock costs, in nanoseconds.
    pub clock_ns: f64,
    /// How long a number takes through a ring to another core and back, in nanoseconds: the median
    /// of some means. `None` on a machine with one core.
    pub round_trip_ns: Option<f64>,
    /// How late a thread sees the clock that does nothing but look at it, every 10 µs, on every
    /// core that a shard would run on: the machine's own stalls.
    pub stalls: Percentiles,
}

/// The cores of this process that `threads` shards would be pinned to.
fn cores(threads: usize) -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for this process's cores")?;
    let all = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false));
    Ok(all.take(threads).collect())
}

/// Where it is refused the thread runs elsewhere, as a shard would.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    if set.set(core).is_ok() {
        sched_setaffinity(Pid::from_raw(0), &set).ok();
    }
}

impl Floor {
    /// Measures all of it, the stalls for so long.
    ///
    /// # Errors
    /// When the process can't be asked for its cores.
    pub fn measure(shards: usize, span: Duration) -> anyhow::Result<Self> {
        let cores = cores(shards.max(2))?;
        let round_trip_ns = match *cores {
            [near, far, ..] => Some(round_trip_ns(near, far)),
            _ => None,
        };
        let of_shards = &cores[..shards.min(cores.len())];
        let stalls = Percentiles::of(&stalls(of_shards, span));
        Ok(Self { clock_ns: look_ns(), round_trip_ns, stalls })
    }
}

/// The lateness of threads, one a core, that look at the clock all the time: of every 10 µs, when
/// the clock was first seen to be past it. An open loop, as the jobs' is.
fn stalls(cores: &[usize], span: Duration) -> Histogram<u64> {
    let start = Barrier::new(cores.len());
    let mut all = histogram();
    thread::scope(|scope| {
        let reader = |core: usize| {
            let start = &start;
            scope.spawn(move || {
                pin(core);
                start.wait();
                lateness(span)
            })
        };
        let readers: Vec<_> = cores.iter().map(|core| reader(*core)).collect();
        for reader in readers {
            let own = reader.join().expect("a look at the clock does not panic");
            // Histograms of the same bounds always add.
            all.add(own).ok();
        }
    });
    all
}

fn lateness(span: Duration) -> Histogram<u64> {
    let (mut seen, begun, end) = (histogram(), Instant::now(), span.as_nanos() as u64);
    let mut due = 0;
    while due < end {
        let now = begun.elapsed().as_nanos() as u64;
        while due <= now && due < end {
            seen.saturating_record(now - due);
            due += EVERY_NS;
        }
        spin_loop();
    }
    seen
}

fn round_trip_ns(near: usize, far: usize) -> f64 {
    let mut all: Vec<f64> = (0..TRIES).map(|_| trips_ns(near, far)).collect();
    all.sort_by(f64::total_cmp);
    all[TRIES / 2]
}

/// The mean of some trips.
fn trips_ns(near: usize, far: usize) -> f64 {
    let ((mut there, mut arrive), (mut back, mut home)) = (ring::<u32>(64), ring::<u32>(64));
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let start = &start;
        scope.spawn(move || {
            pin(far);
            start.wait();
            for number in 0..TRIPS {
                while arrive.pop().is_none() {
                    spin_loop();
                }
                // One is under way at a time: there is room.
                back.push(number).ok();
            }
        });
        let trips = scope.spawn(move || {
            pin(near);
            start.wait();
            let begun = Instant::now();
            for number in 0..TRIPS {
                there.push(number).ok();
                while home.pop().is_none() {
                    spin_loop();
                }
            }
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS)
        });
        trips.join().expect("a ring does not panic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_measured() {
        let floor = Floor::measure(2, Duration::from_millis(50)).expect("it is");
        assert!(floor.clock_ns > 0.0, "{floor:?}");
        assert!(floor.round_trip_ns.is_none_or(|trip| trip > 0.0), "{floor:?}");
        // Every due time was seen, whatever the machine did meanwhile.
        let due = Duration::from_millis(50).as_nanos() as u64 / EVERY_NS;
        assert_eq!(floor.stalls.count % due, 0, "{floor:?}");
    }
}
