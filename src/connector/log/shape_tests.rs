//! Logs whose records are written, or read, by what their shape says.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::stub::read;
use super::head::Reading;
use super::*;
use crate::error::Result;
use crate::record;
use crate::record::{Part, Place, Shape, Value};
use crate::time::Timestamp;

record! { struct Bid { auction: u64, price: u32, open: bool, kind: [u8; 3] } }
record! { struct Offer { auction: u64, price: u32, open: bool, kind: [u8; 3] } }
record! { struct Person { id: u64, name: String, tags: Vec<(u8, String)>, maybe: Option<char> } }
record! { enum Event { Opened, Paid { order: u64, by: String }, Held(Option<i16>) } }

fn bid(i: u64) -> Bid {
    Bid { auction: i, price: i as u32 * 3, open: i.is_multiple_of(2), kind: [1, 2, i as u8] }
}

fn person(i: u64) -> Person {
    let name = "Ada ".repeat(i as usize % 7);
    let maybe = i.is_multiple_of(3).then_some('é');
    Person { id: i, tags: vec![(i as u8, name.clone())], name, maybe }
}

fn event(i: u64) -> Event {
    match i % 3 {
        0 => Event::Opened,
        1 => Event::Paid { order: i, by: "x".repeat(i as usize % 20) },
        _ => Event::Held(i.is_multiple_of(2).then_some(-(i as i16))),
    }
}

fn value<R: Record>(record: &R) -> Value {
    let shown = Value::shown(|to| {
        record.visit(to);
        Some(())
    });
    shown.unwrap().0
}

/// Records `n` at event time `n` ms and arrival `n` s, as they lie by `shape`.
fn write<R: Record>(path: &Path, shape: &Shape, how: Compression, records: &[R]) {
    let mut log = Recorder::create(path, shape).unwrap().compression(how);
    let mut bytes = Vec::new();
    for (n, record) in records.iter().enumerate() {
        bytes.clear();
        shape.write(&value(record), &mut bytes).unwrap();
        let (at, arrival) = (Timestamp::from_millis(n as i64), Timestamp::from_seconds(n as i64));
        log.write(at, arrival, &bytes).unwrap();
    }
    assert_eq!(log.finish().unwrap(), records.len() as u64);
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("part-0.tlog");
    (directory, path)
}

fn taken<R: Record>(path: &Path) -> Result<Vec<R>> {
    let taken = read(&RecordLog::read::<R>(path.to_str().unwrap()), 1)?;
    assert_eq!(taken.bad_count, 0);
    Ok(taken.records)
}

/// Written by one shape, read as the type.
fn both_ways<R: Record + PartialEq + std::fmt::Debug>(shape: &Shape, records: &[R]) {
    for how in [Compression::None, Compression::Lz4, Compression::Zstd(1), Compression::Zstd(99)] {
        let (_directory, path) = place();
        write(&path, shape, how, records);
        assert_eq!(taken::<R>(&path).unwrap(), records, "{how:?} {shape:?}");
        let mut log = Segment::open(&path).unwrap();
        assert!(log.has_index());
        let mut n = 0;
        while let Some(frame) = log.next().unwrap() {
            for record in 0..frame.len() {
                assert_eq!(frame.event_time(record), Some(Timestamp::from_millis(n)));
                assert_eq!(frame.arrival(record), Some(Timestamp::from_seconds(n)));
                n += 1;
            }
        }
        assert_eq!(n as usize, records.len());
    }
}

/// The same fields behind one another, each padded to 8 bytes, in the reverse order.
fn spread(shape: &Shape) -> Shape {
    let Shape::Plain { fields, .. } = shape else { panic!("not plain: {shape:?}") };
    let part = |place: &Place| Part { name: place.name.clone(), shape: place.shape.clone() };
    Shape::Struct { name: "Spread".into(), fields: fields.iter().rev().map(part).collect() }
}

#[test]
fn what_lies_in_another_way_is_made_anew() {
    let bids: Vec<Bid> = (0..3_000).map(bid).collect();
    let own = Bid::shape().unwrap();
    both_ways(&own, &bids);
    both_ways(&spread(&own), &bids);
    let Shape::Plain { mut fields, .. } = own else { panic!("not plain") };
    for (place, offset) in fields.iter_mut().zip([8, 0, 4, 5]) {
        place.offset = offset;
    }
    both_ways(&Shape::Plain { name: String::new(), size: 16, fields }, &bids);

    let people: Vec<Person> = (0..2_000).map(person).collect();
    let own = Person::shape().unwrap();
    both_ways(&own, &people);
    let Shape::Archive(inner) = own else { panic!("no archive") };
    let Shape::Struct { name, mut fields } = *inner else { panic!("no struct") };
    fields.rotate_left(1);
    let turned = Shape::Struct { name, fields };
    both_ways(&turned, &people);
    both_ways(&Shape::Archive(Box::new(turned)), &people);
    both_ways(&Event::shape().unwrap(), &(0..2_000).map(event).collect::<Vec<_>>());
}

#[test]
fn what_lies_alike_is_read_in_place_whatever_it_is_called() {
    let (_directory, path) = place();
    write(&path, &Offer::shape().unwrap(), Compression::None, &[bid(1), bid(2)]);
    let log = Segment::open(&path).unwrap();
    assert!(log.head().layout.is_none());
    assert!(matches!(log.head().holds::<Bid>(&path), Ok(Reading::InPlace)));
    assert_eq!(taken::<Bid>(&path).unwrap(), [bid(1), bid(2)]);
    // A type's shape is found without the compiler where it is as compilers are likely to do it.
    record! { struct Trade { at: Timestamp, price: f64, size: u32, side: i16, open: bool, x: u8 } }
    assert!(Shape::of(&Trade::data_type()).unwrap().is_like(&Trade::shape().unwrap()));
    assert_eq!(Shape::of(&Person::data_type()), Person::shape().map(char_as_text));
    assert_eq!(Shape::of(&Event::data_type()), Event::shape());
    record! { archived struct Gap { wide: u64, small: u8 } }
    assert_eq!(Shape::of(&Gap::data_type()), Gap::shape());
}

/// A type does not tell a letter from text.
fn char_as_text(shape: Shape) -> Shape {
    let text = serde_json::to_string(&shape).unwrap().replace("\"char\"", "\"text\"");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_schema_that_differs_is_refused_by_the_field() {
    record! { struct Cheap { auction: u64, price: u16, open: bool, kind: [u8; 5] } }
    record! { struct More { auction: u64, price: u32, open: bool, kind: [u8; 3], more: u64 } }
    record! { struct Less { auction: u64, price: u32, kind: [u8; 4] } }
    let (_directory, path) = place();
    write(&path, &Bid::shape().unwrap(), Compression::None, &[bid(1)]);
    let refused = |error: Result<usize>| error.unwrap_err().to_string();
    let error = refused(taken::<Cheap>(&path).map(|records| records.len()));
    assert!(error.ends_with("field price is u32 there and u16 here"), "{error}");
    let error = refused(taken::<More>(&path).map(|records| records.len()));
    assert!(error.ends_with("field more is missing there"), "{error}");
    let error = refused(taken::<Less>(&path).map(|records| records.len()));
    assert!(error.ends_with("field open is missing here"), "{error}");
    // As many bytes as they are is not part of the type in words.
    record! { struct Wide { auction: u64, price: u32, open: bool, kind: [u8; 3], } }
    assert_eq!(taken::<Wide>(&path).unwrap().len(), 1);
    record! { archived struct Long { auction: u64, price: u32, open: bool, kind: [u8; 4] } }
    let error = refused(taken::<Long>(&path).map(|records| records.len()));
    assert!(error.ends_with("field kind has 3 bytes there and 4 here"), "{error}");
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let (_directory, path) = place();
    let shape = Bid::shape().unwrap();
    write(&path, &shape, Compression::None, &[bid(1)]);
    let error = Recorder::create(&path, &shape).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(taken::<Bid>(&path).unwrap(), [bid(1)]);
}

#[test]
fn what_was_flushed_is_there_without_an_end() {
    let (_directory, path) = place();
    let shape = Bid::shape().unwrap();
    let mut log = Recorder::create(&path, &shape).unwrap();
    let mut bytes = Vec::new();
    shape.write(&value(&bid(7)), &mut bytes).unwrap();
    log.write(Timestamp::MIN, Timestamp::MAX, &bytes).unwrap();
    // An arrival before the one before: no frame holds both.
    log.write(Timestamp::MAX, Timestamp::MIN, &bytes).unwrap();
    log.flush().unwrap();
    assert_eq!(log.records(), 2);
    drop(log);
    assert_eq!(taken::<Bid>(&path).unwrap(), [bid(7), bid(7)]);
    assert!(!Segment::open(&path).unwrap().has_index());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cells of a table are read as what they are for, and whatever does not fit is said, not
    /// written.
    #[test]
    fn cells_are_numbers_of_their_width_or_refused(cell in "[-+]?[0-9]{1,6}|[a-z]{0,3}|1\\.5") {
        let mut bytes = Vec::new();
        let value = Value::Cell(cell.clone());
        let one = |bytes: &[u8]| bytes.first_chunk::<8>().map(|word| u64::from_ne_bytes(*word));
        let whole = Shape::Uint(16).write(&value, &mut bytes);
        prop_assert_eq!(whole.ok().and(one(&bytes)), cell.parse::<u16>().ok().map(u64::from));
        bytes.clear();
        let signed = Shape::Int(8).write(&value, &mut bytes);
        let expected = cell.parse::<i8>().ok().map(|x| u64::from(x as u8));
        prop_assert_eq!(signed.ok().and(one(&bytes)), expected);
        bytes.clear();
        let float = Shape::Float(64).write(&value, &mut bytes);
        prop_assert_eq!(float.ok().and(one(&bytes)), cell.parse::<f64>().ok().map(f64::to_bits));
        bytes.clear();
        let maybe = Shape::Option(Box::new(Shape::Text)).write(&value, &mut bytes);
        prop_assert!(maybe.is_ok());
        prop_assert_eq!(one(&bytes), Some(u64::from(!cell.is_empty())));
    }
}

#[test]
fn another_number_of_bytes_is_refused_before_the_first_record() {
    record! { struct Seven { auction: u64, kind: [u8; 7], open: bool } }
    record! { archived struct Other { open: bool, auction: u64, kind: [u8; 8] } }
    record! { struct Inner { id: [u8; 16] } }
    record! { struct Short { id: [u8; 8] } }
    let (_directory, path) = place();
    let shape = Seven::shape().unwrap();
    write(&path, &shape, Compression::None, &[] as &[Seven]);
    let source = RecordLog::read::<Other>(path.to_str().unwrap());
    let error = crate::operator::Source::splits(&source, 1).map(drop).unwrap_err().to_string();
    assert!(error.contains("field kind has 7 bytes there and 8 here"), "{error}");
    type Here = (u8, Vec<Option<Inner>>);
    type There = (u8, Vec<Option<Short>>);
    let (here, there) = (<Here as Record>::shape().unwrap(), <There as Record>::shape().unwrap());
    assert_eq!(here.data_type().differs(&there.data_type()), None);
    let what = here.other_bytes(&there);
    assert_eq!(what.as_deref(), Some("field 1.id has 8 bytes there and 16 here"));
    assert_eq!(here.other_bytes(&here), None);
}
