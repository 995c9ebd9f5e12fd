//! State of keys: process functions with timers, running and final aggregates, first records;
//! each against what a loop over the records gives, on any number of shards.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use support::{Deal, Gathered};
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Bid { auction: u64, price: u64, at: Timestamp }
}

fn ms(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn bids(n: u64) -> Vec<Bid> {
    let at = |i: u64| ms(i as i64 * 10);
    (0..n).map(|i| Bid { auction: i * 7 % 13, price: i * 31 % 1009, at: at(i) }).collect()
}

fn each_way(check: impl Fn(usize, usize)) {
    for shards in [1, 2, 4, 8] {
        for splits in [1, 3] {
            check(shards, splits);
        }
    }
}

fn sorted<T: Ord + Clone>(results: &Arc<Mutex<Vec<T>>>) -> Vec<T> {
    let mut results = results.lock().unwrap().clone();
    results.sort();
    results
}

fn timed(job: &Job, bids: Vec<Bid>, splits: usize) -> Stream<Bid, impl Chain<Out = Bid> + use<>> {
    job.source(Deal(bids, splits)).event_time(|bid| bid.at, 0.seconds())
}

/// One window of a key: its start, how many bids, the dearest.
type Open = (Timestamp, u64, u64);

#[test]
fn timers_can_make_windows() {
    let bids = bids(3_000);
    let mut windows: BTreeMap<(u64, Timestamp), (u64, u64)> = BTreeMap::new();
    for bid in &bids {
        let end = bid.at.align_down(2_000_000, 0) + 2.seconds();
        let window = windows.entry((bid.auction, end)).or_default();
        *window = (window.0 + 1, window.1.max(bid.price));
    }
    let expected: Vec<_> = windows.into_iter().collect();
    each_way(|shards, splits| {
        let job = Job::new("windows").shards(shards);
        let (sink, results) = Gathered::new();
        timed(&job, bids.clone(), splits)
            .key_by(|bid| bid.auction)
            .process::<Vec<Open>, ((u64, Timestamp), (u64, u64))>(
                |open, bid, ctx| {
                    assert_eq!((*ctx.key(), ctx.time()), (bid.auction, bid.at));
                    let start = bid.at.align_down(2_000_000, 0);
                    ctx.timer_at(start + 2.seconds());
                    let place = open.iter().position(|window| window.0 == start);
                    let place = place.unwrap_or_else(|| {
                        open.push((start, 0, 0));
                        open.len() - 1
                    });
                    open[place].1 += 1;
                    open[place].2 = open[place].2.max(bid.price);
                },
                |open, at, ctx| {
                    assert_eq!((ctx.time(), ctx.clock()), (at, Clock::Event));
                    assert!(at <= ctx.watermark());
                    let first = open.iter().position(|window| window.0 + 2.seconds() == at);
                    let (_, count, max) = open.remove(first.unwrap());
                    assert!(open.iter().all(|later| later.0 + 2.seconds() > at), "out of order");
                    ctx.emit(((*ctx.key(), at), (count, max)));
                },
            )
            .sink(sink);
        job.run().unwrap();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

record! {
    /// Nexmark's query 4 in small: an auction opens, or somebody bids.
    #[derive(Eq, PartialOrd, Ord)]
    struct Event {
        auction: u64,
        is_bid: bool,
        price: u64,
        category: u64,
        at: Timestamp,
        expires: Timestamp,
    }
}

record! {
    /// The state of an auction.
    #[derive(Default)]
    struct Auction { category: u64, from: Timestamp, to: Timestamp, max: u64 }
}

fn events() -> Vec<Event> {
    let auction = |i: u64| {
        let at = ms(i as i64 * 100);
        let expires = at + (500 + i * 37 % 400).millis();
        Event { auction: i, is_bid: false, price: 0, category: i % 5, at, expires }
    };
    let mut events: Vec<_> = (0..400).map(auction).collect();
    for i in 0..6_000_u64 {
        let at = ms(i as i64 * 20 / 3 + 60);
        let auction = (i / 15 + 400 - i * 11 % 9).min(399 + 400) % 400;
        let price = 100 + i * 71 % 997;
        let (category, expires) = (0, Timestamp::default());
        events.push(Event { auction, is_bid: true, price, category, at, expires });
    }
    events.sort_by_key(|event| event.at);
    events
}

#[test]
fn auctions_close_at_their_time_and_are_forgotten() {
    let events = events();
    let mut expected: Vec<(u64, u64)> = Vec::new();
    for auction in events.iter().filter(|event| !event.is_bid) {
        let mine = events.iter().filter(|bid| bid.is_bid && bid.auction == auction.auction);
        let valid = mine.filter(|bid| auction.at <= bid.at && bid.at <= auction.expires);
        expected.extend(valid.map(|bid| bid.price).max().map(|max| (auction.category, max)));
    }
    expected.sort_unstable();
    assert!(expected.len() > 200);
    for shards in [1, 2, 4, 8] {
        let job = Job::new("auctions").shards(shards);
        let (sink, results) = Gathered::new();
        job.source(Deal(events.clone(), 1))
            .event_time(|event| event.at, 0.seconds())
            .key_by(|event| event.auction)
            .process::<Auction, (u64, u64)>(
                |auction, event, ctx| {
                    if !event.is_bid {
                        auction.category = event.category;
                        (auction.from, auction.to) = (event.at, event.expires);
                        ctx.timer_at(event.expires + 1.micros());
                    } else if auction.from <= event.at && event.at <= auction.to {
                        auction.max = auction.max.max(event.price);
                    }
                    if auction.to == Timestamp::default() {
                        ctx.clear();
                    }
                },
                |auction, _, ctx| {
                    if auction.max > 0 {
                        ctx.emit((auction.category, auction.max));
                    }
                    ctx.clear();
                },
            )
            .sink(sink);
        job.run().unwrap();
        assert_eq!(sorted(&results), expected, "{shards} shards");
    }
}

#[test]
fn a_timer_before_all_time_fires() {
    let (sink, results) = Collect::new();
    let job = Job::new("least").shards(2);
    job.source(Counter::to(5))
        .key_by(|n| n)
        .process::<u64, u64>(
            |_, _, ctx| ctx.timer_at(Timestamp::MIN),
            |_, _, ctx| ctx.emit(*ctx.key()),
        )
        .sink(sink);
    job.run().unwrap();
    assert_eq!(results.sorted(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_cleared_key_begins_anew() {
    let bids = bids(2_000);
    let mut expected: Vec<(u64, u64)> = Vec::new();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for bid in &bids {
        let count = counts.entry(bid.auction).or_default();
        *count = *count % 7 + 1;
        expected.push((bid.auction, *count));
    }
    expected.sort_unstable();
    each_way(|shards, splits| {
        let job = Job::new("cleared").shards(shards);
        let (sink, results) = Gathered::new();
        timed(&job, bids.clone(), splits)
            .key_by(|bid| bid.auction)
            .process::<u64, (u64, u64)>(
                |count, bid, ctx| {
                    *count += 1;
                    ctx.timer_at(Timestamp::MAX);
                    ctx.emit((bid.auction, *count));
                    if *count == 7 {
                        ctx.clear();
                    }
                },
                |count, _, ctx| {
                    assert!(*count < 7, "a timer of a cleared key fired");
                    ctx.emit((*ctx.key(), 1_000 + *count));
                },
            )
            .sink(sink);
        job.run().unwrap();
        let mut expected = expected.clone();
        let open = counts.iter().filter(|(_, count)| **count < 7);
        expected.extend(open.map(|(key, count)| (*key, 1_000 + count)));
        expected.sort_unstable();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

/// Runs a process function that counts a key's records; keys `n % 10` of the numbers to 100, each
/// with its number in ms as event time.
fn fired<F, G>(shards: usize, splits: usize, each: F, due: G) -> Result<Vec<(u64, i64)>>
where
    F: FnMut(&mut u64, u64, &mut Context<'_, u64, (u64, i64)>) + Clone + Send + 'static,
    G: FnMut(&mut u64, Timestamp, &mut Context<'_, u64, (u64, i64)>) + Clone + Send + 'static,
{
    let job = Job::new("fired").shards(shards);
    let (sink, results) = Gathered::new();
    job.source(Deal((0..100_u64).collect(), splits))
        .event_time(|n| ms(n as i64), 0.seconds())
        .key_by(|n| n % 10)
        .process::<u64, (u64, i64)>(each, due)
        .sink(sink);
    job.run()?;
    Ok(sorted(&results))
}

#[test]
fn timers_at_the_end_of_the_input_fire_in_order_each_once() {
    let expected: Vec<_> = (0..10).flat_map(|key| (1..=5).map(move |i| (key, i * 1_000))).collect();
    each_way(|shards, splits| {
        // Timers of 5 s, 4 s, … are set by every record of the key, all long after the last one.
        let got = fired(
            shards,
            splits,
            |_, _, ctx| (1..=5).rev().for_each(|i| ctx.timer_at(ms(i * 1_000))),
            |last, at, ctx| {
                assert!(at.micros() as u64 > *last, "out of order");
                *last = at.micros() as u64;
                ctx.emit((*ctx.key(), at.millis()));
            },
        );
        assert_eq!(got.unwrap(), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn timers_may_set_timers_and_be_cancelled() {
    // Each timer sets the next one until 3; what the record set first is cancelled.
    let expected: Vec<_> = (0..10).flat_map(|key| (1..=3).map(move |i| (key, i))).collect();
    each_way(|shards, splits| {
        let got = fired(
            shards,
            splits,
            |_, _, ctx| {
                ctx.timer_at(ms(500));
                ctx.timer_at(ms(600));
                ctx.cancel_timers();
                ctx.timer_at(ms(700));
            },
            |fired, at, ctx| {
                *fired += 1;
                ctx.emit((*ctx.key(), *fired as i64));
                if *fired < 3 {
                    ctx.timer_at(at);
                }
            },
        );
        assert_eq!(got.unwrap(), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn processing_time_timers_fire_at_the_latest_at_the_end() {
    let expected: Vec<_> = (0..10).map(|key| (key, 10)).collect();
    each_way(|shards, splits| {
        let got = fired(
            shards,
            splits,
            |count, _, ctx| {
                *count += 1;
                ctx.cancel_timers();
                ctx.timer_after(1.hours());
            },
            |count, _, ctx| {
                assert_eq!(ctx.clock(), Clock::Processing);
                ctx.emit((*ctx.key(), *count as i64));
            },
        );
        assert_eq!(got.unwrap(), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn timers_that_never_end_end_the_job() {
    let error = fired(1, 1, |_, _, ctx| ctx.timer_at(ctx.time()), |_, at, ctx| ctx.timer_at(at));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("set none when the watermark is Timestamp::MAX"), "{error}");
}

/// Gives a record, then waits until the record's timer has come out again.
struct Waits(Arc<Mutex<Vec<u64>>>, bool);

impl thalweg::operator::Source for Waits {
    type Record = u64;
    fn name(&self) -> String {
        "waits".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn thalweg::operator::Split<u64>>>> {
        Ok(vec![Box::new(Waits(self.0.clone(), false))])
    }
}

impl thalweg::operator::Split<u64> for Waits {
    fn poll(
        &mut self,
        feed: &mut thalweg::operator::Feed<'_, u64>,
    ) -> Result<thalweg::operator::Progress> {
        use thalweg::operator::Progress;
        if !std::mem::replace(&mut self.1, true) {
            feed.push(7)?;
            return Ok(Progress::Busy);
        }
        Ok(if self.0.lock().unwrap().is_empty() { Progress::Idle } else { Progress::Done })
    }
}

#[test]
fn processing_time_timers_fire_while_the_input_is_silent() {
    for shards in [1, 3] {
        let job = Job::new("silent").shards(shards);
        let (sink, results) = Gathered::new();
        job.source(Waits(results.clone(), false))
            .key_by(|n| n)
            .process::<u64, u64>(
                |count, _, ctx| {
                    *count += 1;
                    ctx.timer_after(20.millis());
                },
                |count, _, ctx| ctx.emit(*count + *ctx.key()),
            )
            .sink(sink);
        job.run().unwrap();
        assert_eq!(*results.lock().unwrap(), [8]);
    }
}

#[test]
fn a_stopped_job_does_not_wait_for_timers() {
    let job = Job::new("stopped").shards(2);
    let (sink, results) = Gathered::new();
    job.source(thalweg::connector::Counter::endless().rate(10_000.0))
        .key_by(|n| n % 3)
        .process::<bool, u64>(
            |seen, _, ctx| {
                if !std::mem::replace(seen, true) {
                    ctx.timer_after(1.hours());
                    ctx.emit(*ctx.key());
                }
            },
            |_, _, _| panic!("an hour has not passed"),
        )
        .sink(sink);
    let running = job.start().unwrap();
    while results.lock().unwrap().len() < 3 {
        std::thread::yield_now();
    }
    running.stop();
    running.join().unwrap();
}

#[test]
fn running_values_of_one_split_are_those_of_a_loop() {
    let bids = bids(3_000);
    let mut sums: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut expected = Vec::new();
    for bid in &bids {
        let sum = sums.entry(bid.auction).or_default();
        *sum = (sum.0 + 1, sum.1.max(bid.price));
        expected.push((bid.auction, *sum));
    }
    expected.sort_unstable();
    for shards in [1, 2, 4, 8] {
        let job = Job::new("running").shards(shards);
        let (sink, aggregates) = Gathered::new();
        let (to_reduced, reduced) = Gathered::new();
        let stream = timed(&job, bids.clone(), 1).settle();
        stream
            .clone()
            .key_by(|bid| bid.auction)
            .aggregate_running(|bids| (bids.count(), bids.max(|bid| bid.price)))
            .sink(sink);
        stream
            .map(|bid| (bid.auction, (1_u64, bid.price)))
            .key_by(|(auction, _)| auction)
            .reduce(|sum, (_, (_, price))| sum.1 = (sum.1.0 + 1, sum.1.1.max(price)))
            .sink(to_reduced);
        job.run().unwrap();
        assert_eq!(sorted(&aggregates), expected, "{shards} shards");
        assert_eq!(sorted(&reduced), expected, "{shards} shards");
    }
}

#[test]
fn the_last_running_values_of_several_splits_are_right_too() {
    let bids = bids(3_000);
    for shards in [1, 2, 4, 8] {
        let job = Job::new("running").shards(shards);
        let (sink, results) = Gathered::new();
        timed(&job, bids.clone(), 3)
            .key_by(|bid| bid.auction)
            .aggregate_running(|bids| (bids.count(), bids.sum(|bid| bid.price)))
            .sink(sink);
        job.run().unwrap();
        let got = sorted(&results);
        assert_eq!(got.len(), bids.len());
        for auction in 0..13 {
            let prices = bids.iter().filter(|b| b.auction == auction).map(|b| b.price);
            let all = (auction, (prices.clone().count() as u64, prices.sum()));
            assert_eq!(got.iter().rfind(|got| got.0 == auction), Some(&all), "{shards} shards");
        }
    }
}

type Total = (String, (u64, u64, u64, u64));

fn totals(bids: &[Bid]) -> Vec<Total> {
    let mut totals: BTreeMap<String, (u64, u64, u64, u64)> = BTreeMap::new();
    for bid in bids {
        let total = totals.entry(format!("auction {}", bid.auction)).or_default();
        *total = (total.0 + 1, total.1 + bid.price, total.2.max(bid.price), total.3 ^ bid.price);
    }
    totals.into_iter().collect()
}

#[test]
fn final_aggregates_are_right_merged_or_not() {
    let bids = bids(3_000);
    each_way(|shards, splits| {
        let job = Job::new("totals").shards(shards);
        let named = |bid: &Bid| (format!("auction {}", bid.auction), bid.price);
        let (merged, alone) = (Gathered::new(), Gathered::new());
        let stream = timed(&job, bids.clone(), splits).map(named).settle();
        stream
            .clone()
            .key_by_ref(|(auction, _)| auction)
            .aggregate_final(|bids| {
                let xor = bids.fold(|acc: &mut u64, (_, p)| *acc ^= p, |acc, other| *acc ^= other);
                (bids.count(), bids.sum(|(_, p)| p), bids.max(|(_, p)| p), xor)
            })
            .sink(merged.0);
        stream
            .key_by_ref(|(auction, _)| auction)
            .aggregate_final(|bids| {
                bids.fold_alone(|acc: &mut (u64, u64, u64, u64), (_, price)| {
                    *acc = (acc.0 + 1, acc.1 + price, acc.2.max(price), acc.3 ^ price);
                })
            })
            .sink(alone.0);
        job.run().unwrap();
        assert_eq!(sorted(&merged.1), totals(&bids), "{shards} shards, {splits} splits");
        assert_eq!(sorted(&alone.1), totals(&bids), "{shards} shards, {splits} splits");
    });
}

#[test]
fn windows_behind_final_aggregates_get_the_newest_times() {
    let bids = bids(3_000);
    // The newest bids of key 0 are the oldest: their totals must not be late.
    let bids: Vec<_> =
        bids.into_iter().filter(|bid| bid.auction % 5 > 0 || bid.at < ms(9_000)).collect();
    each_way(|shards, splits| {
        let job = Job::new("newest").shards(shards);
        let (sink, results) = Gathered::new();
        timed(&job, bids.clone(), splits)
            .key_by(|bid| bid.auction % 5)
            .aggregate_final(|bids| bids.count())
            .key_by(|(key, _)| key)
            .window(Tumbling::of(10.seconds()))
            .aggregate(|totals| totals.sum(|(_, count)| count))
            .map(|window| (window.key, window.end, window.value))
            .sink(sink);
        job.run().unwrap();
        let count = |key| bids.iter().filter(|bid| bid.auction % 5 == key).count() as u64;
        let end = |key| if key == 0 { ms(10_000) } else { ms(30_000) };
        let expected: Vec<_> = (0..5).map(|key| (key, end(key), count(key))).collect();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

/// The records that are more than `ttl` after the last one of their key that counted.
fn firsts(mut bids: Vec<Bid>, ttl: Option<std::time::Duration>) -> Vec<Bid> {
    bids.sort_by_key(|bid| bid.at);
    let mut seen: BTreeMap<u64, Timestamp> = BTreeMap::new();
    bids.retain(|bid| {
        let again = ttl.is_none_or(|ttl| seen.get(&bid.auction).is_some_and(|s| bid.at < *s + ttl));
        let keep = !seen.contains_key(&bid.auction) || !again;
        if keep {
            seen.insert(bid.auction, bid.at);
        }
        keep
    });
    bids.sort();
    bids
}

#[test]
fn first_records_of_one_split_are_those_of_a_loop() {
    let bids = bids(3_000);
    let within = 700.millis();
    let (once, again) = (firsts(bids.clone(), None), firsts(bids.clone(), Some(within)));
    assert!(once.len() == 13 && again.len() > 300);
    for shards in [1, 2, 4, 8] {
        let job = Job::new("first").shards(shards);
        let (all, some) = (Gathered::new(), Gathered::new());
        let keyed = timed(&job, bids.clone(), 1).settle().key_by(|bid| bid.auction);
        keyed.clone().first().sink(all.0);
        keyed.first_within(within).sink(some.0);
        job.run().unwrap();
        assert_eq!(sorted(&all.1), once, "{shards} shards");
        assert_eq!(sorted(&some.1), again, "{shards} shards");
    }
}

#[test]
fn first_records_by_time_are_the_same_in_any_order() {
    let expected = firsts(bids(3_000), Some(700.millis()));
    // Each hundred comes backwards: records are up to a second out of order.
    let mut shuffled = bids(3_000);
    shuffled.chunks_mut(100).for_each(<[Bid]>::reverse);
    each_way(|shards, splits| {
        let job = Job::new("first by time").shards(shards);
        let (firsts, windows) = (Gathered::new(), Gathered::new());
        let stream = job
            .source(Deal(shuffled.clone(), splits))
            .event_time(|bid| bid.at, 1.seconds())
            .key_by(|bid| bid.auction)
            .first_by_time(700.millis());
        stream.clone().sink(firsts.0);
        stream.window(Tumbling::of(1.days())).aggregate(|bids| bids.count()).sink(windows.0);
        job.run().unwrap();
        assert_eq!(sorted(&firsts.1), expected, "{shards} shards, {splits} splits");
        let counted: u64 = windows.1.lock().unwrap().iter().map(|window| window.value).sum();
        assert_eq!(counted, expected.len() as u64, "no first record is late");
    });
}

#[test]
fn late_records_are_never_first() {
    for shards in [1, 4] {
        let job = Job::new("late").shards(shards);
        let (sink, results) = Gathered::new();
        job.source(Deal(vec![5_u64, 4_000, 6, 4_001], 1))
            .event_time(|n| ms(n as i64), 1.seconds())
            .key_by(|n| n % 2)
            .first_within(2.seconds())
            .sink(sink);
        let report = job.run().unwrap();
        assert_eq!(sorted(&results), [5, 4_000, 4_001], "{shards} shards");
        assert_eq!(report.operators.iter().map(|operator| operator.late).sum::<u64>(), 1);
    }
}
