//! The plan: what a job's operators are and how they hang together, before there are shards.
//!
//! A job's program adds a [`Step`] for every operator; [`Plan::lay_out`] makes of them the nodes
//! of each shard. An operator that needs its records on another shard becomes, when there is more
//! than one shard, a sender at the end of the chain before it, an inbox, and the operator itself;
//! on one shard the chain is fused into the operator.

mod check;
mod explain;
mod times;

pub use explain::Explanation;
pub use times::Times;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::operator::{
    Chain, Counters, Counts, Edge, Forward, Guarantee, Inbox, Lane, Lead, Node, Operator, Seat,
    lanes,
};
use crate::state::Owner;

/// An output port of a step, where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The step's number.
    pub step: usize,
    /// Its output port.
    pub port: usize,
    /// The input whose sending end it leaves from, on the shard that read the record, before
    /// anything is exchanged. Without an exchange all ends are one operator.
    pub sender: Option<usize>,
}

/// Where the records of an input port come from.
pub struct Input {
    /// The output port before.
    pub from: Origin,
    /// What the chain does to them that is fused into this end of the step.
    pub closures: Vec<&'static str>,
    /// Whether that takes event times from them.
    pub timed: bool,
}

impl Input {
    /// Records that go through a chain.
    pub fn through<C: Chain>(from: Origin, _: &C) -> Input {
        Input { from, closures: C::closures(), timed: C::TIMED }
    }
}

/// The nodes that a step's output leaves.
#[derive(Clone, Copy)]
struct Exit {
    operator: usize,
    /// That of the first input, the others' follow; the operator where nothing is exchanged.
    sender: usize,
}

impl Exit {
    fn of(&self, origin: Origin) -> usize {
        match origin.sender {
            Some(input) if self.sender < self.operator => self.sender + input,
            _ => self.operator,
        }
    }
}

/// Where an operator is built.
pub struct Site<'a> {
    /// The shard.
    pub seat: &'a Seat,
    /// The bounds on event-time lead of the step's input ports.
    pub leads: &'a [Arc<Lead>],
}

impl Site<'_> {
    /// The bound of an input port.
    pub fn lead(&self, port: usize) -> Option<Arc<Lead>> {
        self.leads.get(port).cloned()
    }
}

/// Makes an operator for a shard; called once a shard.
pub type Make = Box<dyn FnMut(&Site<'_>) -> Result<Box<dyn Operator>> + Send>;
/// Makes the sending end of an exchange for a shard.
pub type MakeSender = Box<dyn FnMut(&Site<'_>, Vec<Lane>) -> Result<Box<dyn Operator>> + Send>;

/// The sending end of an exchange.
pub struct Sender {
    /// What is sent and where to, in words.
    pub way: &'static str,
    /// How it is made.
    pub make: MakeSender,
}

/// A sink with the chain before it.
pub trait Ending: Send {
    /// What is wrong with the sink, as far as it can be told without changing anything.
    ///
    /// # Errors
    /// Why it could not be opened on so many shards, after the epoch that the job goes on from.
    fn check(&self, shards: usize, resumes: Option<u64>) -> Result;

    /// What nobody else of the job may write to.
    fn place(&self) -> Option<PathBuf>;

    /// How often a record arrives when the job goes on from a checkpoint.
    fn guarantee(&self) -> Guarantee;

    /// What the sink counts beside records.
    fn counts(&self) -> Option<Counts>;

    /// Opens the sink for a shard; called once a shard.
    ///
    /// # Errors
    /// Why it can't be opened.
    fn make(&mut self, site: &Site<'_>) -> Result<Box<dyn Operator>>;
}

/// How a step's records get to it.
pub enum Flow {
    /// From the same shard.
    Local(Make),
    /// From the world outside.
    Begins {
        /// How the source is made.
        make: Make,
        /// How often its records count when the job goes on from a checkpoint.
        guarantee: Guarantee,
        /// What the source counts beside records.
        counts: Option<Counts>,
    },
    /// From the same shard, and on to the world outside.
    Ends(Box<dyn Ending>),
    /// From all shards.
    Exchanged {
        /// One an input port: the chain before the exchange.
        senders: Vec<Sender>,
        /// The operator behind the inboxes.
        receiver: Make,
        /// Chain and operator in one, for a job of one shard.
        alone: Make,
    },
}

/// One operator of a job.
pub struct Step {
    /// How messages name it.
    pub name: String,
    /// What the user asked of it, for an explanation; empty if that is nothing.
    pub asked: String,
    /// Where each input port's records come from.
    pub inputs: Vec<Input>,
    /// How it is made.
    pub flow: Flow,
    /// Whether it needs event times, and whether there are any behind it.
    pub times: Times,
}

/// The operators of a job in the order in which the program made them: each one's inputs come
/// from steps before it.
#[derive(Default)]
pub struct Plan {
    steps: Vec<Step>,
}

/// What all shards run.
pub struct Layout {
    /// The nodes of each shard, the same for all.
    pub shards: Vec<Vec<Node>>,
    /// Those that a report tells of, in the order of the steps.
    pub rows: Vec<Row>,
}

/// A row of a report: what one node counts on all shards.
pub struct Row {
    /// How it is named: as an explanation names the step, and which half of the step it is.
    pub name: String,
    /// Whether it reads a source.
    pub source: bool,
    /// The node's index on each shard.
    pub node: usize,
    /// What the source or the sink counts beside records.
    pub counts: Option<Counts>,
    step: usize,
}

impl Plan {
    /// Adds a step; gives its first output port.
    pub fn add(&mut self, step: Step) -> Origin {
        self.steps.push(step);
        Origin { step: self.steps.len() - 1, port: 0, sender: None }
    }

    /// Makes the operators of every shard, unless something is `wrong` already.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows, in one error. A sink may empty
    /// what it writes to when it is opened: sinks are opened last, and not at all when something
    /// else is wrong.
    pub fn lay_out(&mut self, seats: &[Seat], mut wrong: Vec<Error>) -> Result<Layout> {
        let (names, ids) = (self.names(), self.ids());
        let is_sink = |number: &usize| matches!(self.steps[*number].flow, Flow::Ends(_));
        let (sinks, others): (Vec<_>, Vec<_>) = (0..self.steps.len()).partition(is_sink);
        let shards = seats.iter().map(|_| Vec::new()).collect();
        let mut layout = Layout { shards, rows: Vec::new() };
        let mut exits = vec![Exit { operator: 0, sender: 0 }; self.steps.len()];
        let mut place = |step: &mut Step, number: usize, wrong: &mut Vec<Error>| {
            let (name, id) = (names[number].clone(), ids[number].clone());
            let asked = step.asked.as_str().into();
            let id = Owner { step: id, asked, input: 0 };
            let mut placing = Placing { number, name, id, seats, exits: &exits, wrong: None };
            let exit = layout.place(step, &mut placing);
            wrong.extend(placing.wrong);
            exits[number] = exit;
        };
        others.into_iter().for_each(|number| place(&mut self.steps[number], number, &mut wrong));
        if wrong.is_empty() {
            // Sources hold what they read by now: no sink may write over it.
            let resumes = seats.first().and_then(|seat| seat.resumes);
            wrong = self.check(seats.len(), resumes);
        }
        if wrong.is_empty() {
            sinks.into_iter().for_each(|number| place(&mut self.steps[number], number, &mut wrong));
        }
        layout.rows.sort_by_key(|row| row.step);
        if wrong.is_empty() { Ok(layout) } else { Err(all(&wrong)) }
    }
}

/// One error that says all of several.
pub(crate) fn all(wrong: &[Error]) -> Error {
    if let [one] = wrong {
        return one.clone();
    }
    let first = wrong[0].kind();
    let kind = if wrong.iter().all(|error| error.kind() == first) { first } else { Kind::Plan };
    let each = (1..).zip(wrong).map(|(n, error)| format!("({n}) {error}"));
    let each = each.collect::<Vec<_>>().join("; ");
    Error::new(kind, format!("{} things are wrong: {each}", wrong.len()))
}

/// How a report tells the ends of an exchange apart: the senders, in the order of the inputs, and
/// the receiver.
const ENDS: [&str; 2] = [" (sends)", " (receives)"];
const ENDS_OF_TWO: [&str; 3] = [" (sends left)", " (sends right)", " (receives)"];

/// What a step is placed with.
struct Placing<'p> {
    number: usize,
    /// How messages name it.
    name: Arc<str>,
    /// What its state is kept under.
    id: Owner,
    seats: &'p [Seat],
    /// Those of the steps before.
    exits: &'p [Exit],
    /// Why the step can't be.
    wrong: Option<Error>,
}

impl Placing<'_> {
    /// Makes an operator, until one can't be made. The layout goes on with operators that stand in
    /// for the others, so that what else is wrong is found, too.
    fn make(&mut self, make: impl FnOnce() -> Result<Box<dyn Operator>>) -> Box<dyn Operator> {
        if self.wrong.is_none() {
            match make() {
                Ok(operator) => return operator,
                Err(error) => self.wrong = Some(error.within(&self.name)),
            }
        }
        Box::new(Forward)
    }

    /// The node and the port where an input comes from.
    fn from(&self, origin: Origin) -> (usize, usize) {
        (self.exits[origin.step].of(origin), origin.port)
    }
}

impl Layout {
    fn push(
        &mut self,
        shard: usize,
        name: &Arc<str>,
        inputs: usize,
        made: Box<dyn Operator>,
    ) -> &mut Node {
        let counters = Arc::new(Counters::default());
        let nodes = &mut self.shards[shard];
        nodes.push(Node::new(name.clone(), made, inputs, Vec::new(), counters));
        nodes.last_mut().expect("pushed just above")
    }

    fn connect(&mut self, (from, port): (usize, usize), to: Edge) {
        for nodes in &mut self.shards {
            let outputs = &mut nodes[from].outputs;
            if outputs.len() <= port {
                outputs.resize(port + 1, Vec::new());
            }
            outputs[port].push(to);
        }
    }

    /// Places one step on every shard; gives the nodes that its output leaves.
    fn place(&mut self, step: &mut Step, placing: &mut Placing<'_>) -> Exit {
        let seats = placing.seats;
        let lead = |_: &Input| Arc::new(Lead::new(&seats[0]));
        // A single shard has nobody to run ahead of.
        let bounded = step.inputs.iter().filter(|_| seats.len() > 1);
        let leads: Vec<_> = bounded.map(lead).collect();
        let mut halves: &[&str] = &[""];
        let exit = match &mut step.flow {
            Flow::Exchanged { senders, receiver, .. } if seats.len() > 1 => {
                halves = if senders.len() == 1 { &ENDS } else { &ENDS_OF_TWO };
                let sent = self.place_senders(&step.inputs, senders, &leads, placing);
                self.place_receiver(sent, step.inputs.len(), receiver, placing)
            }
            Flow::Local(make) | Flow::Begins { make, .. } | Flow::Exchanged { alone: make, .. } => {
                self.place_local(&step.inputs, make, &leads, placing)
            }
            Flow::Ends(sink) => {
                self.place_local(&step.inputs, &mut |site| sink.make(site), &leads, placing)
            }
        };
        let (number, source) = (placing.number, step.inputs.is_empty());
        let counts = match &step.flow {
            Flow::Begins { counts, .. } => counts.clone(),
            Flow::Ends(sink) => sink.counts(),
            Flow::Local(_) | Flow::Exchanged { .. } => None,
        };
        let nodes = (exit.sender..exit.operator).take(halves.len() - 1).chain([exit.operator]);
        self.rows.extend(nodes.zip(halves).map(|(node, half)| {
            let name = format!("#{number} {}{half}", step.name);
            Row { name, source, node, counts: counts.clone(), step: number }
        }));
        exit
    }

    fn place_local(
        &mut self,
        inputs: &[Input],
        make: &mut dyn FnMut(&Site<'_>) -> Result<Box<dyn Operator>>,
        leads: &[Arc<Lead>],
        placing: &mut Placing<'_>,
    ) -> Exit {
        let node = self.shards[0].len();
        for (shard, seat) in placing.seats.iter().enumerate() {
            let made = placing.make(|| make(&Site { seat, leads }));
            let closures = inputs.iter().flat_map(|input| input.closures.iter().copied());
            let node = self.push(shard, &placing.name, inputs.len(), made);
            node.closures = closures.collect();
            node.kept = placing.id.clone();
        }
        for (port, input) in inputs.iter().enumerate() {
            self.connect(placing.from(input.from), Edge { node, port });
        }
        Exit { operator: node, sender: node }
    }

    /// Places the sending ends of an exchange and its inboxes; gives the first sender's node.
    fn place_senders(
        &mut self,
        inputs: &[Input],
        senders: &mut [Sender],
        leads: &[Arc<Lead>],
        placing: &mut Placing<'_>,
    ) -> usize {
        let first = self.shards[0].len();
        let seats = placing.seats;
        let mut inboxes: Vec<Vec<Inbox>> = seats.iter().map(|_| Vec::new()).collect();
        for (port, (sender, input)) in senders.iter_mut().zip(inputs).enumerate() {
            let ways = lanes(seats.len(), &seats[0].bells);
            for ((shard, seat), (lanes, inbox)) in seats.iter().enumerate().zip(ways) {
                let site = Site { seat, leads: &leads[port..] };
                let made = placing.make(|| (sender.make)(&site, lanes));
                let node = self.push(shard, &placing.name, 1, made);
                node.closures.clone_from(&input.closures);
                node.kept = Owner { input: port, ..placing.id.clone() };
                inboxes[shard].push(inbox);
            }
            self.connect(placing.from(input.from), Edge { node: first + port, port: 0 });
        }
        for (shard, inboxes) in inboxes.into_iter().enumerate() {
            for inbox in inboxes {
                self.push(shard, &"".into(), 0, Box::new(inbox));
            }
        }
        first
    }

    /// Places the operator behind the inboxes of an exchange.
    fn place_receiver(
        &mut self,
        sender: usize,
        inputs: usize,
        receiver: &mut Make,
        placing: &mut Placing<'_>,
    ) -> Exit {
        let node = sender + 2 * inputs;
        for (shard, seat) in placing.seats.iter().enumerate() {
            let made = placing.make(|| receiver(&Site { seat, leads: &[] }));
            self.push(shard, &placing.name, inputs, made).kept = placing.id.clone();
        }
        for port in 0..inputs {
            self.connect((sender + inputs + port, 0), Edge { node, port });
        }
        Exit { operator: node, sender }
    }
}
