use proptest::prelude::*;

use super::*;

fn timer(at: i64, key: u64) -> Timer<u64> {
    Timer { at: Timestamp::from_micros(at), hash: crate::key::hash(&key), life: key / 8, key }
}

/// Takes the first timer out that is due.
fn first_due(timers: &mut Vec<Timer<u64>>, now: i64) -> Option<(Timestamp, u64)> {
    let due = timers.iter().enumerate().filter(|(_, timer)| timer.at.micros() <= now);
    let (place, _) = due.min_by_key(|(_, timer)| timer.order())?;
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

proptest! {
    #[test]
    fn timers_come_out_in_the_order_of_time(acts in acts()) {
        let (mut timers, mut naive) = (Timers::new(), Vec::new());
        let mut now = 0_i64;
        for act in acts {
            match act {
                Act::Set(at, key) => {
                    let at = now.saturating_add(at);
                    timers.set(timer(at, key));
                    naive.push(timer(at, key));
                }
                Act::Go(by, taken) => {
                    now = now.saturating_add_unsigned(by);
                    for _ in 0..taken {
                        let popped = timers.pop_due(Timestamp::from_micros(now));
                        let popped = popped.map(|timer| (timer.at, timer.key));
                        prop_assert_eq!(popped, first_due(&mut naive, now));
                    }
                }
                Act::Save(full) => {
                    timers.begin_save(full, Timestamp::from_micros(now));
                    while !timers.save_some(7, |_| ()) {}
                }
                Act::Prune(key) => {
                    let before = timers.len();
                    timers.crowd = 0;
                    timers.prune(|timer| timer.key != key);
                    naive.retain(|timer| timer.key != key);
                    prop_assert!(timers.len() <= before);
                }
            }
            prop_assert_eq!(timers.len(), naive.len());
        }
    }
}
