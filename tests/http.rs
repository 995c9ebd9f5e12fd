//! Requests as a source, posted by raw bytes; and a sink that posts to servers that are no more
//! than a socket: some mean well.
#![allow(clippy::unwrap_used)]

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use thalweg::operator::Source;
use thalweg::prelude::*;

#[path = "support/peers.rs"]
mod peers;
#[path = "support/requests.rs"]
mod requests;
use peers::{Sale, in_time, json, sales, until};
use requests::{answer, call, gathered, hear, ingest, post, request, say};

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

#[test]
fn what_many_post_is_taken_once_on_any_number_of_shards() {
    let expected: Vec<Sale> = (0..4).flat_map(|shop| sales(shop, 1_000)).collect();
    for (shards, executor) in [1, 2, 4].into_iter().flat_map(|n| EXECUTORS.map(|e| (n, e))) {
        let source = ingest().ends_after(40);
        let address = source.local_addr().unwrap();
        let found = in_time(move || {
            let job = Job::new("sales").shards(shards).executor(executor).pin(false);
            let (sink, found) = Collect::new();
            job.source(source).sink(sink);
            let running = job.start().unwrap();
            thread::scope(|scope| {
                for shop in 0..4 {
                    // Ten requests one after the other, on one connection.
                    scope.spawn(move || {
                        let mut peer = call(address);
                        for some in sales(shop, 1_000).chunks(100) {
                            say(&mut peer, &request("/sales", &json(some)));
                            let said = answer(&mut peer);
                            assert_eq!((said.status, said.body.trim()), TAKEN);
                        }
                    });
                }
            });
            running.join().unwrap();
            found.sorted()
        });
        assert_eq!(found, expected, "{shards} shards on {executor}");
    }
}

const TAKEN: (u16, &str) = (200, "{\"records\":100,\"bad\":0}");

#[test]
fn a_request_may_come_byte_by_byte_and_in_chunks() {
    let source = ingest();
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let mut peer = call(address);
        for byte in request("/sales", &json(&sales(1, 3))).bytes() {
            peer.get_mut().write_all(&[byte]).unwrap();
        }
        assert_eq!(answer(&mut peer).status, 200);
        say(&mut peer, "POST /sales HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n");
        for chunk in json(&sales(2, 3)).as_bytes().chunks(7) {
            let chunk = String::from_utf8_lossy(chunk);
            say(&mut peer, &format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        say(&mut peer, "0\r\n\r\n");
        assert_eq!(answer(&mut peer).status, 200);
    });
    assert_eq!(found, [sales(1, 3), sales(2, 3)].concat());
}

#[test]
fn what_is_no_request_for_records_is_told_so() {
    let source = ingest().body_bytes_max(1_000);
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let said = |text: &str| {
            let mut peer = call(address);
            say(&mut peer, text);
            answer(&mut peer)
        };
        let other = said("GET /sales HTTP/1.1\r\nhost: here\r\n\r\n");
        assert_eq!(other.status, 405);
        assert!(other.head.contains("allow: post"));
        let other = post(address, "/other", "{}");
        assert_eq!(other.status, 404);
        assert!(other.body.contains("/sales"), "{}", other.body);
        assert_eq!(said("garbage\r\n\r\n").status, 400);
        let packed = "POST /sales HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\n\
                      content-length: 1\r\n\r\nx";
        let refused = said(packed);
        let expected = "{\"records\":0,\"error\":\"send the body unpacked\"}\n";
        assert_eq!((refused.status, &*refused.body), (415, expected));
        assert_eq!(said(&packed.replace("gzip", "identity, gzip")).status, 415);
        let plain = packed.replace("gzip", "Identity").replace("1\r\n\r\nx", "0\r\n\r\n");
        assert_eq!(said(&plain).status, 200);
        // Too large: by what it announces, and by what comes.
        let announced = "POST /sales HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n";
        let large = said(announced);
        assert_eq!(large.status, 413);
        assert!(large.body.contains("1000 bytes"), "{}", large.body);
        let chunked = "POST /sales HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(said(&format!("{chunked}3e9\r\n{}", "x".repeat(1_001))).status, 413);
        // Heads without an end.
        let endless = format!("POST /sales HTTP/1.1\r\n{}", "a: b\r\n".repeat(10_000));
        let mut peer = call(address);
        let _ = peer.get_mut().write_all(endless.as_bytes());
        assert!(hear(&mut peer).is_none_or(|(head, _)| head.contains(" 431 ")));
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn the_first_bad_row_ends_its_request_and_names_itself() {
    let source = ingest();
    let address = source.local_addr().unwrap();
    let body = format!("{}{{\"shop\": 1}}\n{}", json(&sales(1, 2)), json(&sales(2, 2)));
    let posted = body.clone();
    let found = gathered(source, move || {
        let said = post(address, "/sales", &posted);
        assert_eq!(said.status, 400);
        let expected = "{\"records\":2,\"bad\":1,\"row\":3,\
                        \"error\":\"missing field number (column 11)\"}\n";
        assert_eq!(said.body, expected);
        assert_eq!(post(address, "/sales", "\u{1}\n").status, 400);
    });
    assert_eq!(found, sales(1, 2));

    let source = ingest().on_bad_record(OnBadRecord::Skip);
    let address = source.local_addr().unwrap();
    let found = gathered(source, move || {
        let said = post(address, "/sales", &body);
        assert_eq!(said.status, 200);
        assert!(said.body.contains("\"bad\":1") && said.body.contains("\"records\":4"));
    });
    assert_eq!(found, [sales(1, 2), sales(2, 2)].concat());
}

/// A job of one shard that is held up at its first record until the lock is free: how many records
/// it has seen come, and how many it has let pass.
fn held_up(source: impl Source<Record = Sale>) -> (Arc<AtomicU64>, Arc<Mutex<u64>>, Running) {
    let (came, passed) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(0)));
    let (coming, passing) = (came.clone(), passed.clone());
    let job = Job::new("slow").shards(1).pin(false);
    job.source(source).sink(Callback::new::<Sale>(move |_, _, _| {
        coming.fetch_add(1, Relaxed);
        *passing.lock().unwrap() += 1;
    }));
    (came, passed, job.start().unwrap())
}

#[test]
fn a_job_that_is_slow_says_so() {
    let source = ingest().queue_requests(2).within(500.millis());
    let address = source.local_addr().unwrap();
    let traffic = source.traffic();
    in_time(move || {
        let (came, count, running) = held_up(source);
        let held = count.lock().unwrap();
        let row = json(&sales(1, 1));
        // One is being read, two are in the queue.
        assert_eq!(post(address, "/sales", &row).status, 202);
        until(|| came.load(Relaxed) == 1);
        assert_eq!(post(address, "/sales", &row).status, 202);
        assert_eq!(post(address, "/sales", &row).status, 202);
        let said = post(address, "/sales", &row);
        assert_eq!(said.status, 429);
        assert!(said.head.contains("retry-after: 1"), "{}", said.head);
        assert_eq!(traffic.refused(), 1);
        drop(held);
        until(|| *count.lock().unwrap() == 3);
        assert_eq!(post(address, "/sales", &row).status, 200);
        running.stop();
        assert_eq!(running.join().unwrap().records_read(), 4);
        assert_eq!(traffic.partial_bytes(), 0);
    });
}

#[test]
fn bodies_take_no_more_memory_than_they_may() {
    let source = ingest().partial_bytes_max(1_000);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    gathered(source, move || {
        let mut slow = call(address);
        say(&mut slow, "POST /sales HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n");
        say(&mut slow, &" ".repeat(900));
        until(|| traffic.partial_bytes() == 900);
        assert_eq!(post(address, "/sales", &" ".repeat(200)).status, 429);
        assert_eq!(post(address, "/sales", &" ".repeat(100)).status, 200);
        drop(slow);
        until(|| traffic.partial_bytes() == 0);
    });
}

#[test]
fn slow_peers_and_too_many_are_sent_away() {
    let source = ingest().connections_max(2).within(3.seconds());
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        let mut idle = call(address);
        until(|| traffic.open() == 1);
        let mut slow = call(address);
        say(&mut slow, "POST /sales HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n{");
        until(|| traffic.partial_bytes() == 1);
        // One more: the one that has been waited for longest makes room.
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "it is closed");
        assert_eq!(traffic.refused(), 1);
        assert_eq!(answer(&mut slow).status, 408);
        assert_eq!(slow.read(&mut [0]).unwrap_or(0), 0, "it is closed");
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn who_waits_for_the_job_makes_no_room_for_others() {
    let source = ingest().connections_max(2);
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    in_time(move || {
        let (came, count, running) = held_up(source);
        let held = count.lock().unwrap();
        let waiting = [0, 1].map(|shop| {
            thread::spawn(move || post(address, "/sales", &json(&sales(shop, 1))).status)
        });
        until(|| came.load(Relaxed) == 1 && traffic.partial_bytes() > 0 && traffic.open() == 2);
        // Both bodies are whole by then.
        thread::sleep(500.millis());
        let said = answer(&mut call(address));
        assert_eq!(said.status, 503);
        assert!(said.head.contains("retry-after"));
        assert_eq!(traffic.refused(), 1);
        drop(held);
        waiting.into_iter().for_each(|waits| assert_eq!(waits.join().unwrap(), 200));
        running.stop();
        running.join().unwrap();
    });
}

#[test]
fn a_job_that_is_stopped_answers_what_it_has_taken_and_then_nobody() {
    let source = ingest();
    let address = source.local_addr().unwrap();
    in_time(move || {
        let (came, count, running) = held_up(source);
        let held = count.lock().unwrap();
        let rows = json(&sales(1, 3));
        let taken = thread::spawn(move || post(address, "/sales", &rows).status);
        let mut idle = call(address);
        until(|| came.load(Relaxed) == 1);
        running.stop();
        drop(held);
        assert_eq!(taken.join().unwrap(), 200);
        assert_eq!(running.join().unwrap().records_read(), 3);
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
        until(|| TcpStream::connect(address).is_err());
    });
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_let_go() {
    let source = ingest().connections_max(1).within(1.seconds());
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    let found = gathered(source, move || {
        // What is said of it shows it: long answers, so that it needs few to be too many.
        let bad = format!("{{\"shop\": \"{}\"}}", "x".repeat(8 << 10));
        let said = post(address, "/sales", &bad);
        assert!(said.status == 400 && said.body.len() > 8 << 10, "{}", said.body.len());
        until(|| traffic.open() == 0);
        let mut deaf = TcpStream::connect(address).unwrap();
        let bad = request("/sales", &bad);
        while deaf.write_all(bad.as_bytes()).is_ok() {}
        until(|| traffic.open() == 0);
        assert_eq!(post(address, "/sales", &json(&sales(1, 1))).status, 200);
    });
    assert_eq!(found, sales(1, 1));
}

#[test]
fn a_body_that_comes_after_the_stop_is_told_that_the_job_ends() {
    let source = ingest();
    let (address, traffic) = (source.local_addr().unwrap(), source.traffic());
    in_time(move || {
        let job = Job::new("stopped").shards(1);
        job.source(source).sink(Discard);
        let running = job.start().unwrap();
        let mut late = call(address);
        say(&mut late, "POST /sales HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n ");
        until(|| traffic.partial_bytes() == 1);
        running.stop();
        running.join().unwrap();
        say(&mut late, " ");
        assert_eq!(answer(&mut late).status, 503);
    });
}

/// A server that answers requests in turn as it is told, each on whatever connection it comes, and
/// keeps the bodies of those that it answered 200. `None`: closes the connection.
fn server(answers: &'static [Option<&'static str>]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let all = taken.clone();
    thread::spawn(move || {
        let mut answers = answers.iter().copied().chain(std::iter::repeat(Some("200 OK")));
        for peer in listener.incoming() {
            let mut peer = BufReader::new(peer.unwrap());
            while let Some((head, body)) = hear(&mut peer) {
                assert!(head.starts_with("post /in http/1.1"), "{head}");
                let Some(answer) = answers.next().unwrap() else { break };
                if answer.starts_with("200") {
                    all.lock().unwrap().push(body);
                }
                let said = format!("HTTP/1.1 {answer}\r\ncontent-length: 3\r\n\r\nno\n");
                peer.get_mut().write_all(said.as_bytes()).unwrap();
            }
        }
    });
    (url, taken)
}

fn rows(bodies: &Mutex<Vec<String>>) -> Vec<String> {
    let bodies = bodies.lock().unwrap();
    let mut rows: Vec<_> = bodies.iter().flat_map(|body| body.lines()).map(str::to_owned).collect();
    rows.sort();
    rows
}

#[test]
fn records_are_posted_in_batches_from_all_shards() {
    for shards in [1, 2, 4] {
        let (url, taken) = server(&[]);
        let sink = Http::post(url).to_lines().batch_records(100).linger(5.seconds());
        let found = in_time(move || {
            let job = Job::new("posts").shards(shards).pin(false);
            job.source(Counter::to(1_000)).sink(sink);
            job.run().unwrap();
            assert!(taken.lock().unwrap().iter().all(|body| body.lines().count() <= 100));
            assert!(taken.lock().unwrap().len() <= 40, "they are gathered");
            rows(&taken)
        });
        let mut expected: Vec<String> = (0..1_000).map(|n: u64| n.to_string()).collect();
        expected.sort();
        assert_eq!(found, expected, "{shards} shards");
    }
}

#[test]
fn a_record_may_wait_for_others_for_ever() {
    let (url, taken) = server(&[]);
    let sink = Http::post(url).to_lines().batch_records(10).linger(std::time::Duration::MAX);
    in_time(move || {
        let job = Job::new("posts").shards(1);
        job.source(Counter::to(15)).sink(sink);
        job.run().unwrap();
        assert_eq!(rows(&taken).len(), 15);
    });
}

#[test]
fn what_fails_for_now_is_posted_again() {
    let later: &[Option<&str>] = &[
        Some("503 Service Unavailable"),
        None,
        Some("429 Too Many Requests\r\nretry-after: 1"),
        Some("500 Internal Server Error"),
    ];
    let (url, taken) = server(later);
    let (sink, begin) = (Http::post(url).to_csv(), Instant::now());
    let traffic = sink.traffic();
    in_time(move || {
        let job = Job::new("posts").shards(1);
        job.source(Memory::of(sales(1, 2))).sink(sink);
        job.run().unwrap();
        assert_eq!(*taken.lock().unwrap(), ["shop,number,amount\n1,0,919\n1,1,838\n"]);
    });
    assert_eq!(traffic.failed(), 4);
    assert!(begin.elapsed() >= 1.seconds(), "retry-after is respected");
}

#[test]
fn what_is_refused_or_never_answered_ends_the_job() {
    let failing = |sink| {
        in_time(move || {
            let job = Job::new("posts").shards(2).pin(false);
            job.source(Counter::to(10)).sink(sink);
            job.run().unwrap_err().to_string()
        })
    };
    let (url, _) = server(&[Some("422 Unprocessable Content")]);
    let said = failing(Http::post(url.clone()).to_lines());
    let why = format!("{url} answers 422 Unprocessable Entity: \"no\"; ");
    for part in ["job posts", &*format!("sink post {url}"), &*why, " records are not delivered"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said =
        failing(Http::post(format!("http://{free}/")).to_lines().give_up_after(300.millis()));
    assert!(said.contains("can't be reached") && said.contains("see to the server"), "{said}");
    // One that listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let sink = Http::post(url).to_lines().answer_within(100.millis());
    let said = failing(sink.give_up_after(300.millis()));
    assert!(said.contains("gives no answer within 100ms"), "{said}");

    for (url, part) in [("https://a/", "encryption"), ("a b", "no URL"), ("ftp://a/", "HTTP")] {
        let said = failing(Http::post(url).to_lines());
        assert!(said.contains(part) && said.contains("http://host/path"), "{said}");
    }
    let said = failing(Http::post("http://a/").to_lines().header("a b", "c"));
    assert!(said.contains("no header"), "{said}");
}

#[test]
fn a_server_that_is_away_holds_a_stopped_job_for_seconds_and_not_for_a_minute() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (said, took) = in_time(move || {
        let (mut numbers, source) = Channel::source::<u64>(16);
        let job = Job::new("posts").shards(1);
        let sink = Http::post(format!("http://{free}/")).to_lines();
        let traffic = sink.traffic();
        job.source(source).sink(sink);
        let running = job.start().unwrap();
        numbers.send_batch([1, 2, 3]).unwrap();
        until(|| traffic.failed() > 0);
        let begin = Instant::now();
        running.stop();
        (running.join().unwrap_err().to_string(), begin.elapsed())
    });
    assert!(took >= 4.seconds() && took < 20.seconds(), "{took:?}: {said}");
    let left = "s and the job is stopped; 3 records are not delivered, see to the server";
    assert!(said.contains("can't be reached") && said.ends_with(left), "{said}");
}

#[test]
fn a_checkpoint_waits_until_what_came_before_it_is_delivered() {
    let (url, taken) = server(&[Some("503 Later\r\nretry-after: 1")]);
    in_time(move || {
        let directory = tempfile::tempdir().unwrap();
        let job = Job::new("posts").shards(1).checkpoints(directory.path(), 1.hours());
        let (mut numbers, source) = Channel::source::<u64>(16);
        job.source(source).sink(Http::post(url).to_lines().linger(10.seconds()).batch_records(3));
        assert!(job.explain().to_string().contains("at least once"));
        let running = job.start().unwrap();
        numbers.send_batch([1, 2, 3]).unwrap();
        until(|| running.metrics().records_read() == 3);
        running.checkpoint().unwrap();
        assert_eq!(rows(&taken), ["1", "2", "3"]);
        drop(numbers);
        running.join().unwrap();
    });
}
