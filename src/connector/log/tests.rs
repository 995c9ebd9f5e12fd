use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::stub::{Taken, read, write};
use super::*;
use crate::operator::{OnBadRecord, Sink};
use crate::record;

record! { struct Bid { auction: u64, price: u32, open: bool, kind: [u8; 3] } }
record! { struct Other { auction: u64, price: f32, open: bool, kind: [u8; 3] } }
record! { struct Person { id: u64, name: String, tags: Vec<(u8, String)>, maybe: Option<char> } }
record! { struct Padded { small: u8, wide: u64 } }

fn bid(i: u64) -> Bid {
    Bid { auction: i, price: i as u32 * 3, open: i.is_multiple_of(2), kind: [1, 2, i as u8] }
}

fn person(i: u64) -> Person {
    let name = "Ada ".repeat(i as usize % 7);
    let maybe = i.is_multiple_of(3).then_some('é');
    Person { id: i, tags: vec![(i as u8, name.clone())], name, maybe }
}

fn log<R: Record>(shards: usize, records: &[R]) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    write(&mut RecordLog::write(directory.path()), shards, records).unwrap();
    let pattern = directory.path().join("*.tlog").to_str().unwrap().to_owned();
    (directory, pattern)
}

fn taken<R: Record>(pattern: &str) -> Result<Taken<R>> {
    read(&RecordLog::read::<R>(pattern), 2)
}

fn both_ways<R: Record + Clone + PartialEq + std::fmt::Debug>(records: Vec<R>) {
    let (_directory, pattern) = log(1, &records);
    let again = taken::<R>(&pattern).unwrap();
    assert_eq!((again.records, again.bad_count), (records, 0));
}

#[test]
fn what_was_written_is_read_again() {
    both_ways((0..5_000).map(bid).collect());
    both_ways((0..2_000).map(person).collect());
    both_ways((0..2_000).map(|i| (i, Some(format!("{i}")), vec![i; 3])).collect::<Vec<_>>());
    both_ways(vec![(true, 'x', None::<(u8, f64)>), (false, 'é', Some((1, f64::MAX)))]);
    both_ways(vec!["x".repeat(100_000), String::new()]);
    both_ways(Vec::<u64>::new());
    let (_directory, pattern) = log(3, &(0..3_000).map(bid).collect::<Vec<_>>());
    assert_eq!(taken::<Bid>(&pattern).unwrap().records.len(), 3_000);
}

#[test]
fn what_cannot_be_kept_or_read_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let message = |error: Error| error.to_string();
    let open = Sink::<Padded>::open(&mut RecordLog::write(directory.path()), 0, 1);
    assert!(message(open.unwrap_err()).contains("can't be kept in a log"));

    let (directory, pattern) = log(1, &[bid(1)]);
    let refused = |pattern| taken::<Other>(pattern).map(|_| ()).unwrap_err().to_string();
    let error = refused(&pattern);
    assert!(error.contains("it holds struct Bid {"), "{error}");
    assert!(error.contains("the job reads struct Other {"), "{error}");
    let path = directory.path().join("x.txt");
    fs::write(&path, "hello").unwrap();
    assert!(refused(path.to_str().unwrap()).contains("it is no record log"));
    assert!(refused("nowhere.tlog").contains("nowhere.tlog: No such file"));
}

fn part(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("part-0.tlog")
}

/// What is read of a file is whole, in order, and from the start, or nothing is.
fn prefix(path: &Path, all: &[Person]) -> Option<Taken<Person>> {
    let source = RecordLog::read(path.to_str().unwrap()).on_bad_record(OnBadRecord::SideStream);
    let taken = read(&source, 1).ok()?;
    assert!(all.starts_with(&taken.records));
    Some(taken)
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_frames() {
    let people: Vec<Person> = (0..900).map(person).collect();
    let (directory, _) = log(1, &people);
    let path = part(&directory);
    let whole = fs::read(&path).unwrap();
    let first = head::<Person>().unwrap().len();
    for len in (first..whole.len()).step_by(101) {
        fs::write(&path, &whole[..len]).unwrap();
        let taken = prefix(&path, &people).unwrap();
        assert!(taken.records.len() < people.len());
        assert_eq!(taken.bad_count, u64::from(len > first), "{len}");
    }
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let taken = prefix(&path, &people).unwrap();
    assert!(taken.bad[0].error.contains("the file ends within a frame"));
    assert!(!taken.records.is_empty());
    let mut blank = whole.clone();
    blank.resize(whole.len() + 4096, 0);
    fs::write(&path, blank).unwrap();
    let taken = prefix(&path, &people).unwrap();
    assert_eq!((taken.records.len(), taken.bad_count), (people.len(), 1));
}

#[test]
fn no_flipped_bit_goes_unseen() {
    let people: Vec<Person> = (0..900).map(person).collect();
    let (directory, _) = log(1, &people);
    let path = part(&directory);
    let whole = fs::read(&path).unwrap();
    for bit in (0..whole.len() * 8).step_by(1_499) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let cut = prefix(&path, &people).is_none_or(|taken| taken.bad_count == 1);
        let unused = (head::<Person>().unwrap().len() - 4) * 8;
        assert!(cut || (unused..unused + 32).contains(&bit), "bit {bit}");
    }
}

#[test]
fn checksums_are_not_all_that_guards_a_log() {
    let mut file = head::<(bool, String)>().unwrap();
    let place = file.len() as u64;
    for (truth, text) in [(2_u8, b"ok"), (1, b"\xff\xff")] {
        let mut body = 0_i64.to_ne_bytes().to_vec();
        body.extend([truth, 0, 0, 0, 0, 0, 0, 0]);
        body.extend(2_u64.to_ne_bytes());
        body.extend(text);
        body.extend([0; 6]);
        file.truncate(place as usize);
        file.extend(frame_head(place, 24, 1, crc32fast::hash(&body)));
        file.extend(&body);
        let directory = tempfile::tempdir().unwrap();
        fs::write(part(&directory), &file).unwrap();
        let error = taken::<(bool, String)>(part(&directory).to_str().unwrap());
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("not what the schema says"), "{error}");
    }
}

proptest! {
    /// Bytes that come with a right checksum and are anything.
    #[test]
    fn no_bytes_are_read_that_are_not_records(
        mut words in prop::collection::vec(0_u64..40, 0..30),
        noise in any::<(usize, u64)>(),
    ) {
        if let Some(word) = words.get_mut(noise.0 % 30) {
            *word = noise.1;
        }
        fn look<R: Record>(words: &[u64], times: &[u64]) {
            let file = mapped(words);
            let times = mapped(times);
            if let Some(batch) = crate::record::Batch::restored::<R>(&file, &times) {
                batch.records::<R>().for_each(|(_, view)| drop(R::own(view)));
            }
        }
        for records in 0..4 {
            let times = vec![0_u64; records];
            look::<Person>(&words, &times);
            look::<Vec<Vec<(u8, String)>>>(&words, &times);
            look::<(Option<String>, Option<char>)>(&words, &times);
        }
    }
}

/// The words' bytes, in a mapping.
fn mapped(words: &[u64]) -> crate::sys::map::Map {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for word in words {
        file.write_all(&word.to_ne_bytes()).unwrap();
    }
    crate::sys::map::Map::open(file.path()).unwrap()
}
