//! One run: a job from its first start to its end, by the dice of one seed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::again::{Patience, SOON_PASSES};
use super::fuse::{Fragile, Fuse};
use super::machine::{Faults, Machine};
use super::play::Acts;
use super::rest::Rest;
use super::{OUT, Survived};
use crate::api::Job;
use crate::error::Error;
use crate::runtime::{Coordinated, Executor, Restart, Simulated, Turn};
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
pub enum End {
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

/// What gives a job its streams.
pub trait Build: Fn(&Job, Cuts, &Arc<Acts>) {}

impl<B: Fn(&Job, Cuts, &Arc<Acts>)> Build for B {}

/// A job on its way to its end.
pub struct Run<'a, B> {
    pub(super) dice: SmallRng,
    pub(super) machine: Rc<Machine>,
    build: &'a B,
    trial: Trial<'a>,
    state: &'static str,
    pub(super) survived: Survived,
    /// That of the start which runs.
    pub(super) fuse: Arc<Fuse>,
}

/// What goes wrong after a start, besides what does at any time.
#[derive(Clone, Copy, Default)]
struct Trouble {
    faults: Faults,
    /// The turn at which the process is gone.
    cut_at: Option<u64>,
    /// Passes of its fuse after which the job fails; 0 when it does not.
    passes: u64,
    patience: Patience,
}

/// A job from one start of the process to the next.
pub struct Life<'a> {
    pub(super) job: &'a mut Simulated,
    acts: &'a Acts,
    pub(super) patience: Patience,
    rest: Rest,
    /// Until which turn each shard, and the coordinator, has none.
    stalled: Vec<u64>,
    /// Which shards are done.
    over: Vec<bool>,
    /// How often the fuse had blown when it failed before.
    pub(super) blown: u64,
}

impl Life<'_> {
    /// Begins once more, within the process.
    pub(super) fn begin(&mut self) {
        self.acts.begin();
        self.rest.begin();
        self.stalled.fill(0);
        self.over.fill(false);
    }
}

/// Runs a job under one seed.
///
/// # Errors
/// What was not right.
pub fn run(seed: u64, trial: Trial<'_>, build: &impl Build) -> Result<Survived, String> {
    run_on(&Rc::new(Machine::new(seed ^ 0x5eed)), seed, trial, build)
}

/// Runs a job under one seed, on this machine, and before it the one that comes before.
fn run_on(
    machine: &Rc<Machine>,
    seed: u64,
    trial: Trial<'_>,
    build: &impl Build,
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
fn run_one(
    machine: &Rc<Machine>,
    seed: u64,
    trial: Trial<'_>,
    state: &'static str,
    build: &impl Build,
) -> Result<Survived, String> {
    let mut run = Run::new(machine, seed, trial, state, build);
    run.finish()?;
    run.leaves_nothing()?;
    run.stays_ended()?;
    run.leaves_nothing()?;
    let rows = run.machine.rows();
    if rows != trial.expected {
        return Err(difference(&rows, trial.expected));
    }
    Ok(run.survived)
}

impl<'a, B: Build> Run<'a, B> {
    fn new(
        machine: &Rc<Machine>,
        seed: u64,
        trial: Trial<'a>,
        state: &'static str,
        build: &'a B,
    ) -> Run<'a, B> {
        let (dice, machine) = (SmallRng::seed_from_u64(seed), machine.clone());
        let (survived, fuse) = (Survived::default(), Arc::default());
        Run { dice, machine, build, trial, state, survived, fuse }
    }

    fn finish(&mut self) -> Result<(), String> {
        let faulty = self.dice.gen_range(0..=STARTS_MAX);
        for start in 0..=faulty {
            let trouble = if start < faulty { self.trouble() } else { Trouble::default() };
            let end = self.start(trouble)?;
            let blown = self.fuse.blown();
            self.survived.operators_failed += blown;
            match end {
                End::Complete => return Ok(()),
                End::Failed(error) if blown == 0 && !self.machine.is_harmed() => {
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
    pub(super) fn shows_nothing_wrong(&self) -> Result<(), String> {
        let mut left = self.trial.expected.iter();
        match self.machine.rows().into_iter().find(|row| !left.any(|other| other == row)) {
            Some(row) => Err(format!("after start {} it shows {row}", self.survived.restarts)),
            None => Ok(()),
        }
    }

    /// What has ended has ended for good.
    fn stays_ended(&mut self) -> Result<(), String> {
        self.machine.arm(Faults::default());
        if self.dice.gen_bool(0.5) {
            self.machine.crash();
        }
        let again = self.job(2, Cuts::Single, &Arc::default(), Restart::never());
        if again.map_err(|error| format!("it had ended, and does not start: {error}"))?.is_some() {
            return Err("it begins again although it had ended".into());
        }
        Ok(())
    }

    /// That of a job which has ended no file is left that does not show.
    fn leaves_nothing(&self) -> Result<(), String> {
        let files = self.machine.list(Path::new(OUT)).unwrap_or_default();
        match files.iter().find(|path| path.extension() == Some(OsStr::new("pending"))) {
            Some(path) => Err(format!("{} is left over", path.display())),
            None => Ok(()),
        }
    }

    /// What is to go wrong.
    fn trouble(&mut self) -> Trouble {
        let mut trouble =
            Trouble { patience: Patience::draw(&mut self.dice), ..Trouble::default() };
        let (faults, calls, dice) = (&mut trouble.faults, SOON_CALLS, &mut self.dice);
        if dice.gen_bool(0.5) {
            trouble.passes = dice.gen_range(1..SOON_PASSES);
        }
        match dice.gen_range(0..12) {
            0..=2 => trouble.cut_at = Some(dice.gen_range(0..SOON_TURNS)),
            3..=5 => faults.off_at = Some(dice.gen_range(1..calls)),
            6 => faults.sync_fails_at = Some(dice.gen_range(1..calls / 3)),
            7 => faults.rename_unsynced_at = Some(dice.gen_range(1..SOON_RENAMES)),
            8 => faults.read_fails_at = Some(dice.gen_range(1..SOON_READS)),
            9 => faults.room = Some(dice.gen_range(0..20_000)),
            // What runs longer fails oftener.
            _ => trouble.cut_at = Some(dice.gen_range(0..10 * SOON_TURNS)),
        }
        trouble
    }

    /// Starts the job and lets it run.
    fn start(&mut self, trouble: Trouble) -> Result<End, String> {
        self.machine.arm(trouble.faults);
        let shards = self.trial.shards[self.dice.gen_range(0..self.trial.shards.len())];
        let cuts =
            if self.dice.gen_bool(0.3) { Cuts::Single } else { Cuts::Small(self.dice.r#gen()) };
        let acts = Arc::default();
        self.fuse = Arc::default();
        match self.job(shards, cuts, &acts, trouble.patience.restart()) {
            Ok(Some(mut job)) => {
                self.fuse.set(trouble.passes);
                let end = self.go(&mut job, &acts, trouble);
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
        restart: Restart,
    ) -> Result<Option<Simulated>, Error> {
        let job = Job::new("simulated").shards(shards).executor(Executor::Threads);
        let job = job.restart(restart);
        let silence = self.dice.gen_range(0..SILENCES.len());
        let silence = if self.trial.idles { SILENCES[silence] } else { Duration::MAX };
        let mut job = job.checkpoints(self.state, 1.days()).idle_after(silence);
        job = job.small_tables(self.dice.gen_ratio(1, 2));
        let on_disk = self.dice.gen_ratio(1, 4);
        if let Some(directory) = self.trial.state_in.filter(|_| on_disk) {
            // What is not in use has no place in memory.
            job = job.state_in(directory).state_memory(0);
        }
        (self.build)(&job, cuts, acts);
        let fuse = self.fuse.clone();
        job.simulated(Box::new(move |operator| Fragile::around(operator, &fuse)))
    }

    fn go(
        &mut self,
        job: &mut Simulated,
        acts: &Acts,
        Trouble { cut_at, patience, .. }: Trouble,
    ) -> Result<End, String> {
        let shards = job.shards();
        acts.show(self.machine.rows().len());
        let rest = Rest::new(shards, RESTS[self.dice.gen_range(0..RESTS.len())]);
        let (stalled, over) = (vec![0; shards + 1], vec![false; shards]);
        let mut life = Life { job, acts, patience, rest, stalled, over, blown: 0 };
        // How often the coordinator may begin: often in some runs, hardly ever in others.
        let often = if self.trial.idles { [20, 60, 200] } else { [2, 10, 60] };
        let often = often[self.dice.gen_range(0..often.len())];
        let work_us = WORK_US[self.dice.gen_range(0..WORK_US.len())];
        for turn in 0..TURNS_MAX {
            if cut_at == Some(turn) || self.machine.is_off() {
                return Ok(End::Cut);
            }
            self.let_time_jump(turn);
            let who = self.dice.gen_range(0..=shards);
            if self.dice.gen_ratio(1, 200) {
                life.stalled[who] = turn + self.dice.gen_range(1..500);
                self.survived.stalls += 1;
            }
            if life.stalled[who] > turn || life.over.get(who) == Some(&true) {
                continue;
            }
            let done = if who == shards {
                let may = self.dice.gen_ratio(1, often);
                life.job.coordinate(may).map(|did| self.did(did, &mut life))
            } else {
                self.survived.turns += 1;
                life.job.turn(who).map(|turn| {
                    life.rest.took(who, turn);
                    self.took(turn, work_us, &mut life.over[who]);
                })
            };
            if life.rest.is_there() {
                acts.rest();
            }
            let end = match done {
                Err(_) if self.machine.is_off() => Some(End::Cut),
                Err(_) => self.fails(&mut life, who)?,
                Ok(()) => life.over.iter().all(|over| *over).then_some(End::Complete),
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Err(format!("the job has come to no end after {TURNS_MAX} turns"))
    }

    /// At some turns much time passes at once, or the clock is set.
    fn let_time_jump(&mut self, turn: u64) {
        if self.dice.gen_ratio(1, JUMPS_EVERY) {
            self.survived.jumps += 1;
            self.machine.pass(JUMPS[self.dice.gen_range(0..JUMPS.len())]);
        }
        if turn < SETS_UNTIL && self.dice.gen_ratio(1, SETS_EVERY) {
            self.set_clock();
        }
    }

    fn did(&mut self, did: Coordinated, life: &mut Life<'_>) {
        life.rest.did(did);
        if did == Coordinated::Made {
            self.survived.checkpoints += 1;
            life.patience.renew();
            life.acts.show(self.machine.rows().len());
        }
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
        let mut run = Run::new(&machine, seed, trial(&expected), STATE, build);
        let faults = Faults { rename_unsynced_at: Some(renaming), ..Faults::default() };
        let trouble = Trouble { faults, ..Trouble::default() };
        let End::Failed(error) = run.start(trouble).unwrap() else { return None };
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
            let trouble = Trouble { cut_at, ..Trouble::default() };
            if let End::Failed(error) = run.start(trouble).unwrap() {
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
