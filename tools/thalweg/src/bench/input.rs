//! The input of all queries, made once.

use std::hint::black_box;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use thalweg::connector::Discard;
use thalweg::connector::nexmark::{Event, Nexmark, Recorded};
use thalweg::operator::Source;
use thalweg::time::Timestamp;

use super::report;
use super::run::{Label, Setup};
use super::stats::Summary;
use crate::procfs::{Procfs, readable_bytes};

/// Memory that an event takes, about.
const EVENT_BYTES: u64 = 256;

/// How often Ctrl-C is looked for while the events are made.
const LOOK: Duration = Duration::from_millis(50);

/// The events in memory, and what was measured of them.
pub(super) struct Recording {
    pub(super) events: Recorded,
    pub(super) facts: report::Input,
}

impl Recording {
    /// Makes `events` events, one split a shard, and measures in as many runs as a query gets how
    /// fast they are made and read. `None` if it was interrupted.
    pub(super) fn make(events: u64, runs: u32, setup: &Setup) -> anyhow::Result<Option<Self>> {
        check_memory(events, &Procfs::here())?;
        eprintln!("making {} events …", report::grouped(events));
        let began = Instant::now();
        let Some(recorded) = record(events, setup)? else { return Ok(None) };
        let recording_s = began.elapsed().as_secs_f64();
        let mut facts = report::Input {
            events,
            seed: "every event by its own number, from 0".to_owned(),
            bytes: recorded.bytes(),
            recording_s,
            generator_events_per_s: 0.0,
            events_per_s: 0.0,
        };
        eprintln!("input: {}", facts.line());
        let live = rate("generator", setup, events, runs, || Nexmark::events(events))?;
        let replayed = rate("input", setup, events, runs, || recorded.clone())?;
        let (Some(live), Some(replayed)) = (live, replayed) else { return Ok(None) };
        facts.generator_events_per_s = live;
        facts.events_per_s = replayed;
        Ok(Some(Self { events: recorded, facts }))
    }
}

/// Makes the events on another thread, so that Ctrl-C need not wait for it.
fn record(events: u64, setup: &Setup) -> anyhow::Result<Option<Recorded>> {
    let (to, from) = channel();
    let shards = setup.shards;
    let work = move || to.send(Nexmark::events(events).record(shards));
    thread::Builder::new().name("recording".to_owned()).spawn(work).context("starting a thread")?;
    while !setup.interrupt.came() {
        match from.recv_timeout(LOOK) {
            Ok(recorded) => return Ok(Some(recorded?)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the generator of the events panicked"),
        }
    }
    Ok(None)
}

/// Events a second from a source to nowhere, when one field of each is read: a slice that is lent
/// costs nothing as long as nobody looks at it.
fn rate<S: Source<Record = Event>>(
    name: &str,
    setup: &Setup,
    events: u64,
    runs: u32,
    source: impl Fn() -> S,
) -> anyhow::Result<Option<f64>> {
    let mut seconds = Vec::new();
    for run in 1..=runs {
        let label = Label { name, run, runs };
        let ran = setup.run(label, events, |job| {
            let events = job.source(source());
            events.filter(|event| black_box(event.date_time()) > Timestamp::MIN).sink(Discard);
        })?;
        let Some(usage) = ran else { return Ok(None) };
        seconds.push(usage.wall.as_secs_f64());
    }
    Ok(Summary::of(&seconds).map(|summary| events as f64 / summary.median))
}

/// Refuses what would end in swapping, or in the kernel ending the program.
fn check_memory(events: u64, procfs: &Procfs) -> anyhow::Result<()> {
    let Some(available) = procfs.memory_bytes("MemAvailable") else { return Ok(()) };
    let wanted = events.saturating_mul(EVENT_BYTES);
    ensure!(
        wanted < available,
        "{events} events take about {}, and {} of memory are to be had; give a lower --events",
        readable_bytes(wanted),
        readable_bytes(available)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn more_events_than_memory_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("proc")).expect("proc");
        fs::write(root.path().join("proc/meminfo"), "MemAvailable: 1024 kB\n").expect("meminfo");
        let procfs = Procfs::at(root.path());
        check_memory(4_000, &procfs).expect("room for them");
        let error = check_memory(1 << 22, &procfs).expect_err("too many").to_string();
        assert!(error.contains("take about 1 GiB, and 1 MiB"), "{error}");
        check_memory(1 << 22, &Procfs::at("/nowhere")).expect("nobody knows");
    }
}
