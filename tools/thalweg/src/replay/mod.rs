//! `thalweg replay`: a recording, sent again with its own timing or another one.
//!
//! It is an open loop: every record has its own time, which the start fixes, and which nothing that
//! the target does can move. A target that is slow is sent records late, and is told how late.

pub mod args;
mod changed;
mod chart;
mod check;
mod course;
mod drive;
mod out;
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

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use jiff::Timestamp as Now;
use thalweg::connector::log::{none_missing, splits};

use crate::bench::interrupt::Interrupt;
use crate::log::files;
use args::{Form, Framing, Replay};
use check::Fresh;
use outlet::{Address, Outlet};
use report::Report;
use resume::{Position, Resume};
use rows::Rows;
use schedule::Schedule;
use stop::Stop;
use tape::Reel;
use worker::End;

/// The program's exit code when Ctrl-C ended a replay.
const INTERRUPTED: u8 = 130;
/// A POST takes so many records unless something else is asked for.
const BATCH: usize = 1_000;

/// What is replayed, and how.
pub struct Plan {
    args: Replay,
    reel: Reel,
    schedule: Schedule,
    /// Times within records go forward by so many microseconds.
    shift: i64,
    /// What an earlier replay had already had of its time.
    offset: Duration,
    /// How many records are sent at a time at most, where that is not by their bytes alone.
    batch: Option<usize>,
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

    /// A time after the start of the first replay, after that of this one.
    fn since(&self, due: Duration) -> Duration {
        due.saturating_sub(self.offset)
    }
}

/// What is noted of how far it has come, and what was noted before.
type Noted = (Option<Resume>, Option<Position>);

/// Replays logs.
///
/// # Errors
///
/// If a log can't be read, the target is not there, or a report can't be written.
pub fn run(args: &Replay) -> anyhow::Result<ExitCode> {
    check::check(args)?;
    let stop = Arc::new(Stop::on(Interrupt::on_ctrl_c()?));
    let mut args = args.clone();
    if matches!(args.to, Address::Log(_) | Address::Job(_)) {
        // Records go as they lie.
        (args.sending.format, args.sending.framing) = (Form::Raw, Framing::None);
    }
    // As long as nothing was sent, nothing is left behind.
    let fresh = Fresh::reports(&args.telling.report)?;
    let (plan, (resume, before)) = planned(args)?;
    if let Some(doubt) = plan.reel.doubt() {
        stop.note(&doubt);
    }
    let ready = match connect(&plan, &stop, before.is_some()) {
        Err(error) if stop.is_asked() => {
            eprintln!("thalweg: {error:#}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        ready => ready?,
    };
    if let Some(resume) = &resume {
        let nothing = vec![0; ready.len()];
        let begin = || Position { passed: nothing, shift: plan.shift, ..Position::default() };
        resume.write(before.clone().unwrap_or_else(begin))?;
    }
    fresh.stay();
    let report = drive::send(&plan, ready, &stop, resume.as_ref(), before.as_ref());
    Ok(told(&plan, &report))
}

/// Tells how it went, and gives the exit code.
fn told(plan: &Plan, report: &Report) -> ExitCode {
    let missing = report.tell(plan);
    for error in &missing {
        eprintln!("thalweg: {error:#}");
    }
    let holds = plan.args.telling.fail_if.iter().filter(|what| what.holds(&report.sum));
    let failed: Vec<String> = holds.map(ToString::to_string).collect();
    if !failed.is_empty() {
        eprintln!("thalweg: failed: {}", failed.join(", "));
    }
    match &report.end {
        End::Failed(cause) => {
            eprintln!("thalweg: {cause}");
            ExitCode::FAILURE
        }
        End::Stopped => ExitCode::from(INTERRUPTED),
        End::All | End::Limit | End::Duration => {
            if report.sum.unsent > 0 {
                eprintln!("thalweg: {} records could not be sent", report.sum.unsent);
            }
            let has_failed = report.sum.unsent > 0 || !failed.is_empty() || !missing.is_empty();
            ExitCode::from(u8::from(has_failed))
        }
    }
}

/// Looks at what there is to be replayed, and how far it has come.
fn planned(args: Replay) -> anyhow::Result<(Plan, Noted)> {
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
            let (resume, before) = Resume::open(path, check::what(&args))?;
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
    let asked = args.sending.batch.map_or(BATCH, |records| records.get() as usize);
    let batch = matches!(args.to, Address::Http(_)).then_some(asked);
    Ok((Plan { args, reel, schedule, shift, offset, batch }, (resume, before)))
}

/// What a connection needs.
type Ready = (Rows, Box<dyn Outlet>);

/// All connections, which are there before the first record is due.
fn connect(plan: &Plan, stop: &Arc<Stop>, go_on: bool) -> anyhow::Result<Vec<Ready>> {
    let Replay { to, sending, change, .. } = &plan.args;
    let one = |_| -> anyhow::Result<Ready> {
        let mut rows = Rows::new(&plan.reel.shape, sending, change)?;
        let header = match sending.no_header {
            true => Vec::new(),
            false => rows.header(matches!(to, Address::Udp(_))),
        };
        let outlet = outlet::connect(to, &plan.reel, sending, header, go_on, stop)?;
        Ok((rows, outlet))
    };
    (0..sending.connections.get()).map(one).collect()
}
