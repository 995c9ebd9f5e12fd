//! Inboxes that hear the same of their senders, each at times of its own, in many orders: none is
//! overtaken in its sleep, and all come to the same in the end.

use std::iter::repeat_with;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::operator::{Edge, Node, Scene};

/// What a sender says to all inboxes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    At(i64),
    Idle,
    Barrier,
    End,
}

impl Said {
    fn packet(self) -> Packet {
        match self {
            Said::At(at) => Packet::Watermark(Timestamp::from_micros(at)),
            Said::Idle => Packet::Idle,
            Said::Barrier => Packet::Barrier(1),
            Said::End => Packet::Finish,
        }
    }
}

/// What one sender says: watermarks and silences, a barrier somewhere, perhaps its end.
fn script(random: &mut SmallRng) -> Vec<Said> {
    let (mut said, mut at) = (Vec::new(), 0);
    for _ in 0..random.gen_range(1..5) {
        at += random.gen_range(1..4);
        said.push(Said::At(at));
        if random.gen_bool(0.5) {
            said.push(Said::Idle);
        }
    }
    said.insert(random.gen_range(0..=said.len()), Said::Barrier);
    if random.gen_bool(0.4) {
        said.extend([Said::At(i64::MAX), Said::End]);
    }
    said
}

/// How an inbox hears it: of watermarks between which the sender was not silent, some.
fn heard(script: &[Said], random: &mut SmallRng) -> VecDeque<Packet> {
    let follows = |at: usize| script[at + 1..].iter().find(|said| **said != Said::Barrier);
    let skipped = |at: usize| {
        let between = |said: &Said| matches!(said, Said::At(at) if *at < i64::MAX);
        between(&script[at]) && follows(at).is_some_and(between)
    };
    let heard = (0..script.len()).filter(|at| !(skipped(*at) && random.gen_bool(0.3)));
    heard.map(|at| script[at].packet()).collect()
}

/// Where the senders have come to in the end: the greatest watermark, the least of those that hold
/// it back, and whether those that have not ended are all silent.
fn end_of(scripts: &[Vec<Said>]) -> (i64, i64, bool) {
    let last = |script: &Vec<Said>| {
        let at = |said: &Said| matches!(said, Said::At(at) if *at < i64::MAX);
        let last = script.iter().rev().find(|said| at(said));
        let Some(Said::At(at)) = last.copied() else { panic!("all say a time") };
        at
    };
    let silent = |script: &&Vec<Said>| {
        script.iter().rev().find(|said| **said != Said::Barrier) == Some(&Said::Idle)
    };
    let live = scripts.iter().filter(|script| !script.contains(&Said::End));
    let low = live.clone().filter(|script| !silent(script)).map(last).min();
    let all_silent = live.clone().count() > 0 && live.clone().all(|script| silent(&script));
    let most = scripts.iter().map(last).max().expect("there are senders");
    (most, low.unwrap_or(i64::MAX), all_silent)
}

/// What stands behind an inbox: what it was told last.
#[derive(Clone)]
struct Behind(Arc<Mutex<(Watermark, bool)>>);

impl Behind {
    fn told(&self) -> (Watermark, bool) {
        *self.0.lock().unwrap()
    }
}

/// What stands behind an inbox: how many batches of each sender came.
#[derive(Clone, Default)]
struct Served(Arc<Mutex<[usize; 3]>>);

impl Operator for Served {
    fn process(&mut self, _: usize, batch: &Batch<'_>, _: &mut Output<'_>) -> Result {
        self.0.lock().unwrap()[batch.split() as usize] += 1;
        Ok(())
    }

    remembers_nothing!();
}

impl Operator for Behind {
    fn process(&mut self, _: usize, _: &Batch<'_>, _: &mut Output<'_>) -> Result {
        Ok(())
    }

    fn watermark(&mut self, _: usize, at: Watermark, _: &mut Output<'_>) -> Result {
        self.0.lock().unwrap().0 = at;
        Ok(())
    }

    fn idle(&mut self, _: usize, idle: bool, _: &mut Output<'_>) -> Result {
        self.0.lock().unwrap().1 = idle;
        Ok(())
    }

    remembers_nothing!();
}

/// What a shard with nothing but an inbox does next.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Awake,
    /// Its bell is armed, and it looks once more.
    Armed,
    Asleep,
    Ended,
}

/// An inbox with something behind it.
fn pair(inbox: Inbox, behind: Box<dyn Operator>) -> Vec<Node> {
    let node = |operator: Box<dyn Operator>, inputs, outputs| {
        Node::new("".into(), operator, inputs, outputs, Arc::default())
    };
    let edge = vec![vec![Edge { node: 1, port: 0 }]];
    vec![node(Box::new(inbox), 0, edge), node(behind, 1, Vec::new())]
}

struct Shard {
    nodes: Vec<Node>,
    behind: Behind,
    rest: Rest,
}

impl Shard {
    fn of(inbox: Inbox) -> Shard {
        let behind = Behind(Arc::new(Mutex::new((Timestamp::MIN, false))));
        let nodes = pair(inbox, Box::new(behind.clone()));
        Shard { nodes, behind, rest: Rest::Awake }
    }

    fn turn(&mut self, bell: &crate::ring::Bell) {
        let polled =
            Output::enter(&mut self.nodes, 0, &Scene::default(), |node, out| node.poll(out));
        self.rest = match (polled.expect("nothing fails"), self.rest) {
            (Progress::Done, _) => Rest::Ended,
            (Progress::Parked, Rest::Armed) => Rest::Asleep,
            (Progress::Parked, _) => {
                bell.arm();
                Rest::Armed
            }
            _ => {
                bell.disarm();
                Rest::Awake
            }
        };
    }

    /// Whether it may take a turn; one that sleeps, when its bell was rung.
    fn may_turn(&mut self, bell: &crate::ring::Bell) -> bool {
        if self.rest == Rest::Asleep && bell.wait(Some(Duration::ZERO)) {
            self.rest = Rest::Awake;
        } else if self.rest == Rest::Asleep {
            bell.arm();
        }
        matches!(self.rest, Rest::Awake | Rest::Armed)
    }
}

/// Runs the inboxes until all sleep or have ended, with laws looked at after every step.
fn run(scripts: &[Vec<Said>], random: &mut SmallRng) -> Vec<Shard> {
    let bells = Bells::new(scripts.len());
    let (mut senders, inboxes): (Vec<_>, Vec<_>) = lanes(scripts.len(), &bells).into_iter().unzip();
    let mut shards: Vec<Shard> = inboxes.into_iter().map(Shard::of).collect();
    let mut queues =
        |script: &Vec<Said>| -> Vec<_> { scripts.iter().map(|_| heard(script, random)).collect() };
    let mut unsaid: Vec<Vec<_>> = scripts.iter().map(&mut queues).collect();
    loop {
        let mut steps = Vec::new();
        for (sender, queues) in unsaid.iter().enumerate() {
            let mut has_room = |to: usize| senders[sender][to].ring.room() > 0;
            let left = (0..queues.len()).filter(|to| !queues[*to].is_empty() && has_room(*to));
            steps.extend(left.map(|to| (Some(sender), to)));
        }
        let turns = (0..shards.len()).filter(|at| shards[*at].may_turn(&bells[*at]));
        steps.extend(turns.map(|at| (None, at)));
        match steps.choose(random) {
            None => return shards,
            Some((None, at)) => shards[*at].turn(&bells[*at]),
            Some((Some(sender), to)) => {
                senders[*sender][*to].waiting.extend(unsaid[*sender][*to].pop_front());
                assert!(senders[*sender][*to].push(), "there was room");
                bells[*to].ring();
            }
        }
        for sleeper in shards.iter().map(|shard| shard.behind.told()).filter(|told| told.1) {
            let most = shards.iter().map(|shard| shard.behind.told().0).max();
            assert!(
                most <= Some(sleeper.0),
                "one that sleeps at {sleeper:?} is overtaken: {most:?}"
            );
        }
    }
}

#[test]
fn inboxes_come_to_the_same_whatever_the_order() {
    for seed in 0..10_000 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let count = random.gen_range(2..4);
        let scripts: Vec<_> = repeat_with(|| script(random)).take(count).collect();
        let (most, low, all_silent) = end_of(&scripts);
        for shard in run(&scripts, random) {
            let (at, idle) = shard.behind.told();
            let what = format!("seed {seed}: told {at:?}, idle: {idle}; {scripts:?}");
            assert_eq!(idle, all_silent, "{what}");
            let expected = if idle { most } else { low };
            assert!(at.micros() >= expected && (!idle || at.micros() == most), "{what}");
        }
    }
}

#[test]
fn senders_are_served_in_turn_when_less_than_a_frame_is_taken_at_a_time() {
    let bells = Bells::new(3);
    let (mut senders, inboxes): (Vec<_>, Vec<_>) = lanes(3, &bells).into_iter().unzip();
    let inbox = inboxes.into_iter().next().expect("there are three");
    inbox.pace.took(Duration::from_secs(1));
    let records = inbox.pace.records() + 1;
    let served = Served::default();
    let mut nodes = pair(inbox, Box::new(served.clone()));
    for polls in 1..=30 {
        for sender in &mut senders[..2] {
            let mut block = Box::<Block<u64>>::default();
            (0..records as u64).for_each(|n| _ = block.push(Timestamp::MIN, n));
            let frame = Frame { watermark: Timestamp::MIN, payload: block };
            sender[0].waiting.push_back(Packet::Frame(frame));
            sender[0].push();
        }
        let polled = Output::enter(&mut nodes, 0, &Scene::default(), |node, out| node.poll(out));
        assert_eq!(polled.expect("nothing fails"), Progress::Busy);
        let [a, b, silent] = *served.0.lock().unwrap();
        assert!(a + b == polls && a.abs_diff(b) <= 1 && silent == 0, "{a} and {b} of {polls}");
    }
}
