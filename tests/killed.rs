//! A program that is killed at random moments and started again, on another number of shards each
//! time, until it has come to its end: its files must hold what they hold when it is never killed.
//!
//! ```text
//! THALWEG_KILLS=300 cargo test --test killed -- --nocapture     as many kills as you like
//! THALWEG_SEED=7    …                                           the same moments again, nearly
//! ```
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use thalweg::prelude::*;

/// Numbers that the program reads, a third of them in each split, and how many a second.
const END: u64 = 300_000;
const PER_SECOND: f64 = 300_000.0;
/// Microseconds that an event may come after newer ones.
const DISORDER: u64 = 40;
const SINKS: [&str; 4] = ["windows", "sessions", "pairs", "delayed"];

/// One microsecond a number, and some earlier than their neighbours.
fn at(n: u64) -> Timestamp {
    Timestamp::from_micros((n + 1_000 - n * 7_919 % DISORDER).cast_signed())
}

/// Windows, sessions, a join, and a process function with timers, each into files of its own.
fn program(job: &Job, out: &Path, per_second: f64) {
    let numbers = job.source(Counter::to(END).splits(3).rate(per_second));
    let numbers = numbers.event_time(at, DISORDER.micros()).settle();
    let keyed = numbers.clone().key_by(|n| n * n % 11);
    keyed
        .window(Sliding::of(900.micros(), 300.micros()))
        .aggregate(|ns| (ns.count(), ns.max(|n| n)))
        .map(|w| (w.key, w.start.micros(), w.value.0, w.value.1))
        .sink(Files::to_csv(out.join(SINKS[0])));
    numbers
        .clone()
        .filter(|n| n % 1_000 < 400)
        .key_by(|n| n % 5)
        .window(Session::gap(200.micros()))
        .aggregate(|ns| ns.sum(|n| n))
        .map(|s| (s.key, s.start.micros(), s.end.micros(), s.value))
        .sink(Files::to_json(out.join(SINKS[1])));
    let left = numbers.clone().filter(|n| n % 20 == 0).key_by(|n| n / 100);
    let right = numbers.clone().filter(|n| n % 30 == 0).key_by(|n| n / 100);
    left.join(right)
        .between(Offset::Before(60.micros()), Offset::After(60.micros()))
        .full(|l, r| (l.unwrap_or(0), r.unwrap_or(0)))
        .sink(Files::to_csv(out.join(SINKS[2])));
    numbers
        .filter(|n| n % 10 == 0)
        .key_by(|n| n % 7)
        .process::<Vec<u64>, (u64, u64)>(
            |waiting, n, ctx| {
                waiting.push(n);
                ctx.timer_at(at(n) + 500.micros());
            },
            |waiting, now, ctx| {
                let (due, left) = waiting.iter().partition(|n| at(**n) + 500.micros() <= now);
                *waiting = left;
                let due: Vec<u64> = due;
                due.into_iter().for_each(|n| ctx.emit((*ctx.key(), n)));
            },
        )
        .sink(Files::to_csv(out.join(SINKS[3])));
}

/// All rows of a sink's files that show, sorted; how often a file begins with a header differs.
fn rows(out: &Path, sink: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let Ok(entries) = fs::read_dir(out.join(sink)) else { return rows };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let hidden = path.file_name().unwrap().to_str().unwrap().starts_with('.');
        if !hidden {
            let text = fs::read_to_string(path).unwrap();
            let is_csv = !text.starts_with('{') && !text.starts_with('[');
            rows.extend(text.lines().skip(usize::from(is_csv)).map(str::to_owned));
        }
    }
    rows.sort_unstable();
    rows
}

/// What is killed.
#[test]
#[ignore = "run by the other test"]
fn child() {
    let (Ok(place), Ok(shards)) = (std::env::var("KILLED_AT"), std::env::var("KILLED_SHARDS"))
    else {
        return;
    };
    let place = PathBuf::from(place);
    let job = Job::new("killed").shards(shards.parse().unwrap());
    let job = job.checkpoints(place.join("state"), 5.millis());
    program(&job, &place.join("out"), PER_SECOND);
    job.run().unwrap();
}

fn spawn(place: &Path, shards: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .env("KILLED_AT", place)
        .env("KILLED_SHARDS", shards.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn what_is_killed_gives_what_it_would_have_given() {
    let kills = number("THALWEG_KILLS").unwrap_or(15);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut state = number("THALWEG_SEED").unwrap_or(now.as_micros() as u64 % 1_000_000) + 1;
    println!("seed {}", state - 1);
    let mut random = move |below: u64| {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let never = tempfile::tempdir().unwrap();
    let job = Job::new("never killed").shards(1);
    program(&job, never.path(), 1e9);
    job.run().unwrap();
    let expected = SINKS.map(|sink| rows(never.path(), sink));
    assert!(expected.iter().all(|rows| rows.len() > 100));

    let (mut killed, mut ends) = (0, 0);
    while killed < kills {
        let place = tempfile::tempdir().unwrap();
        loop {
            let mut child = spawn(place.path(), [1, 2, 3, 4][random(4) as usize]);
            std::thread::sleep((5 + random(250)).millis());
            if killed < kills && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                continue;
            }
            assert!(child.wait().unwrap().success(), "after {killed} kills");
            break;
        }
        ends += 1;
        for (sink, expected) in SINKS.iter().zip(&expected) {
            let got = rows(&place.path().join("out"), sink);
            let (missing, more) = (diff(expected, &got), diff(&got, expected));
            let what = format!("{sink} after {killed} kills: missing {missing:?}, more {more:?}");
            assert!(got == *expected, "{what}");
        }
    }
    println!("killed {killed} times, came to its end {ends} times, always with the right rows");
}

/// Some of the rows of one list that the other one lacks.
fn diff(of: &[String], other: &[String]) -> Vec<String> {
    of.iter().filter(|row| other.binary_search(row).is_err()).take(5).cloned().collect()
}
