//! What logs hold, in numbers.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use hdrhistogram::Histogram;
use serde::Serialize;
use thalweg::connector::log::{Frame, Segment};
use thalweg::time::Timestamp;

use super::{files, unless_closed};
use crate::args;

/// How many times the rate is said for.
const RATES: usize = 20;

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
    event_time: Option<Range>,
    arrival: Option<Range>,
    /// Microseconds between the arrivals of two records of a file.
    gap_us: Percentiles,
    /// Microseconds of event time that records came behind newer ones of their file.
    disorder_us: Percentiles,
    /// Records a second, between the first and the last arrival.
    rate: f64,
    /// The same for as many parts of that time, each as long.
    rates: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Range {
    first: Timestamp,
    last: Timestamp,
}

impl Range {
    fn widen(range: &mut Option<Range>, (first, last): (Timestamp, Timestamp)) {
        let Range { first: least, last: most } = range.unwrap_or(Range { first, last });
        *range = Some(Range { first: least.min(first), last: most.max(last) });
    }

    fn micros(&self) -> u64 {
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
}

/// Prints what logs hold.
///
/// # Errors
///
/// If a file is no log or is damaged; if standard output cannot be written.
pub fn info(args: &args::Info) -> anyhow::Result<ExitCode> {
    let files = files(&args.logs.files)?;
    let logs = files.iter().map(|path| Segment::open(path)).collect::<Result<Vec<_>, _>>()?;
    let info = gather(logs)?;
    let text = if args.json { serde_json::to_string_pretty(&info)? + "\n" } else { words(&info) };
    unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

fn gather(mut logs: Vec<Segment>) -> anyhow::Result<Info> {
    let (mut gaps, mut disorder) = (Histogram::new(3)?, Histogram::new(3)?);
    let (mut event_time, mut arrival, mut records) = (None, None, 0);
    for log in &mut logs {
        let (mut newest, mut before) = (None, None);
        while let Some(frame) = log.next()? {
            records += frame.len() as u64;
            Range::widen(&mut event_time, frame.event_times());
            Range::widen(&mut arrival, frame.arrivals());
            for (at, arrived) in times(&frame) {
                let most = newest.map_or(at, |most: i64| most.max(at));
                disorder.record(most.abs_diff(at))?;
                newest = Some(most);
                if let Some(before) = before.replace(arrived) {
                    gaps.record(arrived.saturating_sub(before).max(0).cast_unsigned())?;
                }
            }
        }
    }
    let rates = rates(&mut logs, arrival)?;
    let span = arrival.map_or(0, |range: Range| range.micros());
    let mut types: Vec<String> = logs.iter().map(|log| log.head().data_type.clone()).collect();
    types.sort_unstable();
    types.dedup();
    Ok(Info {
        types,
        files: logs.len(),
        bytes: logs.iter().map(|log| log.bytes() as u64).sum(),
        records,
        unfinished: logs.iter().filter(|log| !log.has_index()).count(),
        event_time,
        arrival,
        gap_us: Percentiles::of(&gaps),
        disorder_us: Percentiles::of(&disorder),
        rate: per_second(records, span),
        rates,
    })
}

/// Event time and arrival of each record, in microseconds.
fn times<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = (i64, i64)> + 'a {
    let both = |number| Some((frame.event_time(number)?.micros(), frame.arrival(number)?.micros()));
    (0..frame.len()).filter_map(both)
}

fn per_second(records: u64, micros: u64) -> f64 {
    records as f64 / (micros.max(1) as f64 / 1e6)
}

/// Counts by the time of arrival, in a second pass, as it is known now how long that is.
fn rates(logs: &mut [Segment], arrival: Option<Range>) -> anyhow::Result<Vec<f64>> {
    let Some(range) = arrival else { return Ok(Vec::new()) };
    let each = (range.micros() / RATES as u64 + 1).max(1);
    let mut counts = vec![0; RATES];
    for log in logs {
        log.seek_record(0)?;
        while let Some(frame) = log.next()? {
            for (_, arrived) in times(&frame) {
                let number = arrived.abs_diff(range.first.micros()) / each;
                counts[(number as usize).min(RATES - 1)] += 1;
            }
        }
    }
    Ok(counts.into_iter().map(|records| per_second(records, each)).collect())
}

fn words(info: &Info) -> String {
    let mut text = String::new();
    let Info { types, files, bytes, records, unfinished, event_time, arrival, rate, .. } = info;
    for one in types {
        let _ = writeln!(text, "records    {one}");
    }
    let _ = writeln!(text, "number     {records} in {files} files of {bytes} bytes");
    if *unfinished > 0 {
        let _ = writeln!(text, "unfinished {unfinished} files: still being written, or cut off");
    }
    let mut range = |name, range: &Option<Range>| {
        if let Some(Range { first, last }) = range {
            let _ = writeln!(text, "{name:10} {first} to {last}");
        }
    };
    range("event time", event_time);
    range("arrival", arrival);
    let mut percentiles = |name, of: &Percentiles| {
        let Percentiles { p50, p90, p99, p999, max } = of;
        let all = format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}");
        let _ = writeln!(text, "{name:10} {all} µs");
    };
    percentiles("gaps", &info.gap_us);
    percentiles("disorder", &info.disorder_us);
    let _ = writeln!(text, "rate       {rate:.0} records/s");
    let most = info.rates.iter().copied().fold(1.0, f64::max);
    for rate in &info.rates {
        let bar = "#".repeat((rate / most * 40.0).round() as usize);
        let _ = writeln!(text, "{rate:>21.0} {bar}");
    }
    text
}
