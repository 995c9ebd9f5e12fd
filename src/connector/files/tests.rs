use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::stub::{read, write};
use super::*;
use crate::limits::LINE_BYTES;
use crate::operator::{OnBadRecord, Sink, Source, Writer};
use crate::record;
use crate::time::Timestamp;

record! {
    #[derive(Eq)]
    struct Bid { auction: u64, price: u64 }
}

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Person { id: u64, name: String }
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn within(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

fn bid(auction: u64, price: u64) -> Bid {
    Bid { auction, price }
}

fn error<S: Source>(source: &S) -> String {
    match read(source, 2) {
        Ok(_) => panic!("it was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn lines_come_without_their_ends_whatever_these_are() {
    let files = [("a.txt", "\u{feff}one\r\n\ntwo"), ("b.txt", ""), ("c.txt", "three\n")];
    let directory = directory(&files);
    let taken = read(&Files::lines(within(&directory, "*.txt")), 1).unwrap();
    assert_eq!(taken.records, ["one", "", "two", "three"]);
}

#[test]
fn csv_and_json_are_read() {
    let files = [("a.csv", "price;auction\n7;1\n\n8;2\n"), ("b.csv", "auction;price\n3;9")];
    let directory = directory(&files);
    let source = Files::csv::<Bid>(within(&directory, "*.csv")).delimiter(b';');
    assert_eq!(read(&source, 2).unwrap().records, [bid(1, 7), bid(2, 8), bid(3, 9)]);
    let json = "{\"auction\":1,\"price\":7}\n\n{\"price\":8,\"auction\":2,\"x\":[1]}\n";
    fs::write(directory.path().join("a.jsonl"), json).unwrap();
    let source = Files::json::<Bid>(within(&directory, "a.jsonl"));
    assert_eq!(read(&source, 2).unwrap().records, [bid(1, 7), bid(2, 8)]);
    let source = Files::csv::<Bid>(within(&directory, "b.csv")).delimiter(b';');
    let headless = read(&source.without_header().on_bad_record(OnBadRecord::Skip), 1).unwrap();
    assert_eq!((headless.records, headless.bad_count), (vec![bid(3, 9)], 1));
}

#[test]
fn cells_may_hold_line_feeds() {
    let directory = directory(&[("a.csv", "id,name\n1,\"a\nb\r\n\"\"c\"\"\"\n2,d\n")]);
    let taken = read(&Files::csv::<Person>(within(&directory, "a.csv")), 1).unwrap();
    let names: Vec<_> = taken.records.into_iter().map(|person| person.name).collect();
    assert_eq!(names, ["a\nb\r\n\"c\"", "d"]);
}

#[test]
fn packed_files_are_unpacked_also_when_they_have_several_members() {
    let directory = directory(&[]);
    let mut packed = Vec::new();
    for part in ["one\ntw", "o\nthree\n"] {
        let mut member = GzEncoder::new(&mut packed, flate2::Compression::fast());
        member.write_all(part.as_bytes()).unwrap();
        member.finish().unwrap();
    }
    fs::write(directory.path().join("a.gz"), &packed).unwrap();
    let source = Files::lines(within(&directory, "a.gz")).splits_per_file(4);
    assert_eq!(read(&source, 2).unwrap().records, ["one", "two", "three"]);
    fs::write(directory.path().join("a.gz"), &packed[..packed.len() - 12]).unwrap();
    let error = error(&source);
    assert!(error.contains("reading") && error.contains("a.gz"), "{error}");
}

#[test]
fn what_is_missing_is_said_before_the_start() {
    let directory = directory(&[("a.csv", "x,y\n1,2\n")]);
    let message = error(&Files::lines(within(&directory, "b.csv")));
    assert!(message.contains("b.csv: No such file"), "{message}");
    let message = error(&Files::lines(within(&directory, "*.txt")));
    assert!(message.starts_with("no file matches"), "{message}");
    let message = error(&Files::lines("a[".to_owned()));
    assert!(message.starts_with("pattern a[:"), "{message}");
    let message = error(&Files::csv::<Bid>(within(&directory, "a.csv")));
    let wanted = "a.csv line 1: missing columns auction, price; the header has x, y";
    assert!(message.ends_with(wanted), "{message}");
}

#[test]
fn an_empty_header_is_said_to_be_empty() {
    let directory = directory(&[("a.csv", "\nauction,price\n1,2\n"), ("b.csv", "  \r\n1,2\n")]);
    for file in ["a.csv", "b.csv"] {
        let message = error(&Files::csv::<Bid>(within(&directory, file)));
        let wanted = format!(
            "{file} line 1: the header is empty; put the names of the columns there (auction, \
             price), or read the file .without_header()"
        );
        assert!(message.ends_with(&wanted), "{message}");
    }
}

#[test]
fn a_missing_column_is_an_error_whatever_is_done_about_bad_rows() {
    let directory = directory(&[("a.csv", "auction,cost\n1,2\n"), ("b.csv", "auction,price\n")]);
    for policy in [OnBadRecord::Fail, OnBadRecord::Skip, OnBadRecord::SideStream] {
        let source = Files::csv::<Bid>(within(&directory, "*.csv")).on_bad_record(policy);
        let message = error(&source);
        let wanted = "a.csv line 1: missing column price; the header has auction, cost";
        assert!(message.ends_with(wanted), "{message}");
    }
}

#[test]
fn bad_rows_are_named_by_file_and_line_in_every_piece() {
    let mut text = String::from("auction,price\n");
    for i in 2..=200 {
        let price = if i % 50 == 0 { "12.5".into() } else { i.to_string() };
        text += &format!("{i},{price}\n");
    }
    let directory = directory(&[("a.csv", &text)]);
    let source = || Files::csv::<Bid>(within(&directory, "a.csv"));
    let message = error(&source());
    let wanted = "a.csv line 50: field price: expected a whole number, 0 or more, found \"12.5\"";
    assert!(message.contains(wanted), "{message}");
    for pieces in [1, 2, 3, 16, 1000] {
        let source = source().splits_per_file(pieces);
        let taken = read(&source.on_bad_record(OnBadRecord::SideStream), 2).unwrap();
        assert_eq!((taken.records.len(), taken.bad_count), (195, 4));
        let lines: Vec<u64> = taken.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [50, 100, 150, 200], "{pieces} pieces");
        assert_eq!(taken.bad[1].text, "100,12.5");
    }
    let taken = read(&source().on_bad_record(OnBadRecord::Skip), 2).unwrap();
    assert_eq!((taken.bad.len(), taken.bad_count), (0, 4));
}

#[test]
fn a_line_beyond_the_limit_is_one_bad_row() {
    let text = format!(
        "a\n{}\nb\n{}\nc\n{}",
        "x".repeat(LINE_BYTES),
        "y".repeat(LINE_BYTES + 1),
        "z".repeat(3 * LINE_BYTES)
    );
    let directory = directory(&[("a.txt", &text)]);
    let source = Files::lines(within(&directory, "a.txt")).on_bad_record(OnBadRecord::SideStream);
    let taken = read(&source, 1).unwrap();
    let lengths: Vec<usize> = taken.records.iter().map(String::len).collect();
    assert_eq!(lengths, [1, LINE_BYTES, 1, 1]);
    let lines: Vec<u64> = taken.bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [4, 6]);
    assert_eq!(taken.bad[1].error, "the line is longer than 1024 KiB");
    assert_eq!(taken.bad[1].text.len(), 1024);
}

#[test]
fn a_stray_quote_costs_one_row() {
    let mut text = String::from("id,name\n1,\"a\n");
    for i in 2..1_000 {
        text += &format!("{i},n\n");
    }
    let directory = directory(&[("a.csv", &text), ("b.csv", "id,name\n1,a\n2,\"b")]);
    for (file, good) in [("a.csv", 998), ("b.csv", 1)] {
        let source = Files::csv::<Person>(within(&directory, file));
        let taken = read(&source.on_bad_record(OnBadRecord::SideStream), 1).unwrap();
        assert_eq!((taken.records.len(), taken.bad.len()), (good, 1), "{file}");
        assert_eq!(taken.bad[0].error, "the row has a quote that does not end");
    }
}

#[test]
fn bytes_that_are_no_text_are_a_bad_row() {
    let directory = directory(&[]);
    fs::write(directory.path().join("a.txt"), b"a\nb\xff\nc\n").unwrap();
    let message = error(&Files::lines(within(&directory, "a.txt")));
    assert!(message.contains("line 2: not UTF-8 after 1 bytes"), "{message}");
}

#[test]
fn what_was_written_is_read_again() {
    let directory = directory(&[]);
    let people: Vec<Person> =
        (0..5_000).map(|id| Person { id, name: format!("\"{id}\", or\n{id}") }).collect();
    let out = directory.path().join("deep/er");
    for shards in [1, 3] {
        let _ = fs::remove_dir_all(&out);
        write(&mut Files::to_csv(&out), shards, &people).unwrap();
        write(&mut Files::to_json(&out), shards, &people).unwrap();
        let mut csv = read(&Files::csv::<Person>(within(&directory, "deep/er/*.csv")), 2).unwrap();
        csv.records.sort_unstable();
        assert!(csv.records == people);
        let json = Files::json::<Person>(within(&directory, "deep/er/*.jsonl")).splits_per_file(5);
        let mut json = read(&json, 2).unwrap();
        json.records.sort_unstable();
        assert!(json.records == people);
    }
    write(&mut Files::to_lines(&out), 1, &[1_u64, 2]).unwrap();
    assert_eq!(fs::read_to_string(out.join("part-0.txt")).unwrap(), "1\n2\n");
    let message = Sink::<Person>::open(&mut Files::to_csv(&out), 0, 1).unwrap_err().to_string();
    assert!(message.contains("of an earlier run on more shards"), "{message}");
}

#[test]
fn a_place_that_cannot_be_written_is_said_before_the_start() {
    let directory = directory(&[("file", "")]);
    let inside = directory.path().join("file/out");
    let message = Sink::<u64>::open(&mut Files::to_csv(inside), 0, 1).unwrap_err().to_string();
    assert!(message.contains("file is no directory; name one"), "{message}");
    if Path::new("/dev/full").exists() {
        let out = directory.path().join("out");
        fs::create_dir(&out).unwrap();
        std::os::unix::fs::symlink("/dev/full", out.join("part-0.csv")).unwrap();
        let message = write(&mut Files::to_csv(out), 1, &[1_u64]).unwrap_err().to_string();
        assert!(message.contains("part-0.csv: No space left"), "{message}");
    }
}

#[test]
fn a_file_into_which_nothing_was_written_goes_when_its_writer_fails() {
    let directory = directory(&[]);
    let out = directory.path().join("out");
    let open = |shard| Sink::<u64>::open(&mut Files::to_lines(&out), shard, 2).unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let (mut some, mut none) = (open(0), open(1));
    Writer::<u64>::write(&mut some, Timestamp::MIN, 7).unwrap();
    Writer::<u64>::flush(&mut some).unwrap();
    Writer::<u64>::flush(&mut none).unwrap();
    drop((some, none));
    assert_eq!(names(), ["part-0.txt"]);
    assert_eq!(fs::read_to_string(out.join("part-0.txt")).unwrap(), "7\n");
    let mut headed = Sink::<u64>::open(&mut Files::to_csv(&out), 0, 1).unwrap();
    assert_eq!(fs::read_to_string(out.join("part-0.csv")).unwrap(), "value\n");
    Writer::<u64>::flush(&mut headed).unwrap();
    drop(headed);
    assert_eq!(names(), ["part-0.txt"], "a header is no record");
    let (mut some, mut none) = (open(0), open(1));
    Writer::<u64>::finish(&mut some).unwrap();
    Writer::<u64>::finish(&mut none).unwrap();
    drop((some, none));
    assert_eq!(names(), ["part-0.txt", "part-1.txt"], "an empty result is a result");
    // A device or pipe in the file's place stays.
    fs::remove_file(out.join("part-1.txt")).unwrap();
    std::os::unix::fs::symlink("/dev/null", out.join("part-1.txt")).unwrap();
    drop(open(1));
    assert_eq!(names(), ["part-0.txt", "part-1.txt"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_line_is_in_exactly_one_piece(
        lines in prop::collection::vec("[a-c]{0,9}", 1..40),
        pieces in 1_usize..50,
    ) {
        let directory = directory(&[("a", &(lines.join("\n") + "\n"))]);
        let source = Files::lines(within(&directory, "a")).splits_per_file(pieces);
        prop_assert_eq!(read(&source, 2).unwrap().records, lines);
    }
}
