//! All connections together: from their start to the report.

use std::iter::zip;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use jiff::Timestamp as Now;

use super::out::Out;
use super::patience::Patience;
use super::report::{self, Report};
use super::resume::{Position, Resume};
use super::stop::Stop;
use super::tally::{Lateness, Sum};
use super::worker::{Desk, End, Worker};
use super::{Plan, Ready};

/// How often it is told how a replay goes.
const TELL: Duration = Duration::from_millis(100);
/// The start is so much later than the moment at which all connections are ready: they wake up
/// meanwhile.
const LEAD: Duration = Duration::from_millis(1);

/// A connection's thread.
type Running<'a> = ScopedJoinHandle<'a, End>;

/// Sends all, and says how it went.
pub fn send(
    plan: &Plan,
    ready: Vec<Ready>,
    stop: &Arc<Stop>,
    resume: Option<&Resume>,
    before: Option<&Position>,
) -> Report {
    let desks: Vec<Arc<Desk>> = ready.iter().map(|_| Arc::default()).collect();
    let mut sum = Sum::new(Duration::ZERO);
    // The clock runs when all have read as far as where they begin.
    let (gate, (opened, all_opened)) = (OnceLock::new(), channel());
    let (ends, mut log) = scope(|threads| {
        let run = |(number, ((rows, outlet), desk)): (u64, (Ready, &Arc<Desk>))| {
            let of = |all: &Position| {
                let held = all.held.get(number as usize).cloned().unwrap_or_default();
                (all.passed.get(number as usize).copied().unwrap_or(0), held)
            };
            let (passed, held) = before.map(of).unwrap_or_default();
            {
                let mut tally = desk.look();
                (tally.passed, tally.held) = (passed, held.clone());
            }
            let (desk, stop, out, start) =
                (desk.clone(), stop.clone(), Out::default(), Instant::now());
            let worker =
                Worker { number, plan, rows, outlet, desk, stop, start, passed, held, out };
            let (opened, gate) = (opened.clone(), &gate);
            let thread = Builder::new().name(format!("replay-{number}"));
            thread.spawn_scoped(threads, move || worker.run(opened, gate))
        };
        let running: Result<Vec<_>, _> = (0..).zip(zip(ready, &desks)).map(run).collect();
        drop(opened);
        if running.is_err() {
            stop.all();
        }
        // Nobody sends anything: it ends when all are ready.
        all_opened.iter().for_each(|()| {});
        let began = Now::now();
        let start = *gate.get_or_init(|| Instant::now() + LEAD);
        stop.moves();
        let mut log = report::HdrLog::new(began);
        let ends = match running {
            Err(error) => vec![End::Failed(format!("a thread can't be started: {error}"))],
            Ok(running) => {
                watch(&running, &desks, (plan, stop), resume, (&mut sum, &mut log), start);
                let panicked = |_| End::Failed("a connection's thread panicked".into());
                running.into_iter().map(|one| one.join().unwrap_or_else(panicked)).collect()
            }
        };
        (ends, log)
    });
    take(&desks, u64::MAX, (&mut sum, &mut log));
    sum.elapsed = desks.iter().map(|desk| desk.look().last).max().unwrap_or_default();
    let mut end = worst(ends);
    let done = !matches!(end, End::Stopped | End::Failed(_));
    if let Err(error) = note(plan, resume, &desks, sum.elapsed, done) {
        let cause = format!("{error:#}");
        match end {
            // It may be what has ended it.
            End::Failed(ref told) if *told == cause => {}
            End::Failed(_) => stop.note(&cause),
            End::All | End::Limit | End::Duration | End::Stopped => end = End::Failed(cause),
        }
    }
    Report { began: log.began, sum, log, end, notes: stop.notes(), stop: stop.clone() }
}

/// Tells how it goes, and takes up what is counted, until all connections have ended.
fn watch(
    running: &[Running<'_>],
    desks: &[Arc<Desk>],
    (plan, stop): (&Plan, &Stop),
    resume: Option<&Resume>,
    (sum, log): (&mut Sum, &mut report::HdrLog),
    start: Instant,
) {
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
            && let Some(cause) = patience.ends(start.elapsed(), still)
        {
            stop.give_up(cause);
        }
        // By then everybody has counted what belongs to the second.
        let now = start.elapsed().saturating_sub(TELL).as_secs();
        if now > second {
            take(desks, now, (sum, log));
            second = now;
            if let Err(error) = note(plan, resume, desks, start.elapsed(), false) {
                stop.give_up(format!("{error:#}"));
            }
        }
    }
    progress.end();
}

/// Takes up what all connections have counted, of seconds only those before `before`.
fn take(desks: &[Arc<Desk>], before: u64, (sum, log): (&mut Sum, &mut report::HdrLog)) {
    let mut late = Lateness::new();
    for desk in desks {
        sum.take(before, &mut desk.look(), &mut late);
    }
    for (second, late) in &late {
        sum.were_late(*second, late);
        log.add(*second, late);
    }
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
    let far = |desk: &Arc<Desk>| {
        let tally = desk.look();
        (tally.passed, tally.held.clone())
    };
    let (passed, held) = desks.iter().map(far).unzip();
    let due = (plan.offset + elapsed).as_secs_f64();
    let what = String::new();
    resume.write(Position { what, due, passed, held, shift: plan.shift, done })
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
