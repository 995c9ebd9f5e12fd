//! Every source goes on from where it was.

use std::fmt::Debug;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::nexmark::Nexmark;
use super::stub::{Taken, poll, write};
use super::*;
use crate::operator::{OnBadRecord, Progress, Source, Split};
use crate::record;
use crate::testing::{Cuts, Scheduled};

record! {
    #[derive(Eq)]
    struct Bid { auction: u64, price: u64 }
}

fn nothing<R>() -> Taken<R> {
    Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 }
}

fn drain<S: Source>(source: &S, split: &mut dyn Split<S::Record>, taken: &mut Taken<S::Record>) {
    while poll(0, split, source.on_bad_record(), taken).unwrap() != Progress::Done {}
}

/// Reads on, after so many polls of each split, in a fresh one: what both gave is what one reading
/// gives. Gives how many places it went on from.
fn resumes<S>(source: &S, shards: usize) -> usize
where
    S: Source<Record: PartialEq + Debug>,
{
    let fresh = || source.splits(shards).unwrap();
    let mut places = 0;
    for number in 0..fresh().len() {
        let mut whole = nothing();
        drain(source, &mut *fresh()[number], &mut whole);
        for polls in [0, 1, 2, 3, 5, 8] {
            let (mut split, mut taken) = (fresh().swap_remove(number), nothing());
            let mut polled = |_| poll(0, &mut *split, source.on_bad_record(), &mut taken).unwrap();
            let ended = (0..polls).map(&mut polled).any(|progress| progress == Progress::Done);
            let (name, offset) = (split.name(), split.offset());
            let mut again = fresh().swap_remove(number);
            assert_eq!(again.name(), name);
            again.seek(offset).unwrap();
            assert_eq!((again.name(), again.offset()), (name, offset));
            drain(source, &mut *again, &mut taken);
            assert!(taken.records == whole.records, "split {number}, {polls} polls");
            assert_eq!((taken.bad_count, &taken.bad), (whole.bad_count, &whole.bad));
            places += usize::from(polls > 0 && !ended);
        }
    }
    places
}

fn refusal<S: Source>(source: &S, offset: u64) -> String {
    let mut split = source.splits(1).unwrap().swap_remove(0);
    split.seek(offset).unwrap_err().to_string()
}

#[test]
fn generators_go_on() {
    assert!(resumes(&Counter::to(30_001), 3) >= 6);
    assert!(resumes(&Counter::to(5).splits(7), 1) == 0);
    assert!(resumes(&Nexmark::events(20_000).starting_at(7), 2) >= 4);
    assert!(resumes(&Nexmark::events(20_000).record(2).unwrap(), 1) >= 4);
    let words: Vec<String> = (0..20_000).map(|i| format!("word {i}")).collect();
    assert!(resumes(&Memory::of(words.clone()), 3) >= 3);
    assert!(resumes(&Memory::slices([bids(20_000), bids(3)]), 3) >= 4);
    let words = Arc::new(words);
    for cuts in [Cuts::Whole, Cuts::Single, Cuts::Random(7)] {
        resumes(&Scheduled::new(words.clone(), 3, cuts), 1);
    }
}

#[test]
fn names_tell_the_numbering() {
    let name = |shards| Source::splits(&Counter::endless(), shards).unwrap()[0].name();
    assert_ne!(name(1), name(2));
    let name = |source: Nexmark| Source::splits(&source, 1).unwrap()[0].name();
    let events = Nexmark::events(10);
    assert_eq!(name(events.clone()), name(Nexmark::events(20)));
    assert_ne!(name(events.clone()), name(events.starting_at(1)));
}

#[test]
fn a_place_that_is_no_more_is_refused() {
    let message = refusal(&Memory::of([1_u64, 2]), 3);
    assert_eq!(message, "3 records were read and only 2 are there now");
    assert_eq!(refusal(&Memory::slices([bids(2)]), 3), message);
    assert_eq!(refusal(&Scheduled::new(Arc::new(vec![1, 2]), 1, Cuts::Whole), 3), message);
    let recorded = Nexmark::events(20_000).record(1).unwrap();
    assert!(refusal(&recorded, 1).contains("no block of the recording begins at event 1"));
    assert!(refusal(&recorded, 20_001).contains("at event 20001"));
}

#[test]
fn a_rate_counts_from_where_a_source_goes_on() {
    fn soon<S: Source>(source: &S) -> (usize, Duration) {
        let mut split = source.splits(1).unwrap().swap_remove(0);
        split.seek(1_000_000).unwrap();
        let (start, mut taken) = (Instant::now(), nothing());
        while taken.records.len() < 20 {
            poll(0, &mut *split, OnBadRecord::Fail, &mut taken).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        (taken.records.len(), start.elapsed())
    }
    for (records, elapsed) in
        [soon(&Counter::endless().rate(1_000.0)), soon(&Nexmark::events(u64::MAX).rate(1_000))]
    {
        // Neither a burst for the million of before nor a pause of as long as they took.
        assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
        assert!(records <= elapsed.as_millis() as usize + 1, "{records} in {elapsed:?}");
    }
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

fn within(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    let (first, second) = text.split_at(text.len() / 3);
    for part in [first, second] {
        let mut member = GzEncoder::new(&mut packed, flate2::Compression::fast());
        member.write_all(part.as_bytes()).unwrap();
        member.finish().unwrap();
    }
    packed
}

/// Rows of which some are bad, and some blank or of two lines.
fn table(rows: u64) -> String {
    let mut text = String::from("\u{feff}auction,price,note\n");
    for i in 0..rows {
        let price = if i % 977 == 5 { "much".into() } else { i.to_string() };
        let note = if i % 10 == 0 { "\"two\nlines\"" } else { "one" };
        text += &format!("{i},{price},{note}\n");
    }
    text
}

#[test]
fn files_go_on_at_the_right_row_and_line() {
    let csv = table(20_000);
    let json = |i| format!("{{\"auction\":{i},\"price\":{}}}\n", if i % 999 == 7 { -1 } else { i });
    let json: String = (0..20_000).map(json).collect();
    let lines: String = (0..20_000).map(|i| format!("{i}\r\n")).collect::<String>() + "last";
    let directory = directory(&[
        ("a.csv", csv.as_bytes()),
        ("a.csv.gz", &packed(&csv)),
        ("a.jsonl", json.as_bytes()),
        ("a.jsonl.gz", &packed(&json)),
        ("a.txt", lines.as_bytes()),
        ("b.txt", b"\xef\xbb\xbfone\ntwo"),
        ("c.txt", b""),
        ("a.txt.gz", &packed(&lines)),
    ]);
    let side = OnBadRecord::SideStream;
    for end in ["", ".gz"] {
        let source = Files::csv::<Bid>(within(&directory, &format!("a.csv{end}")));
        assert!(resumes(&source.on_bad_record(side), 1) >= 3);
        for pieces in [1, 3] {
            let source = Files::json::<Bid>(within(&directory, &format!("a.jsonl{end}")));
            let source = source.on_bad_record(side).splits_per_file(pieces);
            assert!(resumes(&source, 1) >= 3);
            let source = Files::lines(within(&directory, &format!("*.txt{end}")));
            assert!(resumes(&source.splits_per_file(pieces), 1) >= 3);
        }
    }
}

#[test]
fn a_line_is_named_rightly_whatever_the_piece_went_on_from() {
    let text: String = (1..=100).map(|i| format!("{{\"auction\":{i},\"price\":\"\"}}\n")).collect();
    let directory = directory(&[("a.jsonl", text.as_bytes()), ("a.jsonl.gz", &packed(&text))]);
    let places = text.match_indices('\n').map(|(at, _)| at as u64 + 1);
    for (name, pieces) in [("a.jsonl", 1), ("a.jsonl", 3), ("a.jsonl.gz", 1)] {
        let source = Files::json::<Bid>(within(&directory, name)).splits_per_file(pieces);
        let source = source.on_bad_record(OnBadRecord::SideStream);
        for (line, place) in (2..=100).zip(places.clone()) {
            let (mut split, mut taken) = (source.splits(1).unwrap().swap_remove(0), nothing());
            split.seek(place).unwrap();
            drain(&source, &mut *split, &mut taken);
            let last = (taken.bad.first(), taken.bad_count);
            assert!(last.0.is_none_or(|bad| bad.line == line), "{last:?} at {place}");
        }
    }
}

#[test]
fn a_file_that_has_changed_is_refused() {
    let directory = directory(&[("a.txt", b"one\ntwo\nthree"), ("a.gz", &packed("one\ntwo\n"))]);
    let lines = |name| Files::lines(within(&directory, name));
    for (name, offset, wanted) in [
        ("a.txt", 14, "a.txt was read up to byte 14 and is shorter now; bring back"),
        ("a.txt", 1_000, "a.txt was read up to byte 1000 and is shorter now; bring back"),
        ("a.gz", 9, "a.gz was read up to byte 9 and is shorter now; bring back"),
        ("a.txt", 6, "a.txt was read up to byte 6, where no line starts now; bring back"),
        ("a.gz", 6, "a.gz was read up to byte 6, where no line starts now; bring back"),
    ] {
        let message = refusal(&lines(name), offset);
        assert!(message.contains(wanted), "{message}");
    }
    lines("a.txt").splits(1).unwrap().swap_remove(0).seek(13).unwrap();
}

#[test]
fn pieces_have_names_of_their_own() {
    let directory = directory(&[("a.txt", b"one\ntwo\n")]);
    let splits = Files::lines(within(&directory, "a.txt")).splits_per_file(2).splits(1).unwrap();
    let names: Vec<String> = splits.iter().map(|split| split.name()).collect();
    assert!(names[0].ends_with("a.txt from byte 0 to 4"), "{names:?}");
    assert!(names[1].ends_with("a.txt from byte 4"), "{names:?}");
}

fn bids(n: u64) -> Vec<Bid> {
    (0..n).map(|i| Bid { auction: i, price: i }).collect()
}

#[test]
fn logs_go_on() {
    let directory = directory(&[]);
    write(&mut RecordLog::write(directory.path()), 2, &bids(40_000)).unwrap();
    let pattern = within(&directory, "*.tlog");
    let source = || RecordLog::read::<Bid>(pattern.clone());
    assert!(resumes(&source(), 1) >= 4);
    let message = refusal(&source(), 1 << 30);
    assert!(message.contains("was read up to byte 1073741824 and has only"), "{message}");
    // Within a frame.
    let mut split = source().splits(1).unwrap().swap_remove(0);
    let start = split.offset();
    split.seek(start + 8).unwrap();
    let read = poll(0, &mut *split, OnBadRecord::Fail, &mut nothing());
    assert!(read.unwrap_err().to_string().contains("frame's head is damaged"));
    // A torn end is named by the same frame wherever reading began.
    let path = directory.path().join("part-0.tlog");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 8]).unwrap();
    assert!(resumes(&source().on_bad_record(OnBadRecord::SideStream), 1) >= 4);
}
