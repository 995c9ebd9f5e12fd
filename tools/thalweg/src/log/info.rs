//! What logs hold, in numbers.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use hdrhistogram::Histogram;
use serde::Serialize;
use thalweg::connector::log::{Frame, Segment};
use thalweg::time::Timestamp;

use super::rates::{Rates, bar, per_second};
use super::{files, unless_closed};
use crate::args;

/// What logs hold, all of one command together.
#[derive(Debug, Serialize)]
struct Info {
    /// The type of the records of each kind of file.
    types: Vec<String>,
    files: usize,
    bytes: u64,
    records: u64,
    /// Files that are still being written, or were cut off.
    unfinished: usize,
    event_time: Sorted,
    arrival: Sorted,
    /// Microseconds of event time that records came behind newer ones of their file.
    disorder_us: Percentiles,
}

/// What is known of the event times, or of the arrivals.
#[derive(Debug, Serialize)]
struct Sorted {
    /// None where no record has one.
    range: Option<Range>,
    /// Microseconds by which a record's time is behind the greatest one before it in its file; 0
    /// where it is not.
    gap_us: Percentiles,
    gaps: Vec<Bucket>,
    /// Records a second, from the first to the last.
    rate: f64,
    rates: Rates,
}

/// How many gaps are so long.
#[derive(Debug, PartialEq, Serialize)]
struct Bucket {
    from_us: u64,
    to_us: u64,
    records: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Range {
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Range {
    fn widen(range: &mut Option<Range>, (first, last): (Timestamp, Timestamp)) {
        let Range { first: least, last: most } = range.unwrap_or(Range { first, last });
        *range = Some(Range { first: least.min(first), last: most.max(last) });
    }

    pub(super) fn micros(&self) -> u64 {
        self.last.micros().abs_diff(self.first.micros())
    }
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(at);
        Percentiles { p50, p90, p99, p999, max: histogram.max() }
    }

    fn in_words(&self) -> String {
        let Percentiles { p50, p90, p99, p999, max } = *self;
        let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(readable);
        format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

/// Microseconds as they are read best.
fn readable(micros: u64) -> String {
    let of = |unit: u64| micros as f64 / unit as f64;
    match micros {
        0 => "0".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", of(1_000)),
        1_000_000..60_000_000 => format!("{:.1} s", of(1_000_000)),
        60_000_000..3_600_000_000 => format!("{:.1} min", of(60_000_000)),
        _ => format!("{:.1} h", of(3_600_000_000)),
    }
}

/// Prints what logs hold.
///
/// # Errors
///
/// If a file is no log or is damaged; if standard output cannot be written.
pub fn info(args: &args::Info) -> anyhow::Result<ExitCode> {
    let files = files(&args.logs.files)?;
    let logs = files.iter().map(|path| Segment::open(path)).collect::<Result<Vec<_>, _>>()?;
    let info = gather(logs, args.interval)?;
    let text = if args.json { serde_json::to_string_pretty(&info)? + "\n" } else { words(&info) };
    unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

fn gather(mut logs: Vec<Segment>, interval: Option<i64>) -> anyhow::Result<Info> {
    let mut disorder = Histogram::new(3)?;
    let (mut event_times, mut arrivals) = (Gathered::new()?, Gathered::new()?);
    let mut records = 0;
    for log in &mut logs {
        let (mut newest, mut latest) = (None, None);
        while let Some(frame) = log.next()? {
            records += frame.len() as u64;
            for (at, arrived) in times(&frame) {
                if let Some(at) = at {
                    let behind = event_times.take(at, &mut newest)?;
                    disorder.record(behind)?;
                }
                arrivals.take(arrived, &mut latest)?;
            }
        }
    }
    let mut types: Vec<String> = logs.iter().map(|log| log.head().data_type.clone()).collect();
    types.sort_unstable();
    types.dedup();
    let (bytes, files) = (logs.iter().map(|log| log.bytes() as u64).sum(), logs.len());
    let unfinished = logs.iter().filter(|log| !log.has_index()).count();
    // How long it takes is known now.
    let mut rates = [&event_times, &arrivals].map(|all| Rates::over(all.range, interval));
    for log in &mut logs {
        log.seek_record(0)?;
        while let Some(frame) = log.next()? {
            for (at, arrived) in times(&frame) {
                at.into_iter().for_each(|at| rates[0].count(at));
                rates[1].count(arrived);
            }
        }
    }
    let [of_events, of_arrivals] = rates;
    Ok(Info {
        types,
        files,
        bytes,
        records,
        unfinished,
        event_time: event_times.sorted(of_events),
        arrival: arrivals.sorted(of_arrivals),
        disorder_us: Percentiles::of(&disorder),
    })
}

/// Times as they come.
struct Gathered {
    range: Option<Range>,
    gaps: Histogram<u64>,
    records: u64,
}

impl Gathered {
    fn new() -> anyhow::Result<Gathered> {
        Ok(Gathered { range: None, gaps: Histogram::new(3)?, records: 0 })
    }

    /// Takes the next time of a file, whose greatest one so far is given; says how far it is behind
    /// that.
    fn take(&mut self, at: i64, greatest: &mut Option<i64>) -> anyhow::Result<u64> {
        let before = greatest.replace(greatest.map_or(at, |most| most.max(at)));
        let time = Timestamp::from_micros(at);
        Range::widen(&mut self.range, (time, time));
        self.records += 1;
        let Some(before) = before else { return Ok(0) };
        self.gaps.record(if at > before { at.abs_diff(before) } else { 0 })?;
        Ok(if at < before { at.abs_diff(before) } else { 0 })
    }

    fn sorted(self, rates: Rates) -> Sorted {
        let Gathered { range, gaps, records } = self;
        let span = range.map_or(0, |range: Range| range.micros());
        let (rate, gap_us) = (per_second(records, span), Percentiles::of(&gaps));
        Sorted { range, gap_us, gaps: buckets(&gaps), rate, rates }
    }
}

/// Gaps by powers of ten, from the least to the greatest that there are.
fn buckets(gaps: &Histogram<u64>) -> Vec<Bucket> {
    let mut all: Vec<Bucket> = Vec::new();
    if gaps.is_empty() {
        return all;
    }
    let (mut from_us, mut to_us) = (0, 0_u64);
    while from_us <= gaps.max() {
        let records = gaps.count_between(from_us, to_us);
        if records > 0 || !all.is_empty() {
            all.push(Bucket { from_us, to_us, records });
        }
        let Some(next) = to_us.checked_add(1) else { break };
        (from_us, to_us) = (next, next.saturating_mul(10).saturating_sub(1));
    }
    all
}

/// Event time, if it has one, and arrival of each record, in microseconds.
fn times<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = (Option<i64>, i64)> + 'a {
    let both = |number| {
        let at = frame.event_time(number)?;
        let at = (at > Timestamp::MIN).then(|| at.micros());
        Some((at, frame.arrival(number)?.micros()))
    };
    (0..frame.len()).filter_map(both)
}

fn words(info: &Info) -> String {
    let mut text = String::new();
    // A string takes whatever is written.
    for one in &info.types {
        let _ = writeln!(text, "records    {one}");
    }
    let Info { files, bytes, records, unfinished, .. } = info;
    let _ = writeln!(text, "number     {records} in {files} files of {bytes} bytes");
    if *unfinished > 0 {
        let what = "still being written, or cut off";
        let _ = writeln!(text, "unfinished {unfinished} files: {what}");
    }
    let _ = writeln!(text, "disorder   {}", info.disorder_us.in_words());
    for (name, of) in [("event time", &info.event_time), ("arrival", &info.arrival)] {
        let Some(Range { first, last }) = of.range else { continue };
        let digits = if of.rate < 10.0 { 2 } else { 0 };
        let _ = writeln!(text, "\n{name:10} {first} to {last}, {:.*} records/s", digits, of.rate);
        let _ = writeln!(text, "gaps       {}", of.gap_us.in_words());
        let most = of.gaps.iter().map(|bucket| bucket.records).max().unwrap_or(0);
        for Bucket { from_us, to_us, records } in &of.gaps {
            let bar = bar(*records as f64 / most as f64);
            let (from, below) = (readable(*from_us), readable(to_us + 1));
            let _ = writeln!(text, "{from:>10} to below {below:>8} {records:>12} {bar}");
        }
        let _ = writeln!(text, "rates      by {}", of.rates.interval_in_words());
        text += &of.rates.in_words();
    }
    text
}
