//! What becomes of a job of which a shard, or the coordinator, fails.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::runtime::{Coordinated, Restart};

use super::run::{Build, End, Life, Run};

/// Passes of its fuse within which a job is to fail: some in each turn.
pub const SOON_PASSES: u64 = 2_000;

/// How often a job may fail, and how long it waits at first.
const TIMES: [u32; 4] = [0, 1, 2, 5];
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(10)];

/// How often a job may fail, how often it has, and how long it must wait then: worked out in
/// another way than the engine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    times: u32,
    /// The first pause, and the longest.
    first: Duration,
    longest: Duration,
    /// The next pause, and how often it may still fail before the next checkpoint.
    next: Duration,
    left: u32,
}

impl Patience {
    /// As the dice say.
    pub fn draw(dice: &mut SmallRng) -> Patience {
        let times = TIMES[dice.gen_range(0..TIMES.len())];
        let first = PAUSES[dice.gen_range(0..PAUSES.len())];
        let longest = first * dice.gen_range(1..6);
        Patience { times, first, longest, next: first, left: times }
    }

    /// What the job is told.
    pub fn restart(&self) -> Restart {
        Restart::times(self.times).pause(self.first, self.longest)
    }

    /// A checkpoint was made.
    pub fn renew(&mut self) {
        (self.next, self.left) = (self.first, self.times);
    }

    /// The job has failed: how long it waits; none when it has failed too often.
    fn wear(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        self.left.checked_sub(1).map(|left| {
            self.left = left;
            pause
        })
    }
}

impl<B: Build> Run<'_, B> {
    /// A shard or the coordinator, whose number is one more than that of the last shard, has
    /// failed. Those that run leave, and the job is started again within the process if it is to
    /// be; says how it ended if it is not.
    ///
    /// # Errors
    /// That it fails although nothing was wrong, is started again when it is not to be, or not when
    /// it is.
    pub fn fails(&mut self, life: &mut Life<'_>, who: usize) -> Result<Option<End>, String> {
        self.leave(life, who);
        let Some(error) = life.job.failure() else { return Err("nothing has failed".into()) };
        if self.machine.is_off() {
            return Ok(Some(End::Cut));
        }
        let (blown, harmed) = (self.fuse.blown(), self.machine.is_harmed());
        if std::mem::replace(&mut life.blown, blown) == blown && !harmed {
            return Err(format!("nothing goes wrong, and the job fails: {error}"));
        }
        let is = life.job.pause_after_failure();
        let wanted = life.patience.wear();
        if is != wanted && !harmed {
            return Err(format!("it waits for {is:?} and must wait for {wanted:?} after {error}"));
        }
        let Some(pause) = is else { return Ok(Some(End::Failed(error))) };
        self.machine.pass(pause);
        if self.dice.gen_ratio(1, 10) {
            return Ok(Some(End::Cut));
        }
        self.shows_nothing_wrong()?;
        match life.job.again(error) {
            Err(_) if self.machine.is_off() => return Ok(Some(End::Cut)),
            Err(error) if !self.machine.is_harmed() => {
                return Err(format!("nothing goes wrong, and it is not started again: {error}"));
            }
            Err(error) => return Ok(Some(End::Failed(error))),
            // It had come to its end, and a shard had not heard of it.
            Ok(false) => return Ok(Some(End::Complete)),
            Ok(true) => self.survived.restarts_within += 1,
        }
        let passes = if self.dice.gen_bool(0.5) { self.dice.gen_range(1..SOON_PASSES) } else { 0 };
        self.fuse.set(passes);
        life.begin();
        Ok(None)
    }

    /// Lets all that run leave: each shard after its turn, if it has one, and the coordinator when
    /// it has made the checkpoint, if it had looked whether one has failed before that had.
    fn leave(&mut self, life: &mut Life<'_>, who: usize) {
        let shards = life.job.shards();
        for shard in (who..=shards).chain(0..who).filter(|shard| *shard < shards) {
            if shard != who && self.dice.gen_bool(0.5) {
                // The first error counts.
                let _ = life.job.turn(shard);
            }
            life.job.end_shard(shard);
        }
        let late = who != shards && self.dice.gen_bool(0.5);
        if late && matches!(life.job.coordinate(false), Ok(Coordinated::Made)) {
            self.survived.checkpoints += 1;
            life.patience.renew();
        }
    }
}
