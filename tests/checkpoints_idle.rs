//! Windows that closed while a split was idle stay closed when the job goes on from a checkpoint,
//! although the watermark begins anew with what that split is behind.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use thalweg::operator::{Feed, Progress, Source, Split};
use thalweg::prelude::*;

/// Splits that give times in milliseconds, one a poll, each once an act of the play has begun.
struct Play {
    splits: Vec<Vec<(u64, u64)>>,
    act: Arc<AtomicU64>,
}

struct Part {
    lines: Vec<(u64, u64)>,
    next: usize,
    act: Arc<AtomicU64>,
}

impl Source for Play {
    type Record = u64;
    fn name(&self) -> String {
        "play".into()
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        let part = |lines: &Vec<_>| -> Box<dyn Split<u64>> {
            Box::new(Part { lines: lines.clone(), next: 0, act: self.act.clone() })
        };
        Ok(self.splits.iter().map(part).collect())
    }
}

impl Split<u64> for Part {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        match self.lines.get(self.next) {
            None => Ok(Progress::Done),
            Some((act, _)) if *act > self.act.load(Relaxed) => Ok(Progress::Idle),
            Some((_, ms)) => {
                self.next += 1;
                feed.push(*ms)?;
                Ok(Progress::Busy)
            }
        }
    }
    fn offset(&self) -> u64 {
        self.next as u64
    }
    fn seek(&mut self, offset: u64) -> Result {
        self.next = offset as usize;
        Ok(())
    }
}

/// A window's start in milliseconds, and its value.
type Row = (i64, u64);

fn program(kind: &str, ms: Stream<u64>) -> Stream<Row> {
    let ms = ms.event_time(|ms| Timestamp::from_millis(ms as i64), 0.seconds());
    let row = |start: Timestamp, value| (start.millis(), value);
    match kind {
        "tumbling" => ms
            .window(Tumbling::of(10.millis()))
            .aggregate(|ms| ms.count())
            .map(move |w| row(w.start, w.value))
            .settle(),
        "sliding sum" => ms
            .window(Sliding::of(10.millis(), 5.millis()))
            .aggregate(|ms| ms.count())
            .map(move |w| row(w.start, w.value))
            .settle(),
        "sliding max" => ms
            .window(Sliding::of(10.millis(), 5.millis()))
            .aggregate(|ms| ms.max(|ms| ms))
            .map(move |w| row(w.start, w.value))
            .settle(),
        "cumulating" => ms
            .window(Cumulating::of(20.millis(), 5.millis()))
            .aggregate(|ms| ms.count())
            .map(move |w| row(w.end, w.value))
            .settle(),
        "lateness" => ms
            .window(Tumbling::of(10.millis()))
            .allowed_lateness(1.millis())
            .aggregate(|ms| ms.count())
            .map(move |w| row(w.start, w.value))
            .settle(),
        "unmerged" => ms
            .window(Tumbling::of(10.millis()))
            .aggregate(|ms| ms.fold_alone(|n: &mut u64, _| *n += 1))
            .map(move |w| row(w.start, w.value))
            .settle(),
        _ => ms
            .window(Session::gap(5.millis()))
            .aggregate(|ms| ms.count())
            .map(move |w| row(w.start, w.value))
            .settle(),
    }
}

/// Runs the program on a play; with a place for state it is stopped after the first act and goes on
/// on other shards.
fn rows(kind: &str, shards: [usize; 2], state: Option<&Path>) -> Vec<Row> {
    // The first split is silent while the second goes on, and comes back behind it.
    let behind = vec![(0, 1), (1, 3), (1, 4), (1, 5), (1, 70), (1, 71)];
    let ahead = vec![(0, 2), (0, 32), (0, 62), (1, 63), (1, 64), (1, 100)];
    let start = |shards, act: u64| {
        let mut job = Job::new("play").shards(shards).pin(false).idle_after(2.millis());
        if let Some(state) = state {
            job = job.checkpoints(state, 1.days());
        }
        let act = Arc::new(AtomicU64::new(act));
        let source = Play { splits: vec![behind.clone(), ahead.clone()], act: act.clone() };
        let (sink, results) = Collect::new();
        program(kind, job.source(source)).sink(sink);
        (job.start().unwrap_or_else(|error| panic!("{kind}: {error}")), results, act)
    };
    let (running, results, act) = start(shards[0], 0);
    let mut rows: Vec<Row> = Vec::new();
    let closed = |rows: &[Row]| rows.iter().any(|(start, _)| *start >= 30);
    while !closed(&rows) {
        assert!(!running.wait_for(1.millis()), "{kind}: {:?}", running.join().err());
        rows.extend(results.take());
    }
    if state.is_none() {
        act.store(1, Relaxed);
        running.join().unwrap();
        rows.extend(results.take());
    } else {
        running.stop();
        running.join().unwrap();
        rows.extend(results.take());
        let (running, results, _) = start(shards[1], 1);
        running.join().unwrap();
        rows.extend(results.take());
    }
    rows.sort_unstable();
    rows
}

#[test]
fn what_closed_while_a_split_was_idle_stays_closed() {
    let kinds =
        ["tumbling", "sliding sum", "sliding max", "cumulating", "lateness", "unmerged", "session"];
    for kind in kinds {
        let expected = rows(kind, [1, 1], None);
        let starts: BTreeSet<i64> = expected.iter().map(|(start, _)| *start).collect();
        assert_eq!(starts.len(), expected.len(), "{kind}: {expected:?}");
        for shards in [[1, 1], [2, 2], [1, 2], [2, 1], [2, 3], [3, 2]] {
            let state = tempfile::tempdir().unwrap();
            let got = rows(kind, shards, Some(state.path()));
            assert_eq!(got, expected, "{kind}, {shards:?}");
        }
    }
}
