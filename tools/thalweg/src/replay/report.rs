//! What is told of a replay.

use std::fmt;
use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
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
use super::stop::Stop;
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
    /// What was done once more.
    pub stop: Arc<Stop>,
}

impl Plan {
    /// When records are due, in words.
    pub fn timing(&self) -> String {
        let timing = &self.args.timing;
        if let Some(rate) = timing.rate {
            return format!("{rate} records/s, {}", timing.pattern.unwrap_or_default());
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

    /// What else was asked for that decides which records go, and when.
    pub fn choices(&self) -> Vec<String> {
        let (timing, choice, change) = (&self.args.timing, &self.args.choice, &self.args.change);
        let connections = self.args.sending.connections.get();
        let mut said = Vec::new();
        let mut say = |name: &str, value: Option<&dyn fmt::Debug>| {
            said.extend(value.map(|value| format!("--{name} {value:?}")));
        };
        say("jitter", timing.jitter.as_ref().map(|time| time as _));
        say("disorder", timing.disorder.as_ref().map(|time| time as _));
        say("sample", choice.sample.as_ref().map(|part| part as _));
        say("loop", (choice.passes.get() > 1).then_some(&choice.passes as _));
        say("key-clone", (change.key_clone.get() > 1).then_some(&change.key_clone as _));
        say("connections", (connections > 1).then_some(&connections as _));
        say("seed", (timing.seed > 0).then_some(&timing.seed as _));
        said
    }
}

impl Report {
    /// Writes it where it was asked for, and to standard error, or standard output where that does
    /// not take the records; gives why something could not be written.
    pub fn tell(&self, plan: &Plan) -> Vec<anyhow::Error> {
        let text = self.text(plan);
        // Who reads it may have gone.
        if plan.args.to == Address::Stdout {
            stderr().write_all(text.as_bytes()).ok();
        } else {
            stdout().write_all(text.as_bytes()).ok();
        }
        let written = |path| -> anyhow::Result<()> {
            let path: &Path = path;
            let written = match path.extension().and_then(|ending| ending.to_str()) {
                Some("json") => serde_json::to_string_pretty(&self.json(plan))? + "\n",
                Some("html") => chart::page(plan, self)?,
                Some("hlog") => self.log.text.clone(),
                _ => text.clone(),
            };
            write(path, &written)
        };
        let reports = plan.args.telling.report.iter();
        reports.filter_map(|path| written(path).err()).collect()
    }

    fn text(&self, plan: &Plan) -> String {
        let sum = &self.sum;
        let when = [vec![plan.timing()], plan.choices()].concat().join(", ");
        let mut text = format!("replay to {}, {when}: {}\n", plan.args.to, self.ended());
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
                .map(|percent| format!("p{percent} {}", told(sum.percentile(*percent))))
                .collect();
            text += &format!("late by {}, max {}\n", late.join(", "), told(sum.max()));
        }
        if let Some(again) = self.again() {
            text += &format!("{again}\n");
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }

    /// What was done once more, in words, if it was.
    pub fn again(&self) -> Option<String> {
        let (posts, [busy, gateway, lost]) = self.stop.again.posts();
        let connected = self.stop.again.connected.load(Relaxed);
        let parts = [
            (posts > 0).then(|| {
                let answers = format!("{busy} were answered 429 or 503, {gateway} 502 or 504");
                let none = format!("{lost} had no answer");
                format!("posts that were tried again: {posts} ({answers}, {none})")
            }),
            (connected > 0).then(|| format!("connections that were made again: {connected}")),
        ];
        let said: Vec<String> = parts.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// How it ended, in words.
    pub fn ended(&self) -> String {
        let sum = &self.sum;
        let what = match &self.end {
            End::All if sum.unsent == 0 => return "all was sent".into(),
            End::All => "it came to the end of the log",
            End::Limit if sum.unsent == 0 => {
                return "as many were sent as were asked for (--limit)".into();
            }
            End::Limit => "as many were due as were asked for (--limit)",
            End::Duration => "its time is over (--duration)",
            End::Stopped => "stopped",
            End::Failed(cause) => return format!("ended before, as {cause}"),
        };
        match (sum.sent, sum.unsent) {
            (_, 0) => what.into(),
            (0, _) => format!("{what}, and nothing could be sent"),
            (_, unsent) => format!("{what}, and {unsent} could not be sent"),
        }
    }

    fn json(&self, plan: &Plan) -> Value {
        let sum = &self.sum;
        let micros = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / 1e3);
        let (posts, [busy, gateway, lost]) = self.stop.again.posts();
        let percent =
            |percent: &f64| (format!("p{percent}"), json!(micros(sum.percentile(*percent))));
        let mut late: serde_json::Map<String, Value> = PERCENTS.iter().map(percent).collect();
        late.insert("max".into(), json!(micros(sum.max())));
        late.insert("mean".into(), json!(micros(sum.mean())));
        json!({
            "to": plan.args.to.to_string(),
            "timing": plan.timing(),
            "choices": plan.choices(),
            "began": self.began.to_string(),
            "ended": self.ended(),
            "scheduled": sum.scheduled,
            "sent": sum.sent,
            "unsent": sum.unsent,
            "bytes": sum.bytes,
            "seconds": sum.elapsed.as_secs_f64(),
            "records_per_second": sum.rate(),
            "lateness_us": if plan.is_paced() { Value::Object(late) } else { Value::Null },
            "retries": {"posts": posts, "busy": busy, "gateway": gateway, "no_answer": lost},
            "reconnects": self.stop.again.connected.load(Relaxed),
            "seconds_of_a_row": sum.step,
            "rows": sum.rows,
            "notes": self.notes,
        })
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))
}

/// A time as it is read best, if there is one.
pub fn told(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".into(), |time| Micros(time).to_string())
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
    /// When the replay began.
    pub began: Now,
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
        HdrLog { began, text: String::from_utf8_lossy(&head).into_owned(), serializer }
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
            told(sum.percentile(50.0)),
            told(sum.percentile(99.0)),
        ));
        self.bar.tick();
    }

    /// Wipes the line.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
