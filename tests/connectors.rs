//! Jobs from files to files, and what they say when something is wrong with them.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use thalweg::operator::OnBadRecord;
use thalweg::prelude::*;

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Bid { auction: u64, price: u64, at: Timestamp }
}

fn bids(n: u64) -> Vec<Bid> {
    let at = |i: u64| Timestamp::from_millis(i as i64 * 10);
    (0..n).map(|i| Bid { auction: i * 7 % 13, price: i * 31 % 1009, at: at(i) }).collect()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().unwrap().to_owned()
}

fn digest(shards: usize, source: impl thalweg::operator::Source<Record = Bid>) -> (u64, u64) {
    let job = Job::new("digest").shards(shards);
    let (sink, digest) = Digest::new();
    job.source(source).filter(|bid| bid.price > 100).sink(sink);
    job.run().unwrap();
    (digest.rows(), digest.sum())
}

#[test]
fn a_stream_survives_every_format_on_any_number_of_shards() {
    let directory = tempfile::tempdir().unwrap();
    let expected = digest(1, Memory::of(bids(5_000)));
    assert!(expected.0 > 4_000);
    for shards in [1, 2, 5] {
        let (csv, json) = (format!("csv-{shards}"), format!("json-{shards}"));
        let log = directory.path().join(format!("log-{shards}"));
        let write = Job::new("write").shards(shards);
        write.source(Memory::of(bids(5_000))).sink(Files::to_csv(path(directory.path(), &csv)));
        write
            .source(Memory::slices([bids(5_000)]))
            .sink(Files::to_json(directory.path().join(&json)));
        write.source(Memory::of(bids(5_000))).sink(RecordLog::write(&log));
        write.run().unwrap();
        let csv = Files::csv::<Bid>(path(directory.path(), &csv) + "/*.csv");
        assert_eq!(digest(3, csv.splits_per_file(3)), expected);
        let json = Files::json::<Bid>(path(directory.path(), &json) + "/*.jsonl");
        assert_eq!(digest(2, json), expected);
        assert_eq!(digest(2, RecordLog::read(path(&log, "*.tlog"))), expected);
    }
}

#[test]
fn words_are_counted_from_a_file_into_memory_and_a_callback() {
    let directory = tempfile::tempdir().unwrap();
    let text = "the river the bed\nthe line of the river\n".repeat(500);
    fs::write(directory.path().join("text"), text).unwrap();
    let job = Job::new("words").shards(3);
    let (sink, results) = Collect::new();
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let shared = Arc::clone(&counts);
    let words = || {
        let lines = Files::lines(path(directory.path(), "text")).splits_per_file(7);
        job.source(lines).flat_map(|line: &str, out: &mut Emit<'_, String>| {
            line.split(' ').for_each(|word| out.push(word));
        })
    };
    words().sink(sink);
    words().sink(Callback::new::<String>(move |_, _, word| {
        *shared.lock().unwrap().entry(word.to_owned()).or_insert(0) += 1;
    }));
    job.run().unwrap();
    let mut collected = HashMap::new();
    results.take().into_iter().for_each(|word| *collected.entry(word).or_insert(0) += 1);
    assert_eq!(collected["the"], 2_000);
    assert_eq!(*counts.lock().unwrap(), collected);
}

#[test]
fn bad_rows_end_the_job_or_are_counted_or_diverted() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.csv"), "auction,price,at\n1,2,3\n1,x,3\n4,5,6\n").unwrap();
    let source = || Files::csv::<Bid>(path(directory.path(), "a.csv"));

    let job = Job::new("strict").shards(2);
    job.source(source()).sink(Discard);
    let error = job.run().unwrap_err().to_string();
    let wanted = "a.csv line 3: field price: expected a whole number, 0 or more, found \"x\"";
    assert!(error.contains("job strict") && error.contains(wanted), "{error}");

    let job = Job::new("lenient").shards(2);
    let (sink, results) = Collect::new();
    job.source(source().on_bad_record(OnBadRecord::Skip)).sink(sink);
    job.run().unwrap();
    assert_eq!(results.take().len(), 2);

    let job = Job::new("diverting").shards(2);
    let ((good, kept), (bad, diverted)) = (Collect::new(), Collect::new());
    let (rows, errors) = job.source_with_bad(source().on_bad_record(OnBadRecord::SideStream));
    rows.sink(good);
    errors.sink(bad);
    job.run().unwrap();
    assert_eq!(kept.take().len(), 2);
    let diverted = diverted.take();
    assert_eq!((diverted.len(), diverted[0].line, &*diverted[0].text), (1, 3, "1,x,3"));
}

#[test]
fn what_is_wrong_outside_is_said_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("missing").shards(2);
    job.source(Files::lines(path(directory.path(), "no*"))).sink(Discard);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("no file matches"), "{error}");

    fs::write(directory.path().join("file"), "").unwrap();
    let job = Job::new("unwritable").shards(2);
    job.source(Counter::to(10)).sink(Files::to_json(directory.path().join("file")));
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("writing") && error.contains("file"), "{error}");
}
