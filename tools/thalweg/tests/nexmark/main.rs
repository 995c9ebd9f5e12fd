//! Every Nexmark query: one digest for every number of shards and splits, and the one that a naive
//! program computes, one event after the other.

mod oracle;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use thalweg::connector::nexmark::{Event, Nexmark, Recorded};
use thalweg::prelude::*;
use thalweg_cli::bench::nexmark::{Digest, Input, QUERIES, Query};

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
    let job = Job::new(query.name).shards(shards).executor(Executor::Threads).pin(false);
    let digest = Digest::default();
    let folder = tempfile::tempdir().unwrap();
    let events = RECORDED[&splits].clone();
    let input = Input { events, folder: folder.path().to_owned() };
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

/// Checked in a way of their own.
const OTHERWISE: [&str; 0] = [];

queries! {
    q0 is oracle::q0;
    q1 is oracle::q1;
    q2 is oracle::q2;
    q5 is oracle::q5;
    q7 is oracle::q7;
    q14 is oracle::q14;
    q17 is oracle::q17;
    q21 is oracle::q21;
    q22 is oracle::q22;
}
