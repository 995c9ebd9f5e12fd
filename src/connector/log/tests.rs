use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::stub::{Taken, read, write};
use super::compress::Packer;
use super::frame::Records;
use super::*;
use crate::error::{Error, Result};
use crate::format::JsonText;
use crate::limits::PACKED_BYTES;
use crate::operator::Writer;
use crate::operator::{OnBadRecord, Sink};
use crate::record;
use crate::time::{Timestamp, Units};

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
    let first = Head::of::<Person>().unwrap().bytes().len();
    // Behind the frames is the index.
    let end = u64::from_ne_bytes(*whole[whole.len() - 16..].first_chunk().unwrap()) as usize;
    for len in (first..whole.len()).step_by(101).chain([end]) {
        fs::write(&path, &whole[..len]).unwrap();
        let taken = prefix(&path, &people).unwrap();
        assert_eq!(taken.records.len() < people.len(), len < end, "{len}");
        assert_eq!(taken.bad_count, u64::from(len > first && len != end), "{len}");
    }
    fs::write(&path, &whole[..end - 5]).unwrap();
    let taken = prefix(&path, &people).unwrap();
    assert!(taken.bad[0].error.contains("the file ends within a frame"));
    assert!(!taken.records.is_empty());
    let mut blank = whole[..end].to_vec();
    blank.resize(end + 4096, 0);
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
        let unused = (Head::of::<Person>().unwrap().bytes().len() - 4) * 8;
        assert!(cut || (unused..unused + 32).contains(&bit), "bit {bit}");
    }
}

#[test]
fn checksums_are_not_all_that_guards_a_log() {
    let mut file = Head::of::<(bool, String)>().unwrap().bytes();
    let place = file.len();
    for (truth, text) in [(2_u8, b"ok"), (1, b"\xff\xff")] {
        let mut encoded = vec![truth, 0, 0, 0, 0, 0, 0, 0];
        encoded.extend(2_u64.to_ne_bytes());
        encoded.extend(text);
        encoded.extend([0; 6]);
        file.truncate(place);
        let (times, mut frame) = ([Timestamp::from_micros(0)], Vec::new());
        let records = Records { times: &times, arrivals: &[0], encoded: &encoded };
        records.put(place as u64, 0, &mut Packer::default(), &mut frame).unwrap();
        file.extend(frame);
        let directory = tempfile::tempdir().unwrap();
        fs::write(part(&directory), &file).unwrap();
        let error = taken::<(bool, String)>(part(&directory).to_str().unwrap());
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("not what the schema says"), "{error}");
    }
}

/// All records of a log as JSON lines, by what the log says of them.
fn shown(log: &mut Segment) -> String {
    let shape = log.head().shape.clone().unwrap();
    let mut json = JsonText::of(&shape.data_type());
    while let Some(frame) = log.next().unwrap() {
        let mut bytes = frame.encoded();
        for _ in 0..frame.len() {
            bytes = &bytes[json.show(|to| shape.show(bytes, to)).unwrap()..];
        }
        assert!(bytes.is_empty());
    }
    String::from_utf8(json.text().to_vec()).unwrap()
}

fn lines<R: Record>(records: &[R]) -> String {
    let mut json = JsonText::new();
    records.iter().for_each(|record| json.push(record));
    String::from_utf8(json.text().to_vec()).unwrap()
}

#[test]
fn a_log_shows_what_it_holds_to_who_does_not_know_the_type() {
    let (bids, people): (Vec<Bid>, Vec<Person>) =
        ((0..3_000).map(bid).collect(), { (0..3_000).map(person).collect() });
    let (directory, _) = log(1, &bids);
    assert_eq!(shown(&mut Segment::open(&part(&directory)).unwrap()), lines(&bids));
    let (directory, _) = log(1, &people);
    let mut log = Segment::open(&part(&directory)).unwrap();
    assert_eq!(shown(&mut log), lines(&people));
    assert!(log.has_index() && !log.is_torn() && log.head().data_type.starts_with("struct Person"));
}

#[test]
fn frames_may_be_compressed() {
    let people: Vec<Person> = (0..20_000).map(person).collect();
    let (plain, _) = log(1, &people);
    let directory = tempfile::tempdir().unwrap();
    write(&mut RecordLog::write(directory.path()).compressed(), 1, &people).unwrap();
    let path = part(&directory);
    let again = taken::<Person>(path.to_str().unwrap()).unwrap();
    assert_eq!((again.records, again.bad_count), (people.clone(), 0));
    let mut log = Segment::open(&path).unwrap();
    assert_eq!(shown(&mut log), lines(&people));
    assert!(log.bytes() * 2 < Segment::open(&part(&plain)).unwrap().bytes());
}

/// Changes a frame's head, which is at a place, and has its checksum right.
fn change_head(file: &mut [u8], place: usize, change: impl FnOnce(&mut [u8])) {
    change(&mut file[place..place + 60]);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&(place as u64).to_ne_bytes());
    checksum.update(&file[place..place + 60]);
    let checksum = checksum.finalize().to_ne_bytes();
    file[place + 60..place + 64].copy_from_slice(&checksum);
}

#[test]
fn a_frame_that_claims_to_be_huge_is_given_no_room() {
    for how in [Compression::Lz4, Compression::Zstd(1)] {
        let people: Vec<Person> = (0..1_000).map(person).collect();
        let directory = tempfile::tempdir().unwrap();
        write(&mut RecordLog::write(directory.path()).compression(how), 1, &people).unwrap();
        let path = part(&directory);
        let first = Segment::open(&path).unwrap().place();
        let mut file = fs::read(&path).unwrap();
        // Bytes of the body, which is packed.
        let body = u32::MAX - 7;
        change_head(&mut file, first, |head| head[8..12].copy_from_slice(&body.to_ne_bytes()));
        fs::write(&path, file).unwrap();
        let error = taken::<Person>(path.to_str().unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.contains("it claims to unpack to more bytes"), "{how:?}: {error}");
    }
}

#[test]
fn a_record_that_is_huge_is_not_packed() {
    let large = vec!["x".repeat(PACKED_BYTES + 1), "y".to_owned()];
    let directory = tempfile::tempdir().unwrap();
    write(&mut RecordLog::write(directory.path()).compressed(), 1, &large).unwrap();
    let path = part(&directory);
    assert!(fs::metadata(&path).unwrap().len() > PACKED_BYTES as u64);
    assert!(taken::<String>(path.to_str().unwrap()).unwrap().records == large);
}

/// A log whose head has another JSON.
fn with_json(path: &Path, change: impl FnOnce(String) -> String) {
    let file = fs::read(path).unwrap();
    let len = u32::from_ne_bytes(*file[12..].first_chunk().unwrap()) as usize;
    let json = String::from_utf8(file[16..16 + len].to_vec()).unwrap();
    let mut json = change(json).into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut head = file[..12].to_vec();
    head.extend((json.len() as u32).to_ne_bytes());
    head.extend(json);
    head.extend(crc32fast::hash(&head).to_ne_bytes());
    head.extend([0; 4]);
    fs::write(path, head).unwrap();
}

#[test]
fn a_head_that_tells_of_impossible_records_is_refused() {
    let (directory, _) = log(1, &(0..10).map(bid).collect::<Vec<_>>());
    let path = part(&directory);
    let huge = usize::MAX.to_string();
    with_json(&path, |json| json.replace("{\"bytes\":3}", &format!("{{\"bytes\":{huge}}}")));
    let error = Segment::open(&path).map(drop).unwrap_err().to_string();
    let what = "its head tells of records that there can't be: field kind: ";
    assert!(error.contains(what) && error.contains(&huge), "{error}");
    let error = taken::<Bid>(path.to_str().unwrap()).map(drop).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

/// A log of records whose event times go to and fro; how many records are before each place that
/// a search leads to.
#[test]
fn a_search_by_time_passes_over_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let time = |n: i64| n * 10 + n * 7_919 % 1_000;
    let mut sink = RecordLog::write(directory.path());
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1).unwrap();
    for n in 0..200_000_i64 {
        writer.write(Timestamp::from_micros(time(n)), n as u64).unwrap();
    }
    Writer::<u64>::finish(&mut writer).unwrap();
    let path = part(&directory);
    let whole = fs::read(&path).unwrap();
    for cut in [0, 20, 100_000] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut log = Segment::open(&path).unwrap();
        assert_eq!(log.has_index(), cut == 0);
        let next = |log: &mut Segment| {
            log.next().unwrap().map(|frame| (frame.before(), frame.len() as u64, frame.arrivals()))
        };
        for n in (0..190_000).step_by(17_777) {
            log.seek_record(n).unwrap();
            let (before, len, _) = next(&mut log).unwrap();
            assert!((before..before + len).contains(&n), "{n}: {before} {len}");
            let at = n as i64 * 10;
            log.seek_event(Timestamp::from_micros(at)).unwrap();
            let (before, ..) = next(&mut log).unwrap();
            assert!((0..before as i64).all(|n| time(n) < at), "{at}: {before}");
            // The disorder of 1,000, and what lies between two places of the index.
            assert!(at - time(before as i64) < 150_000, "{at}: {}", time(before as i64));
        }
        log.seek_event(Timestamp::from_micros(i64::MAX)).unwrap();
        assert!(next(&mut log).is_none());
        log.seek_arrival(Timestamp::from_micros(0)).unwrap();
        let (before, _, (from, to)) = next(&mut log).unwrap();
        assert!(before == 0 && from <= to && from > Timestamp::from_seconds(1_700_000_000));
        log.seek_arrival(to + 1.hours()).unwrap();
        assert!(next(&mut log).is_none());
    }
}

#[test]
fn times_are_kept_record_by_record() {
    let (directory, _) = log(1, &(0..5_000).map(bid).collect::<Vec<_>>());
    let mut log = Segment::open(&part(&directory)).unwrap();
    let mut all = 0;
    while let Some(frame) = log.next().unwrap() {
        assert_eq!(frame.before(), all);
        let (least, greatest) = frame.event_times();
        for record in 0..frame.len() {
            let (at, arrival) = (frame.event_time(record).unwrap(), frame.arrival(record).unwrap());
            assert_eq!(at.micros(), all as i64);
            assert!(least <= at && at <= greatest);
            assert!(frame.arrivals().0 <= arrival && arrival <= frame.arrivals().1);
            all += 1;
        }
        assert!(frame.event_time(frame.len()).is_none() && frame.arrival(frame.len()).is_none());
    }
    assert_eq!(all, 5_000);
}

#[test]
fn a_log_is_read_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = RecordLog::write(directory.path());
    let mut writer = Sink::<u64>::open(&mut sink, 0, 1).unwrap();
    let mut log = Segment::open(&part(&directory)).unwrap();
    let mut seen = Vec::new();
    for round in 0..5_u64 {
        for n in 0..1_000 {
            writer.write(Timestamp::from_micros(0), round * 1_000 + n).unwrap();
        }
        Writer::<u64>::flush(&mut writer).unwrap();
        assert!(log.next().unwrap().is_none() && log.grow().unwrap());
        while let Some(frame) = log.next().unwrap() {
            seen.extend(
                frame.encoded().chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())),
            );
        }
        assert_eq!(seen.len() as u64, (round + 1) * 1_000);
    }
    Writer::<u64>::finish(&mut writer).unwrap();
    assert!(log.grow().unwrap() && log.has_index() && !log.grow().unwrap());
    assert!(log.next().unwrap().is_none() && seen.into_iter().eq(0..5_000));
}

#[test]
fn what_one_shard_wrote_is_one_split_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = RecordLog::write(directory.path());
    let mut writers = [0, 1].map(|shard| Sink::<u64>::resume(&mut sink, shard, 2, 0).unwrap());
    for epoch in 1..=12 {
        for (shard, writer) in writers.iter_mut().enumerate() {
            for n in 0..10 {
                let number = shard as u64 * 1_000 + epoch * 10 + n;
                writer.write(Timestamp::from_micros(0), number).unwrap();
            }
            for file in Writer::<u64>::prepare(writer, epoch).unwrap() {
                fs::rename(file.from, file.to).unwrap();
            }
        }
    }
    let pattern = directory.path().join("*.tlog").to_str().unwrap().to_owned();
    let splits = crate::operator::Source::splits(&RecordLog::read::<u64>(&pattern), 1).unwrap();
    assert_eq!(splits.len(), 2);
    let read = taken::<u64>(&pattern).unwrap().records;
    assert!(read.iter().copied().eq((10..130).chain(1_010..1_130)), "{read:?}");
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
