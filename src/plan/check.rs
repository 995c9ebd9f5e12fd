//! What can be found wrong with a plan before anything is made.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use super::times::Timed;
use super::{Ending, Flow, Plan};
use crate::error::{Error, Kind, Result};
use crate::limits::SHARDS;

impl Plan {
    /// All that is wrong with a plan for so many shards, as far as it can be told while nothing is
    /// made and nothing outside is changed. `resumes` is as in [`Seat`](crate::operator::Seat).
    pub fn check(&self, shards: usize, resumes: Option<u64>) -> Vec<Error> {
        let mut wrong = Vec::new();
        let mut writers = shards;
        if shards == 0 || shards > SHARDS {
            let what = format!("{shards} shards: give a number from 1 to {SHARDS}");
            wrong.push(Error::new(Kind::Plan, what));
            // Nobody knows how many there will be: no sink shall miss any.
            writers = SHARDS;
        }
        if self.steps.is_empty() {
            wrong.push(Error::new(Kind::Plan, "the job has no source; begin with job.source(…)"));
        }
        let names = self.names();
        let mut taken = vec![false; self.steps.len()];
        for input in self.steps.iter().flat_map(|step| &step.inputs) {
            taken[input.from.step] = true;
        }
        let mut timed = Timed::new(self.steps.len());
        let mut places = HashMap::new();
        for (number, step) in self.steps.iter().enumerate() {
            let found = [
                timed.note(number, step),
                match &step.flow {
                    Flow::Ends(sink) => sink.check(writers, resumes),
                    Flow::Local(_) | Flow::Begins { .. } | Flow::Exchanged { .. } => {
                        leads_on(taken[number])
                    }
                },
                match &step.flow {
                    Flow::Ends(sink) => claim(&mut places, &**sink, &names[number]),
                    Flow::Local(_) | Flow::Begins { .. } | Flow::Exchanged { .. } => Ok(()),
                },
            ];
            let found = found.into_iter().filter_map(Result::err);
            wrong.extend(found.map(|error| error.within(&names[number])));
        }
        wrong
    }

    /// How messages name the steps: with their numbers where others have the same name.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let mut count: HashMap<&str, usize> = HashMap::new();
        for step in &self.steps {
            *count.entry(&step.name).or_default() += 1;
        }
        let name = |(number, step): (usize, &super::Step)| match count[&*step.name] {
            1 => step.name.as_str().into(),
            _ => format!("#{number} {}", step.name).into(),
        };
        self.steps.iter().enumerate().map(name).collect()
    }
}

impl Plan {
    /// What the steps' state is kept under: their names, and for the second of a name and those
    /// after it which one it is. What is added or taken away elsewhere changes nothing.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        let mut count: HashMap<&str, usize> = HashMap::new();
        let names = self.steps.iter().map(|step| step.name.as_str());
        let id = |name| {
            let nth = count.entry(name).or_default();
            *nth += 1;
            if *nth == 1 { name.into() } else { format!("{name} ({nth})").into() }
        };
        names.map(id).collect()
    }
}

/// That a step which is no sink is followed by another.
fn leads_on(taken: bool) -> Result {
    if taken {
        return Ok(());
    }
    let what = "its stream ends nowhere; end it with .sink(…), e.g. Stdout::csv(), or Discard \
                where nobody needs it";
    Err(Error::new(Kind::Plan, what))
}

/// Notes whose the place is that a sink writes to, unless it is another's.
fn claim(places: &mut HashMap<PathBuf, Arc<str>>, sink: &dyn Ending, name: &Arc<str>) -> Result {
    let Some(place) = sink.place() else { return Ok(()) };
    match places.entry(place) {
        Entry::Vacant(free) => {
            free.insert(name.clone());
            Ok(())
        }
        Entry::Occupied(other) => {
            let (place, other) = (other.key().display(), other.get());
            let what = format!("{other} writes to {place}, too; give each sink a place of its own");
            Err(Error::new(Kind::Plan, what))
        }
    }
}
