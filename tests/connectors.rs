//! Jobs from files to files, and what they say when something is wrong with them.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

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
    assert!(error.contains("file is no directory; name one"), "{error}");
}

#[test]
fn a_log_keeps_times_and_refuses_other_types_and_damage() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new("write").shards(1);
    job.source(Memory::of(bids(3_000)).splits(1))
        .event_time(|bid| bid.at, 0.seconds())
        .sink(RecordLog::write(directory.path()));
    job.run().unwrap();
    let log = path(directory.path(), "*.tlog");

    let job = Job::new("times").shards(2);
    let times = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&times);
    job.source(RecordLog::read::<Bid>(&log)).sink(Callback::new::<Bid>(move |shard, at, bid| {
        shared.lock().unwrap().push((shard, at, bid.at));
    }));
    job.run().unwrap();
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 3_000);
    assert!(times.iter().all(|(shard, at, own)| *shard == 0 && at == own));

    let job = Job::new("wrong").shards(1);
    job.source(RecordLog::read::<(u64, u64)>(&log)).sink(Discard);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("it holds struct Bid") && error.contains("the job reads"), "{error}");

    let file = directory.path().join("part-0.tlog");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let job = Job::new("damaged").shards(1);
    job.source(RecordLog::read::<Bid>(&log)).sink(Discard);
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("part-0.tlog") && error.contains("checksum is wrong"), "{error}");
}

#[test]
fn pieces_of_a_file_are_read_by_all_shards_whatever_ends_its_lines() {
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..1_000).map(|i| format!("line {i}")).collect();
    for end in ["\n", "\r\n"] {
        fs::write(directory.path().join("text"), lines.join(end)).unwrap();
        let job = Job::new("pieces").shards(2);
        let (sink, results) = Collect::new();
        job.source(Files::lines(path(directory.path(), "text")).splits_per_file(2)).sink(sink);
        job.run().unwrap();
        let shards = results.take_shards();
        assert!(shards.iter().all(|read| read.len() > 400), "{} lines", shards[0].len());
        assert_eq!(shards.concat(), lines);
    }
}

#[test]
fn files_of_more_shards_are_not_mixed_with_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let write = |shards| {
        let job = Job::new("write").shards(shards);
        job.source(Counter::to(10)).sink(Files::to_lines(directory.path()));
        job.run()
    };
    write(3).unwrap();
    let error = write(2).unwrap_err().to_string();
    assert!(error.contains("part-2.txt is of an earlier run"), "{error}");
    write(3).unwrap();
}

#[test]
fn every_number_arrives_once_in_bulk_and_bit_by_bit() {
    // A poll gives 1024 records: one more, one less, and many polls.
    for end in [0, 1, 1_023, 1_024, 1_025, 2_049] {
        for shards in [1, 3] {
            let job = Job::new("bulk").shards(shards);
            let (sink, results) = Collect::new();
            job.source(Counter::to(end)).sink(sink);
            job.run().unwrap();
            assert!(results.sorted().into_iter().eq(0..end), "{end} on {shards} shards");
        }
    }
    let job = Job::new("bit by bit").shards(2);
    let ((sink, results), (sums, digest)) = (Collect::new(), Digest::new::<u64>());
    let numbers = job.source(Counter::to(200).rate(2_000.0));
    numbers.clone().sink(sink);
    numbers.sink(sums);
    job.run().unwrap();
    let shards = results.take_shards();
    assert!(shards[0].iter().copied().eq((0..200).step_by(2)));
    assert!(shards[1].iter().copied().eq((1..200).step_by(2)));
    assert_eq!(digest.rows(), 200);
}

#[test]
fn a_callback_is_told_the_shard_and_the_time() {
    let job = Job::new("called").shards(2);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&calls);
    job.source(Counter::to(6)).event_time(|n| Timestamp::from_millis(n as i64), 0.seconds()).sink(
        Callback::new::<u64>(move |shard, at, n| {
            shared.lock().unwrap().push((n, shard, at.millis()));
        }),
    );
    job.run().unwrap();
    let mut calls = calls.lock().unwrap().clone();
    calls.sort_unstable();
    assert_eq!(calls, (0..6).map(|n| (n, n as usize % 2, n as i64)).collect::<Vec<_>>());
}

#[test]
fn no_sink_writes_over_what_is_being_read_or_written() {
    let refused = |job: Job, directory: &Path| {
        let message = job.run().unwrap_err().to_string();
        let file = directory.join("part-0.");
        assert!(message.contains(file.to_str().unwrap()), "{message}");
        assert!(message.contains("is being read or written; write to another"), "{message}");
    };
    for shards in [1, 2] {
        let directory = tempfile::tempdir().unwrap();
        let [csv, log] = ["csv", "log"].map(|name| directory.path().join(name));
        let job = |name| Job::new(name).shards(shards);
        let write = job("write");
        write.source(Memory::of(bids(100))).sink(Files::to_csv(&csv));
        write.source(Memory::of(bids(100))).sink(RecordLog::write(&log));
        write.run().unwrap();
        let read_csv = || Files::csv::<Bid>(path(&csv, "*.csv"));
        let read_log = || RecordLog::read::<Bid>(path(&log, "*.tlog"));
        let (in_csv, in_log) = (digest(1, read_csv()), digest(1, read_log()));
        let again = job("again");
        again.source(read_csv()).sink(Files::to_csv(&csv));
        refused(again, &csv);
        let again = job("again");
        again.source(read_log()).sink(RecordLog::write(&log));
        refused(again, &log);
        let kept = directory.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("part-0.csv"), "of yesterday").unwrap();
        let again = job("again");
        let rows = again.source(read_csv());
        rows.clone().sink(Files::to_csv(&kept));
        rows.sink(Files::to_csv(&csv));
        refused(again, &csv);
        assert_eq!(fs::read_to_string(kept.join("part-0.csv")).unwrap(), "of yesterday");
        assert_eq!((digest(1, read_csv()), digest(1, read_log())), (in_csv, in_log));
    }
}

#[test]
fn sinks_that_write_the_same_files_name_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let (one, again) = (directory.path().join("one"), directory.path().join("none/../one"));
    let elsewhere = directory.path().join("link/one");
    std::os::unix::fs::symlink(directory.path(), directory.path().join("link")).unwrap();
    for other in [&one, &again, &elsewhere] {
        let job = Job::new("both").shards(2);
        let numbers = job.source(Counter::to(10));
        numbers.clone().sink(Files::to_csv(&one));
        numbers.clone().sink(Files::to_json(&one));
        numbers.named("other").sink(Files::to_csv(other));
        let message = job.run().unwrap_err().to_string();
        let wanted = format!(
            "job both: other: sink csv files in {} writes to {}/part-*.csv, too; give each sink a \
             place of its own",
            one.display(),
            one.canonicalize().unwrap_or(one.clone()).display()
        );
        assert_eq!(message, wanted);
    }
    assert!(!one.exists(), "nothing is made for a job that is refused");
    let job = Job::new("both").shards(2);
    let numbers = job.source(Counter::to(10));
    numbers.clone().sink(Files::to_csv(&one));
    numbers.sink(Files::to_json(&one));
    job.run().unwrap();
}

#[test]
fn places_that_take_no_files_are_said_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("part-1.txt")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("link")).unwrap();
    let said = |path: &Path| {
        let job = Job::new("unwritable").shards(2);
        job.source(Counter::to(10)).named("out").sink(Files::to_lines(path));
        job.start().err().unwrap().to_string()
    };
    let kernels = "is a view of the kernel's and takes no files; write to another directory";
    assert_eq!(said(Path::new("/proc/nope/x")), format!("job unwritable: out: /proc {kernels}"));
    let message = said(directory.path());
    let wanted = "part-1.txt is a directory, and a file is to have that name; remove it or write \
                  to another directory";
    assert!(message.ends_with(wanted), "{message}");
    assert!(!directory.path().join("part-0.txt").exists());
    let message = said(&directory.path().join("link"));
    assert!(message.contains("link: No such file") && message.contains("check the"), "{message}");
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    // Root may write there.
    if fs::write(closed.join("file"), "").is_err() {
        for path in [&closed, &closed.join("deep/er")] {
            let message = said(path);
            let wanted = "closed: Permission denied (os error 13); allow it to this user or choose";
            assert!(message.contains("out: making files in ") && message.contains(wanted));
        }
    }
}
