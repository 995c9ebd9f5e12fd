//! Moving records between shards, apart and together: nothing is lost, and the windows behind are
//! right on any number of shards.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use support::{Deal, Gathered, Timetable};
use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Bid { auction: u64, price: u64, at: Timestamp }
}

type Counted = InWindow<u64, (u64, u64)>;

fn bids(n: u64) -> Vec<Bid> {
    let at = |i: u64| Timestamp::from_millis(i as i64 * 10);
    (0..n).map(|i| Bid { auction: i * 7 % 13, price: i * 31 % 1009, at: at(i) }).collect()
}

fn each_way(check: impl Fn(usize, usize)) {
    for shards in [1, 2, 4, 8] {
        for splits in [1, 3] {
            check(shards, splits);
        }
    }
}

/// What windows of one second hold, computed one record at a time.
fn naive(bids: &[Bid]) -> Vec<Counted> {
    let mut windows: BTreeMap<(u64, i64), (u64, u64)> = BTreeMap::new();
    for bid in bids {
        let end = bid.at.millis().div_euclid(1_000) * 1_000 + 1_000;
        let counted = windows.entry((bid.auction, end)).or_default();
        counted.0 += 1;
        counted.1 = counted.1.max(bid.price);
    }
    let ms = Timestamp::from_millis;
    windows
        .into_iter()
        .map(|((key, end), value)| InWindow { key, start: ms(end - 1_000), end: ms(end), value })
        .collect()
}

fn windows(stream: Stream<Bid, impl Chain<Out = Bid>>) -> Arc<Mutex<Vec<Counted>>> {
    let (sink, results) = Gathered::new();
    stream
        .key_by(|bid| bid.auction)
        .window(Tumbling::of(1.seconds()))
        .aggregate(|bids| (bids.count(), bids.max(|bid| bid.price)))
        .sink(sink);
    results
}

fn sorted<T: Ord + Clone>(results: &Arc<Mutex<Vec<T>>>) -> Vec<T> {
    let mut results = results.lock().unwrap().clone();
    results.sort();
    results
}

fn timed(job: &Job, bids: Vec<Bid>, splits: usize) -> Stream<Bid, impl Chain<Out = Bid> + use<>> {
    job.source(Deal(bids, splits)).event_time(|bid| bid.at, 0.seconds())
}

/// Windows behind `flow` are those of the records themselves.
fn keeps(flow: impl Fn(Stream<Bid>) -> Stream<Bid>) {
    let bids = bids(5_000);
    let expected = naive(&bids);
    each_way(|shards, splits| {
        let job = Job::new("flow").shards(shards);
        let results = windows(flow(timed(&job, bids.clone(), splits).settle()));
        job.run().unwrap();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn windows_behind_a_rebalance_are_right() {
    keeps(Stream::rebalance);
}

#[test]
fn windows_behind_a_shuffle_are_right() {
    keeps(|stream| stream.shuffle(7));
}

#[test]
fn windows_behind_a_gather_are_right() {
    keeps(Stream::gather);
}

#[test]
fn windows_behind_ranges_are_right() {
    keeps(|stream| stream.partition_by_range(|bid| bid.auction, [4, 8, 9]));
}

#[test]
fn windows_behind_several_moves_are_right() {
    keeps(|stream| stream.rebalance().filter(|_| true).shuffle(3).settle().gather().rebalance());
}

#[test]
fn windows_behind_a_split_put_together_again_are_right() {
    keeps(|stream| {
        let (cheap, dear) = stream.split(|bid| bid.price < 500);
        cheap.rebalance().union(dear)
    });
}

#[test]
fn windows_behind_routes_put_together_again_are_right() {
    keeps(|stream| {
        let [a, b, c] = stream.route(["a", "b", "c"], |bid| (bid.price % 3) as usize);
        a.gather().union(b.union(c.shuffle(1)))
    });
}

#[test]
fn windows_behind_a_broadcast_have_every_record_once_a_shard() {
    let bids = bids(2_000);
    each_way(|shards, splits| {
        let job = Job::new("broadcast").shards(shards);
        let results = windows(timed(&job, bids.clone(), splits).broadcast());
        job.run().unwrap();
        let copies = |counted: Counted| InWindow {
            value: (counted.value.0 * shards as u64, counted.value.1),
            ..counted
        };
        let expected: Vec<_> = naive(&bids).into_iter().map(copies).collect();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn a_union_waits_for_the_slower_stream() {
    let bids = bids(4_000);
    let (first, second) = bids.split_at(1_000);
    let expected = naive(&bids);
    each_way(|shards, splits| {
        let job = Job::new("union").shards(shards);
        let slow = timed(&job, second.to_vec(), splits).rebalance();
        let results = windows(timed(&job, first.to_vec(), 1).union(slow));
        job.run().unwrap();
        assert_eq!(sorted(&results), expected, "{shards} shards, {splits} splits");
    });
}

#[test]
fn a_stream_can_be_united_with_itself() {
    each_way(|shards, splits| {
        let job = Job::new("twice").shards(shards);
        let (sink, results) = Gathered::new();
        let stream = job.source(Deal((0..1_000_u64).collect(), splits)).settle();
        stream.clone().union(stream.map(|n| n + 1_000)).sink(sink);
        job.run().unwrap();
        assert_eq!(sorted(&results), (0..2_000).collect::<Vec<_>>());
    });
}

#[test]
fn each_way_of_a_route_gets_its_own() {
    each_way(|shards, splits| {
        let job = Job::new("ways").shards(shards);
        let way = |n| ["small", "large"][usize::from(n >= 300)];
        let source = job.source(Deal((0..1_000_u64).collect(), splits));
        let [large, small] = source.route(["large", "small"], way);
        let (to_small, smalls) = Gathered::new();
        let (to_large, larges) = Gathered::new();
        small.sink(to_small);
        large.sink(to_large);
        job.run().unwrap();
        assert_eq!(sorted(&smalls), (0..300).collect::<Vec<_>>());
        assert_eq!(sorted(&larges), (300..1_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_way_that_there_is_not_ends_the_job() {
    let job = Job::new("lost").shards(1);
    let (sink, _) = Gathered::new();
    let source = job.source(Deal(vec![0_u64, 1, 2], 1));
    let [a, b] = source.route(["a", "b"], |n| n as usize);
    a.union(b).sink(sink);
    let error = job.run().unwrap_err().to_string();
    let says = "route: route gave way 2, but there are only 2: a, b";
    assert!(error.ends_with(says), "{error}");
}

#[test]
fn streams_of_two_jobs_are_not_united() {
    let (job, stranger) = (Job::new("one"), Job::new("other"));
    let (sink, _) = Gathered::new();
    let other = stranger.source(Deal(vec![1_u64], 1)).map(|n| n).settle();
    job.source(Deal(vec![0_u64], 1)).union(other).sink(sink);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("union: the streams are of two jobs"), "{error}");
}

/// Which shards a record was written on.
struct Shards(Arc<Mutex<Vec<(usize, u64)>>>, usize);

impl thalweg::operator::Sink<u64> for Shards {
    type Writer = Shards;
    fn name(&self) -> String {
        "shards".into()
    }
    fn open(&mut self, shard: usize, _: usize) -> Result<Shards> {
        Ok(Shards(self.0.clone(), shard))
    }
}

impl thalweg::operator::Writer<u64> for Shards {
    fn write(&mut self, _: Timestamp, record: u64) -> Result {
        self.0.lock().unwrap().push((self.1, record));
        Ok(())
    }
}

fn placed(flow: impl Fn(Stream<u64>) -> Stream<u64>) -> Vec<(usize, u64)> {
    let job = Job::new("placed").shards(4);
    let all = Arc::new(Mutex::new(Vec::new()));
    flow(job.source(Deal((0..1_000).collect(), 1))).sink(Shards(all.clone(), 0));
    job.run().unwrap();
    sorted(&all)
}

#[test]
fn records_land_where_they_are_sent() {
    let on = |placed: &[(usize, u64)], shard| placed.iter().filter(|p| p.0 == shard).count();
    let gathered = placed(Stream::gather);
    assert_eq!(on(&gathered, 0), 1_000);
    let dealt = placed(Stream::rebalance);
    assert_eq!([0, 1, 2, 3].map(|shard| on(&dealt, shard)), [250; 4]);
    let shuffled = placed(|stream| stream.shuffle(1));
    assert!((0..4).all(|shard| on(&shuffled, shard) > 200), "{shuffled:?}");
    assert_eq!(shuffled, placed(|stream| stream.shuffle(1)));
    assert_ne!(shuffled, placed(|stream| stream.shuffle(2)));
    let ranged = placed(|stream| stream.partition_by_range(|n| n, [300, 100, 200]));
    assert_eq!([0, 1, 2, 3].map(|shard| on(&ranged, shard)), [100, 100, 100, 700]);
    assert!(ranged.is_sorted_by_key(|(_, n)| *n));
}

#[test]
fn much_passes_through_small_rings() {
    let (n, shards) = (400_000, 4);
    let job = Job::new("much").shards(shards);
    let (sink, results) = Gathered::new();
    job.source(Deal((0..n).collect(), 3)).rebalance().gather().map(|n| n).sink(sink);
    job.run().unwrap();
    assert_eq!(sorted(&results), (0..n).collect::<Vec<u64>>());
}

/// Two splits that never end: one gives one record and falls silent, the other goes on to 10 s.
struct Silent;

struct SilentSplit(std::vec::IntoIter<Bid>);

impl Source for Silent {
    type Record = Bid;
    fn name(&self) -> String {
        "silent".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Bid>>>> {
        let splits = [bids(1), bids(1_000)];
        Ok(splits.map(|bids| Box::new(SilentSplit(bids.into_iter())) as _).into_iter().collect())
    }
}

impl Split<Bid> for SilentSplit {
    fn poll(&mut self, feed: &mut Feed<'_, Bid>) -> Result<Progress> {
        let Some(bid) = self.0.next() else { return Ok(Progress::Idle) };
        bid.lend(|bid| feed.push(bid))?;
        Ok(Progress::Busy)
    }
}

#[test]
fn a_shard_whose_splits_are_idle_holds_no_other_back() {
    for shards in [1, 2, 4, 8] {
        let job = Job::new("silent").shards(shards).idle_after(20.millis());
        let bids = job.source(Silent).event_time(|bid| bid.at, 0.seconds());
        let results = windows(bids.settle());
        let running = job.start().unwrap();
        // All but the last window, which nothing closes.
        let expected = naive(&bids_until_9_s()).len();
        let begun = Instant::now();
        while results.lock().unwrap().len() < expected {
            assert!(begun.elapsed() < 30.seconds(), "{shards} shards: windows stay open");
            std::thread::sleep(1.millis());
        }
        running.stop();
        running.join().unwrap();
        let mut expected = naive(&bids_until_9_s());
        // The silent split's record is the other's first one once more.
        let first = expected.iter_mut().find(|w| w.key == 0 && w.start.millis() == 0).unwrap();
        first.value.0 += 1;
        expected.sort();
        assert_eq!(sorted(&results), expected, "{shards} shards");
    }
}

fn bids_until_9_s() -> Vec<Bid> {
    bids(900)
}

#[test]
fn a_join_keeps_what_comes_back_from_idle_when_the_others_have_ended() {
    for shards in [1, 2, 4] {
        let job = Job::new("back").shards(shards).idle_after(150.millis());
        let (sink, pairs) = Collect::new();
        // The first split falls silent, the second ends meanwhile, the first goes on.
        let splits = vec![vec![(0, 1), (800, 60), (900, 61)], vec![(0, 2), (300, 13)]];
        let numbers = job
            .source(Timetable(splits))
            .event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
            .settle();
        let other = numbers.clone().key_by(|_| 1_u64);
        numbers
            .key_by(|_| 1_u64)
            .join(other)
            .window(Tumbling::of(10.millis()))
            .inner(|left, right| (left, right))
            .sink(sink);
        job.run().unwrap();
        let together = [(1, 1), (1, 2), (2, 1), (2, 2), (13, 13)];
        let back = [(60, 60), (60, 61), (61, 60), (61, 61)];
        assert_eq!(pairs.sorted(), [&together[..], &back[..]].concat(), "{shards} shards");
    }
}
