//! The peers under loom: every interleaving, and every value that a weak memory order allows.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib peers`

use std::array::from_fn;

use loom::{
    model::{Builder, model},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
};

use super::{AWAKE, Peers};
use crate::ring::Bells;
use crate::time::Timestamp;

/// What stands behind two inboxes: for each, how far it was told when it fell asleep. Relaxed, so
/// that only the peers' own words order what is told.
struct Scene {
    peers: Peers,
    behind: [AtomicI64; 2],
    bells: Bells,
}

/// One of the two inboxes, on a thread of its own.
struct Inbox {
    own: usize,
    scene: Arc<Scene>,
}

impl Inbox {
    /// Both, awake.
    fn two() -> [Inbox; 2] {
        let behind = from_fn(|_| AtomicI64::new(AWAKE));
        let scene = Arc::new(Scene { peers: Peers::new(2), behind, bells: Bells::new(2) });
        from_fn(|own| Inbox { own, scene: Arc::clone(&scene) })
    }

    /// Tries once to tell a watermark. Nothing that sleeps behind the other inbox is overtaken.
    fn tells(&self, at: i64) -> bool {
        let told = self.scene.peers.may_tell(self.own, Timestamp::from_micros(at));
        if told {
            let other = self.scene.behind[1 - self.own].load(Relaxed);
            assert!(other >= at, "told {at} past one that sleeps at {other}");
        }
        told
    }

    /// Tries once to fall asleep; rings if it has to stay awake.
    fn sleeps(&self, told: i64) -> bool {
        let sleeps = self.scene.peers.falls_asleep(self.own, Timestamp::from_micros(told));
        if sleeps {
            self.scene.behind[self.own].store(told, Relaxed);
        } else {
            self.ring();
        }
        sleeps
    }

    fn wakes(&self) {
        self.scene.behind[self.own].store(AWAKE, Relaxed);
        self.scene.peers.wakes(self.own);
        self.ring();
    }

    fn ring(&self) {
        self.scene.bells[1 - self.own].ring();
    }

    /// Tries until it succeeds, and sleeps as a shard does meanwhile. Loom finds who sleeps on.
    fn until(&self, attempt: impl Fn(&Inbox) -> bool) {
        let bell = &self.scene.bells[self.own];
        while !attempt(self) {
            bell.arm();
            if attempt(self) {
                return bell.disarm();
            }
            bell.wait(None);
        }
    }
}

/// Runs an inbox on a thread of its own, and the other one on this.
fn both<T: 'static>(
    [a, b]: [Inbox; 2],
    of_a: impl FnOnce(Inbox) -> T + 'static,
    of_b: impl FnOnce(Inbox) -> T,
) -> [T; 2] {
    let thread = thread::spawn(move || of_a(a));
    let of_b = of_b(b);
    [thread.join().expect("the other inbox ends"), of_b]
}

#[test]
fn one_tells_or_the_other_sleeps() {
    model(|| {
        let [sleeps, tells] = both(Inbox::two(), |a| a.sleeps(3), |b| b.tells(5));
        assert!(!(sleeps && tells), "the one that sleeps at 3 is overtaken");
    });
}

#[test]
fn who_waits_for_one_that_wakes_is_rung() {
    model(|| {
        let inboxes = Inbox::two();
        assert!(inboxes[0].sleeps(3));
        both(inboxes, |a| a.wakes(), |b| b.until(|b| b.tells(5)));
    });
}

#[test]
fn one_that_slept_and_sleeps_again_is_not_overtaken() {
    model(|| {
        let inboxes = Inbox::two();
        assert!(inboxes[0].sleeps(3));
        both(
            inboxes,
            |a| {
                a.wakes();
                a.until(|a| a.tells(5));
                a.until(|a| a.sleeps(5));
            },
            |b| b.until(|b| b.tells(5)),
        );
    });
}

#[test]
fn two_that_disagree_both_go_on() {
    let mut model = Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let hears = |inbox: &Inbox| {
            inbox.until(|inbox| inbox.tells(5));
            inbox.until(|inbox| inbox.sleeps(5));
        };
        both(
            Inbox::two(),
            move |a| {
                // All it has heard of is 3, and silence; then it hears of 5.
                if a.sleeps(3) {
                    a.wakes();
                }
                hears(&a);
            },
            move |b| hears(&b),
        );
    });
}
