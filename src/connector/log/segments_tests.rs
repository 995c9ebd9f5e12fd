//! Splits of several files: written, found in, read on, mended.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::stub::{Taken, poll, read};
use super::*;
use crate::error::Result;
use crate::operator::{OnBadRecord, Progress, Sink, Source, Split, Writer};
use crate::time::{Timestamp, Units};

fn file(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

fn pattern(directory: &TempDir) -> String {
    directory.path().join("*.tlog").to_str().unwrap().to_owned()
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Event times go to and fro, and now and then far ahead.
fn time(n: i64) -> i64 {
    n * 10 + n * 7_919 % 1_000 + if n % 50_000 == 49_999 { 700_000 } else { 0 }
}

/// In small frames, of which an entry of the index stands for many.
fn fill(writer: &mut LogWriter<u64>, numbers: std::ops::Range<u64>) {
    for n in numbers {
        writer.write(Timestamp::from_micros(time(n as i64)), n).unwrap();
        if n % 97 == 96 {
            Writer::<u64>::flush(writer).unwrap();
        }
    }
}

fn write(directory: &TempDir, records: u64, bytes: u64) {
    let mut sink = RecordLog::write(directory.path()).segments_of(bytes);
    Sink::<u64>::check(&sink, 1, None).unwrap();
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1).unwrap();
    fill(&mut writer, 0..records);
    Writer::<u64>::finish(&mut writer).unwrap();
}

fn taken(source: &LogSource<u64>) -> Vec<u64> {
    read(source, 1).unwrap().records
}

#[test]
fn segments_are_one_split_in_the_order_in_which_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, 200_000, 200_000);
    let found = names(&directory);
    assert!(found.len() > 12 && found.contains(&"part-0.11.tlog".into()), "{found:?}");
    for name in &found {
        let log = Segment::open(&file(&directory, name)).unwrap();
        assert!(log.has_index() && log.bytes() < 300_000, "{name}");
    }
    let source = RecordLog::read::<u64>(pattern(&directory));
    assert_eq!(Source::splits(&source, 1).unwrap().len(), 1);
    assert!(taken(&source).into_iter().eq(0..200_000));
    // A shorter run leaves none of them.
    write(&directory, 30_000, 200_000);
    assert!(taken(&source).into_iter().eq(0..30_000));
    let sink = RecordLog::write(directory.path());
    fs::rename(file(&directory, "part-0.1.tlog"), file(&directory, "part-1.1.tlog")).unwrap();
    let error = Sink::<u64>::check(&sink, 1, None).unwrap_err().to_string();
    assert!(error.contains("part-1.1.tlog is of an earlier run on more shards"), "{error}");
}

#[test]
fn a_segment_ends_when_it_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = RecordLog::write(directory.path()).segments_every(Duration::from_micros(1));
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1).unwrap();
    for n in 0..3 {
        fill(&mut writer, n * 10..n * 10 + 10);
        Writer::<u64>::flush(&mut writer).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    Writer::<u64>::finish(&mut writer).unwrap();
    assert_eq!(names(&directory), ["part-0.1.tlog", "part-0.2.tlog", "part-0.tlog"]);
    assert!(taken(&RecordLog::read::<u64>(pattern(&directory))).into_iter().eq(0..30));
}

/// What is read from a time on begins no later than it must, and no more than what lies between two
/// places of the index earlier.
#[test]
fn a_time_is_found_in_any_number_of_segments() {
    const RECORDS: i64 = 200_000;
    for bytes in [150_000, 1_000_000, u64::MAX] {
        let directory = tempfile::tempdir().unwrap();
        write(&directory, RECORDS as u64, bytes);
        for at in (-50..2_900_000).step_by(61_003) {
            let source = RecordLog::read::<u64>(pattern(&directory));
            let numbers = taken(&source.from_event_time(Timestamp::from_micros(at)));
            let first = (0..RECORDS).find(|n| time(*n) >= at).unwrap_or(RECORDS);
            let begun = numbers.first().map_or(RECORDS, |n| *n as i64);
            assert!(begun <= first, "{at}: {begun} {first}");
            assert!(first - begun < 12_000, "{at}: {begun} {first}");
            assert!(numbers.into_iter().eq(begun as u64..RECORDS as u64));
        }
        let source = || RecordLog::read::<u64>(pattern(&directory));
        assert_eq!(taken(&source().from_arrival(Timestamp::from_seconds(0))).len(), 200_000);
        assert!(taken(&source().from_arrival(Timestamp::now() + 1.hours())).is_empty());
    }
}

#[test]
fn what_is_in_earlier_files_counts_in_the_next_epochs_too() {
    let directory = tempfile::tempdir().unwrap();
    // Greatest event times of 100, 50 and 120: a search for 80 must not pass over the first.
    for (epoch, at) in [(1, 100), (2, 50), (3, 120)] {
        let mut sink = RecordLog::write(directory.path());
        let mut writer = Sink::<u64>::resume(&mut sink, 0, 1, epoch - 1).unwrap();
        writer.write(Timestamp::from_micros(at), epoch).unwrap();
        for file in Writer::<u64>::prepare(&mut writer, epoch).unwrap() {
            fs::rename(file.from, file.to).unwrap();
        }
    }
    let from = |at| {
        let source = RecordLog::read::<u64>(pattern(&directory));
        taken(&source.from_event_time(Timestamp::from_micros(at)))
    };
    assert_eq!(from(80), [1, 2, 3]);
    assert_eq!(from(101), [3]);
    assert!(from(121).is_empty());
}

fn more(split: &mut dyn Split<u64>, taken: &mut Taken<u64>, until: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while taken.records.len() < until {
        assert_ne!(poll(0, split, OnBadRecord::Fail, taken).unwrap(), Progress::Done);
        assert!(Instant::now() < deadline, "{} of {until}", taken.records.len());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_log_is_followed_as_it_grows() -> Result {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = RecordLog::write(directory.path()).segments_of(60_000);
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1)?;
    let source = RecordLog::read::<u64>(pattern(&directory)).follow();
    let mut split = Source::splits(&source, 1)?.remove(0);
    let mut taken = Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
    assert_eq!(poll(0, &mut *split, OnBadRecord::Fail, &mut taken)?, Progress::Idle);
    for round in 1..=20 {
        fill(&mut writer, (round - 1) * 1_000..round * 1_000);
        Writer::<u64>::flush(&mut writer)?;
        more(&mut *split, &mut taken, round as usize * 1_000);
    }
    Writer::<u64>::finish(&mut writer)?;
    assert!(names(&directory).len() > 3);
    let offset = split.offset();
    std::thread::sleep(Duration::from_millis(120));
    for _ in 0..3 {
        assert_eq!(poll(0, &mut *split, OnBadRecord::Fail, &mut taken)?, Progress::Idle);
    }
    assert!(taken.records.iter().copied().eq(0..20_000) && taken.bad_count == 0);
    let mut again = Source::splits(&RecordLog::read::<u64>(pattern(&directory)), 1)?.remove(0);
    again.seek(offset)?;
    assert_eq!(poll(0, &mut *again, OnBadRecord::Fail, &mut taken)?, Progress::Done);
    assert_eq!(taken.records.len(), 20_000);
    Ok(())
}

#[test]
fn a_torn_file_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, 50_000, u64::MAX);
    let path = file(&directory, "part-0.tlog");
    let whole = fs::read(&path).unwrap();
    let mended = |cut| mend(&path, cut).map_err(|error| error.to_string());
    let untouched = Mended { records: 50_000, had_index: true, cut: 0 };
    assert_eq!(mended(true), Ok(untouched));
    let end = u64::from_ne_bytes(*whole[whole.len() - 16..].first_chunk().unwrap()) as usize;
    for len in [end, end + 1, end + 300, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        if len > end {
            let error = mended(false).unwrap_err();
            assert!(error.contains("ends within a frame"), "{error}");
            assert_eq!(fs::read(&path).unwrap().len(), len);
        }
        let cut = (len - end) as u64;
        assert_eq!(mended(true), Ok(Mended { records: 50_000, had_index: false, cut }));
        assert!(fs::read(&path).unwrap() == whole, "the index is as it was");
    }
    fs::write(&path, &whole[..end - 1]).unwrap();
    let done = mended(true).unwrap();
    assert!(done.records < 50_000 && done.cut > 0);
    assert!(taken(&RecordLog::read::<u64>(pattern(&directory))).into_iter().eq(0..done.records));
    let log = Segment::open(&path).unwrap();
    assert!(log.has_index() && mended(true).unwrap_err().contains("is being read or written"));
    drop(log);
    let mut damaged = whole[..end].to_vec();
    damaged[end / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(mended(true).unwrap_err().contains("is damaged at byte"));
    assert!(fs::read(&path).unwrap() == damaged);
}

#[test]
fn a_log_that_was_opened_while_it_was_written_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = RecordLog::write(directory.path());
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1).unwrap();
    fill(&mut writer, 0..1_000);
    Writer::<u64>::flush(&mut writer).unwrap();
    let reader = Segment::open(&file(&directory, "part-0.tlog")).unwrap();
    let second = Sink::<u64>::check(&sink, 1, None).unwrap_err().to_string();
    assert!(second.contains("is being read or written"), "{second}");
    Writer::<u64>::finish(&mut writer).unwrap();
    drop(writer);
    // It is mapped: what is cut off of it would end whoever looks there.
    let error = Sink::<u64>::check(&sink, 1, None).unwrap_err().to_string();
    assert!(error.contains("is being read or written"), "{error}");
    drop(reader);
    Sink::<u64>::check(&sink, 1, None).unwrap();
}

#[test]
fn a_file_that_is_missing_between_others_is_told() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, 100_000, 200_000);
    let source = RecordLog::read::<u64>(pattern(&directory));
    fs::remove_file(file(&directory, "part-0.1.tlog")).unwrap();
    let error = Source::splits(&source, 1).map(drop).unwrap_err().to_string();
    assert!(error.contains("part-0.1.tlog is missing between"), "{error}");
    fs::remove_file(file(&directory, "part-0.tlog")).unwrap();
    assert!(taken(&source).last() == Some(&99_999));
}
