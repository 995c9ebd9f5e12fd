//! `thalweg replay`: a recording, sent again with its own timing or another one.
//!
//! It is an open loop: every record has its own time, which the start fixes, and which nothing that
//! the target does can move. A target that is slow is sent records late, and is told how late.

pub mod args;
mod changed;
mod chart;
mod course;
mod outlet;
mod patience;
mod report;
mod resume;
mod rows;
mod schedule;
mod stop;
mod tally;
mod tape;
mod threshold;
mod worker;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp as Now;
use thalweg::connector::log::{none_missing, splits};

use crate::bench::interrupt::Interrupt;
use crate::log::files;
use args::{Form, Framing, Replay};
use outlet::{Address, Outlet};
use patience::Patience;
use report::Report;
use resume::{Position, Resume};
use rows::Rows;
use schedule::Schedule;
use stop::Stop;
use tally::{Sum, histogram};
use tape::Reel;
use worker::{Desk, End, Out, Worker};

/// The program's exit code when Ctrl-C ended a replay.
const INTERRUPTED: u8 = 130;
/// How often it is told how a replay goes.
const TELL: Duration = Duration::from_millis(100);

/// What is replayed, and how.
pub struct Plan {
    args: Replay,
    reel: Reel,
    schedule: Schedule,
    /// Times within records go forward by so many microseconds.
    shift: i64,
    /// What an earlier replay had already had of its time.
    offset: Duration,
    /// Whether records are sent several at a time at most.
    has_batches: bool,
}

impl Plan {
    fn seed(&self) -> u64 {
        self.args.timing.seed
    }

    /// By how much records may go later than they are due.
    fn moved(&self) -> Duration {
        self.args.timing.jitter.or(self.args.timing.disorder).unwrap_or_default()
    }

    /// Whether records are due at times.
    fn is_paced(&self) -> bool {
        !matches!(self.schedule, Schedule::Max)
    }
}

/// Replays logs.
///
/// # Errors
///
/// If a log can't be read, the target is not there, or a report can't be written.
pub fn run(args: &Replay) -> anyhow::Result<ExitCode> {
    check(args)?;
    let stop = Arc::new(Stop::on(Interrupt::on_ctrl_c()?));
    let mut args = args.clone();
    if matches!(args.to, Address::Log(_) | Address::Job(_)) {
        // Records go as they lie.
        (args.sending.format, args.sending.framing) = (Form::Raw, Framing::None);
    }
    let files = files(&args.files)?;
    if let Address::File(to) = &args.to {
        let same = |path: &PathBuf| path.canonicalize().ok() == to.canonicalize().ok();
        let own = to.exists() && files.iter().any(same);
        ensure!(!own, "{} is what is replayed; name another file", to.display());
    }
    let splits = splits(files);
    none_missing(&splits)?;
    let reel = Reel::open(splits, args.timing.by, &args.choice)?;
    let schedule = Schedule::new(&args.timing, reel.first.0)?;
    let (resume, before) = match &args.sending.resume {
        Some(path) => {
            let (resume, before) = Resume::open(path, what(&args))?;
            (Some(resume), before)
        }
        None => (None, None),
    };
    let shift = if let Some(before) = &before {
        before.shift
    } else if args.change.shift_to_now {
        ensure!(reel.first.1.micros() != i64::MIN, "--shift-to-now: the log has no event times");
        Now::now().as_microsecond().saturating_sub(reel.first.1.micros())
    } else {
        0
    };
    let offset = Duration::from_secs_f64(before.as_ref().map_or(0.0, |before| before.due));
    let has_batches = matches!(args.to, Address::Http(_));
    let plan = Plan { args, reel, schedule, shift, offset, has_batches };
    let ready = match connect(&plan, &stop, before.is_some()) {
        Err(error) if stop.is_asked() => {
            eprintln!("thalweg: {error:#}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        ready => ready?,
    };
    let report = send(&plan, ready, &stop, resume.as_ref(), before.as_ref())?;
    report.tell(&plan)?;
    let failed: Vec<String> = plan
        .args
        .telling
        .fail_if
        .iter()
        .filter(|threshold| threshold.holds(&report.sum))
        .map(ToString::to_string)
        .collect();
    if !failed.is_empty() {
        eprintln!("thalweg: failed: {}", failed.join(", "));
    }
    Ok(match &report.end {
        End::Failed(cause) => {
            eprintln!("thalweg: {cause}");
            ExitCode::FAILURE
        }
        End::Stopped => ExitCode::from(INTERRUPTED),
        _ if !failed.is_empty() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// What does not go together.
fn check(args: &Replay) -> anyhow::Result<()> {
    let (sending, timing) = (&args.sending, &args.timing);
    let one =
        matches!(args.to, Address::File(_) | Address::Job(_) | Address::Log(_) | Address::Stdout);
    ensure!(!one || sending.connections == 1, "{} has one connection only", args.to);
    for path in &args.telling.report {
        let opened = File::options().append(true).create(true).open(path);
        opened.with_context(|| format!("cannot write the report {}", path.display()))?;
    }
    let again = matches!(args.to, Address::Job(_) | Address::Log(_));
    ensure!(!again || sending.resume.is_none(), "{} can't be gone on with by --resume", args.to);
    let max = timing.speed == Some(args::Speed::Max);
    let moved = timing.jitter.is_some() || timing.disorder.is_some();
    ensure!(!(max && moved), "with --speed max no record has a time that it could be moved from");
    let datagrams = matches!(args.to, Address::Udp(_));
    ensure!(
        !datagrams || sending.framing != Framing::Length,
        "a datagram has a length already; leave --framing length out"
    );
    Ok(())
}

/// What a replay is, in words: one that goes on with another must be the same.
fn what(args: &Replay) -> String {
    let Replay { files, to, timing, choice, change, sending, .. } = args;
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    format!(
        "{} to {to}; {timing:?}; {choice:?}; {change:?}; {:?} {:?} {}",
        files.join(" "),
        sending.format,
        sending.framing,
        sending.connections
    )
}

/// What a connection needs.
type Ready = (Rows, Box<dyn Outlet>);

/// All connections, which are there before the first record is due.
fn connect(plan: &Plan, stop: &Arc<Stop>, go_on: bool) -> anyhow::Result<Vec<Ready>> {
    let Replay { to, sending, change, .. } = &plan.args;
    let one = |_| -> anyhow::Result<Ready> {
        let mut rows = Rows::new(&plan.reel.shape, sending, change)?;
        let outlet = outlet::connect(to, &plan.reel, sending, rows.header(), go_on, stop)?;
        Ok((rows, outlet))
    };
    (0..sending.connections).map(one).collect()
}

/// Sends all, and says how it went.
fn send(
    plan: &Plan,
    ready: Vec<Ready>,
    stop: &Arc<Stop>,
    resume: Option<&Resume>,
    before: Option<&Position>,
) -> anyhow::Result<Report> {
    let desks: Vec<Arc<Desk>> = ready.iter().map(|_| Arc::default()).collect();
    let (began, start) = (Now::now(), Instant::now());
    let mut sum = Sum::new(Duration::ZERO);
    let mut log = report::HdrLog::new(began);
    let ends = scope(|threads| {
        let run = |((number, (rows, outlet)), desk): ((u64, Ready), &Arc<Desk>)| {
            let passed = before.and_then(|before| before.passed.get(number as usize));
            let (passed, desk, stop) = (passed.copied().unwrap_or(0), desk.clone(), stop.clone());
            desk.look().passed = passed;
            let out = Out::default();
            let worker = Worker { number, plan, rows, outlet, desk, stop, start, passed, out };
            let thread = Builder::new().name(format!("replay-{number}"));
            let spawned = thread.spawn_scoped(threads, move || worker.run());
            spawned.context("cannot start a thread for a connection")
        };
        let running = (0..).zip(ready).zip(&desks).map(run).collect::<anyhow::Result<Vec<_>>>();
        let ended = running.and_then(|running| {
            watch(&running, &desks, (plan, stop), resume, (&mut sum, &mut log), start)?;
            let panicked = |_| anyhow::bail!("a connection's thread panicked");
            running.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        if ended.is_err() {
            stop.all();
        }
        ended
    });
    let ends: Vec<End> = ends?;
    sum.elapsed = desks.iter().map(|desk| desk.look().last).max().unwrap_or_default();
    let end = worst(ends);
    let done = !matches!(end, End::Stopped | End::Failed(_));
    note(plan, resume, &desks, sum.elapsed, done)?;
    Ok(Report { began, sum, log, end, notes: stop.notes() })
}

/// A connection's thread.
type Running<'a> = ScopedJoinHandle<'a, anyhow::Result<End>>;

/// Tells how it goes, and takes up what is counted, until all connections have ended.
fn watch(
    running: &[Running<'_>],
    desks: &[Arc<Desk>],
    (plan, stop): (&Plan, &Stop),
    resume: Option<&Resume>,
    (sum, log): (&mut Sum, &mut report::HdrLog),
    start: Instant,
) -> anyhow::Result<()> {
    let progress = report::Progress::new(plan);
    let mut patience = Patience::new(plan);
    let mut second = 0;
    while !running.iter().all(ScopedJoinHandle::is_finished) {
        sleep(TELL);
        progress.tell(desks, sum, start.elapsed());
        let mut own = running.iter().zip(desks).filter(|(thread, _)| !thread.is_finished());
        let is_behind = own.all(|(_, desk)| desk.look().next.is_some());
        let still = is_behind.then(|| stop.still());
        if !stop.is_asked()
            && let Some(cause) = patience.ends(start.elapsed(), still)?
        {
            stop.give_up(cause);
        }
        let now = start.elapsed().as_secs();
        if now > second {
            take(desks, second, sum, log);
            second = now;
            note(plan, resume, desks, start.elapsed(), false)?;
        }
    }
    progress.end();
    take(desks, start.elapsed().as_secs().max(second), sum, log);
    Ok(())
}

/// Takes up what all connections have counted in a second.
fn take(desks: &[Arc<Desk>], second: u64, sum: &mut Sum, log: &mut report::HdrLog) {
    let mut together = histogram();
    for desk in desks {
        sum.take(second, &mut desk.look(), &mut together);
    }
    sum.were_late(second, &together);
    log.add(second, &together);
}

/// Notes how far it has come.
fn note(
    plan: &Plan,
    resume: Option<&Resume>,
    desks: &[Arc<Desk>],
    elapsed: Duration,
    done: bool,
) -> anyhow::Result<()> {
    let Some(resume) = resume else { return Ok(()) };
    let passed = desks.iter().map(|desk| desk.look().passed).collect();
    let due = (plan.offset + elapsed).as_secs_f64();
    resume.write(Position { what: String::new(), due, passed, shift: plan.shift, done })
}

/// The end that is told of those of all connections.
fn worst(ends: Vec<End>) -> End {
    let rank = |end: &End| match end {
        End::Failed(_) => 4,
        End::Stopped => 3,
        End::Limit => 2,
        End::Duration => 1,
        End::All => 0,
    };
    ends.into_iter().max_by_key(rank).unwrap_or(End::All)
}
