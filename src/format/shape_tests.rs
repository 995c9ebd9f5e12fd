use proptest::prelude::*;

use super::{CsvText, JsonText};
use crate::record;
use crate::record::{Block, Record, Shape, Value};
use crate::time::Timestamp;

record! { struct Inner { a: u8, b: i8, c: u16, d: f32 } }
record! {
    fixed struct Bid { auction: u64, at: Timestamp, open: bool, kind: [u8; 7], inner: Inner }
}
record! { enum Event { Opened, Viewed(u64), Named { small: u8, text: String }, Held(Inner) } }
record! {
    struct Person {
        small: u8,
        name: String,
        maybe: Option<char>,
        friends: Vec<(u8, String)>,
        inner: Inner,
        last: Option<Inner>,
        bits: Vec<bool>,
        code: [u8; 3],
        at: Timestamp
    }
}
record! { archived struct Deep { event: Event, events: Vec<Event>, person: Option<Person> } }

/// Encodes records, and shows them as their type does and as their shape does.
fn check<R: Record>(records: &[R]) {
    let shape = R::shape().expect("a shape");
    assert_eq!(shape.data_type(), R::data_type());
    let text = serde_json::to_string(&shape).unwrap();
    assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), shape, "{text}");
    let (mut block, mut json, mut csv) = (Block::<R>::new(), JsonText::new(), CsvText::new(b','));
    for record in records {
        record.lend(|view| block.push(Timestamp::MIN, view));
        json.push(record);
        csv.push(record);
    }
    let (bytes, _) = block.stored().expect("it may be kept");
    let mut lines = JsonText::of(&shape.data_type());
    let mut rows = CsvText::of(&shape.data_type(), b',');
    let mut used = 0;
    for number in 0..records.len() {
        let size = lines.show(|to| shape.show(&bytes[used..], to));
        assert_eq!(rows.show(|to| shape.show(&bytes[used..], to)), size);
        used += size.unwrap_or_else(|| panic!("record {number} is not seen: {shape:?}"));
    }
    assert_eq!(used, bytes.len());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(lines.text()), text(json.text()));
    written(&shape, records.len(), bytes, &text(json.text()));
    assert_eq!(text(rows.text()), text(csv.text()));
    // Whatever is cut off or changed, nothing panics, and what comes after is as it was.
    let (mut broken, before) = (bytes.to_vec(), lines.text().len());
    for at in 0..broken.len().min(300) {
        let _ = lines.show(|to| shape.show(&broken[..at], to));
        broken[at] ^= 0x95;
        let _ = lines.show(|to| shape.show(&broken, to));
        let _ = rows.show(|to| shape.show(&broken, to));
        broken[at] ^= 0x95;
    }
    lines.show(|to| shape.show(bytes, to));
    let first = json.text().split_inclusive(|byte| *byte == b'\n').next().unwrap();
    assert!(lines.text().len() >= before && lines.text().ends_with(first));
}

/// What is shown is written as it was, whatever it was: byte by byte as rkyv and `Record::write`
/// did. So is what is read of the text.
fn written(shape: &Shape, records: usize, bytes: &[u8], json: &str) {
    let (mut used, mut again, mut of_json) = (0, Vec::new(), Vec::new());
    for (number, line) in (0..records).zip(json.lines()) {
        let (value, size) = Value::shown(|to| shape.show(&bytes[used..], to)).unwrap();
        used += size;
        shape.write(&value, &mut again).unwrap_or_else(|error| panic!("{number}: {error}"));
        let value: Value = serde_json::from_str(line).unwrap();
        shape.write(&value, &mut of_json).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(again, bytes, "{shape:?}");
    assert_eq!(of_json, bytes, "{shape:?}\n{json}");
}

fn inner(n: u64) -> Inner {
    Inner { a: n as u8, b: (n as i8).wrapping_neg(), c: n as u16 * 3, d: n as f32 / 4.0 }
}

fn event(n: u64) -> Event {
    match n % 4 {
        0 => Event::Opened,
        1 => Event::Viewed(n),
        2 => Event::Named { small: n as u8, text: "é".repeat(n as usize % 9) },
        _ => Event::Held(inner(n)),
    }
}

fn person(n: u64) -> Person {
    Person {
        small: n as u8,
        name: "Ada ".repeat(n as usize % 40),
        maybe: n.is_multiple_of(3).then_some('é'),
        friends: (0..n % 4).map(|i| (i as u8, "x".repeat(i as usize * 5))).collect(),
        inner: inner(n),
        last: n.is_multiple_of(2).then(|| inner(n + 1)),
        bits: (0..n % 5).map(|i| i.is_multiple_of(2)).collect(),
        code: [1, 2, n as u8],
        at: Timestamp::from_micros(n as i64),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_record_shows_as_its_type_does(numbers in proptest::collection::vec(0..200_u64, 1..8)) {
        let all = |n: &u64| *n;
        check(&numbers.iter().map(all).collect::<Vec<u64>>());
        check(&numbers.iter().map(|n| inner(*n)).collect::<Vec<_>>());
        let bid = |n: &u64| Bid {
            auction: *n,
            at: Timestamp::from_micros(-(*n as i64)),
            open: n.is_multiple_of(2),
            kind: [*n as u8; 7],
            inner: inner(*n),
        };
        check(&numbers.iter().map(bid).collect::<Vec<_>>());
        check(&numbers.iter().map(|n| person(*n)).collect::<Vec<_>>());
        check(&numbers.iter().map(|n| event(*n)).collect::<Vec<_>>());
        let deep = |n: &u64| Deep {
            event: event(*n),
            events: (0..n % 6).map(event).collect(),
            person: n.is_multiple_of(2).then(|| person(*n)),
        };
        check(&numbers.iter().map(deep).collect::<Vec<_>>());
        let text = |n: &u64| Some(n.to_string()).filter(|_| n.is_multiple_of(2));
        check(&numbers.iter().map(|n| (*n, text(n), vec![person(*n)])).collect::<Vec<_>>());
        let some = |n: &u64| (n.is_multiple_of(2), 'é', Some((*n as u8, 1.5_f64)));
        check(&numbers.iter().map(some).collect::<Vec<_>>());
        check(&numbers.iter().map(|n| vec![*n as i128; *n as usize % 3]).collect::<Vec<_>>());
    }
}

#[test]
fn a_fixed_enum_says_how_it_lies_in_an_archive_alone() {
    record! { fixed enum Side { Left, Right } }
    record! { archived struct Held { side: Side, text: String } }
    check(&[Held { side: Side::Right, text: "a text of some length".into() }]);
    assert!(matches!(Side::shape(), Some(Shape::Enum { .. })) && Side::STORED.is_none());
}

#[test]
fn an_archive_whose_lists_lie_in_one_place_is_refused() {
    // Both items of a list are this list, or another one of both.
    let shape = (0..12).fold(Shape::Uint(8), |inner, _| Shape::List(Box::new(inner)));
    let shape = Shape::Archive(Box::new(shape));
    let mut bytes = 16_u64.to_ne_bytes().to_vec();
    for distance in [0_i32, -8] {
        bytes.extend(distance.to_le_bytes());
        bytes.extend(2_u32.to_le_bytes());
    }
    let mut lines = JsonText::of(&shape.data_type());
    assert_eq!(lines.show(|to| shape.show(&bytes, to)), None);
    assert!(lines.text().is_empty());
}
