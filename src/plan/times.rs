//! Which streams have event times, and which operators can do nothing without.

use super::{Input, Step};
use crate::error::{Error, Kind, Result};

/// What a step has to do with event times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// What leaves it has event times if what comes in on every input has.
    Keeps,
    /// Without event times it can't do what it is for. What leaves it by its first output has them,
    /// too; what leaves by others is what came too late: it is behind the watermark, which says
    /// nothing of it.
    Needs,
    /// What leaves it has the event times of its first input.
    OfFirst,
    /// What leaves it has the later one of the event times of what meets: those of one input do.
    OfEither,
    /// What leaves it by its first output has event times (true) or none, whatever comes in.
    Gives(bool),
}

/// Whether a step's first output and its others have event times.
#[derive(Clone, Copy, Default)]
struct Outputs {
    first: bool,
    others: bool,
}

/// What is known of the steps' outputs.
pub(super) struct Timed(Vec<Outputs>);

impl Timed {
    /// Nothing yet, of so many steps.
    pub fn new(steps: usize) -> Timed {
        Timed(vec![Outputs::default(); steps])
    }

    /// Notes a step, behind those before it.
    ///
    /// # Errors
    /// That the step needs event times, and how to give them. It counts as if it had them, so
    /// that the steps behind it do not say the same again.
    pub fn note(&mut self, number: usize, step: &Step) -> Result {
        let have: Vec<bool> = step.inputs.iter().map(|input| self.has(input)).collect();
        let all = have.iter().all(|has| *has);
        let lacks = step.times == Times::Needs && !all;
        let same = |has| Outputs { first: has, others: has };
        self.0[number] = match step.times {
            Times::Keeps => same(all),
            Times::Needs => Outputs { first: true, others: false },
            Times::OfFirst => same(have.first() == Some(&true)),
            Times::OfEither => same(have.contains(&true)),
            Times::Gives(first) => Outputs { first, others: false },
        };
        if !lacks {
            return Ok(());
        }
        let which = match have[..] {
            [false, true] => "its left stream has no",
            [true, false] => "its right stream has no",
            [false, false] => "neither of its streams has",
            _ => "its stream has no",
        };
        let what = format!(
            "{which} event times; put .event_time(|record| …, disorder) or .processing_time() \
             before it"
        );
        Err(Error::new(Kind::Plan, what))
    }

    fn has(&self, input: &Input) -> bool {
        let Outputs { first, others } = self.0[input.from.step];
        input.timed || if input.from.port == 0 { first } else { others }
    }
}
