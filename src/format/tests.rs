use proptest::prelude::*;

use super::{CsvReader, CsvText, JsonText, Row, read_json};
use crate::record;
use crate::record::Record;
use crate::time::Timestamp;

record! {
    /// A variant that holds nothing, a value, an option, fields, no fields.
    #[derive(Eq)]
    enum Colour {
        Red,
        Grey(u8),
        Named(String),
        Maybe(Option<u8>),
        Mixed { r#in: Option<u8>, parts: Vec<String> },
        Clear {},
    }
}

record! {
    fixed enum Shape { Circle { radius: f64 }, Rect { width: f64, height: f64 }, Empty }
}

record! {
    struct Place { x: i32, name: String }
}

record! {
    struct Everything {
        flag: bool,
        letter: char,
        small: i8,
        wide: u128,
        deep: i128,
        real: f64,
        half: f32,
        name: String,
        at: Timestamp,
        maybe: Option<u64>,
        place: Place,
        perhaps: Option<Place>,
        list: Vec<u16>,
        names: Vec<String>,
        colour: Colour,
        colours: Vec<Colour>,
        bytes: [u8; 3],
    }
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![
        Just(Colour::Red),
        any::<u8>().prop_map(Colour::Grey),
        ".{0,3}".prop_map(Colour::Named),
        any::<Option<u8>>().prop_map(Colour::Maybe),
        (any::<Option<u8>>(), prop::collection::vec(text(), 0..3))
            .prop_map(|(r#in, parts)| Colour::Mixed { r#in, parts }),
        Just(Colour::Clear {}),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    (any::<i32>(), text()).prop_map(|(x, name)| Place { x, name })
}

/// Text with what CSV and JSON must escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a,\"\\\\ \n\r;{\u{0}é]{0,8}", any::<String>(), Just("null".into())]
}

fn everything() -> impl Strategy<Value = Everything> {
    let at = (-9_000_000_000_000_000..9_000_000_000_000_000_i64).prop_map(Timestamp::from_micros);
    let reals = (prop::num::f64::NORMAL, prop::num::f32::NORMAL);
    let numbers = (any::<i8>(), any::<u128>(), any::<i128>(), reals);
    let simple = (any::<bool>(), any::<char>(), numbers, text(), at, any::<Option<u64>>());
    let places = (place(), prop::option::of(place()));
    let lists = (any::<Vec<u16>>(), prop::collection::vec(text(), 0..3));
    let colours = (colour(), prop::collection::vec(colour(), 0..3));
    (simple, places, lists, colours, any::<[u8; 3]>()).prop_map(|parts| {
        let (simple, (place, perhaps), (list, names), (colour, colours), bytes) = parts;
        let (flag, letter, (small, wide, deep, (real, half)), name, at, maybe) = simple;
        Everything {
            flag,
            letter,
            small,
            wide,
            deep,
            real,
            half,
            name,
            at,
            maybe,
            place,
            perhaps,
            list,
            names,
            colour,
            colours,
            bytes,
        }
    })
}

/// The rows of `text`, as a reader of CSV other than ours sees them.
fn oracle(text: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

proptest! {
    #[test]
    fn json_reads_what_it_writes(record in everything()) {
        let mut json = JsonText::<Everything>::new();
        json.push(&record);
        let line = std::str::from_utf8(json.text()).unwrap();
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(read_json::<Everything>(line), Ok(record.clone()));
        let ours: serde_json::Value = serde_json::from_str(line).unwrap();
        prop_assert_eq!(&ours["bytes"], &serde_json::to_value(record.bytes).unwrap());
        prop_assert_eq!(&ours["colours"], &serde_json::to_value(record.colours).unwrap());
    }

    #[test]
    fn csv_reads_what_it_writes(record in everything()) {
        let mut csv = CsvText::<Everything>::new(b',');
        csv.header();
        let header = String::from_utf8(csv.text().to_vec()).unwrap();
        csv.clear();
        csv.push(&record);
        let text = std::str::from_utf8(csv.text()).unwrap();
        let mut reader = CsvReader::<Everything>::new(b',');
        reader.header(header.trim_end()).unwrap();
        prop_assert_eq!(reader.read(text.strip_suffix('\n').unwrap()), Row::Record(record.clone()));
        let rows = oracle(csv.text());
        prop_assert_eq!(rows.len(), 1);
        prop_assert_eq!(rows[0].len(), header.split(',').count());
        prop_assert_eq!(&rows[0][7], &record.name);
    }

    #[test]
    fn readers_never_panic(text in text()) {
        let _ = read_json::<Everything>(&text);
        let _ = CsvReader::<Everything>::new(b',').read(&text);
        let _ = CsvReader::<(String, u64)>::new(b';').read(&text);
        let _ = CsvReader::<Place>::new(b',').header(&text);
    }
}

#[test]
fn headers_are_those_of_the_type() {
    let mut csv = CsvText::<Everything>::new(b',');
    csv.header();
    let header = Everything::data_type().header().join(",") + "\n";
    assert_eq!(std::str::from_utf8(csv.text()).unwrap(), header);
    assert!(header.contains("place_x,place_name,perhaps_x"), "{header}");
}

#[test]
fn json_says_which_field_is_wrong() {
    let error = |line| read_json::<Place>(line).unwrap_err();
    assert_eq!(
        error(r#"{"x": 12.5, "name": "a"}"#),
        "field x: expected a whole number, with or without sign, found floating point 12.5 \
         (column 10)"
    );
    assert_eq!(error(r#"{"x": 1}"#), "missing field name (column 8)");
    assert_eq!(error(r#"{"x": 1"#), "not JSON: EOF while parsing an object (column 7)");
    let list = r#"[{"x": 1, "name": "a"}, {"x": 1, "name": 2}]"#;
    let error = read_json::<Vec<Place>>(list).unwrap_err();
    assert!(error.starts_with("field [1].name: expected text, found integer 2"), "{error}");
}

#[test]
fn csv_says_which_field_is_wrong() {
    record! { archived struct Sale { price: u8, at: Timestamp, colour: Colour } }
    let mut csv = CsvReader::<Sale>::new(b',');
    csv.header("colour,at,price,other").unwrap();
    let at = Timestamp::from_millis(1_000);
    for time in ["1000", "1970-01-01T00:00:01Z", "1970-01-01T00:00:01"] {
        let sale = Sale { price: 1, at, colour: Colour::Red };
        assert_eq!(csv.read(&format!("Red,{time},1,x")), Row::Record(sale));
    }
    let mut bad = |row| match csv.read(row) {
        Row::Bad(error) => error,
        row => panic!("{row:?}"),
    };
    let error = "field price: expected a whole number from 0 to 255, found \"300\"";
    assert_eq!(bad("Red,1,300,x"), error);
    assert!(bad("Red,soon,3,x").starts_with("field at: expected a time"));
    assert!(bad("Blue,1,3,x").starts_with("field colour: unknown variant Blue"));
    assert_eq!(bad("Red,1,3"), "expected 4 cells, found 3");
    assert!(bad("Red,1,\"3\",\"x\",").starts_with("expected 4 cells"));
    assert_eq!(csv.read("Red,1,3,\"x"), Row::Partial);
    let error = csv.header("a,b").unwrap_err();
    assert_eq!(error, "missing columns price, at, colour; the header has a, b");
    let error = csv.header("colour,at").unwrap_err();
    assert_eq!(error, "missing column price; the header has colour, at");
}

#[test]
fn csv_needs_no_column_for_what_may_be_missing() {
    record! { archived struct Place { x: u8, y: u8 } }
    record! {
        archived struct Trip {
            from: Place,
            to: Option<Place>,
            note: Option<String>,
            tags: Vec<u8>,
            #[serde(default)]
            fare: u32,
            #[serde(default)]
            extra: u32,
        }
    }
    let mut csv = CsvReader::<Trip>::new(b',');
    csv.header("tags,from_y,from_x,fare").unwrap();
    let from = Place { x: 1, y: 2 };
    let trip = Trip { from, to: None, note: None, tags: vec![7], fare: 3, extra: 0 };
    assert_eq!(csv.read("[7],2,1,3"), Row::Record(trip));
    let error = csv.header("from_x,to_x,note,fare").unwrap_err();
    assert_eq!(error, "missing columns from_y, tags; the header has from_x, to_x, note, fare");
    let error = csv.header("note,fare").unwrap_err();
    let expected = "missing columns from_x, from_y, tags; the header has note, fare";
    assert_eq!(error, expected);
    // As before: of a part that is not whole it is said row by row.
    csv.header("tags,from_y,from_x,to_x").unwrap();
    assert!(matches!(csv.read("[7],2,1,"), Row::Record(_)));
    let Row::Bad(error) = csv.read("[7],2,1,5") else { panic!("half a place was read") };
    assert!(error.contains("there is no such column"), "{error}");

    record! { archived struct Loose { a: Option<u8>, b: Option<u8> } }
    let error = CsvReader::<Loose>::new(b',').header("x,y").unwrap_err();
    assert_eq!(error, "no column is one of a, b; found x, y");
    let error = CsvReader::<(u8, u8)>::new(b',').header("0").unwrap_err();
    assert_eq!(error, "missing column 1; the header has 0");
}

#[test]
fn tuples_units_and_lone_values_have_cells_of_their_own() {
    fn rows<R: Record>(record: R) -> String {
        let mut csv = CsvText::new(b';');
        csv.header();
        csv.push(&record);
        String::from_utf8(csv.text().to_vec()).unwrap()
    }
    let pairs = rows(("a b".to_owned(), (1_u64, None::<(u8, u8)>)));
    assert_eq!(pairs, "0;1_0;1_1_0;1_1_1\na b;1;;\n");
    assert_eq!(rows(String::new()), "value\n\"\"\n");
    let units = rows(((), 1_u8, Some(())));
    assert_eq!(units, "1\n1\n");

    let mut json = JsonText::<((), u8, Vec<(u8, String)>)>::new();
    json.push(&((), 1_u8, vec![(2_u8, "x".to_owned())]));
    json.push(&((), 1_u8, Vec::new()));
    assert_eq!(json.text(), b"[null,1,[[2,\"x\"]]]\n[null,1,[]]\n");
}

#[test]
fn a_variant_with_named_fields_is_an_object_of_its_own() {
    let shape = "enum Shape { Circle: struct Circle { radius: f64 }, \
                 Rect: struct Rect { width: f64, height: f64 }, Empty: () }";
    assert_eq!(Shape::data_type().to_string(), shape);
    let shapes =
        [Shape::Circle { radius: 1.5 }, Shape::Rect { width: 2.0, height: 0.5 }, Shape::Empty];
    let (mut json, mut csv) = (JsonText::new(), CsvText::new(b';'));
    for shape in &shapes {
        json.push(shape);
        csv.push(shape);
    }
    let text = std::str::from_utf8(json.text()).unwrap();
    let rect = "{\"Rect\":{\"width\":2.0,\"height\":0.5}}";
    assert_eq!(text, format!("{{\"Circle\":{{\"radius\":1.5}}}}\n{rect}\n\"Empty\"\n"));
    assert_eq!(text.lines().map(read_json).collect::<Result<Vec<Shape>, _>>(), Ok(shapes.into()));
    assert_eq!(oracle(csv.text())[2], ["Empty"]);
    let error = read_json::<Shape>("{\"Rect\":{\"width\":2.0}}").unwrap_err();
    assert!(error.starts_with("field Rect: missing field height"), "{error}");
}

#[test]
fn what_json_has_no_number_for_is_null() {
    let mut json = JsonText::<f64>::new();
    json.push(&f64::NAN);
    json.push(&f64::INFINITY);
    json.push(&1e300);
    assert_eq!(json.text(), b"null\nnull\n1e+300\n");
}
