//! What a job has done, in numbers.

use std::time::Duration;

use super::Executor;

/// What one operator has counted, over all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorReport {
    /// Its name.
    pub name: String,
    /// Records taken in.
    pub records_in: u64,
    /// Records handed on.
    pub records_out: u64,
    /// Records that came too late.
    pub late: u64,
    /// Records that could not be read.
    pub bad: u64,
}

/// What a job has done.
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
    /// Whether it was asked to stop: its sources may have had more, and windows that were open
    /// have given no result.
    pub stopped: bool,
    /// Every operator, in the order of the program. One that exchanges records stands here twice:
    /// as sender and as receiver.
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

    /// Records that the sources gave.
    pub fn records_read(&self) -> u64 {
        let sources = self.operators.iter().filter(|operator| operator.name.starts_with("source"));
        sources.map(|operator| operator.records_out).sum()
    }
}
