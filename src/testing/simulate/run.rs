//! One run: a job from its first start to its end, by the dice of one seed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::machine::{Faults, Machine};
use super::play::Acts;
use super::{OUT, Survived};
use crate::api::Job;
use crate::error::Error;
use crate::runtime::{Coordinated, Executor, Simulated, Turn};
use crate::sys::world::{World, enter};
use crate::testing::Cuts;
use crate::time::Units;

/// Where checkpoints are kept: in no directory whose names sinks sync.
const STATE: &str = "kept/state";
/// Where those of the job before are.
const STATE_BEFORE: &str = "kept/before";
/// A job is started at most so often with something that goes wrong.
const STARTS_MAX: u32 = 6;
/// A job that takes more turns than this hangs.
const TURNS_MAX: u64 = 1_000_000;
/// Something goes wrong within so many turns, calls that change the disk, reads, or renamings.
const SOON_TURNS: u64 = 400;
const SOON_CALLS: u64 = 60;
const SOON_READS: u64 = 80;
const SOON_RENAMES: u64 = 20;

/// A turn with work takes up to so many microseconds: mostly, and where closures are slow, so that
/// sources give few records a turn.
const WORK_US: [u64; 4] = [20, 20, 20, 25_000];

/// How long splits are silent before they are idle, where they may be.
const SILENCES: [Duration; 3] =
    [Duration::from_micros(30), Duration::from_micros(300), Duration::from_millis(3)];

/// Much time passes at one turn in so many: the machine slept.
const JUMPS_EVERY: u32 = 1_000;
const JUMPS: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(40), Duration::from_secs(36_000)];

/// The clock is set at one turn in so many of the first ones, and by a machine that is switched on:
/// by seconds, by hours, by decades, or to what a clock without a battery shows. What waits for a
/// time then waits for good.
const SETS_EVERY: u32 = 200;
const SETS_UNTIL: u64 = 3_000;
const SETS: [fn(Duration) -> Duration; 6] = [
    |now| now.saturating_sub(Duration::from_secs(2)),
    |now| now.saturating_sub(Duration::from_secs(36_000)),
    |now| now.saturating_sub(DECADES),
    |_| Duration::ZERO,
    |now| now + Duration::from_secs(36_000),
    |now| now + DECADES,
];
const DECADES: Duration = Duration::from_secs(600_000_000);

/// Turns without work of each shard after which a job is at rest. In one turn without work a source
/// may still say that a split is idle.
const RESTS: [u32; 3] = [2, 4, 8];

/// How a start ended.
enum End {
    /// The job came to its end.
    Complete,
    /// The power failed, or the process was killed.
    Cut,
    /// The job failed.
    Failed(Error),
}

/// How jobs are run, and what they must give.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The rows, in order.
    pub expected: &'a [String],
    /// Files that are there from the beginning.
    pub inputs: &'a [(PathBuf, Vec<u8>)],
    /// A job that comes to its end before, and shows nothing.
    pub before: Option<&'a dyn Fn(&Job, Cuts)>,
    /// On so many shards, one of these numbers at each start.
    pub shards: &'a [usize],
    /// Whether splits may be idle.
    pub idles: bool,
    /// Where the state of tables may be, instead of in memory, in a file without a name. It is on
    /// the real machine: what it holds is gone with the process, so there is nothing of it to lose.
    pub state_in: Option<&'a Path>,
}

impl<'a> Trial<'a> {
    /// Jobs that must give these rows, in order, whose splits are never idle.
    pub fn of(expected: &'a [String], shards: &'a [usize]) -> Trial<'a> {
        Trial { expected, inputs: &[], before: None, shards, idles: false, state_in: None }
    }
}

struct Run<'a, B> {
    dice: SmallRng,
    machine: Rc<Machine>,
    build: &'a B,
    trial: Trial<'a>,
    state: &'static str,
    survived: Survived,
}

/// Runs a job under one seed.
///
/// # Errors
/// What was not right.
pub fn run<B: Fn(&Job, Cuts, &Arc<Acts>)>(
    seed: u64,
    trial: Trial<'_>,
    build: &B,
) -> Result<Survived, String> {
    run_on(&Rc::new(Machine::new(seed ^ 0x5eed)), seed, trial, build)
}

/// Runs a job under one seed, on this machine, and before it the one that comes before.
fn run_on<B: Fn(&Job, Cuts, &Arc<Acts>)>(
    machine: &Rc<Machine>,
    seed: u64,
    trial: Trial<'_>,
    build: &B,
) -> Result<Survived, String> {
    let _stay = enter(machine.clone());
    trial.inputs.iter().for_each(|(path, bytes)| machine.put(path, bytes.clone()));
    let mut survived = Survived::default();
    if let Some(before) = trial.before {
        let trial = Trial { expected: &[], ..trial };
        let build = |job: &Job, cuts: Cuts, _: &Arc<Acts>| before(job, cuts);
        survived += run_one(machine, !seed, trial, STATE_BEFORE, &build)
            .map_err(|what| format!("in the job before: {what}"))?;
    }
    survived += run_one(machine, seed, trial, STATE, build)?;
    survived.runs = 1;
    Ok(survived + machine.survived())
}

/// Runs a job from its first start to its end.
fn run_one<B: Fn(&Job, Cuts, &Arc<Acts>)>(
    machine: &Rc<Machine>,
    seed: u64,
    trial: Trial<'_>,
    state: &'static str,
    build: &B,
) -> Result<Survived, String> {
    let (dice, survived) = (SmallRng::seed_from_u64(seed), Survived::default());
    let mut run = Run { dice, machine: machine.clone(), build, trial, state, survived };
    run.finish()?;
    run.stays_ended()?;
    let rows = run.machine.rows();
    if rows != trial.expected {
        return Err(difference(&rows, trial.expected));
    }
    Ok(run.survived)
}

impl<B: Fn(&Job, Cuts, &Arc<Acts>)> Run<'_, B> {
    fn finish(&mut self) -> Result<(), String> {
        let faulty = self.dice.gen_range(0..=STARTS_MAX);
        for start in 0..=faulty {
            let (faults, cut_at) = if start < faulty { self.faults() } else { Default::default() };
            self.machine.arm(faults);
            let end = self.start(cut_at)?;
            match end {
                End::Complete => return Ok(()),
                End::Failed(error) if !self.machine.is_harmed() => {
                    return Err(format!("nothing went wrong, and the job failed: {error}"));
                }
                End::Cut | End::Failed(_) => {}
            }
            self.survived.restarts += 1;
            if self.dice.gen_bool(0.5) {
                self.survived.crashes += 1;
                self.machine.crash();
            } else {
                self.survived.kills += 1;
                self.machine.end_process();
            }
            if self.dice.gen_ratio(1, 3) {
                self.set_clock();
            }
            self.shows_nothing_wrong()?;
        }
        Err("the job had come to no end when nothing more went wrong".into())
    }

    fn set_clock(&mut self) {
        self.machine.set_clock(SETS[self.dice.gen_range(0..SETS.len())]);
    }

    /// What shows while the job is not done is some of its rows, none of them twice.
    fn shows_nothing_wrong(&self) -> Result<(), String> {
        let mut left = self.trial.expected.iter();
        match self.machine.rows().into_iter().find(|row| !left.any(|other| other == row)) {
            Some(row) => Err(format!("after start {} it shows {row}", self.survived.restarts)),
            None => Ok(()),
        }
    }

    /// What has ended has ended for good, and leaves no file that is not shown.
    fn stays_ended(&mut self) -> Result<(), String> {
        self.machine.arm(Faults::default());
        if self.dice.gen_bool(0.5) {
            self.machine.crash();
        }
        let again = self.job(2, Cuts::Single, &Arc::default());
        if again.map_err(|error| format!("it had ended, and does not start: {error}"))?.is_some() {
            return Err("it begins again although it had ended".into());
        }
        let files = self.machine.list(Path::new(OUT)).unwrap_or_default();
        match files.iter().find(|path| path.extension() == Some(OsStr::new("pending"))) {
            Some(path) => Err(format!("{} is left over", path.display())),
            None => Ok(()),
        }
    }

    /// What is to go wrong, and at which turn the process is gone.
    fn faults(&mut self) -> (Faults, Option<u64>) {
        let mut faults = Faults::default();
        let (calls, dice) = (SOON_CALLS, &mut self.dice);
        match dice.gen_range(0..10) {
            0..=2 => return (faults, Some(dice.gen_range(0..SOON_TURNS))),
            3..=5 => faults.off_at = Some(dice.gen_range(1..calls)),
            6 => faults.sync_fails_at = Some(dice.gen_range(1..calls / 3)),
            7 => faults.rename_unsynced_at = Some(dice.gen_range(1..SOON_RENAMES)),
            8 => faults.read_fails_at = Some(dice.gen_range(1..SOON_READS)),
            _ => faults.room = Some(dice.gen_range(0..20_000)),
        }
        (faults, None)
    }

    /// Starts the job and lets it run.
    fn start(&mut self, cut_at: Option<u64>) -> Result<End, String> {
        let shards = self.trial.shards[self.dice.gen_range(0..self.trial.shards.len())];
        let cuts =
            if self.dice.gen_bool(0.3) { Cuts::Single } else { Cuts::Small(self.dice.r#gen()) };
        let acts = Arc::default();
        match self.job(shards, cuts, &acts) {
            Ok(Some(mut job)) => {
                let end = self.go(&mut job, &acts, cut_at);
                if matches!(end, Ok(End::Cut)) {
                    self.machine.halt();
                }
                end
            }
            // It had come to its end, and nobody had heard of it.
            Ok(None) => Ok(End::Complete),
            Err(_) if self.machine.is_off() => Ok(End::Cut),
            Err(error) => Ok(End::Failed(error)),
        }
    }

    fn job(
        &mut self,
        shards: usize,
        cuts: Cuts,
        acts: &Arc<Acts>,
    ) -> Result<Option<Simulated>, Error> {
        let job = Job::new("simulated").shards(shards).executor(Executor::Threads);
        let silence = self.dice.gen_range(0..SILENCES.len());
        let silence = if self.trial.idles { SILENCES[silence] } else { Duration::MAX };
        let mut job = job.checkpoints(self.state, 1.days()).idle_after(silence);
        let on_disk = self.dice.gen_ratio(1, 4);
        if let Some(directory) = self.trial.state_in.filter(|_| on_disk) {
            // What is not in use has no place in memory.
            job = job.state_in(directory).state_memory(0);
        }
        (self.build)(&job, cuts, acts);
        job.simulated()
    }

    fn go(&mut self, job: &mut Simulated, acts: &Acts, cut_at: Option<u64>) -> Result<End, String> {
        let shards = job.shards();
        acts.show(self.machine.rows().len());
        let mut rest = Rest::new(shards, RESTS[self.dice.gen_range(0..RESTS.len())]);
        // Until which turn each shard, and the coordinator, has none.
        let mut stalled = vec![0; shards + 1];
        let mut over = vec![false; shards];
        // How often the coordinator may begin: often in some runs, hardly ever in others.
        let often = if self.trial.idles { [20, 60, 200] } else { [2, 10, 60] };
        let often = often[self.dice.gen_range(0..often.len())];
        let work_us = WORK_US[self.dice.gen_range(0..WORK_US.len())];
        for turn in 0..TURNS_MAX {
            if cut_at == Some(turn) || self.machine.is_off() {
                return Ok(End::Cut);
            }
            if self.dice.gen_ratio(1, JUMPS_EVERY) {
                self.survived.jumps += 1;
                self.machine.pass(JUMPS[self.dice.gen_range(0..JUMPS.len())]);
            }
            if turn < SETS_UNTIL && self.dice.gen_ratio(1, SETS_EVERY) {
                self.set_clock();
            }
            let who = self.dice.gen_range(0..=shards);
            if self.dice.gen_ratio(1, 200) {
                stalled[who] = turn + self.dice.gen_range(1..500);
                self.survived.stalls += 1;
            }
            if stalled[who] > turn || over.get(who) == Some(&true) {
                continue;
            }
            let done = if who == shards {
                let may = self.dice.gen_ratio(1, often);
                job.coordinate(may).map(|did| {
                    self.survived.checkpoints += u64::from(did == Coordinated::Made);
                    rest.did(did);
                    if did == Coordinated::Made {
                        acts.show(self.machine.rows().len());
                    }
                })
            } else {
                self.survived.turns += 1;
                job.turn(who).map(|turn| {
                    rest.took(who, turn);
                    self.took(turn, work_us, &mut over[who]);
                })
            };
            if rest.is_there() {
                acts.rest();
            }
            match done {
                Err(_) if self.machine.is_off() => return Ok(End::Cut),
                Err(error) => return Ok(End::Failed(error)),
                Ok(()) if over.iter().all(|over| *over) => return Ok(End::Complete),
                Ok(()) => {}
            }
        }
        Err(format!("the job has come to no end after {TURNS_MAX} turns"))
    }

    fn took(&mut self, turn: Turn, work_us: u64, over: &mut bool) {
        let most_us = match turn {
            Turn::Done => return *over = true,
            Turn::Sleep(nap) => return self.machine.pass(nap.min(Duration::from_millis(1))),
            Turn::Again => work_us,
            Turn::Spin | Turn::Yield => WORK_US[0],
        };
        self.machine.pass(Duration::from_micros(self.dice.gen_range(1..most_us)));
    }
}

/// Whether a job has nothing more to do until something comes from outside.
struct Rest {
    /// The turns of each shard since one of them had something to do.
    idle: Vec<u32>,
    /// How many there must be of each.
    enough: u32,
    /// Whether a checkpoint is being made.
    saves: bool,
}

impl Rest {
    fn new(shards: usize, enough: u32) -> Rest {
        Rest { idle: vec![0; shards], enough, saves: false }
    }

    fn took(&mut self, shard: usize, turn: Turn) {
        match turn {
            Turn::Again => self.idle.fill(0),
            Turn::Spin | Turn::Yield | Turn::Sleep(_) => self.idle[shard] += 1,
            // Then all shards are done.
            Turn::Done => {}
        }
    }

    fn did(&mut self, did: Coordinated) {
        match did {
            Coordinated::Nothing => {}
            Coordinated::Something => self.saves = true,
            Coordinated::Made => self.saves = false,
        }
    }

    /// Whether it is there now, once.
    fn is_there(&mut self) -> bool {
        let there = !self.saves && self.idle.iter().all(|idle| *idle >= self.enough);
        if there {
            self.idle.fill(0);
        }
        there
    }
}

impl Machine {
    /// The rows that show, in their order.
    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        let shows = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-"))
        };
        for path in self.list(Path::new(OUT)).unwrap_or_default().iter().filter(shows) {
            rows.extend(String::from_utf8_lossy(&self.bytes(path)).lines().map(str::to_owned));
        }
        rows.sort_unstable();
        rows
    }
}

/// Some of the rows that are there too often, and too seldom.
fn difference(rows: &[String], expected: &[String]) -> String {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    expected.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let some = |of: fn(i64) -> bool| {
        let all: Vec<_> = counts.iter().filter(|(_, count)| of(**count)).collect();
        let shown: Vec<_> = all.iter().take(3).map(|(row, _)| **row).collect();
        format!("{} ({})", all.len(), shown.join("; "))
    };
    let (more, fewer) = (some(|count| count > 0), some(|count| count < 0));
    format!("of {} rows, too many: {more}; missing: {fewer}", expected.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Files;
    use crate::testing::Scheduled;

    /// Some numbers, and the lines of them in order.
    fn numbers() -> (Arc<Vec<u64>>, Vec<String>) {
        let numbers: Arc<Vec<u64>> = Arc::new((0..200).collect());
        let mut expected: Vec<String> = numbers.iter().map(u64::to_string).collect();
        expected.sort_unstable();
        (numbers, expected)
    }

    fn trial(expected: &[String]) -> Trial<'_> {
        Trial::of(expected, &[1, 2, 3, 4])
    }

    /// How many of some seeds go wrong on a disk that lies so.
    fn found(of_files: bool, of_names: bool) -> usize {
        let (numbers, expected) = numbers();
        let build = |job: &Job, cuts: Cuts, _: &Arc<Acts>| {
            job.source(Scheduled::new(numbers.clone(), 3, cuts)).sink(Files::to_lines(OUT));
        };
        let run = |seed: &u64| {
            let machine = Rc::new(Machine::new(*seed));
            machine.lie(of_files, of_names);
            run_on(&machine, *seed, trial(&expected), &build).is_err()
        };
        (0..200).filter(run).count()
    }

    #[test]
    fn a_seed_does_the_same_each_time() {
        let (numbers, expected) = numbers();
        let build = |job: &Job, cuts: Cuts, _: &Arc<Acts>| {
            job.source(Scheduled::new(numbers.clone(), 3, cuts))
                .key_by(|n| n % 50)
                .aggregate_running(|numbers| numbers.count())
                .map(|(n, count)| (n + (count - 1) * 50).to_string())
                .sink(Files::to_lines(OUT));
        };
        let digest = |seed: u64| {
            let machine = Rc::new(Machine::new(seed));
            run_on(&machine, seed, trial(&expected), &build).unwrap();
            machine.digest()
        };
        let digests: Vec<u32> = (0..50).map(digest).collect();
        assert!((0..50).map(digest).eq(digests.iter().copied()));
        assert!(digests.iter().collect::<std::collections::BTreeSet<_>>().len() > 45);
    }

    /// The sync behind a renaming fails, that of a manifest or of a file that is to show; the power
    /// fails as well or not; the job goes on, the power fails, and it goes on to its end. Says
    /// whether it was a manifest's; none when there are not so many renamings.
    fn unsynced(seed: u64, renaming: u64, build: &impl Fn(&Job, Cuts, &Arc<Acts>)) -> Option<bool> {
        let (_, expected) = numbers();
        let machine = Rc::new(Machine::new(seed));
        let _stay = enter(machine.clone());
        let (dice, survived) = (SmallRng::seed_from_u64(seed), Survived::default());
        let (trial, state) = (trial(&expected), STATE);
        let mut run = Run { dice, machine: machine.clone(), build, trial, state, survived };
        machine.arm(Faults { rename_unsynced_at: Some(renaming), ..Faults::default() });
        let End::Failed(error) = run.start(None).unwrap() else { return None };
        let of_manifest = error.to_string().contains("writing kept/state: input/output error");
        assert!(of_manifest || error.to_string().contains("writing out/part-"), "{error}");
        let shown = machine.rows();
        if seed.is_multiple_of(2) {
            machine.crash()
        } else {
            machine.end_process()
        }
        // Of a checkpoint that may not be there any more nothing has been shown.
        assert!(!of_manifest || machine.rows() == shown, "seed {seed}, renaming {renaming}");
        for cut_at in [Some(run.dice.gen_range(0..SOON_TURNS)), None] {
            machine.arm(Faults::default());
            if let End::Failed(error) = run.start(cut_at).unwrap() {
                panic!("seed {seed}, renaming {renaming}: {error}");
            }
            machine.crash();
        }
        assert_eq!(machine.rows(), expected, "seed {seed}, renaming {renaming}");
        Some(of_manifest)
    }

    #[test]
    fn a_renaming_that_is_not_synced_counts_or_does_not() {
        let (numbers, _) = numbers();
        let build = |job: &Job, cuts: Cuts, _: &Arc<Acts>| {
            job.source(Scheduled::new(numbers.clone(), 3, cuts)).sink(Files::to_lines(OUT));
        };
        let all = (0..40).flat_map(|seed| (1..12).map(move |renaming| (seed, renaming)));
        let ends: Vec<bool> =
            all.filter_map(|(seed, renaming)| unsynced(seed, renaming, &build)).collect();
        let of_manifests = ends.iter().filter(|of_manifest| **of_manifest).count();
        assert!(of_manifests > 50 && ends.len() - of_manifests > 50, "{of_manifests}");
    }

    #[test]
    fn a_disk_that_lies_is_found() {
        assert_eq!(found(false, false), 0);
        assert!(found(true, false) > 20, "{}", found(true, false));
        assert!(found(false, true) > 20, "{}", found(false, true));
    }
}
