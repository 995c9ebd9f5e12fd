//! What shows of a job with checkpoints, and when.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::stub::read;
use super::super::{LogSink, RecordLog};
use super::*;
use crate::error::Kind;
use crate::operator::{Guarantee, Publish, Sink, Writer};
use crate::record;
use crate::record::Record;
use crate::time::Timestamp;

record! {
    #[derive(Eq)]
    struct Bid { auction: u64, price: u64 }
}

fn csv(directory: &TempDir) -> FileSink<Csv<()>> {
    Files::to_csv(directory.path().join("out"))
}

fn resumed<S: Sink<Bid>>(sink: &mut S, shards: usize, epoch: u64) -> Vec<S::Writer> {
    sink.check(shards, Some(epoch)).unwrap();
    (0..shards).map(|shard| sink.resume(shard, shards, epoch).unwrap()).collect()
}

fn put<W: Writer<Bid>>(writer: &mut W, auction: u64) {
    let at = Timestamp::from_micros(auction.cast_signed());
    Bid { auction, price: 1 }.lend(|bid| writer.write(at, bid)).unwrap();
}

fn prepared<W: Writer<Bid>>(writers: &mut [W], epoch: u64) -> Vec<Publish> {
    writers.iter_mut().flat_map(|writer| writer.prepare(epoch).unwrap()).collect()
}

/// The names in the directory, hidden ones too.
fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path().join("out")).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).unwrap()).collect();
    names.sort_unstable();
    names
}

fn shown(directory: &TempDir) -> Vec<String> {
    names(directory).into_iter().filter(|name| !name.starts_with('.')).collect()
}

fn refusal<S: Sink<Bid>>(sink: &mut S, shards: usize, resumes: Option<u64>) -> String {
    let checked = sink.check(shards, resumes).unwrap_err().to_string();
    let opened = match resumes {
        Some(epoch) => sink.resume(0, shards, epoch).map(|_| ()),
        None => sink.open(0, shards).map(|_| ()),
    };
    assert_eq!(opened.unwrap_err().to_string(), checked);
    checked
}

#[test]
fn rows_show_when_their_epoch_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = csv(&directory);
    assert_eq!(Sink::<Bid>::guarantee(&sink), Guarantee::ExactlyOnce);
    let mut writers = resumed(&mut sink, 2, 0);
    assert_eq!(prepared(&mut writers, 1), []);
    assert_eq!(names(&directory), [".part.csv.lock"]);
    put(&mut writers[1], 7);
    writers[1].flush().unwrap();
    let files = prepared(&mut writers, 2);
    assert!(shown(&directory).is_empty());
    assert!(read(&Files::lines(directory.path().join("out/*").to_str().unwrap()), 1).is_err());
    put(&mut writers[1], 8);
    writers.iter_mut().for_each(|writer| writer.finish().unwrap());
    files.iter().for_each(|file| publish(file).unwrap());
    assert_eq!(shown(&directory), ["part-1-00000002.csv"]);
    // Epoch 3 is skipped.
    let files = prepared(&mut writers, 4);
    assert_eq!(prepared(&mut writers, 5), []);
    files.iter().for_each(|file| publish(file).unwrap());
    assert_eq!(shown(&directory), ["part-1-00000002.csv", "part-1-00000004.csv"]);
    let text = |name| fs::read_to_string(directory.path().join("out").join(name)).unwrap();
    assert_eq!(text("part-1-00000002.csv"), "auction,price\n7,1\n");
    assert_eq!(text("part-1-00000004.csv"), "auction,price\n8,1\n");
    assert_eq!(names(&directory).len(), 3);
    let error = writers[0].prepare(5).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}

#[test]
fn what_was_not_published_goes_away() {
    let directory = tempfile::tempdir().unwrap();
    let mut writers = resumed(&mut csv(&directory), 3, 0);
    writers.iter_mut().for_each(|writer| put(writer, 1));
    prepared(&mut writers, 1).iter().for_each(|file| publish(file).unwrap());
    let published = shown(&directory);
    assert_eq!(published.len(), 3);
    writers.iter_mut().for_each(|writer| put(writer, 2));
    prepared(&mut writers, 2);
    writers.iter_mut().for_each(|writer| put(writer, 3));
    writers.iter_mut().for_each(|writer| writer.flush().unwrap());
    drop(writers);
    let others = [".part-0-00000001.jsonl.pending", ".part-0-x.csv.pending", ".part-0-1.csv", ".x"];
    for other in others {
        fs::write(directory.path().join("out").join(other), "").unwrap();
    }
    let pending = |shard: usize| {
        let start = format!(".part-{shard}-0000000");
        names(&directory).iter().filter(|name| name.starts_with(&start)).count()
    };
    assert_eq!([pending(0), pending(1), pending(2)], [3, 2, 2]);
    let mut sink = csv(&directory);
    let first = Sink::<Bid>::resume(&mut sink, 0, 2, 1).unwrap();
    assert_eq!([pending(0), pending(1), pending(2)], [1, 2, 0]);
    let second = Sink::<Bid>::resume(&mut sink, 1, 2, 1).unwrap();
    assert_eq!([pending(0), pending(1), pending(2)], [1, 0, 0]);
    drop((first, second));
    assert_eq!(shown(&directory), published);
    let left = names(&directory);
    assert!(others.iter().all(|other| left.contains(&(*other).to_owned())), "{left:?}");
}

#[test]
fn results_of_others_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = csv(&directory);
    let mut writers = resumed(&mut sink, 1, 0);
    put(&mut writers[0], 1);
    prepared(&mut writers, 3).iter().for_each(|file| publish(file).unwrap());
    drop(writers);
    let message = refusal(&mut sink, 1, Some(0));
    let wanted = "part-0-00000003.csv is there, and the job begins anew; remove it or write to";
    assert!(message.contains(wanted), "{message}");
    let message = refusal(&mut sink, 1, Some(2));
    assert!(message.contains("of epoch 3, and the job goes on after epoch 2"), "{message}");
    let message = refusal(&mut sink, 1, None);
    assert!(message.contains("of an earlier run with checkpoints; remove it"), "{message}");
    drop(resumed(&mut sink, 1, 3));
    let plain = directory.path().join("out/part-0.csv");
    fs::write(&plain, "auction,price\n").unwrap();
    let message = refusal(&mut sink, 1, Some(3));
    assert!(message.contains("part-0.csv is there, of a run without checkpoints"), "{message}");
    fs::remove_file(directory.path().join("out/part-0-00000003.csv")).unwrap();
    let message = refusal(&mut sink, 1, Some(0));
    assert!(message.contains("part-0.csv is there, and the job begins anew"), "{message}");
    drop(Sink::<Bid>::open(&mut sink, 0, 1).unwrap());
    // Files of other kinds are nobody's business.
    drop(resumed(&mut Files::to_json(directory.path().join("out")), 1, 0));
}

#[test]
fn two_jobs_do_not_write_to_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (mut sink, mut other) = (csv(&directory), csv(&directory));
    let writers = resumed(&mut sink, 2, 0);
    drop(resumed(&mut Files::to_json(directory.path().join("out")), 1, 0));
    for sink in [&mut sink, &mut other] {
        let message = refusal(sink, 1, Some(0));
        assert!(message.contains("out; let it end or write to another directory"), "{message}");
    }
    drop(writers);
    drop(resumed(&mut other, 2, 0));
    drop(resumed(&mut sink, 2, 0));
}

#[test]
fn publishing_is_done_once_however_often() {
    let directory = tempfile::tempdir().unwrap();
    let mut writers = resumed(&mut csv(&directory), 1, 0);
    put(&mut writers[0], 1);
    let files = prepared(&mut writers, 1);
    for _ in 0..3 {
        publish(&files[0]).unwrap();
        assert_eq!(shown(&directory), ["part-0-00000001.csv"]);
    }
    assert!(Path::new(&files[0].from).is_absolute());
    fs::remove_file(&files[0].to).unwrap();
    let message = publish(&files[0]).unwrap_err().to_string();
    assert!(message.contains("00000001.csv.pending was to become"), "{message}");
    assert!(message.contains("neither is there; bring back one of them"), "{message}");
}

#[test]
fn a_place_that_cannot_be_named_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join(OsStr::from_bytes(b"out\xff"));
    let mut sink = Files::to_csv(&out);
    let message = refusal(&mut sink, 1, Some(0));
    assert!(message.contains("is no UTF-8"), "{message}");
    let message = refusal(&mut Files::to_csv("/proc/thalweg"), 1, Some(0));
    assert!(message.contains("kernel"), "{message}");
}

/// What outlasts a crash.
#[derive(Default)]
struct Checkpoint {
    epoch: u64,
    rows: u64,
    files: Vec<Publish>,
}

const ROWS: u64 = 12;

/// Runs a job until it ends, or until it has taken so many steps; whether it ended.
fn run<S: Sink<Bid>>(sink: &mut S, shards: u64, made: &mut Checkpoint, steps: usize) -> bool {
    let mut left = steps;
    let mut crashes = move || {
        let crashes = left == 0;
        left = left.saturating_sub(1);
        crashes
    };
    for file in &made.files {
        publish(file).unwrap();
        if crashes() {
            return false;
        }
    }
    let mut writers = resumed(sink, shards as usize, made.epoch);
    let mut next = made.rows;
    while next < ROWS {
        // At times there are no rows, at times all go to one shard.
        let end = (next + made.epoch % 4).min(ROWS);
        while next < end {
            put(&mut writers[(next / 3 % shards) as usize], next);
            writers.iter_mut().for_each(|writer| writer.flush().unwrap());
            next += 1;
            if crashes() {
                return false;
            }
        }
        let (epoch, mut files) = (made.epoch + 1, Vec::new());
        for writer in &mut writers {
            files.extend(writer.prepare(epoch).unwrap());
            if crashes() {
                return false;
            }
        }
        *made = Checkpoint { epoch, rows: next, files };
        for file in &made.files {
            if crashes() {
                return false;
            }
            publish(file).unwrap();
        }
    }
    true
}

fn every_row_shows_once<S: Sink<Bid>>(
    sink: impl Fn(&TempDir) -> S,
    rows: impl Fn(&TempDir) -> Vec<u64>,
) {
    for first in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let mut made = Checkpoint::default();
        if run(&mut sink(&directory), 2, &mut made, first) {
            assert!(first > 20);
            return;
        }
        for second in [first / 3, 4, 0] {
            let shards = 1 + second as u64 % 3;
            run(&mut sink(&directory), shards, &mut made, second);
        }
        assert!(run(&mut sink(&directory), 2, &mut made, usize::MAX));
        assert_eq!(rows(&directory), (0..ROWS).collect::<Vec<_>>(), "crash after {first}");
        let hidden = names(&directory).iter().filter(|name| name.starts_with('.')).count();
        assert_eq!(hidden, 1, "the lock");
    }
}

fn numbers<S: crate::operator::Source<Record = Bid>>(source: &S) -> Vec<u64> {
    let mut rows: Vec<u64> =
        read(source, 1).unwrap().records.into_iter().map(|bid| bid.auction).collect();
    rows.sort_unstable();
    rows
}

fn pattern(directory: &TempDir, name: &str) -> String {
    directory.path().join("out").join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_crash_at_any_step_neither_loses_nor_doubles_rows() {
    every_row_shows_once(csv, |out| numbers(&Files::csv::<Bid>(pattern(out, "*.csv"))));
    every_row_shows_once(
        |out| Files::to_json(out.path().join("out")),
        |out| numbers(&Files::json::<Bid>(pattern(out, "*.jsonl"))),
    );
    let log = |out: &TempDir| -> LogSink { RecordLog::write(out.path().join("out")) };
    every_row_shows_once(log, |out| numbers(&RecordLog::read::<Bid>(pattern(out, "*.tlog"))));
}

#[test]
fn lines_are_published_too_and_logs_keep_event_times() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = Files::to_lines(directory.path().join("out"));
    let mut writer = Sink::<u64>::resume(&mut sink, 0, 1, 0).unwrap();
    writer.write(Timestamp::MIN, 7).unwrap();
    Writer::<u64>::prepare(&mut writer, 1).unwrap().iter().for_each(|file| publish(file).unwrap());
    let text = fs::read_to_string(pattern(&directory, "part-0-00000001.txt")).unwrap();
    assert_eq!(text, "7\n");
    let mut log = RecordLog::write(directory.path().join("out"));
    let mut writers = resumed(&mut log, 1, 0);
    for epoch in 1..4 {
        (0..3_000).for_each(|row| put(&mut writers[0], epoch * 3_000 + row));
        prepared(&mut writers, epoch).iter().for_each(|file| publish(file).unwrap());
    }
    let all = numbers(&RecordLog::read::<Bid>(pattern(&directory, "*.tlog")));
    assert!(all.into_iter().eq(3_000..12_000));
}
