//! The plan: what a job's operators are and how they hang together, before there are shards.
//!
//! A job's program adds a [`Step`] for every operator; [`Plan::lay_out`] makes of them the nodes
//! of each shard. An operator that needs its records on another shard becomes, when there is more
//! than one shard, a sender at the end of the chain before it, an inbox, and the operator itself;
//! on one shard the chain is fused into the operator.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::operator::{Counters, Edge, Inbox, Lane, Lead, Node, Operator, Seat, lanes};

/// An output port of a step, where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The step's number.
    pub step: usize,
    /// Its output port.
    pub port: usize,
    /// Whether it leaves from the sending end of the step's first input, on the shard that read
    /// the record, before anything is exchanged. Without an exchange both ends are one operator.
    pub sender: bool,
}

/// The nodes that a step's output leaves.
#[derive(Clone, Copy)]
struct Exit {
    operator: usize,
    sender: usize,
}

impl Exit {
    fn of(&self, origin: Origin) -> usize {
        if origin.sender { self.sender } else { self.operator }
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

/// How a step's records get to it.
pub enum Flow {
    /// From the same shard.
    Local(Make),
    /// From all shards.
    Exchanged {
        /// One an input port: the chain before the exchange.
        senders: Vec<MakeSender>,
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
    /// Where each input port's records come from.
    pub inputs: Vec<Origin>,
    /// How it is made.
    pub flow: Flow,
}

/// The operators of a job in the order in which the program made them: each one's inputs come
/// from steps before it.
#[derive(Default)]
pub struct Plan {
    steps: Vec<Step>,
    sinks: usize,
}

/// What all shards run.
pub struct Layout {
    /// The nodes of each shard, the same for all.
    pub shards: Vec<Vec<Node>>,
}

impl Plan {
    /// Adds a step; gives its first output port.
    pub fn add(&mut self, step: Step) -> Origin {
        self.steps.push(step);
        Origin { step: self.steps.len() - 1, port: 0, sender: false }
    }

    /// Adds a step that ends a stream.
    pub fn add_sink(&mut self, step: Step) {
        self.sinks += 1;
        self.add(step);
    }

    /// Makes the operators of every shard.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows.
    pub fn lay_out(&mut self, seats: &[Seat]) -> Result<Layout> {
        if self.steps.is_empty() {
            return Err(Error::new(Kind::Plan, "the job has no source; begin with job.source(…)"));
        }
        if self.sinks == 0 {
            let what = "no stream ends in a sink; end one with .sink(…), e.g. Stdout::csv()";
            return Err(Error::new(Kind::Plan, what));
        }
        let mut layout = Layout { shards: seats.iter().map(|_| Vec::new()).collect() };
        let mut exits: Vec<Exit> = Vec::new();
        for step in &mut self.steps {
            let name: Arc<str> = step.name.as_str().into();
            let exit = layout.place(step, &name, seats, &exits).map_err(|e| e.within(&name))?;
            exits.push(exit);
        }
        Ok(layout)
    }
}

impl Layout {
    fn push(&mut self, shard: usize, name: &Arc<str>, inputs: usize, made: Box<dyn Operator>) {
        let counters = Arc::new(Counters::default());
        let node = Node::new(name.clone(), made, inputs, Vec::new(), counters);
        self.shards[shard].push(node);
    }

    fn connect(&mut self, from: usize, port: usize, to: Edge) {
        for nodes in &mut self.shards {
            let outputs = &mut nodes[from].outputs;
            if outputs.len() <= port {
                outputs.resize(port + 1, Vec::new());
            }
            outputs[port].push(to);
        }
    }

    /// Places one step on every shard; gives the nodes that its output leaves.
    fn place(
        &mut self,
        step: &mut Step,
        name: &Arc<str>,
        seats: &[Seat],
        exits: &[Exit],
    ) -> Result<Exit> {
        let lead = |seat: &Seat| {
            let (bells, waiting) = (seat.bells.clone(), seat.waiting.clone());
            Arc::new(Lead::new(seat.shards, seat.lead_us, bells, waiting))
        };
        // A single shard has nobody to run ahead of.
        let bounded = step.inputs.iter().filter(|_| seats.len() > 1);
        let leads: Vec<_> = bounded.map(|_| lead(&seats[0])).collect();
        let sites = || seats.iter().map(|seat| Site { seat, leads: &leads }).enumerate();
        let inputs = step.inputs.len();
        let first = self.shards[0].len();
        if seats.len() > 1 && matches!(step.flow, Flow::Exchanged { .. }) {
            return self.place_exchanged(step, name, &leads, seats, exits);
        }
        let (Flow::Local(make) | Flow::Exchanged { alone: make, .. }) = &mut step.flow;
        for (shard, site) in sites() {
            self.push(shard, name, inputs, make(&site)?);
        }
        for (port, origin) in step.inputs.iter().enumerate() {
            self.connect(exits[origin.step].of(*origin), origin.port, Edge { node: first, port });
        }
        Ok(Exit { operator: first, sender: first })
    }

    fn place_exchanged(
        &mut self,
        step: &mut Step,
        name: &Arc<str>,
        leads: &[Arc<Lead>],
        seats: &[Seat],
        exits: &[Exit],
    ) -> Result<Exit> {
        let Flow::Exchanged { senders, receiver, .. } = &mut step.flow else {
            return Err(Error::new(Kind::Internal, "the step has no exchange"));
        };
        let first = self.shards[0].len();
        let inputs = step.inputs.len();
        let mut inboxes: Vec<Vec<Inbox>> = seats.iter().map(|_| Vec::new()).collect();
        for (port, (send, origin)) in senders.iter_mut().zip(&step.inputs).enumerate() {
            let ways = lanes(seats.len(), &seats[0].bells);
            for ((shard, seat), (lanes, inbox)) in seats.iter().enumerate().zip(ways) {
                let site = Site { seat, leads: &leads[port..] };
                self.push(shard, name, 1, send(&site, lanes)?);
                inboxes[shard].push(inbox);
            }
            let edge = Edge { node: first + port, port: 0 };
            self.connect(exits[origin.step].of(*origin), origin.port, edge);
        }
        for (shard, inboxes) in inboxes.into_iter().enumerate() {
            for inbox in inboxes {
                self.push(shard, &"".into(), 0, Box::new(inbox));
            }
        }
        let node = first + 2 * inputs;
        for (shard, seat) in seats.iter().enumerate() {
            self.push(shard, name, inputs, receiver(&Site { seat, leads: &[] })?);
        }
        (0..inputs).for_each(|port| self.connect(first + inputs + port, 0, Edge { node, port }));
        Ok(Exit { operator: node, sender: first })
    }
}
