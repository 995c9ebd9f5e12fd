//! A plan in words.

use std::fmt;

use super::{Flow, Input, Plan};
use crate::operator::Guarantee;

/// What a job is made of, to be read: a line for each operator with what was asked of it, and below
/// it one for each of its inputs with the closures that are fused into the operator and with what
/// is exchanged; of a job with checkpoints also how often its sinks get a record, and where records
/// of a source may be lost. Made by [`Job::explain`](../api/struct.Job.html#method.explain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    job: String,
    shards: usize,
    /// Each operator's name, with what was asked of it, and inputs; a sink's guarantee, and that of
    /// a source that is not read again.
    operators: Vec<(String, Vec<String>)>,
}

impl Plan {
    /// Says what a job of this plan does on so many shards, and with checkpoints also how often
    /// its sinks get a record.
    pub fn explain(&self, job: &str, shards: usize, checkpoints: bool) -> Explanation {
        let operators = self.steps.iter().map(|step| {
            let ways: Vec<&str> = match &step.flow {
                Flow::Exchanged { senders, .. } if shards > 1 => {
                    senders.iter().map(|sender| sender.way).collect()
                }
                Flow::Exchanged { .. } | Flow::Local(_) | Flow::Begins { .. } | Flow::Ends(_) => {
                    Vec::new()
                }
            };
            let inputs = step.inputs.iter().enumerate();
            let inputs = inputs.map(|(port, input)| input.said(ways.get(port).copied()));
            let guarantee = match &step.flow {
                Flow::Ends(sink) if checkpoints => Some(sink.guarantee().to_string()),
                Flow::Begins { guarantee, .. }
                    if checkpoints && *guarantee != Guarantee::ExactlyOnce =>
                {
                    Some(guarantee.to_string())
                }
                Flow::Exchanged { .. } | Flow::Local(_) | Flow::Begins { .. } | Flow::Ends(_) => {
                    None
                }
            };
            let name = match &*step.asked {
                "" => step.name.clone(),
                asked => format!("{} ({asked})", step.name),
            };
            (name, inputs.chain(guarantee).collect())
        });
        Explanation { job: job.to_owned(), shards, operators: operators.collect() }
    }
}

impl Input {
    /// The way from the operator before to this one; `way` is that of an exchange.
    fn said(&self, way: Option<&str>) -> String {
        let mut said = format!("#{}", self.from.step);
        if self.from.port > 0 {
            said += &format!(", output {}", self.from.port);
        }
        for closure in &self.closures {
            said += &format!(" → {closure}");
        }
        if let Some(way) = way {
            said += &format!(" → exchange ({way})");
        }
        said
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { job, shards, operators } = self;
        write!(f, "job {job}, {shards} {}", if *shards == 1 { "shard" } else { "shards" })?;
        for (number, (name, inputs)) in operators.iter().enumerate() {
            write!(f, "\n#{number} {name}")?;
            inputs.iter().try_for_each(|input| write!(f, "\n   {input}"))?;
        }
        Ok(())
    }
}
