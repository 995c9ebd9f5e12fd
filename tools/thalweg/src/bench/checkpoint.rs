//! `thalweg bench checkpoint`: what checkpoints cost a job with much state, and how fast it goes
//! on.
//!
//! The job counts keys: every key once, then keys at random, uniformly or out of a share of them.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use comfy_table::{CellAlignment, Table, presets};
use thalweg::key::mix;
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;
use thalweg::runtime::{Running, StateDirectory, Turns};
use thalweg::sys::probe;

use super::INTERRUPTED;
use super::interrupt::Interrupt;
use super::stats::Summary;
use crate::args;
use crate::procfs::{Procfs, kib, readable_bytes};

/// How often a run looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);

/// What the source's splits tell the thread that measures.
#[derive(Debug)]
struct Gauge {
    since: Instant,
    /// Records given by all splits.
    given: AtomicU64,
    /// When the first record was given, in nanoseconds, from 1; 0 before that.
    first: AtomicU64,
    /// The longest time between two looks at a split since this was reset, in nanoseconds.
    gap: AtomicU64,
}

impl Gauge {
    fn new() -> Arc<Gauge> {
        let zero = || AtomicU64::new(0);
        Arc::new(Gauge { since: Instant::now(), given: zero(), first: zero(), gap: zero() })
    }
}

/// Keys to count.
struct Keys {
    keys: u64,
    hot: u64,
    gauge: Arc<Gauge>,
}

/// What one shard reads: its share of all keys, then random ones without end.
struct Share {
    keys: u64,
    hot: u64,
    number: u64,
    shares: u64,
    given: u64,
    /// When it was looked at last.
    looked: Option<Instant>,
    gauge: Arc<Gauge>,
}

impl Source for Keys {
    type Record = u64;
    fn name(&self) -> String {
        "keys".into()
    }
    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let share = |number| {
            let (keys, hot, gauge) = (self.keys, self.hot, self.gauge.clone());
            let shares = shards as u64;
            Box::new(Share { keys, hot, number, shares, given: 0, looked: None, gauge }) as _
        };
        Ok((0..shards as u64).map(share).collect())
    }
}

impl Share {
    fn key(&self, at: u64) -> u64 {
        let own = at * self.shares + self.number;
        if own < self.keys { own } else { mix(own, 0x9e37_79b9_7f4a_7c15) % self.hot }
    }
}

impl Split<u64> for Share {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        let now = Instant::now();
        if let Some(before) = self.looked.replace(now) {
            self.gauge.gap.fetch_max((now - before).as_nanos() as u64, Relaxed);
        } else {
            let first = (now - self.gauge.since).as_nanos() as u64;
            let _ = self.gauge.first.compare_exchange(0, first.max(1), Relaxed, Relaxed);
        }
        let room = feed.room() as u64;
        for at in self.given..self.given + room {
            feed.push(self.key(at))?;
        }
        self.given += room;
        self.gauge.given.fetch_add(room, Relaxed);
        Ok(Progress::Busy)
    }
    fn offset(&self) -> u64 {
        self.given
    }
    fn seek(&mut self, offset: u64) -> Result {
        self.given = offset;
        Ok(())
    }
}

/// What a run gave.
#[derive(Debug)]
struct Run {
    /// Million records a second.
    rate: f64,
    /// How long the shards' turns took.
    turns: Turns,
    gap: Duration,
    anonymous: u64,
}

/// The job.
struct Bench<'a> {
    args: &'a args::Checkpoint,
    interrupt: Interrupt,
    shards: usize,
    directory: &'a Path,
}

impl Bench<'_> {
    fn start(&self, checkpoints: bool) -> anyhow::Result<(Running, Arc<Gauge>)> {
        let gauge = Gauge::new();
        let keys = self.args.keys.get();
        let hot = (keys * u64::from(self.args.hot) / 100).max(1);
        let mut job = Job::new("count").shards(self.shards).executor(self.args.executor.into());
        if checkpoints {
            let every = Duration::from_millis(u64::from(self.args.every.get()));
            job = job.checkpoints(self.directory.join("checkpoints"), every);
        }
        if self.args.on_disk {
            job = job.state_in(self.directory);
        }
        let source = job.source(Keys { keys, hot, gauge: gauge.clone() });
        if self.args.text {
            source
                .key_by(|key| format!("a customer's number: {key:012}"))
                .process_each::<u64, u64>(|count, _, _| *count += 1)
                .sink(Discard);
        } else {
            source
                .key_by(|key| key)
                .process_each::<u64, u64>(|count, _, _| *count += 1)
                .sink(Discard);
        }
        Ok((job.start()?, gauge))
    }

    /// Waits so long; fails when the job ended or somebody wants the program to end.
    fn wait(&self, running: &Running, time: Duration) -> anyhow::Result<()> {
        ensure!(!self.interrupt.came(), "interrupted");
        ensure!(!running.is_finished(), "the job ended by itself");
        sleep(time);
        Ok(())
    }

    /// Lets all keys have state, and then measures.
    fn run(&self, checkpoints: bool) -> anyhow::Result<Run> {
        let (running, gauge) = self.start(checkpoints)?;
        while gauge.given.load(Relaxed) < self.args.keys.get() {
            self.wait(&running, Duration::from_millis(10))?;
        }
        gauge.gap.store(0, Relaxed);
        let turns = running.metrics().turns;
        let (begin, before) = (Instant::now(), gauge.given.load(Relaxed));
        let seconds = Duration::from_secs(u64::from(self.args.seconds.get()));
        while begin.elapsed() < seconds {
            self.wait(&running, seconds.saturating_sub(begin.elapsed()).min(LOOK))?;
        }
        let (took, given) = (begin.elapsed(), gauge.given.load(Relaxed) - before);
        let turns = running.metrics().turns.since(&turns);
        let gap = Duration::from_nanos(gauge.gap.load(Relaxed));
        let anonymous = Procfs::here().field("proc/self/status", "RssAnon");
        let anonymous = anonymous.and_then(|text| kib(&text)).unwrap_or(0);
        running.stop();
        running.join()?;
        Ok(Run { rate: given as f64 / took.as_secs_f64() / 1e6, turns, gap, anonymous })
    }

    /// How long the job takes to its first record when it goes on from its last checkpoint.
    fn go_on(&self) -> anyhow::Result<Duration> {
        let (running, gauge) = self.start(true)?;
        while gauge.first.load(Relaxed) == 0 {
            self.wait(&running, Duration::from_millis(1))?;
        }
        running.stop();
        running.join()?;
        Ok(Duration::from_nanos(gauge.first.load(Relaxed)))
    }
}

/// Measures the job without and with checkpoints, and prints how they compare.
///
/// # Errors
/// When the job fails.
pub fn run(args: &args::Checkpoint) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::on_ctrl_c()?;
    match measure(args, interrupt.clone()) {
        Err(_) if interrupt.came() => {
            eprintln!("thalweg: interrupted: nothing is told, and the folder of state is removed");
            Ok(ExitCode::from(INTERRUPTED))
        }
        measured => measured.map(|()| ExitCode::SUCCESS),
    }
}

fn measure(args: &args::Checkpoint, interrupt: Interrupt) -> anyhow::Result<()> {
    let within = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new().prefix("thalweg-bench-").tempdir_in(&within);
    let directory =
        directory.with_context(|| format!("making a folder in {}", within.display()))?;
    let shards = args.shards.map_or_else(probe::cores, usize::from);
    let bench = Bench { args, interrupt, shards, directory: directory.path() };
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "run",
        "M/s without",
        "M/s with",
        "ratio",
        "turn without",
        "turn with",
        "99.9 %",
        "gap with",
        "checkpoints",
        "kept",
        "RssAnon",
        "first record",
    ]);
    let mut ratios = Vec::new();
    for number in 1..=args.runs.get() {
        eprintln!("run {number} of {} …", args.runs);
        // The other one begins each time.
        let (without, with) = if number % 2 == 1 {
            (bench.run(false)?, bench.run(true)?)
        } else {
            let with = bench.run(true)?;
            (bench.run(false)?, with)
        };
        let state = directory.path().join("checkpoints");
        let kept = StateDirectory::read(&state)?;
        let newest = kept.checkpoints.first().context("no checkpoint was made")?;
        let (epoch, bytes) = (newest.epoch, newest.bytes);
        let first = bench.go_on()?;
        std::fs::remove_dir_all(&state)?;
        ratios.push(with.rate / without.rate);
        table.add_row([
            number.to_string(),
            format!("{:.2}", without.rate),
            format!("{:.2}", with.rate),
            format!("{:.2}", with.rate / without.rate),
            millis(without.turns.longest()),
            millis(with.turns.longest()),
            millis(with.turns.at_quantile(0.999)),
            millis(with.gap),
            epoch.to_string(),
            readable_bytes(bytes),
            readable_bytes(with.anonymous),
            format!("{:.0} ms", first.as_secs_f64() * 1e3),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    print_what(args, shards, &ratios);
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn print_what(args: &args::Checkpoint, shards: usize, ratios: &[f64]) {
    let (best, median) =
        Summary::of(ratios).map_or((f64::NAN, f64::NAN), |all| (all.max, all.median));
    println!(
        "{} keys{} on {shards} shards, {} % of them updated at random, a checkpoint every {} ms, \
         {} s a run. Turn: the longest turn of a shard, whatever the cause, to a quarter; with \
         checkpoints also the length that 99.9 % did not exceed. Gap: the longest time between two \
         looks at a source, which also waits where the other shards have no room. Kept: bytes of \
         the last checkpoint. First record: after the start of a job that goes on from it.\n\
         Best ratio {best:.2}, median {median:.2}.",
        args.keys,
        if args.text { " of text" } else { "" },
        args.hot,
        args.every,
        args.seconds,
    );
    super::print_machine();
}
