//! Every Nexmark query: one digest for every number of shards and splits, and the one that a naive
//! program computes, one event after the other.
#![allow(clippy::unwrap_used)]

mod oracle;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use thalweg::connector::nexmark::{Event, Nexmark, Recorded};
use thalweg::prelude::*;
use thalweg_cli::bench::nexmark::{Check, Digest, Input, QUERIES, Query};

/// 12 s of event time: more than one window of 10 s.
const EVENTS: u64 = 120_000;

static EVENTS_OWNED: LazyLock<Vec<Event>> =
    LazyLock::new(|| Nexmark::generate(0..EVENTS).collect());

/// The input by its number of splits.
static RECORDED: LazyLock<BTreeMap<usize, Recorded>> = LazyLock::new(|| {
    let recorded = |splits| (splits, Nexmark::events(EVENTS).record(splits).unwrap());
    [1, 3, 8].map(recorded).into()
});

fn run(query: &Query, shards: usize, splits: usize) -> Digest {
    let folder = tempfile::tempdir().unwrap();
    run_in(query, shards, splits, folder.path())
}

fn run_in(query: &Query, shards: usize, splits: usize, folder: &Path) -> Digest {
    let job = Job::new(query.name).shards(shards).executor(Executor::Threads).pin(false);
    let digest = Digest::default();
    let events = RECORDED[&splits].clone();
    let input = Input { events: events.into(), folder: folder.to_owned() };
    (query.build)(&job, &input, digest.clone());
    job.run().unwrap();
    digest
}

/// Checks one query against its oracle, or, where it has none, against itself on one shard.
fn check(name: &str, expected: Option<fn(&[Event], &Digest)>) {
    let query = QUERIES.iter().find(|query| query.name == name).unwrap();
    let expected = match expected {
        Some(oracle) => {
            let digest = Digest::default();
            oracle(&EVENTS_OWNED, &digest);
            digest
        }
        None => run(query, 1, 1),
    };
    assert!(expected.rows() > 0, "{name} gives no rows");
    for (shards, splits) in [(1, 3), (2, 3), (2, 8), (4, 8), (8, 8)] {
        let got = run(query, shards, splits);
        let got = (got.rows(), got.to_string());
        let expected = (expected.rows(), expected.to_string());
        assert_eq!(got, expected, "{name} on {shards} shards from {splits} splits");
    }
}

macro_rules! queries {
    ($($name:ident $(is $oracle:path)?;)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), None::<fn(&[Event], &Digest)>$(.or(Some($oracle)))?);
        }
    )*

        #[test]
        fn every_query_is_checked() {
            let mut checked = vec![$(stringify!($name)),*];
            checked.extend(OTHERWISE);
            let mut all: Vec<_> = QUERIES.iter().map(|query| query.name).collect();
            checked.sort_unstable();
            all.sort_unstable();
            assert_eq!(checked, all);
        }
    };
}

/// Checked in a way of its own.
const OTHERWISE: [&str; 1] = ["q12"];

#[test]
fn q12_counts_every_bid() {
    let query = QUERIES.iter().find(|query| query.name == "q12").unwrap();
    let Check::Counts(expected) = query.check else {
        panic!("the rows of q12 depend on the clock");
    };
    let bids = EVENTS_OWNED.iter().filter(|event| matches!(event, Event::Bid(_))).count();
    assert_eq!(expected(EVENTS), bids as u64);
    for shards in [1, 2, 8] {
        assert_eq!(run(query, shards, 8).hash(), bids as u64, "{shards} shards");
    }
}

#[test]
fn q10_writes_a_line_for_every_row() {
    let query = QUERIES.iter().find(|query| query.name == "q10").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let digest = run_in(query, 3, 8, folder.path());
    let files: Vec<_> = std::fs::read_dir(folder.path().join("bid")).unwrap().collect();
    assert_eq!(files.len(), 3);
    let rows = |file: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("auction,bidder,price,date_time,extra,dt,hm"));
        lines.count() as u64
    };
    assert_eq!(files.into_iter().map(rows).sum::<u64>(), digest.rows());
}

queries! {
    q0 is oracle::q0;
    q1 is oracle::q1;
    q2 is oracle::q2;
    q3 is oracle::q3;
    q4 is oracle::q4;
    q5 is oracle::q5;
    q6 is oracle::q6;
    q7 is oracle::q7;
    q8 is oracle::q8;
    q9 is oracle::q9;
    q10 is oracle::q10;
    q11 is oracle::q11;
    q13 is oracle::q13;
    q14 is oracle::q14;
    q15 is oracle::q15;
    q16 is oracle::q16;
    q17 is oracle::q17;
    q18 is oracle::q18;
    q19 is oracle::q19;
    q20 is oracle::q20;
    q21 is oracle::q21;
    q22 is oracle::q22;
}
