//! The queries, one after the other, each several times.

use std::iter;

use anyhow::Context;

use super::input::Recording;
use super::known::Known;
use super::machine::Machine;
use super::nexmark::{Check, Digest, Input, Query};
use super::report::{Report, Row, Times, grouped};
use super::run::{Label, Setup};
use super::stats::{Summary, Usage, resident_mib};

/// How the queries are measured.
pub(super) struct Suite {
    pub(super) setup: Setup,
    pub(super) input: Recording,
    pub(super) known: Known,
    /// Measured runs of a query, after one to warm up.
    pub(super) runs: u32,
}

/// How a suite ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Every query had its runs.
    Complete,
    /// Ctrl-C came first.
    Interrupted,
}

/// What a run gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Outcome {
    rows: u64,
    digest: u64,
}

/// A result to compare with.
#[derive(Clone, Copy, Debug)]
struct Expected {
    result: Outcome,
    /// Whose result it is.
    of: &'static str,
}

impl Suite {
    /// A report without queries yet.
    pub(super) fn report(&self) -> Report {
        Report {
            machine: Machine::here(),
            shards: self.setup.shards,
            executor: self.setup.executor.to_string(),
            input: self.input.facts.clone(),
            queries: 0,
            rows: Vec::new(),
        }
    }

    /// Measures the queries and adds a row for each to the report, which is handed to `save` after
    /// every query: a later one may end the program.
    pub(super) fn run(
        &self,
        queries: &[Query],
        report: &mut Report,
        save: impl Fn(&Report) -> anyhow::Result<()>,
    ) -> anyhow::Result<End> {
        report.queries = queries.len();
        for query in queries {
            let measured = Measured::of(self, query);
            if let Some(row) = measured.row() {
                eprintln!("{}", row.line());
                report.rows.push(row);
                save(report)?;
            }
            if self.setup.interrupt.came() {
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Complete)
    }

    /// One run, in a folder of its own. `None` if it was interrupted.
    fn once(
        &self,
        query: &Query,
        setup: &Setup,
        run: u32,
    ) -> anyhow::Result<Option<(Outcome, Usage)>> {
        let folder = tempfile::tempdir().context("cannot make a folder for the run")?;
        let events = self.input.events.clone().into();
        let input = Input { events, folder: folder.path().to_owned() };
        let digest = Digest::default();
        let label = Label { name: query.name, run, runs: self.runs };
        let records = self.input.facts.events + query.beside;
        let usage = setup.run(label, records, |job| {
            (query.build)(job, &input, digest.clone());
        })?;
        let result = Outcome { rows: digest.rows(), digest: digest.hash() };
        Ok(usage.map(|usage| (result, usage)))
    }
}

/// What is known of a query so far.
struct Measured<'a> {
    suite: &'a Suite,
    query: &'a Query,
    /// Of the run to warm up, until another came.
    last: Option<Outcome>,
    usages: Vec<Usage>,
    /// Memory that was resident before its first run: the events, and what the allocator keeps of
    /// earlier queries.
    before_mib: Option<f64>,
    /// The first wrong result.
    wrong: Option<String>,
    /// What ended a run.
    error: Option<String>,
}

impl<'a> Measured<'a> {
    /// Runs a query until its runs are done, one fails, or Ctrl-C comes.
    fn of(suite: &'a Suite, query: &'a Query) -> Self {
        let (last, usages, wrong, error) = (None, Vec::new(), None, None);
        let before_mib = resident_mib();
        let mut measured = Self { suite, query, last, usages, before_mib, wrong, error };
        if let Err(error) = measured.runs() {
            measured.error = Some(format!("{error:#}"));
        }
        measured
    }

    fn runs(&mut self) -> anyhow::Result<()> {
        let Some((first, _)) = self.suite.once(self.query, &self.suite.setup, 0)? else {
            return Ok(());
        };
        let Some(expected) = self.expected(first)? else { return Ok(()) };
        self.check("the run to warm up", first, expected);
        for run in 1..=self.suite.runs {
            let ran = self.suite.once(self.query, &self.suite.setup, run)?;
            let Some((result, usage)) = ran else { return Ok(()) };
            self.usages.push(usage);
            self.check(&format!("run {run}"), result, expected);
        }
        Ok(())
    }

    /// The known result, or else that of one shard. `None` if it was interrupted.
    fn expected(&self, first: Outcome) -> anyhow::Result<Option<Expected>> {
        let events = self.suite.input.facts.events;
        if let Some((rows, digest)) = self.suite.known.result(self.query.name, events) {
            let result = Outcome { rows, digest };
            return Ok(Some(Expected { result, of: "known" }));
        }
        let setup = &self.suite.setup;
        if setup.shards == 1 || matches!(self.query.check, Check::Counts(_)) {
            return Ok(Some(Expected { result: first, of: "the first run" }));
        }
        let alone = Setup { shards: 1, ..setup.clone() };
        let ran = self.suite.once(self.query, &alone, 0).context("on one shard")?;
        Ok(ran.map(|(result, _)| Expected { result, of: "one shard" }))
    }

    fn check(&mut self, run: &str, got: Outcome, expected: Expected) {
        self.last = Some(got);
        let events = self.suite.input.facts.events;
        let wrong = match self.query.check {
            Check::Digest if got == expected.result => return,
            Check::Digest => {
                let Expected { result, of } = expected;
                format!("{run} gave {}, {of} {}", got.text(), result.text())
            }
            Check::Counts(sum) if got.digest == sum(events) => return,
            Check::Counts(sum) => {
                let (got, sum) = (grouped(got.digest), grouped(sum(events)));
                format!("{run} counted {got} instead of {sum}")
            }
        };
        self.wrong.get_or_insert(wrong);
    }

    /// The report's row; `None` if Ctrl-C came before a run was done.
    fn row(&self) -> Option<Row> {
        let Self { suite, query, usages, wrong, error, .. } = self;
        if usages.is_empty() && wrong.is_none() && error.is_none() {
            return None;
        }
        let events = suite.input.facts.events;
        let seconds: Vec<f64> = usages.iter().map(|usage| usage.wall.as_secs_f64()).collect();
        let summary = Summary::of(&seconds).filter(|_| error.is_none());
        let times = summary.map(|summary| Times {
            median_s: summary.median,
            min_s: summary.min,
            max_s: summary.max,
            events_per_s: events as f64 / summary.median,
        });
        let total = Usage::total(usages);
        let peak_mib = total.and_then(|total| total.peak_mib());
        let before = self.before_mib;
        let digest = self.last.filter(|_| matches!(query.check, Check::Digest));
        Some(Row {
            query: query.name.to_owned(),
            title: query.title.to_owned(),
            times,
            rows_out: self.last.map_or(0, |result| result.rows),
            digest: digest.map(|result| format!("{:016x}", result.digest)),
            digest_ok: wrong.is_none(),
            peak_mib: peak_mib.zip(before).map(|(peak, before)| (peak - before).max(0.0)),
            cpu_percent: total.and_then(|total| total.cpu_percent()),
            note: self.note(summary),
            error: error.clone().or_else(|| wrong.clone()),
        })
    }

    fn note(&self, summary: Option<Summary>) -> Option<String> {
        let (done, runs) = (self.usages.len(), self.suite.runs);
        let interrupted = self.suite.setup.interrupt.came() && done < runs as usize;
        let interrupted = interrupted.then(|| format!("{done} of {runs} runs, interrupted"));
        let shared = self.usages.iter().any(|usage| !usage.peak_is_own);
        let shared = shared.then(|| "memory is the whole program's peak".to_owned());
        let notes: Vec<String> = iter::once(interrupted)
            .chain([summary.and_then(|summary| summary.note()), shared])
            .flatten()
            .collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl Outcome {
    fn text(&self) -> String {
        format!("{} rows with digest {:016x}", grouped(self.rows), self.digest)
    }
}
