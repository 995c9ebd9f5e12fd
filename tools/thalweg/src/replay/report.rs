//! What is told of a replay.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp as Now;
use serde_json::{Value, json};

use super::args::{By, Speed};
use super::chart;
use super::tally::Sum;
use super::worker::{Desk, End};
use super::{Address, Plan};
use crate::procfs::readable_bytes;

/// The percentiles that are told.
pub const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// How a replay went.
pub struct Report {
    /// When it began.
    pub began: Now,
    /// In numbers.
    pub sum: Sum,
    /// The histograms of each second.
    pub log: HdrLog,
    /// How it ended.
    pub end: End,
    /// What went wrong on the way.
    pub notes: Vec<String>,
}

impl Plan {
    /// When records are due, in words.
    pub fn timing(&self) -> String {
        let timing = &self.args.timing;
        if let Some(rate) = timing.rate {
            return format!("{rate} records/s, {}", timing.pattern);
        }
        if let Some(ramp) = timing.ramp {
            return ramp.to_string();
        }
        let times = if self.reel.by == By::Event { "event times" } else { "arrivals" };
        match timing.speed {
            Some(Speed::Max) => "as fast as can be".into(),
            Some(Speed::Times(speed)) => format!("{speed} times as fast as the recorded {times}"),
            None => format!("as the recorded {times}"),
        }
    }
}

impl Report {
    /// Writes it where it was asked for, and to standard error, or standard output where that does
    /// not take the records.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn tell(&self, plan: &Plan) -> anyhow::Result<()> {
        let text = self.text(plan);
        if plan.args.to == Address::Stdout {
            eprint!("{text}")
        } else {
            print!("{text}")
        }
        for path in &plan.args.telling.report {
            let written = match path.extension().and_then(|ending| ending.to_str()) {
                Some("json") => serde_json::to_string_pretty(&self.json(plan))? + "\n",
                Some("html") => chart::page(plan, self)?,
                Some("hlog") => self.log.text.clone(),
                _ => text.clone(),
            };
            write(path, &written)?;
        }
        Ok(())
    }

    fn text(&self, plan: &Plan) -> String {
        let sum = &self.sum;
        let mut text = format!("replay to {}, {}: {}\n", plan.args.to, plan.timing(), self.ended());
        text += &format!(
            "scheduled {}, sent {} ({}) in {:.3} s: {:.0} records/s; could not be sent: {}\n",
            sum.scheduled,
            sum.sent,
            readable_bytes(sum.bytes),
            sum.elapsed.as_secs_f64(),
            sum.rate(),
            sum.unsent
        );
        if plan.is_paced() {
            let late: Vec<String> = PERCENTS
                .iter()
                .map(|percent| format!("p{percent} {}", Micros(sum.percentile(*percent))))
                .collect();
            text += &format!("late by {}, max {}\n", late.join(", "), Micros(sum.max()));
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }

    /// How it ended, in words.
    pub fn ended(&self) -> String {
        match &self.end {
            End::All if self.sum.unsent > 0 => "all but what could not be sent was sent".into(),
            End::All => "all was sent".into(),
            End::Limit => "as many were sent as were asked for (--limit)".into(),
            End::Duration => "its time is over (--duration)".into(),
            End::Stopped => "stopped".into(),
            End::Failed(cause) => format!("ended before, as {cause}"),
        }
    }

    fn json(&self, plan: &Plan) -> Value {
        let sum = &self.sum;
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let percent =
            |percent: &f64| (format!("p{percent}"), json!(micros(sum.percentile(*percent))));
        let mut late: serde_json::Map<String, Value> = PERCENTS.iter().map(percent).collect();
        late.insert("max".into(), json!(micros(sum.max())));
        late.insert("mean".into(), json!(micros(sum.mean())));
        json!({
            "to": plan.args.to.to_string(),
            "timing": plan.timing(),
            "began": self.began.to_string(),
            "ended": self.ended(),
            "scheduled": sum.scheduled,
            "sent": sum.sent,
            "unsent": sum.unsent,
            "bytes": sum.bytes,
            "seconds": sum.elapsed.as_secs_f64(),
            "records_per_second": sum.rate(),
            "lateness_us": if plan.is_paced() { Value::Object(late) } else { Value::Null },
            "seconds_of_a_row": sum.step,
            "rows": sum.rows,
            "notes": self.notes,
        })
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))
}

/// A time as it is read best.
pub struct Micros(pub Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_nanos() as f64 / 1e3;
        match micros {
            _ if micros < 1e3 => write!(f, "{micros:.1} µs"),
            _ if micros < 1e6 => write!(f, "{:.2} ms", micros / 1e3),
            _ => write!(f, "{:.2} s", micros / 1e6),
        }
    }
}

/// The histograms of each second, as an HdrHistogram log: lateness in nanoseconds.
pub struct HdrLog {
    text: String,
    serializer: V2DeflateSerializer,
}

impl HdrLog {
    /// Of a replay that began then.
    pub fn new(began: Now) -> HdrLog {
        let at = UNIX_EPOCH + Duration::from_micros(began.as_microsecond().max(0) as u64);
        let mut serializer = V2DeflateSerializer::new();
        let mut head = Vec::new();
        // Into memory, so it does not fail.
        IntervalLogWriterBuilder::new()
            .add_comment("lateness of records in nanoseconds, by thalweg replay")
            .with_start_time(at)
            .with_base_time(at)
            .begin_log_with(&mut head, &mut serializer)
            .ok();
        HdrLog { text: String::from_utf8_lossy(&head).into_owned(), serializer }
    }

    /// Adds a second.
    pub fn add(&mut self, second: u64, late: &Histogram<u64>) {
        if late.is_empty() {
            return;
        }
        let mut line = Vec::new();
        let (from, length) = (Duration::from_secs(second), Duration::from_secs(1));
        let mut builder = IntervalLogWriterBuilder::new();
        if let Ok(mut log) =
            builder.with_max_value_divisor(1.0).begin_log_with(&mut line, &mut self.serializer)
        {
            log.write_histogram(late, from, length, None).ok();
        }
        self.text += &String::from_utf8_lossy(&line);
    }
}

/// A line on the terminal while records are sent.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows nothing where there is no terminal.
    pub fn new(plan: &Plan) -> Progress {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(format!("to {}, {}", plan.args.to, plan.timing()));
        Progress { bar }
    }

    /// How it goes.
    pub fn tell(&self, desks: &[Arc<Desk>], sum: &Sum, elapsed: Duration) {
        let (mut sent, mut unsent, mut behind) = (sum.sent, sum.unsent, Duration::ZERO);
        for desk in desks {
            let tally = desk.look();
            (sent, unsent) = (sent + tally.sent, unsent + tally.unsent);
            let due = tally.next.map_or(elapsed, Duration::from_nanos);
            behind = behind.max(elapsed.saturating_sub(due));
        }
        let last = sum.rows.last().map_or(0, |row| row.sent / sum.step);
        let failed =
            if unsent > 0 { format!(", could not be sent: {unsent}") } else { String::new() };
        self.bar.set_message(format!(
            "{:.0} s: {sent} sent, {last}/s, behind by {}, late by p50 {}, p99 {}{failed}",
            elapsed.as_secs_f64(),
            Micros(behind),
            Micros(sum.percentile(50.0)),
            Micros(sum.percentile(99.0)),
        ));
        self.bar.tick();
    }

    /// Wipes the line.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
