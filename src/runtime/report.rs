//! What a job has done, in numbers.

use std::fmt;
use std::time::Duration;

use super::{Executor, Turns};
use crate::error::Error;

/// What one operator has counted, over all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorReport {
    /// Its number and name in [`Job::explain`](../api/struct.Job.html#method.explain). Of one that
    /// exchanges records also which half of it this is: `#1 window (sends)`.
    pub name: String,
    /// Whether it reads a source.
    pub source: bool,
    /// Records taken in.
    pub records_in: u64,
    /// Records handed on; bad ones that go aside are not among them.
    pub records_out: u64,
    /// Records that came too late.
    pub late: u64,
    /// Records that could not be read.
    pub bad: u64,
    /// Bytes of its tables, lists and timers, with the room for more that they have, and without
    /// the text and lists that keys and values point to; as it was some thousand turns of a shard
    /// ago at most. Tables in a file count like those in memory.
    pub state_bytes: u64,
    /// What a source or a sink counts beside records: of sockets, see
    /// [`Traffic`](crate::connector::Traffic).
    pub counts: Vec<(&'static str, u64)>,
}

/// What a job has done.
///
/// It prints as a table, without a line break at its end.
///
/// ```
/// use thalweg::prelude::*;
///
/// let job = Job::new("evens").shards(1).executor(Executor::Threads);
/// job.source(Counter::to(10)).filter(|n| n % 2 == 0).settle().sink(Discard);
/// let report = job.run()?;
/// println!("{report}");
/// // job evens: ended after 1.2ms, 1 shard on threads
/// // operator                 in  out  late  bad
/// // #0 source counter to 10   0   10     0    0
/// // #1 settle                10    5     0    0
/// // #2 sink discard           5    0     0    0
/// assert!(report.to_string().contains("\n#1 settle                10    5     0    0\n"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The job's name.
    pub job: String,
    /// How many shards ran it.
    pub shards: usize,
    /// What drove them.
    pub executor: Executor,
    /// Time since the start.
    pub elapsed: Duration,
    /// Whether it still runs: these are the numbers so far.
    pub running: bool,
    /// Whether it had come to its end before it was started: nothing was read.
    pub had_ended: bool,
    /// Whether it was asked to stop: its sources may have had more, and windows that were open
    /// have given no result.
    pub stopped: bool,
    /// How often it was restarted. What the operators count they count from the last start on.
    pub restarts: u64,
    /// The number of its newest checkpoint, 0 when there is none yet; none in a job without.
    pub checkpoint: Option<u64>,
    /// Why it was restarted, the last times ([`FAILURES`](crate::limits::FAILURES)), oldest first.
    pub failures: Vec<Error>,
    /// How long the shards' turns took, from the last start on.
    pub turns: Turns,
    /// Every operator, in the order of the program. One that exchanges records stands here once
    /// for each of its ends: those that send and the one that receives.
    pub operators: Vec<OperatorReport>,
}

impl Report {
    /// Records that came too late, anywhere in the job.
    pub fn late(&self) -> u64 {
        self.operators.iter().map(|operator| operator.late).sum()
    }

    /// Records that could not be read, anywhere in the job.
    pub fn bad(&self) -> u64 {
        self.operators.iter().map(|operator| operator.bad).sum()
    }

    /// What it says, in the text format of Prometheus; of several jobs at once
    /// [`prometheus`](super::prometheus()) gives it.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("evens").shards(1);
    /// job.source(Counter::to(10)).sink(Discard);
    /// let running = job.start()?;
    /// let text = running.metrics().prometheus(); // at any time, and no shard waits for it
    /// assert!(text.contains("\nthalweg_job_shards{job=\"evens\"} 1\n"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn prometheus(&self) -> String {
        super::prometheus([self])
    }

    /// Bytes of state of all operators.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("counts").shards(2);
    /// let counts = job.source(Counter::to(100_000)).key_by(|n| n % 5_000);
    /// counts.aggregate_running(|ns| ns.count()).sink(Discard);
    /// let report = job.run()?;
    /// assert!(report.state_bytes() >= 5_000 * 16);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn state_bytes(&self) -> u64 {
        self.operators.iter().map(|operator| operator.state_bytes).sum()
    }

    /// Records that the sources gave.
    pub fn records_read(&self) -> u64 {
        let sources = self.operators.iter().filter(|operator| operator.source);
        sources.map(|operator| operator.records_out).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { job, shards, executor, elapsed, restarts, failures, operators, .. } = self;
        let so_far = match (self.running, self.stopped) {
            _ if self.had_ended => "had ended before and read nothing now, after",
            (true, _) => "running for",
            (false, true) => "stopped after",
            (false, false) => "ended after",
        };
        let plural = if *shards == 1 { "" } else { "s" };
        write!(f, "job {job}: {so_far} {elapsed:.1?}, {shards} shard{plural} on {executor}")?;
        if let Some(last) = failures.last() {
            write!(f, "\nrestarts: {restarts}, the last after: {last}")?;
        }
        let head = ["in", "out", "late", "bad"].map(str::to_owned);
        let mut rows = vec![("operator", head)];
        rows.extend(operators.iter().map(|operator| {
            let OperatorReport { name, records_in, records_out, late, bad, .. } = operator;
            (name.as_str(), [records_in, records_out, late, bad].map(u64::to_string))
        }));
        let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = |column: usize| rows.iter().map(|(_, row)| row[column].len()).max();
        let widths: Vec<usize> = (0..4).map(|column| width(column).unwrap_or(0)).collect();
        for (name, row) in &rows {
            write!(f, "\n{name:longest$}")?;
            row.iter().zip(&widths).try_for_each(|(text, width)| write!(f, "  {text:>width$}"))?;
        }
        for OperatorReport { name, counts, .. } in operators.iter().filter(|o| !o.counts.is_empty())
        {
            write!(f, "\n{name}:")?;
            counts.iter().try_for_each(|(what, count)| write!(f, " {what} {count}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_table() {
        let operator = |name: &str, records_in, records_out, late| OperatorReport {
            name: name.into(),
            source: records_in == 0,
            records_in,
            records_out,
            late,
            bad: 0,
            state_bytes: 0,
            counts: Vec::new(),
        };
        let report = Report {
            job: "counts".into(),
            shards: 2,
            executor: Executor::Threads,
            elapsed: Duration::from_millis(1_250),
            running: false,
            had_ended: false,
            stopped: true,
            restarts: 0,
            checkpoint: None,
            failures: Vec::new(),
            turns: Turns::default(),
            operators: vec![
                operator("source lines *.txt", 0, 1_000, 0),
                operator("größte", 1_000, 12, 7),
            ],
        };
        let expected = "\
            job counts: stopped after 1.2s, 2 shards on threads\n\
            operator              in   out  late  bad\n\
            source lines *.txt     0  1000     0    0\n\
            größte              1000    12     7    0";
        assert_eq!(report.to_string(), expected);
        let first = |report: Report| report.to_string().lines().next().unwrap_or("").to_owned();
        let running = Report { running: true, stopped: false, ..report.clone() };
        assert_eq!(first(running), "job counts: running for 1.2s, 2 shards on threads");
        let again = Report { had_ended: true, stopped: false, ..report };
        let said = "job counts: had ended before and read nothing now, after 1.2s, 2 shards on \
                    threads";
        assert_eq!(first(again), said);
    }
}
