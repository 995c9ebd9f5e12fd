//! What jobs have counted, in the text that Prometheus reads.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::time::Duration;

use super::{OperatorReport, Report};

/// Reports of several jobs as one page of metrics, in the text format of Prometheus, version 0.0.4
/// (`Content-Type: text/plain; version=0.0.4`). Jobs are told apart by their names, operators by
/// number and name.
///
/// Totals begin at zero again when a job is restarted, as counters of Prometheus may.
///
/// ```
/// use thalweg::prelude::*;
/// use thalweg::runtime::prometheus;
///
/// let count = |name: &str| {
///     let job = Job::new(name).shards(1);
///     job.source(Counter::to(10)).sink(Discard);
///     job.run()
/// };
/// let text = prometheus(&[count("first")?, count("second")?]);
/// let of = "records_out_total{job=\"first\",operator=\"#0 source counter to 10\"}";
/// assert!(text.contains(&format!("thalweg_operator_{of} 10\n")));
/// assert!(text.contains("thalweg_job_running{job=\"second\"} 0\n"));
/// # Ok::<(), Error>(())
/// ```
pub fn prometheus<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut page = Page { reports: reports.into_iter().collect(), text: String::new() };
    page.jobs();
    page.turns();
    page.operators();
    page.text
}

struct Page<'a> {
    reports: Vec<&'a Report>,
    text: String,
}

/// A label's value, with what would end it escaped.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

impl Page<'_> {
    fn jobs(&mut self) {
        self.job("shards", "gauge", "Threads that run the job.", |report| Some(report.shards));
        let running = |report: &Report| Some(u8::from(report.running));
        self.job("running", "gauge", "Whether the job runs (1) or has ended (0).", running);
        let elapsed = |report: &Report| Some(report.elapsed.as_secs_f64());
        self.job("elapsed_seconds", "gauge", "Time since the job's start.", elapsed);
        let restarts = |report: &Report| Some(report.restarts);
        self.job("restarts_total", "counter", "How often the job was restarted.", restarts);
        let help = "Number of the newest checkpoint.";
        self.job("checkpoint_epoch", "gauge", help, |report| report.checkpoint);
    }

    /// Lengths by powers of four, where [`Turns`](super::Turns) counts exactly.
    fn turns(&mut self) {
        let (Page { reports, text }, name) = (self, "thalweg_job_turn_seconds");
        head(text, name, "histogram", "How long turns of the job's shards took that had work.");
        for Report { job, turns, .. } in reports {
            let job = Quoted(job);
            for power in (12..=34).step_by(2) {
                let length = Duration::from_nanos(1 << power);
                let count = turns.within(length - Duration::from_nanos(1));
                let labels = format_args!("job={job},le=\"{}\"", length.as_secs_f64());
                writeln!(text, "{name}_bucket{{{labels}}} {count}").expect(STRING);
            }
            let (count, sum) = (turns.count(), turns.total().as_secs_f64());
            writeln!(text, "{name}_bucket{{job={job},le=\"+Inf\"}} {count}").expect(STRING);
            writeln!(text, "{name}_sum{{job={job}}} {sum}").expect(STRING);
            writeln!(text, "{name}_count{{job={job}}} {count}").expect(STRING);
        }
    }

    fn operators(&mut self) {
        let of = |operator: &OperatorReport| operator.records_in;
        self.operator("records_in_total", "counter", "Records taken in.", of);
        let of = |operator: &OperatorReport| operator.records_out;
        self.operator("records_out_total", "counter", "Records handed on.", of);
        let of = |operator: &OperatorReport| operator.late;
        self.operator("records_late_total", "counter", "Records that came too late.", of);
        let of = |operator: &OperatorReport| operator.bad;
        self.operator("records_bad_total", "counter", "Records that could not be read.", of);
        let of = |operator: &OperatorReport| operator.state_bytes;
        self.operator("state_bytes", "gauge", "Bytes of state.", of);
        let operators = self.reports.iter().flat_map(|report| &report.operators);
        let names = operators.flat_map(|operator| &operator.counts).map(|(name, _)| *name);
        for name in names.collect::<BTreeSet<_>>() {
            // One that is named like those above would be there twice.
            if !self.text.contains(&format!("# TYPE thalweg_operator_{name} ")) {
                self.count(name);
            }
        }
    }

    /// What sources and sinks count beside records, those that have such a count.
    fn count(&mut self, name: &str) {
        let Page { reports, text } = self;
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let help = name.trim_end_matches("_total").replace('_', " ");
        head(
            text,
            &format!("thalweg_operator_{name}"),
            kind,
            &format!("Counted by sources and sinks: {help}."),
        );
        for Report { job, operators, .. } in reports {
            for OperatorReport { name: operator, counts, .. } in operators {
                for (_, count) in counts.iter().filter(|(of, _)| *of == name) {
                    let labels = format_args!("job={},operator={}", Quoted(job), Quoted(operator));
                    writeln!(text, "thalweg_operator_{name}{{{labels}}} {count}").expect(STRING);
                }
            }
        }
    }

    /// A metric of every job that has it.
    fn job<T: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&Report) -> Option<T>,
    ) {
        let Page { reports, text } = self;
        let values = reports.iter().filter_map(|report| Some((&report.job, value(report)?)));
        let lines: Vec<_> = values
            .map(|(job, value)| format!("thalweg_job_{name}{{job={}}} {value}\n", Quoted(job)))
            .collect();
        if !lines.is_empty() {
            head(text, &format!("thalweg_job_{name}"), kind, help);
            text.extend(lines);
        }
    }

    /// A metric of every operator.
    fn operator(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&OperatorReport) -> u64,
    ) {
        let Page { reports, text } = self;
        head(text, &format!("thalweg_operator_{name}"), kind, help);
        for report in reports {
            let job = Quoted(&report.job);
            for operator in &report.operators {
                let (named, value) = (Quoted(&operator.name), value(operator));
                let labels = format_args!("job={job},operator={named}");
                writeln!(text, "thalweg_operator_{name}{{{labels}}} {value}").expect(STRING);
            }
        }
    }
}

const STRING: &str = "a string takes all that is written";

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect(STRING);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Executor, Turns};

    fn report(job: &str, operators: &[&str]) -> Report {
        let operator = |name: &&str| OperatorReport {
            name: (*name).to_owned(),
            source: false,
            records_in: 3,
            records_out: 2,
            late: 1,
            bad: 0,
            state_bytes: 0,
            counts: if *name == "#0 source" { vec![("refused_total", 5)] } else { vec![] },
        };
        Report {
            job: job.into(),
            shards: 2,
            executor: Executor::Threads,
            elapsed: Duration::from_millis(1_500),
            running: true,
            had_ended: false,
            stopped: false,
            restarts: 4,
            checkpoint: None,
            failures: Vec::new(),
            turns: Turns::default(),
            operators: operators.iter().map(operator).collect(),
        }
    }

    #[test]
    fn metrics_are_grouped_by_name_over_all_jobs() {
        let other = Report { running: false, checkpoint: Some(12), ..report("b", &[]) };
        let text = prometheus([&report("a", &["#0 source", "#1 sink"]), &other]);
        let expected = "\
# HELP thalweg_job_shards Threads that run the job.
# TYPE thalweg_job_shards gauge
thalweg_job_shards{job=\"a\"} 2
thalweg_job_shards{job=\"b\"} 2
# HELP thalweg_job_running Whether the job runs (1) or has ended (0).
# TYPE thalweg_job_running gauge
thalweg_job_running{job=\"a\"} 1
thalweg_job_running{job=\"b\"} 0
# HELP thalweg_job_elapsed_seconds Time since the job's start.
# TYPE thalweg_job_elapsed_seconds gauge
thalweg_job_elapsed_seconds{job=\"a\"} 1.5
thalweg_job_elapsed_seconds{job=\"b\"} 1.5
# HELP thalweg_job_restarts_total How often the job was restarted.
# TYPE thalweg_job_restarts_total counter
thalweg_job_restarts_total{job=\"a\"} 4
thalweg_job_restarts_total{job=\"b\"} 4
# HELP thalweg_job_checkpoint_epoch Number of the newest checkpoint.
# TYPE thalweg_job_checkpoint_epoch gauge
thalweg_job_checkpoint_epoch{job=\"b\"} 12
# HELP thalweg_job_turn_seconds How long turns of the job's shards took that had work.
# TYPE thalweg_job_turn_seconds histogram
thalweg_job_turn_seconds_bucket{job=\"a\",le=\"0.000004096\"} 0
";
        assert_eq!(text.get(..expected.len()), Some(expected), "{text}");
        let operators = "\
# HELP thalweg_operator_records_in_total Records taken in.
# TYPE thalweg_operator_records_in_total counter
thalweg_operator_records_in_total{job=\"a\",operator=\"#0 source\"} 3
thalweg_operator_records_in_total{job=\"a\",operator=\"#1 sink\"} 3
";
        assert!(text.contains(operators), "{text}");
        let refused = "\
# HELP thalweg_operator_refused_total Counted by sources and sinks: refused.
# TYPE thalweg_operator_refused_total counter
thalweg_operator_refused_total{job=\"a\",operator=\"#0 source\"} 5
";
        assert!(text.ends_with(refused), "{text}");
        let late = "\nthalweg_operator_records_late_total{job=\"a\",operator=\"#1 sink\"} 1\n";
        assert!(text.contains(late), "{text}");
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let text = prometheus([&report("a \"b\"\\", &["#0 source a\\x\nü{}"])]);
        let line = r##"records_bad_total{job="a \"b\"\\",operator="#0 source a\\x\nü{}"} 0"##;
        assert!(text.contains(line), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("thalweg_")));
    }

    #[test]
    fn nothing_is_said_of_no_job() {
        assert!(prometheus([]).lines().all(|line| line.starts_with('#')));
    }
}
