//! What a measurement of latency found out: as a table or JSON.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::floor::Floor;
use super::knee;
use super::row::{Percentiles, Row, readable_ns};
use crate::args::Shape;
use crate::bench::machine::Machine;
use crate::bench::report::{grouped, readable_rate};

/// All that a measurement found out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where it ran, and which build.
    pub machine: Machine,
    /// On how many shards.
    pub shards: usize,
    /// What drove the shards: `glommio` or `threads`.
    pub executor: String,
    /// What a shard without work did: `spin`, `backoff` or `park`.
    pub idle: String,
    /// How many times as fast as the clock event time went, or `suite`.
    pub speed: String,
    /// For how long each rate was measured, in seconds.
    pub measured_s: f64,
    /// What no job can be faster than, measured before the first one ran.
    pub floor: Floor,
    /// One for each job.
    pub jobs: Vec<JobReport>,
}

/// What was found out of one job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobReport {
    /// Its short name: `q5`.
    pub job: String,
    /// What it does.
    pub title: String,
    /// How many records a second it takes when all are there; not measured where rates were given.
    pub saturation: Option<f64>,
    /// One for each rate, the lowest first.
    pub rows: Vec<Row>,
    /// The last rate before latency rises, in words.
    pub knee: String,
}

impl JobReport {
    /// Names the knee of the rows so far.
    pub fn name_knee(&mut self) {
        self.knee = knee::in_words(&self.rows);
    }
}

const HEADER: [&str; 9] =
    ["records/s", "results", "p50", "p90", "p99", "p99.9", "p99.99", "max", "trips"];

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// If it cannot be written. A reader of standard output who has gone away is no error.
    pub fn print(&self, shape: Shape) -> anyhow::Result<()> {
        write_out(&match shape {
            Shape::Table => self.table(),
            Shape::Json => serde_json::to_string_pretty(self)? + "\n",
        })
    }

    /// The machine, the floor, and a table for each job.
    pub fn table(&self) -> String {
        let facts = facts(&self.machine, self.shards, &self.executor, &self.idle);
        let mut text = facts + &self.floor.lines();
        for job in &self.jobs {
            text += &job.table(&self.floor.stalls);
        }
        text
    }
}

/// The lines above a table: the machine, and what drove the shards.
pub fn facts(machine: &Machine, shards: usize, executor: &str, idle: &str) -> String {
    let mut lines = machine.lines();
    lines.push(("shards", format!("{shards} on {executor}, {idle} when idle")));
    lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

impl Floor {
    /// The floor in lines.
    pub fn lines(&self) -> String {
        let trip = self.round_trip_ns.map_or_else(
            || "not known, there is one core".to_owned(),
            |trip| format!("{trip:.0} ns to another core and back"),
        );
        format!("clock: {:.0} ns a look\nring: {trip}\n", self.clock_ns)
    }
}

impl JobReport {
    fn table(&self, stalls: &Percentiles) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(HEADER);
        for row in &self.rows {
            let behind = if row.fell_behind { "≥ " } else { "" };
            let trips = row.median_trips.map_or_else(|| "–".to_owned(), trips_text);
            table.add_row(cells(readable_rate(row.rate), &row.latency, behind, trips));
        }
        table.add_row(cells("(machine)".into(), stalls, "", "–".into()));
        let saturation = self.saturation.map_or_else(String::new, |rate| {
            format!(", saturated at {} records/s", readable_rate(rate))
        });
        let mut text = format!("\n{} {}{saturation}\n", self.job, self.title);
        text += &format!("{}\n{}\n", table.trim_fmt(), self.knee);
        for row in &self.rows {
            text += &row.notes().iter().map(|note| format!("{note}\n")).collect::<String>();
        }
        text
    }
}

fn trips_text(trips: f64) -> String {
    if trips >= 100.0 { format!("{trips:.0}") } else { format!("{trips:.1}") }
}

fn cells(name: String, latency: &Percentiles, behind: &str, trips: String) -> Vec<Cell> {
    let Percentiles { count, p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, max_ns } = *latency;
    let times = [p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, max_ns];
    let times =
        times.map(|ns| if count == 0 { "–".into() } else { behind.to_owned() + &readable_ns(ns) });
    let all = [name, grouped(count)].into_iter().chain(times).chain([trips]);
    all.map(|text| Cell::new(text).set_alignment(CellAlignment::Right)).collect()
}

impl Row {
    /// What a reader of the row should know.
    fn notes(&self) -> Vec<String> {
        let rate = readable_rate(self.rate);
        let mut notes = Vec::new();
        if self.fell_behind {
            let lag = readable_ns(self.lag_ns_max);
            notes.push(format!(
                "{rate}: fell behind, by {lag} at last; times are of the results that came"
            ));
        }
        let count = self.latency.count;
        if (1..10_000).contains(&count) {
            let last = if count < 100 {
                "p99"
            } else if count < 1_000 {
                "p99.9"
            } else {
                "p99.99"
            };
            notes.push(format!("{rate}: {count} results, so {last} is the greatest; see --for"));
        }
        notes
    }
}

/// Writes to standard output.
///
/// # Errors
/// If it cannot be written. A reader who has gone away (`| head`) is no error.
pub fn write_out(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the report to standard output")
        }
        _ => Ok(()),
    }
}
