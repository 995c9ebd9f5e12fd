//! Jobs that read files, of which some rows can't be read.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::keys::totals_expected;
use super::windows::{tumbled, tumbled_expected};
use super::{DISORDER, Event, Events, Inputs, at, timed};
use crate::api::Job;
use crate::connector::{Files, RecordLog};
use crate::operator::OnBadRecord;
use crate::record;
use crate::testing::{Cuts, OUT};
use crate::time::Units;

record! { struct Row { value: u64, key: u64, ms: u64 } }

/// Every so manyth row can't be read; none of the last ones, so that there is something behind.
const BAD_EVERY: usize = 17;

fn is_bad(number: usize) -> bool {
    number % BAD_EVERY == 3
}

/// The records whose rows can be read.
fn good(events: &[Event]) -> Vec<Event> {
    let all = events.iter().enumerate();
    all.filter(|(number, _)| !is_bad(*number)).map(|(_, event)| *event).collect()
}

fn line((number, event): (usize, &Event)) -> String {
    match number % 50 {
        7 => String::new(),
        11 => format!("{number} {}", "long ".repeat(1_000)),
        _ => format!("{number} {event:?}"),
    }
}

/// Two files: one begins with a mark and has long ends of lines, the other ends within a line.
pub(super) fn texts(events: &[Event]) -> Inputs {
    let lines: Vec<String> = events.iter().enumerate().map(line).collect();
    let (first, second) = lines.split_at(lines.len() / 3);
    let first = format!("\u{feff}{}\r\n", first.join("\r\n"));
    vec![("in/1.txt".into(), first.into()), ("in/2.txt".into(), second.join("\n").into())]
}

pub(super) fn lines(job: &Job) {
    job.source(Files::lines("in/*.txt").splits_per_file(3)).sink(Files::to_lines(OUT));
}

pub(super) fn lines_expected(events: &[Event]) -> Vec<String> {
    events.iter().enumerate().map(line).collect()
}

fn row((number, (key, ms, value)): (usize, &Event)) -> String {
    if is_bad(number) { format!("\"no\",{key},{ms}") } else { format!("\"{value}\",{key},{ms}") }
}

/// A file with a header.
pub(super) fn table(events: &[Event]) -> Inputs {
    let rows: Vec<String> = events.iter().enumerate().map(row).collect();
    vec![("in/table.csv".into(), format!("value,key,ms\n{}\n", rows.join("\n")).into())]
}

/// Milliseconds of a window: the pieces of the file are seconds apart, and each pane that is open
/// has pages of its own.
const WINDOW: u64 = 500;

/// Windows of the rows that can be read, and the others as they are.
pub(super) fn csv(job: &Job) {
    let source = Files::csv::<Row>("in/table.csv").splits_per_file(3);
    let (rows, bad) = job.source_with_bad(source.on_bad_record(OnBadRecord::SideStream));
    let rows = rows.map(|row| (row.key, row.ms, row.value));
    tumbled(rows.event_time(|(_, ms, _)| at(ms), DISORDER.millis()), WINDOW)
        .union(bad.map(|bad| format!("{} {}", bad.line, bad.text)))
        .sink(Files::to_lines(OUT));
}

pub(super) fn csv_expected(events: &[Event]) -> Vec<String> {
    let bad = events.iter().enumerate().filter(|(number, _)| is_bad(*number));
    let bad = bad.map(|row_of| format!("{} {}", row_of.0 + 2, row(row_of)));
    bad.chain(tumbled_expected(&good(events), WINDOW)).collect()
}

fn object((number, (key, ms, value)): (usize, &Event)) -> String {
    let value = if is_bad(number) { "null".into() } else { value.to_string() };
    format!("{{\"key\":{key},\"ms\":{ms},\"value\":{value}}}\n")
}

/// Two files.
pub(super) fn objects(events: &[Event]) -> Inputs {
    let rows: Vec<String> = events.iter().enumerate().map(object).collect();
    let (first, second) = rows.split_at(rows.len() / 2);
    let file = |name: &str, rows: &[String]| (name.into(), rows.concat().into());
    vec![file("in/a/1.jsonl", first), file("in/a/2.jsonl", second)]
}

/// Totals of the rows that can be read.
pub(super) fn json(job: &Job) {
    let source = Files::json::<Row>("in/**/*.jsonl").splits_per_file(2);
    job.source(source.on_bad_record(OnBadRecord::Skip))
        .key_by(|row| row.key)
        .aggregate_final(|rows| (rows.count(), rows.max(|row| row.ms)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

pub(super) fn json_expected(events: &[Event]) -> Vec<String> {
    totals_expected(&good(events))
}

/// A packed file of two members.
pub(super) fn packed(events: &[Event]) -> Inputs {
    let rows: Vec<String> =
        events.iter().map(|(key, ms, value)| format!("{value},{key},{ms}\n")).collect();
    let mut packed = Vec::new();
    let (first, second) = rows.split_at(rows.len() / 2);
    for part in [first, second] {
        let mut member = GzEncoder::new(packed, Compression::fast());
        // Into memory: there is nothing that could go wrong.
        let _ = member.write_all(part.concat().as_bytes());
        packed = member.finish().unwrap_or_default();
    }
    vec![("in/table.csv.gz".into(), packed)]
}

/// Counts and sums of each key with every row.
pub(super) fn gzip(job: &Job) {
    job.source(Files::csv::<Row>("in/*.gz").without_header())
        .key_by(|row| row.key)
        .aggregate_running(|rows| (rows.count(), rows.sum(|row| row.value)))
        .map(|(key, value)| format!("{key} {value:?}"))
        .sink(Files::to_lines(OUT));
}

/// Where one job writes a log and another reads it.
const LOG: &str = "log";

pub(super) fn write_log(job: &Job, cuts: Cuts, events: &Events) {
    timed(job, cuts, events).sink(RecordLog::write(LOG));
}

/// The records with their event times.
pub(super) fn read_log(job: &Job) {
    let log = RecordLog::read::<Event>(format!("{LOG}/*.tlog"));
    job.source(log.on_bad_record(OnBadRecord::Fail))
        .key_by(|(key, _, _)| key)
        .process::<u64, String>(
            |_, event, context| context.give(&format!("{event:?} {}", context.time().millis())),
            |_, _, _| (),
        )
        .sink(Files::to_lines(OUT));
}

pub(super) fn log_expected(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?} {}", event.1)).collect()
}
