//! Whole jobs: the same results for every number of shards and either executor.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use support::{Deal, Gathered};
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

record! {
    #[derive(Eq)]
    struct Bid { auction: u64, price: u64, at: Timestamp }
}

fn bids(n: u64) -> Vec<Bid> {
    let at = |i: u64| Timestamp::from_millis(i as i64 * 10);
    (0..n).map(|i| Bid { auction: (i * 7 % 13) * 100, price: i * 31 % 1009, at: at(i) }).collect()
}

fn each_way(check: impl Fn(usize, Executor)) {
    for shards in [1, 2, 4, 8, 16] {
        check(shards, Executor::Threads);
    }
    check(1, Executor::Auto);
    check(3, Executor::Auto);
}

type Counted = InWindow<u64, (u64, u64)>;

fn windowed(
    shards: usize,
    executor: Executor,
    windows: impl thalweg::window::Paned,
) -> Vec<Counted> {
    let job = Job::new("windowed").shards(shards).executor(executor);
    let (sink, results) = Gathered::new();
    job.source(Deal(bids(5_000), 3))
        .event_time(|bid| bid.at, 0.seconds())
        .key_by(|bid| bid.auction)
        .window(windows)
        .aggregate(|bids| (bids.count(), bids.max(|bid| bid.price)))
        .sink(sink);
    job.run().unwrap();
    let mut results = results.lock().unwrap().clone();
    results.sort();
    results
}

/// What windows of `size` every `step` hold, computed one record at a time.
fn naive(size: i64, step: i64) -> Vec<Counted> {
    let mut windows: BTreeMap<(u64, i64), (u64, u64)> = BTreeMap::new();
    for bid in bids(5_000) {
        let at = bid.at.millis();
        let mut end = at.div_euclid(step) * step + step;
        while end - size <= at {
            let counted = windows.entry((bid.auction, end)).or_default();
            counted.0 += 1;
            counted.1 = counted.1.max(bid.price);
            end += step;
        }
    }
    let ms = Timestamp::from_millis;
    windows
        .into_iter()
        .map(|((key, end), value)| InWindow { key, start: ms(end - size), end: ms(end), value })
        .collect()
}

#[test]
fn tumbling_windows_are_right_on_any_number_of_shards() {
    let expected = naive(1_000, 1_000);
    each_way(|shards, executor| {
        let got = windowed(shards, executor, Tumbling::of(1.seconds()));
        assert_eq!(got, expected, "{shards} shards, {executor}");
    });
}

#[test]
fn sliding_windows_are_right_on_any_number_of_shards() {
    let expected = naive(1_000, 400);
    each_way(|shards, executor| {
        let got = windowed(shards, executor, Sliding::of(1.seconds(), 400.millis()));
        assert_eq!(got, expected, "{shards} shards, {executor}");
    });
}

#[test]
fn word_count_borrows_its_keys() {
    each_way(|shards, executor| {
        let job = Job::new("words").shards(shards).executor(executor);
        let (sink, results) = Gathered::new();
        let lines = ["to be or not to be", "that is the question", "to see"].map(String::from);
        job.source(Deal(lines.to_vec(), 2))
            .event_time(|_| Timestamp::from_millis(0), 0.seconds())
            .flat_map(|line, out: &mut Emit<'_, String>| {
                line.split(' ').for_each(|word| out.push(word));
            })
            .key_by_ref(|word| word)
            .window(Tumbling::of(1.seconds()))
            .aggregate(|words| words.count())
            .map(|counted| (counted.key.to_owned(), counted.value))
            .filter(|(_, count)| count > 1)
            .sink(sink);
        job.run().unwrap();
        let mut words = results.lock().unwrap().clone();
        words.sort();
        assert_eq!(words, [("be".to_owned(), 2), ("to".to_owned(), 3)], "{shards} shards");
    });
}

#[test]
fn a_panic_in_a_closure_ends_the_job_and_names_the_operator() {
    each_way(|shards, executor| {
        let job = Job::new("faulty").shards(shards).executor(executor);
        let (sink, _) = Gathered::new();
        job.source(Deal(bids(5_000), 3))
            .map(|bid| {
                assert!(bid.price != 999, "no such price");
                bid.price
            })
            .named("prices")
            .sink(sink);
        let error = job.run().unwrap_err().to_string();
        assert!(error.starts_with("job faulty: shard "), "{error}");
        assert!(
            error.contains(": prices or the map before it: panicked: no such price"),
            "{error}"
        );
    });
}

#[test]
fn more_partial_results_than_rings_hold_arrive_at_the_end_of_input() {
    let at = |i: u64| Bid { auction: i, price: 1, at: Timestamp::from_millis(1) };
    each_way(|shards, executor| {
        let job = Job::new("many keys").shards(shards).executor(executor);
        let (sink, results) = Gathered::new();
        job.source(Deal((0..200_000).map(at).collect(), 3))
            .event_time(|bid| bid.at, 0.seconds())
            .key_by(|bid| bid.auction)
            .window(Tumbling::of(1.seconds()))
            .aggregate(|bids| bids.count())
            .map(|counted| counted.value)
            .sink(sink);
        job.run().unwrap();
        assert_eq!(results.lock().unwrap().len(), 200_000, "{shards} shards, {executor}");
    });
}

/// Never gives a record and never ends.
struct Silence;

impl Source for Silence {
    type Record = u64;
    fn name(&self) -> String {
        "silence".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        Ok(vec![Box::new(Silence)])
    }
}

impl Split<u64> for Silence {
    fn poll(&mut self, _: &mut Feed<'_, u64>) -> Result<Progress> {
        Ok(Progress::Idle)
    }
}

#[test]
fn waiting_ends_with_the_job_or_when_the_time_is_over() {
    each_way(|shards, executor| {
        let job = Job::new("silent").shards(shards).executor(executor);
        let (sink, _) = Gathered::new();
        job.source(Silence).sink(sink);
        let running = job.start().unwrap();
        assert!(!running.wait_for(5.millis()), "{shards} shards, {executor}");
        running.stop();
        assert!(running.wait_for(60.seconds()), "{shards} shards, {executor}");
        assert!(running.wait_for(0.seconds()));
        running.join().unwrap();
    });
}

#[test]
fn shards_that_are_ahead_at_different_bounds_do_not_wait_for_each_other_for_ever() {
    // Each split gives all of one side first: shard 0 is ahead on the left, shard 1 on the right.
    let (left, right) = ((0..4_000_u64).map(|i| (0, i)), (0..4_000_u64).map(|i| (1, i)));
    let first: Vec<_> = left.clone().chain(right.clone()).collect();
    let second: Vec<_> = right.chain(left).collect();
    let events: Vec<(u64, u64)> = first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect();
    let job = Job::new("crossed").shards(2).lead(1.millis());
    let events = job.source(Deal(events, 2));
    let side = |side| {
        let events = events.clone();
        events
            .filter(move |(of, _)| of == side)
            .event_time(|(_, i)| Timestamp::from_millis(i as i64), 0.seconds())
            .key_by(|(_, i)| i)
    };
    let (sink, results) = Gathered::new();
    let windows = Tumbling::of(100.millis());
    side(0).join(side(1)).window(windows).inner(|(_, i), _| i).sink(sink);
    job.run().unwrap();
    // Every number came twice on either side.
    assert_eq!(results.lock().unwrap().len(), 4 * 4_000);
}

#[test]
fn a_job_says_what_it_does() {
    let explained = |shards: usize| {
        let job = Job::new("hot").shards(shards);
        let at = |n: u64| Timestamp::from_millis(n as i64);
        let numbers = job.source(Counter::to(9)).event_time(at, 0.seconds());
        let left = numbers.clone().filter(|n| n % 2 == 0).key_by(|n| n);
        let right = numbers.map(|n| n + 1).inspect(|_| ()).key_by(|n| n);
        let windows = left.join(right).window(Tumbling::of(1.seconds()));
        let (rows, _, late) = windows.inner_with_late(|l, r| l + r);
        let rows = rows.named("all").union(late.filter_map(Some));
        rows.window(Tumbling::of(1.seconds())).aggregate(|ns| ns.count()).gather().sink(Discard);
        job.explain().to_string()
    };
    let text = |shards: &str, exchanges: [&str; 3]| {
        let [owner, part, gather] = exchanges;
        let lines = [
            format!("job hot, {shards}"),
            "#0 source counter to 9".into(),
            "#1 window join (tumbling 1s)".into(),
            format!("   #0 → event_time → filter{owner}"),
            format!("   #0 → event_time → map → inspect{owner}"),
            "#2 all".into(),
            "   #1".into(),
            "   #1, output 2 → filter_map".into(),
            "#3 window (tumbling 1s: count)".into(),
            format!("   #2{part}"),
            "#4 gather".into(),
            format!("   #3{gather}"),
            "#5 sink discard".into(),
            "   #4".into(),
        ];
        lines.join("\n")
    };
    assert_eq!(explained(1), text("1 shard", [""; 3]));
    let exchanges = [
        " → exchange (by the key's hash)",
        " → exchange (partial results, by the key's hash)",
        " → exchange (to shard 0)",
    ];
    for shards in [2, 4, 8] {
        assert_eq!(explained(shards), text(&format!("{shards} shards"), exchanges));
    }
}

#[test]
fn a_report_tells_the_steps_and_the_ends_of_an_exchange_apart() {
    let names = |shards: usize| {
        let job = Job::new("ends").shards(shards);
        let at = |n: u64| Timestamp::from_millis(n as i64);
        let numbers = job.source(Counter::to(10)).event_time(at, 0.seconds());
        let windows = Tumbling::of(5.millis());
        numbers.clone().window(windows).aggregate(|ns| ns.count()).sink(Discard);
        let (left, right) = (numbers.clone().key_by(|n| n), numbers.key_by(|n| n));
        left.join(right).inner(|l, _| l).named("source of trouble").settle().sink(Discard);
        let explained = job.explain().to_string();
        let report = job.run().unwrap();
        assert_eq!(report.records_read(), 10, "{report}");
        let report = report.to_string();
        let names = report.lines().skip(2).map(|line| line.split("  ").next().unwrap().to_owned());
        let names: Vec<String> = names.collect();
        for name in &names {
            let step = name.split(" (").next().unwrap();
            assert!(explained.lines().any(|line| line.starts_with(step)), "{step}: {explained}");
        }
        names
    };
    let alone = [
        "#0 source counter to 10",
        "#1 window",
        "#2 sink discard",
        "#3 join",
        "#4 source of trouble",
        "#5 sink discard",
    ];
    assert_eq!(names(1), alone);
    let apart = [
        "#0 source counter to 10",
        "#1 window (sends)",
        "#1 window (receives)",
        "#2 sink discard",
        "#3 join (sends left)",
        "#3 join (sends right)",
        "#3 join (receives)",
        "#4 source of trouble",
        "#5 sink discard",
    ];
    assert_eq!(names(2), apart);
}

record! {
    struct Person {
        name: String,
        pets: Vec<String>,
        since: Option<Timestamp>,
        how: How,
    }
}

record! {
    enum How {
        Known(String),
        Unknown,
    }
}

#[test]
fn records_are_shown_where_they_lie() {
    let (job, (sink, shown)) = (Job::new("shown").shards(1), Collect::new());
    let how = How::Known("by sight".into());
    let pets = vec!["cat".into()];
    let since = Some(Timestamp::from_millis(7));
    let people = [(1_u64, Person { name: "Ann".into(), pets, since, how })];
    job.source(Memory::of(people)).map(|person| format!("{person:?}")).sink(sink);
    let lists = job.source(Memory::of([vec![1_u64, 2]]));
    let (sink, vectors) = Collect::new();
    lists.map(|list| (format!("{list:?}"), list.to_vec())).sink(sink);
    job.run().unwrap();
    assert_eq!(vectors.take(), [("[1, 2]".to_owned(), vec![1, 2])]);
    let shown = shown.take().concat();
    for part in ["Ann", "cat", "by sight", "7000"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    drop(How::Unknown);
}

#[test]
fn a_job_says_what_was_asked_of_its_operators() {
    let job = Job::new("asked");
    let numbers = job.source(Counter::to(9)).event_time(|_| Timestamp::default(), 0.seconds());
    let counted = || numbers.clone().key_by(|n| n);
    let (second, minute) = (1.seconds(), 1.minutes());
    let windows = counted().window(Sliding::of(10.seconds(), second));
    windows.allowed_lateness(5.seconds()).aggregate(|ns| ns.count()).sink(Discard);
    let windows = counted().window(Tumbling::of(minute).offset(second)).early_every(second);
    windows.aggregate(|ns| ns.count()).sink(Discard);
    let windows = counted().window(Cumulating::of(1.days(), minute)).early_after(90.seconds());
    windows.aggregate(|ns| ns.count()).sink(Discard);
    counted().window(Session::gap(1_500.millis())).aggregate(|ns| ns.count()).sink(Discard);
    counted().window(CountWindow::of(3)).aggregate(|ns| ns.count()).sink(Discard);
    counted().window(CountWindow::sliding(3, 1)).aggregate(|ns| ns.count()).sink(Discard);
    let triggers = [Trigger::every(second), Trigger::every_n(7), Trigger::at_end()];
    for trigger in triggers {
        counted().window(Global::trigger(trigger)).aggregate(|ns| ns.count()).sink(Discard);
    }
    let windows = counted().join(counted()).window(Tumbling::of(minute));
    windows.allowed_lateness(second).semi(|l| l).sink(Discard);
    let (lower, upper) = (Offset::Before(second), Offset::After(1.hours()));
    counted().join(counted()).between(lower, upper).inner(|l, _| l).sink(Discard);
    counted().join(counted()).as_of(minute).inner(|l, _| l).sink(Discard);
    counted().join(counted()).inner(|l, _| l).sink(Discard);
    counted().named("once").first_within(second).sink(Discard);
    counted().first_by_time(second).sink(Discard);
    let explained = job.explain().to_string();
    let steps = explained.lines().filter(|line| line.starts_with('#') && !line.contains("sink"));
    let steps: Vec<&str> = steps.map(|line| line.split_once(' ').unwrap().1).collect();
    let expected = [
        "source counter to 9",
        "window (sliding 10s every 1s, lateness 5s: count)",
        "window (tumbling 1min, offset 1s, early every 1s: count)",
        "window (cumulating to 1d every 1min, early after 90s: count)",
        "window (session, gap 1500ms: count)",
        "window (3 records: count)",
        "window (3 records, every 1: count)",
        "window (global, every 1s: count)",
        "window (global, every 7 records: count)",
        "window (global, at the end: count)",
        "window join (tumbling 1min, lateness 1s)",
        "interval join (from 1s before to 1h after)",
        "as-of join (tolerance 1min)",
        "join",
        "once (within 1s)",
        "first (within 1s, by time)",
    ];
    assert_eq!(steps, expected);
}
