//! The results of a benchmark: as a table, JSON, markdown or CSV.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::machine::Machine;
use crate::args::Format;
use crate::procfs::readable_bytes;

/// All that a benchmark found out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where it ran, and which build.
    pub machine: Machine,
    /// On how many shards the queries ran.
    pub shards: usize,
    /// What drove the shards: `glommio` or `threads`.
    pub executor: String,
    /// What the queries read.
    pub input: Input,
    /// How many queries were asked for; more than there are rows until all have run.
    pub queries: usize,
    /// One for each query.
    pub rows: Vec<Row>,
}

/// What all queries read, and how fast it can be had without any.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// How many events.
    pub events: u64,
    /// How the events' random numbers are seeded.
    pub seed: String,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// How long it took to make them, before the first run, in seconds.
    pub recording_s: f64,
    /// How fast a job makes the events while it runs, and throws them away: what a benchmark
    /// without a recording would measure at best.
    pub generator_events_per_s: f64,
    /// How fast a job reads the recorded events, and throws them away: no query can be faster.
    pub events_per_s: f64,
}

/// What one query did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its short name: `q5`.
    pub query: String,
    /// What it asks: `Hot items`.
    pub title: String,
    /// The times of the runs; `None` if none came to its end.
    #[serde(flatten)]
    pub times: Option<Times>,
    /// How many rows came out.
    pub rows_out: u64,
    /// A digest of the rows; `None` for a query whose rows depend on the clock.
    pub digest: Option<String>,
    /// Whether the digest (or the count, where there is none) was the right one on every run.
    pub digest_ok: bool,
    /// The most memory that was resident at once beyond what was when the input had been made, in
    /// MiB.
    pub peak_mib: Option<f64>,
    /// Processor time in percent of the time on the clock: 200 is two busy cores.
    pub cpu_percent: Option<f64>,
    /// What a reader of these numbers should know.
    pub note: Option<String>,
    /// Why the query failed, if it did.
    pub error: Option<String>,
}

/// How long the runs of a query took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The middle one.
    pub median_s: f64,
    /// The fastest.
    pub min_s: f64,
    /// The slowest.
    pub max_s: f64,
    /// Events a second at the median.
    pub events_per_s: f64,
}

impl Report {
    /// The queries that did not come to an end or whose result was wrong. A benchmark with any
    /// has failed.
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.rows.iter().filter(|row| row.error.is_some());
        failed.map(|row| row.query.as_str()).collect()
    }

    /// Writes to a file, or to standard output.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, named by its path. A reader of standard output who has gone
    /// away (`| head`) is no error.
    pub fn write(&self, format: Format, output: Option<&Path>) -> anyhow::Result<()> {
        let text = self.render(format)?;
        if let Some(path) = output {
            return fs::write(path, text)
                .with_context(|| format!("cannot write the report to {}", path.display()));
        }
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("cannot write the report to standard output")
            }
            _ => Ok(()),
        }
    }

    /// The text of the report, with a line break at its end.
    ///
    /// # Errors
    ///
    /// If a number has no form in JSON or CSV.
    pub fn render(&self, format: Format) -> anyhow::Result<String> {
        match format {
            Format::Table => Ok(self.table()),
            Format::Markdown => Ok(self.markdown()),
            Format::Json => Ok(serde_json::to_string_pretty(self)? + "\n"),
            Format::Csv => self.csv(),
        }
    }

    /// One line a query, each with the build that it measured.
    fn csv(&self) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        for row in &self.rows {
            let Self { machine, shards, executor, input, .. } = self;
            let run = (shards, executor, input.events, &machine.commit, &machine.date);
            writer.serialize((row.csv_fields(), run))?;
        }
        Ok(String::from_utf8(writer.into_inner().context("cannot end the CSV")?)?)
    }
}

const COLUMNS: [&str; 18] = [
    "query",
    "title",
    "median_s",
    "min_s",
    "max_s",
    "events_per_s",
    "rows_out",
    "digest",
    "digest_ok",
    "peak_mib",
    "cpu_percent",
    "note",
    "error",
    "shards",
    "executor",
    "events",
    "commit",
    "date",
];

impl Input {
    /// `2,000,000 events, 488 MiB, made in 0.61 s`.
    pub fn line(&self) -> String {
        let (events, bytes) = (grouped(self.events), readable_bytes(self.bytes));
        format!("{events} events, {bytes}, made in {:.2} s", self.recording_s)
    }
}

impl Row {
    /// One line for somebody who waits for the rest: `q5 Hot items: 12.3 M events/s, …`.
    pub fn line(&self) -> String {
        let Row { query, title, error, .. } = self;
        if let Some(error) = error {
            return format!("{query} {title}: FAILED: {error}");
        }
        let rate = self.timed(|times| readable_rate(times.events_per_s));
        let median = self.timed(|times| format!("{:.3} s", times.median_s));
        format!("{query} {title}: {rate} events/s, {median}, {} rows", grouped(self.rows_out))
    }

    pub(super) fn timed(&self, show: impl Fn(&Times) -> String) -> String {
        self.times.as_ref().map_or_else(|| "–".to_owned(), show)
    }

    /// As text, so that a number that is not known leaves its field empty.
    fn csv_fields(&self) -> [String; 13] {
        let optional =
            |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        [
            self.query.clone(),
            self.title.clone(),
            optional(self.times.map(|times| times.median_s)),
            optional(self.times.map(|times| times.min_s)),
            optional(self.times.map(|times| times.max_s)),
            optional(self.times.map(|times| times.events_per_s)),
            self.rows_out.to_string(),
            self.digest.clone().unwrap_or_default(),
            self.digest_ok.to_string(),
            optional(self.peak_mib),
            optional(self.cpu_percent),
            self.note.clone().unwrap_or_default(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits or so, with the unit that a reader would say: `12.3 M`.
pub(super) fn readable_rate(rate: f64) -> String {
    const UNITS: &[(f64, &str)] = &[(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (scale, unit) =
        UNITS.iter().find(|(scale, _)| rate >= *scale).copied().unwrap_or((1.0, ""));
    let value = rate / scale;
    let digits = if value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn row(query: &str) -> Row {
        Row {
            query: query.to_owned(),
            title: "Hot | items".to_owned(),
            times: Some(Times {
                median_s: 0.8125,
                min_s: 0.75,
                max_s: 0.9,
                events_per_s: 12_307_692.3,
            }),
            rows_out: 4_321,
            digest: Some("0123456789abcdef".to_owned()),
            digest_ok: true,
            peak_mib: Some(31.6),
            cpu_percent: None,
            note: None,
            error: None,
        }
    }

    pub(in crate::bench) fn report() -> Report {
        let bad = Row { digest_ok: false, error: Some("a \"b\", c".to_owned()), ..row("q7") };
        let clock = Row { digest: None, ..row("q12") };
        let machine = Machine {
            cpu: "Quick 9000".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            kernel: "6.18.0".to_owned(),
            virtual_machine: true,
            commit: "abc1234".to_owned(),
            compiler: "rustc 1.95.0".to_owned(),
            date: "2026-01-02T03:04:05Z".to_owned(),
        };
        let input = Input {
            events: 10_000_000,
            seed: "7".to_owned(),
            bytes: 3 << 29,
            recording_s: 2.5,
            generator_events_per_s: 4_000_000.0,
            events_per_s: 30_000_000.0,
        };
        let gone = Row { times: None, digest: None, ..row("q13") };
        let rows = vec![row("q5"), bad, clock, gone];
        let (executor, queries) = ("glommio".to_owned(), rows.len());
        Report { machine, shards: 2, executor, input, queries, rows }
    }

    #[test]
    fn a_query_that_failed_is_told() {
        let report = report();
        assert_eq!(report.failed(), ["q7"]);
        let line = "q5 Hot | items: 12.3 M events/s, 0.812 s, 4,321 rows";
        assert_eq!(report.rows[0].line(), line);
        assert!(report.rows[1].line().ends_with(": FAILED: a \"b\", c"));
    }

    #[test]
    fn json_has_every_field() {
        let text = report().render(Format::Json).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON again");
        assert_eq!(value["machine"]["commit"], "abc1234");
        assert_eq!(value["queries"], 4);
        assert_eq!(value["rows"][0]["digest"], "0123456789abcdef");
        assert_eq!(value["rows"][1]["digest_ok"], false);
        assert!(value["rows"][0]["cpu_percent"].is_null());
        assert_eq!(value["rows"][0]["median_s"], 0.8125);
        assert_eq!(value["rows"][3].get("median_s"), None);
        assert_eq!(value["input"]["generator_events_per_s"], 4_000_000.0);
    }

    #[test]
    fn csv_is_read_back() {
        let text = report().render(Format::Csv).expect("CSV");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().expect("a header"), &COLUMNS[..]);
        let rows: Vec<csv::StringRecord> =
            reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(&rows[0][2], "0.8125");
        assert_eq!((&rows[0][10], &rows[3][2]), ("", ""));
        assert_eq!(&rows[1][12], "a \"b\", c");
        assert_eq!(&rows[2][17], "2026-01-02T03:04:05Z");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.md");
        report().write(Format::Markdown, Some(&path)).expect("written");
        assert!(fs::read_to_string(&path).expect("read").contains("| q5"));
        let nowhere = folder.path().join("no/report.md");
        let error = report().write(Format::Json, Some(&nowhere)).expect_err("no folder");
        assert!(format!("{error:#}").contains("report.md: No such file"), "{error:#}");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(readable_rate(123_456.0), "123 k");
        assert_eq!(readable_rate(5.0), "5.0");
    }
}
