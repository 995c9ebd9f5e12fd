use proptest::prelude::*;

use super::*;
use crate::state::Scratch;

fn on_disk() -> Backend {
    let scratch = Scratch::within(&std::env::temp_dir(), 0);
    Backend::Disk(std::sync::Arc::new(scratch.expect("a file")))
}

fn timer(at: i64, key: u64) -> Timer<u64> {
    Timer { at: Timestamp::from_micros(at), hash: crate::key::hash(&key), life: key / 8, key }
}

/// Takes the first timer out that is due.
fn first_due(timers: &mut Vec<Timer<u64>>, now: i64) -> Option<(Timestamp, u64)> {
    let due = timers.iter().enumerate().filter(|(_, timer)| timer.at.micros() <= now);
    let (place, _) = due.min_by_key(|(_, timer)| timer.full_order())?;
    let Timer { at, key, .. } = timers.remove(place);
    Some((at, key))
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Set(i64, u64),
    /// Time goes on by so much, and so many of those that are due are taken out.
    Go(u64, usize),
    Save(bool),
    Prune(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let near = (-50..5_000_i64, 0..64_u64).prop_map(|(at, key)| Act::Set(at, key));
    let far = (any::<i64>(), 0..64_u64).prop_map(|(at, key)| Act::Set(at, key));
    let step = prop_oneof![0..9_u64, 0..900_u64, 0..u64::MAX];
    let go = (step, 0..30_usize).prop_map(|(by, timers)| Act::Go(by, timers));
    let act = prop_oneof![
        8 => near,
        2 => far,
        4 => go,
        1 => any::<bool>().prop_map(Act::Save),
        1 => (0..64_u64).prop_map(Act::Prune),
    ];
    proptest::collection::vec(act, 1..300)
}

/// What a save that has begun is to show: those that it must, and all that it may.
#[derive(Default)]
struct Wanted {
    must: Vec<(Timestamp, u64)>,
    may: Vec<(Timestamp, u64)>,
    shown: Vec<(Timestamp, u64)>,
}

impl Wanted {
    fn of(naive: &[Timer<u64>], new: &[Timer<u64>], full: bool) -> Wanted {
        let sorted = |timers: &[Timer<u64>]| {
            let mut all: Vec<_> = timers.iter().map(|timer| (timer.at, timer.key)).collect();
            all.sort_unstable();
            all
        };
        let must = if full { naive } else { new };
        Wanted { must: sorted(must), may: sorted(naive), shown: Vec::new() }
    }

    /// All of it was shown.
    fn check(mut self) -> Result<(), TestCaseError> {
        self.shown.sort_unstable();
        prop_assert!(holds(&self.shown, &self.must), "{:?} of {:?}", self.shown, self.must);
        prop_assert!(holds(&self.may, &self.shown), "{:?} of {:?}", self.may, self.shown);
        Ok(())
    }
}

/// Whether the first list, which is in order, has all of the second one, each as often.
fn holds<T: Ord>(all: &[T], some: &[T]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.find(|other| *other >= one) == Some(one))
}

/// Does the same with timers and with a plain list.
fn compare(mut timers: Timers<u64>, acts: &[Act]) -> Result<(), TestCaseError> {
    let (mut naive, mut now) = (Vec::new(), 0_i64);
    // Those of the list that were set since the save before, and the save that has begun.
    let (mut new, mut save): (Vec<Timer<u64>>, Option<Wanted>) = (Vec::new(), None);
    for act in acts {
        // Between any two acts a little is shown.
        if let Some(mut wanted) = save.take() {
            if timers.save_some(3, |timer| wanted.shown.push((timer.at, timer.key))) {
                wanted.check()?;
            } else {
                save = Some(wanted);
            }
        }
        match *act {
            Act::Set(at, key) => {
                let at = now.saturating_add(at);
                timers.set(timer(at, key));
                naive.push(timer(at, key));
                new.push(timer(at, key));
            }
            Act::Go(by, taken) => {
                now = now.saturating_add_unsigned(by);
                for _ in 0..taken {
                    let popped = timers.pop_due(Timestamp::from_micros(now));
                    let popped = popped.map(|timer| (timer.at, timer.key));
                    prop_assert_eq!(popped, first_due(&mut naive, now));
                    if let Some(gone) = popped {
                        let is = |timer: &Timer<u64>| (timer.at, timer.key) == gone;
                        new.iter().position(is).map(|place| new.remove(place));
                    }
                }
            }
            Act::Save(full) => {
                if let Some(mut wanted) = save.take() {
                    let mut show = |timer: &Timer<u64>| wanted.shown.push((timer.at, timer.key));
                    while !timers.save_some(7, &mut show) {}
                    wanted.check()?;
                }
                timers.begin_save(full, Timestamp::from_micros(now));
                save = Some(Wanted::of(&naive, &new, full));
                new.clear();
            }
            Act::Prune(key) => {
                let before = timers.len();
                timers.crowd = 0;
                let waits = timers.is_saving();
                timers.prune(|timer| timer.key != key);
                if waits {
                    prop_assert!(timers.len() == before);
                } else {
                    naive.retain(|timer| timer.key != key);
                    new.retain(|timer| timer.key != key);
                    prop_assert!(timers.len() <= before);
                }
            }
        }
        prop_assert_eq!(timers.len(), naive.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn timers_come_out_in_the_order_of_time(acts in acts()) {
        compare(Timers::new(), &acts)?;
    }

    #[test]
    fn timers_on_disk_come_out_in_the_order_of_time(acts in acts()) {
        compare(Timers::of(&on_disk()), &acts)?;
    }
}

#[test]
fn a_save_shows_each_timer_once_while_time_goes_on() {
    for (backend, full) in [(Backend::Memory, true), (on_disk(), true), (on_disk(), false)] {
        let mut timers = Timers::of(&backend);
        (0..1_000).for_each(|n| timers.set(timer(n * 7 % 3_000, n as u64)));
        timers.begin_save(true, Timestamp::MIN);
        while !timers.save_some(100, |_| ()) {}
        (1_000..3_000).for_each(|n| timers.set(timer(n * 7 % 3_000, n as u64)));
        timers.begin_save(full, Timestamp::MIN);
        let (mut shown, mut now, mut popped, mut done) = (Vec::new(), 0, 0, false);
        while !done {
            // Buckets are dealt out, some of whose timers were shown, and new ones come.
            now += 13;
            let due = std::iter::from_fn(|| timers.pop_due(Timestamp::from_micros(now)));
            popped += due.count();
            (0..5).for_each(|n| timers.set(timer(now + n * 401, 9_999)));
            done = timers.save_some(20, |timer| shown.push(timer.key));
        }
        assert!(popped > 500, "{popped} were due meanwhile");
        shown.sort_unstable();
        let first = if full { 0 } else { 1_000 };
        assert!(shown.iter().copied().eq(first..3_000), "{} of {full} were shown", shown.len());
    }
}

#[test]
fn what_comes_during_a_save_is_not_put_into_a_block_that_it_is_still_to_show() {
    let Backend::Disk(scratch) = on_disk() else { unreachable!() };
    let (mut pile, mut leaving) = (Pile::default(), Pile::default());
    let mut depot = Some(Depot::of(scratch));
    let mut shown = 0;
    (0..9).for_each(|n| pile.push(timer(n, 0), &mut depot));
    assert_eq!(pile.in_memory(), 0);
    pile.begin_save(&mut leaving, &mut depot);
    (9..18).for_each(|n| pile.push(timer(n, 0), &mut depot));
    assert_eq!(pile.in_memory(), 0);
    let told = pile.save_some(100, &depot, |timer| {
        assert!(timer.at < Timestamp::from_micros(9));
        shown += 1;
    });
    assert_eq!((shown, told, leaving.len()), (9, 9, 0));
}

#[test]
fn many_timers_are_on_disk_whose_blocks_are_used_again() {
    let mut timers: Timers<String> = Timers::of(&on_disk());
    let mut blocks = Vec::new();
    for round in 0..5 {
        for n in 0..5_000_i64 {
            let key = "key ".repeat(1 + n as usize % 3) + &n.to_string();
            // Many for one time, and one whose key is longer than a block.
            let at = Timestamp::from_micros(round * 1_000 + n % 10 * 100);
            let key = if n == 17 { "long".repeat(2_000) } else { key };
            timers.set(Timer { at, hash: crate::key::hash(&key), life: n as u64, key });
        }
        timers.begin_save(true, Timestamp::MIN);
        let mut shown = 0;
        while !timers.save_some(100, |_| shown += 1) {}
        assert_eq!(shown, 5_000);
        let (mut last, mut popped) = (None, 0);
        let end = Timestamp::from_micros(round * 1_000 + 999);
        while let Some(timer) = timers.pop_due(end) {
            assert!(last < Some(timer.order()));
            assert_eq!(timer.hash, crate::key::hash(&timer.key));
            (last, popped) = (Some(timer.order()), popped + 1);
            let memory = [&timers.later, &timers.saved].map(Radix::in_memory);
            assert!(memory[0] + memory[1] < 129 * 8 && timers.due.len() < 100);
        }
        assert_eq!(popped, 5_000);
        blocks.push(timers.depot.as_ref().map(Depot::free_blocks));
    }
    assert!(blocks[1..].iter().all(|free| *free == blocks[1]), "{blocks:?}");
}
