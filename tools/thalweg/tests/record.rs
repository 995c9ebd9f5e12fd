//! `thalweg record` from outside: what is in the log equals what went in.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thalweg::connector::log::Segment;
use thalweg::connector::nexmark::{BASE_TIME, Event, Nexmark};
use thalweg::prelude::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");

fn thalweg(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The first line on standard error that says where it listens, and the rest of it.
fn listening(child: &mut Child) -> (String, BufReader<impl Read + use<>>) {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let address = line.trim().rsplit_once(' ').expect("an address").1.to_owned();
    (address, lines)
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    let command = command.args(args).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// The records of a log as JSON lines.
fn rows(log: &Path) -> Vec<String> {
    let output = thalweg(&["cat", log.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn place() -> (tempfile::TempDir, std::path::PathBuf, String) {
    let directory = tempfile::tempdir().expect("a folder");
    let log = directory.path().join("x.tlog");
    let shown = log.to_str().expect("UTF-8").to_owned();
    (directory, log, shown)
}

fn taken<R: Record>(log: &Path) -> Result<Vec<R>> {
    let job = Job::new("read").shards(1).executor(Executor::Threads);
    let (sink, records) = Collect::new();
    job.source(RecordLog::read::<R>(log.to_str().expect("UTF-8"))).sink(sink);
    job.run()?;
    Ok(records.take())
}

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/flights.csv.gz");

#[test]
fn real_flights_are_recorded_as_they_are() {
    let (_directory, log, to) = place();
    let times = ["--event-time", "scheduled", "--arrival-time", "departed"];
    let output = thalweg(&[&["record", FLIGHTS, "--to", &to], &times[..]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let schema = "scheduled: time, departed: time, delay_min: i64, distance_mi: i64, \
                  origin: text, destination: text";
    assert!(said.contains(&format!("--schema '{schema}'")), "{said}");

    // Another reader of gzip and CSV finds the same.
    let mut csv = Vec::new();
    let file = fs::File::open(FLIGHTS).expect("the flights");
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut csv).expect("gzip");
    let mut csv = csv::Reader::from_reader(&csv[..]);
    let shown = thalweg(&["cat", "--format", "csv", "--times", &to]).stdout;
    let mut shown = csv::Reader::from_reader(&shown[..]);
    let mut shown = shown.records();
    let mut number = 0;
    for row in csv.records() {
        let (row, own) = (row.expect("a row"), shown.next().expect("as many").expect("a row"));
        let at = |column: usize| format!("{}Z", &row[column]);
        assert_eq!([&own[0], &own[1], &own[2], &own[3]], [&*at(0), &at(1), &at(0), &at(1)]);
        assert!((4..8).all(|column| own[column] == row[column - 2]), "{own:?} {row:?}");
        number += 1;
    }
    assert!(shown.next().is_none() && number > 1_000);

    // The schema that was shown gives the same log, and a job reads it where it lies.
    record! {
        struct Flight {
            scheduled: Timestamp,
            departed: Timestamp,
            delay_min: i64,
            distance_mi: i64,
            origin: String,
            destination: String
        }
    }
    let again = log.with_file_name("again.tlog");
    let to = again.to_str().expect("UTF-8");
    let given = ["record", FLIGHTS, "--to", to, "--schema", schema];
    assert!(thalweg(&[&given[..], &times].concat()).status.success());
    assert!(fs::read(&log).expect("a log") == fs::read(&again).expect("a log"));
    assert_eq!(taken::<Flight>(&log).expect("flights").len(), number);
}

#[test]
fn json_lines_come_from_standard_input() {
    let (_directory, log, to) = place();
    let lines = [
        r#"{"auction":1,"price":2.5,"tags":["new"],"by":{"name":"Ada","age":36}}"#,
        r#"{"auction":2,"price":3.0,"tags":[],"by":{"name":"Grace, of the Navy","age":null}}"#,
    ];
    let mut child = start(&["record", "-", "--to", &to, "--compress", "zstd:5"]);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines.join("\n").as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    let schema = "auction: i64, price: f64, tags: [text], by: { name: text, age: i64? }";
    assert!(output.status.success() && said.contains(schema), "{said}");
    assert_eq!(rows(&log), lines);
    let log = Segment::open(&log).expect("a log");
    assert!(log.has_index() && log.head().layout.is_none());
}

#[test]
fn a_log_by_schema_is_read_as_the_type_it_is() {
    record! { struct Bid { open: bool, auction: u64, price: u32, kind: u16, sort: i8 } }
    let (_directory, log, to) = place();
    let csv = log.with_file_name("bids.txt");
    fs::write(&csv, "7;1;true;-3;9\n8;2;0;4;10\n").expect("written");
    let schema = "price: u32, auction: u64, open: bool, sort: i8, kind: u16";
    let csv = csv.to_str().expect("UTF-8");
    let args = ["record", csv, "--to", &to, "--no-header", "--delimiter", ";", "--schema", schema];
    let output = thalweg(&[&args[..], &["--format", "csv"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bid = |open, auction, price, kind, sort| Bid { open, auction, price, kind, sort };
    let bids = [bid(true, 1, 7, 9, -3), bid(false, 2, 8, 10, 4)];
    assert_eq!(taken::<Bid>(&log).expect("bids"), bids);
    record! { struct Other { auction: u64, price: u64, open: bool, kind: u16, sort: i8, x: u32 } }
    let error = taken::<Other>(&log).expect_err("another schema").to_string();
    assert!(error.ends_with("field price is u32 there and u64 here"), "{error}");
    let output = thalweg(&args);
    assert!(text(&output.stderr).contains("is there already"), "{}", text(&output.stderr));
}

#[test]
fn rows_that_do_not_fit_are_counted_or_end_it() {
    let (_directory, log, to) = place();
    let csv = log.with_file_name("x.csv");
    let text_of = |n: u64| if n % 100 == 50 { "soon".to_owned() } else { n.to_string() };
    let lines: String = (0..2_000).map(|n| format!("{n},{}\n", text_of(n))).collect();
    fs::write(&csv, format!("n,x\n{lines}")).expect("written");
    let args = ["record", csv.to_str().expect("UTF-8"), "--to", &to, "--schema", "n: u64, x: u64"];
    let output = thalweg(&[&args[..], &["--on-bad", "skip"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("left out").count(), 6, "{said}");
    assert!(said.contains("x.csv line 52: field x: expected a whole number"), "{said}");
    assert!(said.contains("20 rows do not fit") && said.contains("1980 records"), "{said}");
    assert_eq!(rows(&log).len(), 1_980);
    fs::remove_file(&log).expect("removed");
    let output = thalweg(&args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("50 records") && said.contains("line 52: field x"), "{said}");
    assert!(said.contains("--on-bad skip"), "{said}");
    assert_eq!(rows(&log).len(), 50);
    assert!(Segment::open(&log).expect("a log").has_index());
}

fn line(n: u64) -> String {
    format!("{{\"n\":{n}}}")
}

fn numbers(log: &Path) -> Vec<u64> {
    let number = |row: &String| {
        let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
        row["n"].as_u64().expect("a number")
    };
    let mut numbers: Vec<u64> = rows(log).iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn send(mut to: impl Write, numbers: std::ops::Range<u64>) {
    let lines: String = numbers.map(|n| line(n) + "\n").collect();
    to.write_all(lines.as_bytes()).expect("sent");
}

#[test]
fn peers_send_rows_by_sockets() {
    let (directory, log, to) = place();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let from = format!("tcp://{}", tcp.local_addr().expect("an address"));
    let child = start(&["record", &from, "--to", &to]);
    send(tcp.accept().expect("a peer").0, 0..5_000);
    assert!(child.wait_with_output().expect("it ends").status.success());
    assert!(numbers(&log).into_iter().eq(0..5_000));

    let path = directory.path().join("socket");
    let unix = UnixListener::bind(&path).expect("a socket");
    let (from, to) = (format!("unix://{}", path.display()), to.replace("x.tlog", "unix.tlog"));
    let child = start(&["record", &from, "--to", &to]);
    send(unix.accept().expect("a peer").0, 0..5_000);
    assert!(child.wait_with_output().expect("it ends").status.success());
    assert!(numbers(Path::new(&to)).into_iter().eq(0..5_000));

    let schema = ["--schema", "n: u64", "--events", "3000"];
    let to = to.replace("unix", "listen");
    let args = [&["record", "tcp-listen://127.0.0.1:0", "--to", &to], &schema[..]].concat();
    let mut child = start(&args);
    let (address, _lines) = listening(&mut child);
    for peer in 0..3 {
        send(TcpStream::connect(&address).expect("it listens"), peer * 1_000..peer * 1_000 + 1_000);
    }
    assert!(child.wait().expect("it ends").success());
    assert!(numbers(Path::new(&to)).into_iter().eq(0..3_000));

    let (path, to) = (directory.path().join("listen"), to.replace("listen", "unix-listen"));
    let from = format!("unix-listen://{}", path.display());
    let mut child = start(&[&["record", &from, "--to", &to], &schema[..]].concat());
    let (address, _lines) = listening(&mut child);
    send(UnixStream::connect(&address).expect("it listens"), 0..3_000);
    assert!(child.wait().expect("it ends").success());
    assert!(numbers(Path::new(&to)).into_iter().eq(0..3_000));
}

#[test]
fn datagrams_are_rows() {
    let (_directory, log, to) = place();
    let args = ["record", "udp://127.0.0.1:0", "--to", &to, "--schema", "n: u64"];
    let mut child = start(&[&args[..], &["--events", "40"]].concat());
    let (address, _lines) = listening(&mut child);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for n in 0..20 {
        let lines = format!("{}\n{}\n", line(2 * n), line(2 * n + 1));
        socket.send_to(lines.as_bytes(), &address).expect("sent");
    }
    assert!(child.wait().expect("it ends").success());
    assert!(numbers(&log).into_iter().eq(0..40));
}

#[test]
fn datagrams_of_csv_may_each_have_a_header() {
    let (_directory, log, to) = place();
    let args = ["record", "udp://127.0.0.1:0", "--to", &to, "--schema", "n: u64", "--events", "6"];
    let mut child = start(&args);
    let (address, _lines) = listening(&mut child);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for datagram in ["n\n0\n1\n", "n\n2\n", "3\n4\n", "n\n5\n"] {
        socket.send_to(datagram.as_bytes(), &address).expect("sent");
    }
    assert!(child.wait().expect("it ends").success());
    assert!(numbers(&log).into_iter().eq(0..6));
}

#[test]
fn places_that_are_none_are_refused_in_words() {
    let (_directory, _log, to) = place();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let nobody = format!("tcp://{port}");
    for (args, what) in [
        (&["nowhere.csv"][..], "opening nowhere.csv: No such file"),
        (&["http://x"], "there are tcp://HOST:PORT"),
        (&[&nobody], "does it listen there?"),
        (&["counter", "x.csv"], "a generator is recorded alone"),
        (&["-", "--schema", "a: b"], "\"b\" is no type; there are bool, i8 to i128"),
        (
            &["-", "--schema", "a: u8", "--event-time", "at"],
            "the schema has no column at; it has a",
        ),
        (&["-", "--schema", "a: { b: time }", "--event-time", "a_b"], "no column a_b; it has a"),
        (&["counter", "--event-time", "at"], "a generator has times of its own"),
        (&["-", "--event-time", "at:m"], "is no way to write a time: s, ms, us or ns"),
        (&["generate", "--keys", "zipf:1000"], "zipf:1.1:1000"),
        (&["generate", "--rate", "0", "--events", "1"], "a number of records a second"),
        (&["generate", "--rate", "fast"], "100k or 2.5M"),
        (&["counter", "--keys", "uniform:5"], "--keys is for generate"),
        (&["nexmark", "--seed", "7"], "--seed changes nothing here"),
        (&["-", "--rate", "5"], "--rate is for generators"),
        (&["unix:/nowhere/x"], "connecting to /nowhere/x"),
        (&["-", "--compress", "zip"], "zstd:1 to zstd:22"),
        (&["-"], "there are no rows to infer a schema from"),
    ] {
        let args = [&["record", "--to", &to], args].concat();
        let mut command = Command::new(PROGRAM);
        let output = command.args(&args).stdin(Stdio::null()).output().expect("it starts");
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(what), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        let _ = fs::remove_file(&to);
    }
    let said = text(&thalweg(&["record", "counter", "--to", "-"]).stderr);
    assert!(said.contains("can't go to standard output"), "{said}");
    let output = thalweg(&["verify", "nowhere.tlog"]);
    let said = text(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains("nowhere.tlog: NOT READ"), "{said}");
}

/// Records what comes by standard input.
fn piped(args: &[&str], bytes: &[u8]) -> Output {
    let mut child = start(args);
    // It may end before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(bytes);
    child.wait_with_output().expect("it ends")
}

#[test]
fn what_gzip_has_packed_is_unpacked_wherever_it_comes_from() {
    let (_directory, log, to) = place();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"a,b\n1,x\n2,y\n").expect("packed");
    let packed = packed.finish().expect("packed");
    let output = piped(&["record", "-", "--to", &to, "--event-time", "a:s"], &packed);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(rows(&log), [r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#]);
}

#[test]
fn a_header_that_does_not_fit_is_told() {
    let (_directory, _log, to) = place();
    let record = |schema: &[&str], bytes: &[u8]| {
        let output = piped(&[&["record", "-", "--to", &to], schema].concat(), bytes);
        let _ = fs::remove_file(&to);
        (output.status.success(), text(&output.stderr))
    };
    let (fits, said) = record(&["--schema", "a: u64, c: u64"], b"a,b\n1,2\n");
    let what = "the header has no column c, which the schema wants; it has a, b";
    assert!(!fits && said.contains(what), "{said}");
    assert!(record(&["--schema", "a: u64, c: u64?"], b"a,b\n1,2\n").0);
    let (fits, said) = record(&[], b"\x01\x02,\x03\n1,2\n");
    assert!(!fits && said.contains("the header is no text; is it CSV?"), "{said}");
}

#[test]
fn wide_numbers_of_json_are_whole() {
    let (_directory, log, to) = place();
    let json = log.with_file_name("x.json");
    let lines = [
        format!(r#"{{"a":{},"b":[{}],"c":0.5}}"#, i128::MIN, u128::MAX),
        format!(r#"{{"a":-7,"b":[1,{}],"c":1e+300}}"#, u64::MAX),
    ];
    fs::write(&json, lines.join("\n")).expect("written");
    let json = json.to_str().expect("UTF-8");
    let args = ["record", json, "--to", &to, "--schema", "a: i128, b: [u128], c: f64"];
    let output = thalweg(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(rows(&log), lines);
}

#[test]
fn a_number_that_is_none_is_null_in_json_and_not_read_again() {
    let (_directory, log, to) = place();
    let csv = log.with_file_name("x.csv");
    fs::write(&csv, "n,x\n1,NaN\n2,inf\n").expect("written");
    let csv = csv.to_str().expect("UTF-8");
    let output = thalweg(&["record", csv, "--to", &to, "--schema", "n: u64, x: f64"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = rows(&log);
    assert_eq!(lines, [r#"{"n":1,"x":null}"#, r#"{"n":2,"x":null}"#]);
    let json = log.with_file_name("x.json");
    fs::write(&json, lines.join("\n")).expect("written");
    let (json, again) = (json.to_str().expect("UTF-8"), to.replace("x.tlog", "y.tlog"));
    let output = thalweg(&["record", json, "--to", &again, "--schema", "n: u64, x: f64"]);
    let said = text(&output.stderr);
    let what = "field x: expected a number, found nothing";
    assert!(!output.status.success() && said.contains(what), "{said}");
    assert!(
        thalweg(&["record", json, "--to", &again, "--schema", "n: u64, x: f64?"]).status.success()
    );
}

#[test]
fn a_try_that_fails_is_not_in_the_way_of_the_next_one() {
    let (_directory, log, to) = place();
    let csv = log.with_file_name("x.csv");
    fs::write(&csv, "n,at\n1,2001-01-01T00:03:00\n2,2001-01-01T00:04:00\n").expect("written");
    let csv = csv.to_str().expect("UTF-8");
    let output = thalweg(&["record", csv, "--to", &to, "--event-time", "nope"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    // At once, and not once a row.
    assert!(said.contains("the schema has no column nope; it has n, at"), "{said}");
    assert!(!said.contains("line 2") && !log.exists(), "{said}");
    // The first row does not fit.
    let output = thalweg(&["record", csv, "--to", &to, "--schema", "n: u64, at: u8"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("line 2: field at") && !log.exists(), "{said}");
    let output = thalweg(&["record", csv, "--to", &to, "--event-time", "at"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(rows(&log).len(), 2);
}

#[test]
fn an_interrupt_leaves_a_whole_log() {
    let (_directory, log, to) = place();
    let mut child = start(&["record", "-", "--to", &to, "--schema", "n: u64"]);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all((line(7) + "\n").as_bytes()).expect("written");
    input.flush().expect("flushed");
    // What has come can be read while more may come.
    while !(log.is_file() && fs::metadata(&log).expect("a file").len() > 0)
        || Segment::open(&log).ok().is_none_or(|mut log| log.next().expect("whole").is_none())
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("sent");
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("1 records"), "{said}");
    assert!(Segment::open(&log).expect("a log").has_index());
    assert_eq!(numbers(&log), [7]);
}

#[test]
fn a_full_disk_leaves_a_whole_log() {
    for blocks in [200, 2_000] {
        let (_directory, log, to) = place();
        // A file that may not grow is as a disk that is full; so many blocks of 512 bytes.
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        let command = command.args(["-c", &script, PROGRAM, "record", "generate", "--to", &to]);
        let output = command.output().expect("it starts");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large"), "{said}");
        let mut segment = Segment::open(&log).expect("a log");
        assert!(segment.has_index() && !segment.is_torn());
        assert!(segment.bytes() + 200_000 > blocks * 512, "{}", segment.bytes());
        let mut records = 0;
        while let Some(frame) = segment.next().expect("whole") {
            records += frame.len();
        }
        assert!(said.contains(&format!("{records} records, ")), "{records}: {said}");
    }
}

#[test]
fn a_full_disk_does_not_shorten_a_log_that_is_read() {
    let (_directory, log, to) = place();
    let script = "ulimit -f 200; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, PROGRAM, "record", "-", "--to", &to, "--schema", "n: u64"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    send(&mut input, 0..10);
    input.flush().expect("flushed");
    let mut reader = loop {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let Ok(mut reader) = Segment::open(&log) else { continue };
        if reader.next().expect("whole").is_some() {
            break reader;
        }
    };
    // Until the pipe is closed.
    let lines: String = (10..50_000).map(|n| line(n) + "\n").collect();
    let _ = input.write_all(lines.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is being read") && said.contains("File too large"), "{said}");
    // All of what was written is there, and was all the time.
    assert_eq!(fs::metadata(&log).expect("a file").len(), 200 * 512);
    assert!(reader.grow().expect("readable") && !reader.has_index());
    let mut records = 10;
    while let Some(frame) = reader.next().expect("whole") {
        records += frame.len();
    }
    assert!(said.contains(&format!("{records} records, ")), "{records}: {said}");
    drop(reader);
    assert!(thalweg(&["index", "--cut", &to]).status.success());
    assert_eq!(numbers(&log).len(), records);
}

#[test]
fn generators_make_the_same_log_again() {
    let (_directory, log, to) = place();
    let again = to.replace("x.tlog", "y.tlog");
    let record = |to: &str, seed: &str| {
        let args = ["record", "generate", "--to", to, "--events", "20k", "--seed", seed];
        let how = ["--keys", "zipf:1.0:50", "--arrivals", "poisson", "--rate", "1000"];
        let output = thalweg(&[&args[..], &how].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    record(&to, "7");
    record(&again, "7");
    assert!(fs::read(&to).expect("a log") == fs::read(&again).expect("a log"));
    fs::remove_file(&again).expect("removed");
    record(&again, "8");
    assert!(fs::read(&to).expect("a log") != fs::read(&again).expect("a log"));
    record! { struct Generated { number: u64, key: u64, at: Timestamp } }
    let made = taken::<Generated>(&log).expect("records");
    let first = made.iter().filter(|record| record.key == 0).count() as f64;
    // Of 50 keys the first has 1 / (1 + 1/2 + … + 1/50) of the records.
    let share: f64 = 1.0 / (1..=50).map(|k| 1.0 / f64::from(k)).sum::<f64>();
    assert!((first / 20_000.0 - share).abs() < 0.02, "{first}");
    let span = made[19_999].at.micros() - made[0].at.micros();
    assert!((19_000_000..21_000_000).contains(&span), "{span}");
    assert!(made.iter().enumerate().all(|(i, record)| record.number == i as u64));

    let to = to.replace("x.tlog", "nexmark");
    let output = thalweg(&["record", "nexmark", "--to", &to, "--events", "3000"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events = taken::<Event>(&Path::new(&to).join("part-0.tlog")).expect("events");
    assert!(events.into_iter().eq(Nexmark::generate(0..3_000)));
    let to = to.replace("nexmark", "quick");
    let args = ["--events", "3000", "--rate", "500", "--arrivals", "bursts:10"];
    let output = thalweg(&[&["record", "nexmark", "--to", &to], &args[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events = taken::<Event>(&Path::new(&to).join("part-0.tlog")).expect("events");
    for (i, (event, suite)) in events.iter().zip(Nexmark::generate(0..3_000)).enumerate() {
        let due = BASE_TIME + std::time::Duration::from_millis(i as u64 / 10 * 20);
        assert_eq!(event.date_time(), due);
        let mut moved = suite;
        moved.set_date_time(due);
        assert_eq!(*event, moved);
    }
    let to = to.replace("quick", "counter.tlog");
    let args = ["--events", "5000", "--arrivals", "bursts:10", "--compress", "lz4"];
    assert!(thalweg(&[&["record", "counter", "--to", &to], &args[..]].concat()).status.success());
    assert!(taken::<u64>(Path::new(&to)).expect("numbers").into_iter().eq(0..5_000));
}

#[test]
fn an_index_is_given_to_what_was_cut_off() {
    let (_directory, log, to) = place();
    let args = ["record", "counter", "--events", "100k", "--to", &to];
    assert!(thalweg(&args).status.success());
    let whole = fs::read(&log).expect("a log");
    let says = |args: &[&str], code: i32, what: &str| {
        let output = thalweg(&[&["index", &to], args].concat());
        let said = text(&output.stdout);
        assert!(output.status.code() == Some(code) && said.contains(what), "{said}");
    };
    says(&[], 0, "has an index, 100000 records");
    fs::write(&log, &whole[..whole.len() / 2]).expect("written");
    says(&[], 1, "would have to be cut off (--cut cuts off what is behind)");
    says(&["--cut"], 0, " bytes were cut off");
    assert!(Segment::open(&log).expect("a log").has_index());
    let numbers = taken::<u64>(&log).expect("numbers");
    assert!(numbers.len() > 40_000 && numbers.iter().copied().eq(0..numbers.len() as u64));
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&log, damaged).expect("written");
    says(&["--cut"], 1, "is damaged at byte");
}
