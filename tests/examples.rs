//! The examples: each gives what it should, on any number of shards.
#![allow(clippy::unwrap_used)]

#[path = "examples/custom_operator.rs"]
#[allow(dead_code)]
mod custom_operator;
#[path = "examples/custom_source.rs"]
#[allow(dead_code)]
mod custom_source;
#[path = "examples/flights_delay.rs"]
#[allow(dead_code)]
mod flights_delay;
#[path = "examples/flights_routes.rs"]
#[allow(dead_code)]
mod flights_routes;
#[path = "examples/hot_auctions.rs"]
#[allow(dead_code)]
mod hot_auctions;
#[path = "examples/service.rs"]
#[allow(dead_code)]
mod service;
#[path = "examples/word_count.rs"]
#[allow(dead_code)]
mod word_count;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use custom_operator::{Heat, Reading, heats};
use custom_source::last_digits;
use flights_delay::flights_delay;
use flights_routes::flights_routes;
use hot_auctions::hot_auctions;
use thalweg::prelude::*;
use thalweg::testing::Verify;
use word_count::word_count;

const FLIGHTS: &str = "tests/data/flights.csv.gz";

/// Runs a program on 1, 2 and 4 shards, demands the same and gives it with the last report.
fn results<O, C>(program: impl Fn(&Job) -> Stream<O, C>) -> (Vec<O>, Report)
where
    O: Record + std::fmt::Debug + PartialEq,
    C: Chain<Out = O>,
{
    let run = |shards| {
        let job = Job::new("example").shards(shards);
        let (sink, results) = Collect::new();
        program(&job).sink(sink);
        let report = job.run().unwrap();
        (results.sorted_by_key(|row| format!("{row:?}")), report)
    };
    let (expected, report) = run(1);
    for shards in [2, 4] {
        let (rows, again) = run(shards);
        assert_eq!(rows, expected, "{shards} shards");
        assert_eq!((again.late(), again.bad()), (report.late(), report.bad()));
    }
    (expected, report)
}

fn minute(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn programs_take_a_number_of_shards() {
    use clap::Parser;
    macro_rules! check {
        ($($example:ident $($input:literal)?;)*) => {$(
            let options = |args: &[&str]| {
                let args = [stringify!($example)].iter().chain(args);
                $example::Options::try_parse_from(args)
            };
            assert_eq!(options(&[$($input,)? "--shards", "3"]).unwrap().shards, 3);
            assert_eq!(options(&[]).unwrap().shards, thalweg::sys::probe::cores());
            assert!(options(&["--shards", "x"]).is_err());
        )*};
    }
    check! {
        word_count "README.md";
        hot_auctions "bids.jsonl";
        flights_delay "flights.csv";
        flights_routes "flights.csv";
        custom_source "1000";
        custom_operator;
        service;
    }
}

#[test]
fn words_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text");
    std::fs::write(&path, "To be, or not to be:\nthat is the question.\n\nBe!\n").unwrap();
    let (words, _) = results(|job| word_count(job, path.to_str().unwrap()));
    let words: Vec<_> = words.into_iter().map(|row| (row.word, row.count)).collect();
    let expected =
        [("be", 3), ("is", 1), ("not", 1), ("or", 1), ("question", 1), ("that", 1), ("the", 1)];
    let mut expected: Vec<_> = expected.map(|(word, n)| (word.to_owned(), n)).to_vec();
    expected.push(("to".to_owned(), 2));
    assert_eq!(words, expected);
}

#[test]
fn auctions_are_counted_by_the_minute() {
    let (rows, report) = results(|job| hot_auctions(job, "tests/data/bids.jsonl"));
    assert_eq!(rows.len(), 12);
    assert_eq!((report.late(), report.records_read()), (0, 60));
    let start = minute("2017-07-14T02:40:00Z");
    let end = start + 1.minutes();
    assert!(rows.contains(&InWindow { key: 1001, start, end, value: (11, 870) }), "{rows:?}");
}

#[test]
fn delays_are_averaged_and_late_flights_counted() {
    let (rows, report) = results(|job| flights_delay(job, FLIGHTS));
    assert_eq!((rows.len(), report.late(), report.records_read()), (3_013, 540, 20_000));
    assert_eq!(rows.iter().map(|row| row.flights).sum::<u64>(), 20_000 - 540);
    let hour = minute("2001-01-01T08:00:00Z");
    let at = |origin| rows.iter().find(|row| row.origin == origin && row.hour == hour).unwrap();
    assert_eq!((at("LAX").flights, at("LAX").delay_mean_min), (44, 42.0 / 44.0));
    assert_eq!((at("ORD").flights, at("ORD").delay_mean_min), (63, -215.0 / 63.0));
}

#[test]
fn the_busiest_routes_are_ranked() {
    let (days, report) = results(|job| flights_routes(job, FLIGHTS));
    assert_eq!((days.len(), report.late()), (2, 0));
    let routes = ["43 LAX-LAS", "43 LAS-LAX", "42 LAX-PHX", "40 PHX-LAX", "35 LAX-SFO"];
    let shown = |(n, route): &(u64, String)| format!("{n} {route}");
    assert_eq!(days[0].routes.iter().map(shown).collect::<Vec<_>>(), routes);
}

#[test]
fn primes_are_found_once() {
    let (digits, _) = results(|job| last_digits(job, 1_000));
    assert_eq!(digits, [(1, 40), (2, 1), (3, 42), (5, 1), (7, 46), (9, 38)]);
}

/// Sends a request of HTTP/1.1; gives the connection, to read the answer from.
fn request(address: SocketAddr, head: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(60.seconds())).unwrap();
    let length = body.len();
    let head = format!("{head} HTTP/1.1\r\nhost: local\r\nconnection: close\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    BufReader::new(stream)
}

#[test]
fn a_service_takes_events_and_gives_counts() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(service::serve(listener, 2, async { drop(stopped.await) }));

    let mut counts = request(address, "GET /counts", "");
    let mut event = String::new();
    // The head comes at once, so whatever is sent from now on is heard.
    while event != "\r\n" {
        event.clear();
        counts.read_line(&mut event).unwrap();
    }
    let view = |page: &str, at_ms: i64| format!(r#"{{"page":"{page}","at_ms":{at_ms}}}"#);
    let views = [view("/", 1_000), view("/a\\\"b", 1_200), view("/", 1_999), view("/", 2_600)];
    let mut answer = request(address, "POST /views", &format!("[{}]", views.join(",")));
    let mut status = String::new();
    answer.read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 202 Accepted\r\n");

    let mut told = Vec::new();
    while told.len() < 2 {
        let mut line = String::new();
        assert!(counts.read_line(&mut line).unwrap() > 0, "only {told:?}");
        told.extend(line.strip_prefix("data: ").map(|data| data.trim_end().to_owned()));
    }
    told.sort_unstable();
    let count = |page: &str, n| format!(r#"{{"page":"{page}","from_ms":1000,"views":{n}}}"#);
    assert_eq!(told, [count("/", 2), count("/a\\\"b", 1)]);

    let mut metrics = String::new();
    request(address, "GET /metrics", "").read_to_string(&mut metrics).unwrap();
    let line =
        r##"thalweg_operator_records_out_total{job="views",operator="#0 source channel"} 4"##;
    assert!(metrics.contains(line), "{metrics}");

    stop.send(()).unwrap();
    let report = runtime.block_on(serving).unwrap().unwrap();
    assert!(report.stopped && report.records_read() == 4, "{report}");
    counts.read_to_string(&mut event).unwrap();
    assert!(!event.contains("data: "), "open windows give nothing: {event}");
}

#[test]
fn heat_is_found_by_the_laws() {
    let reading = |i: u32| Reading {
        sensor: i % 5,
        celsius: (i * 37 % 100) as f32,
        at: Timestamp::from_millis(i64::from(i)),
    };
    let found = Verify::of((0..1_000).map(reading)).splits(1).run(|stream| heats(stream, 50.0));
    assert!(found.len() > 50);
    let first = found.iter().find(|heat| heat.sensor == 2).unwrap();
    let ms = Timestamp::from_millis;
    assert_eq!(first, &Heat { sensor: 2, from: ms(2), until: ms(12) });
}
