//! The operators of one shard and how a batch goes from one to the next.

use std::sync::Arc;

use super::{Counters, Downstream, Operator, SplitState};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Watermark;

/// Where an output leads: an operator further down on this shard, and its input port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The operator's index among the shard's.
    pub node: usize,
    /// Its input port.
    pub port: usize,
}

impl Edge {
    /// Whether this edge and the next lead to the first two ports of one operator.
    fn is_with(&self, next: &Edge) -> bool {
        self.node == next.node && self.port == 0 && next.port == 1
    }
}

/// An operator with its place in the shard's graph.
pub struct Node {
    /// The operator.
    pub operator: Box<dyn Operator>,
    /// How messages name it.
    pub name: Arc<str>,
    /// What the closures are called that are fused into it.
    pub closures: Vec<&'static str>,
    /// Output port, then the edges that leave it. All lead to higher indices.
    pub outputs: Vec<Vec<Edge>>,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Input ports that have not ended.
    live: usize,
}

impl Node {
    /// A node with `inputs` input ports.
    pub fn new(
        name: Arc<str>,
        operator: Box<dyn Operator>,
        inputs: usize,
        outputs: Vec<Vec<Edge>>,
        counters: Arc<Counters>,
    ) -> Node {
        let closures = Vec::new();
        Node { operator, name, closures, outputs, counters, live: inputs }
    }

    /// Whose code runs within it, in words: its own and that of the closures before it, which can't
    /// be told apart.
    pub fn suspects(&self) -> String {
        match &*self.closures {
            [] => self.name.to_string(),
            [one] => format!("{} or the {one} before it", self.name),
            all => format!("{} or a closure before it ({})", self.name, all.join(", ")),
        }
    }

    /// The edges that leave the node.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.outputs.iter().flatten().copied()
    }
}

/// Which operator a shard is in, so that a panic can be named.
#[derive(Debug, Default)]
pub struct Trace(std::cell::Cell<usize>);

impl Trace {
    /// The index of the operator that was entered last.
    pub fn last(&self) -> usize {
        self.0.get()
    }
}

/// What an operator puts its results into: the operators behind it on the same shard, called
/// directly.
pub struct Output<'a> {
    /// The shard's nodes from number `first` on: all that can be behind this operator.
    below: &'a mut [Node],
    first: usize,
    edges: &'a [Vec<Edge>],
    counters: &'a Counters,
    trace: &'a Trace,
}

impl<'a> Output<'a> {
    /// Enters node `index` of a shard: its operator and the output it has.
    pub fn enter<T>(
        nodes: &'a mut [Node],
        index: usize,
        trace: &'a Trace,
        act: impl FnOnce(&mut dyn Operator, &mut Output<'_>) -> Result<T>,
    ) -> Result<T> {
        enter(nodes, 0, index, trace, |node, out| act(&mut *node.operator, out))
    }

    /// Calls `act` for every edge that leaves `port`.
    fn each(
        &mut self,
        port: usize,
        mut act: impl FnMut(&mut Touched<'_>, usize, &mut Output<'_>) -> Result,
    ) -> Result {
        let Some(edges) = self.edges.get(port) else {
            return Ok(());
        };
        for edge in edges {
            self.visit(*edge, |node, out| act(node, edge.port, out))?;
        }
        Ok(())
    }

    fn visit(
        &mut self,
        edge: Edge,
        act: impl FnOnce(&mut Touched<'_>, &mut Output<'_>) -> Result,
    ) -> Result {
        enter(self.below, self.first, edge.node, self.trace, act)
    }

    fn all(
        &mut self,
        mut act: impl FnMut(&mut Touched<'_>, usize, &mut Output<'_>) -> Result,
    ) -> Result {
        (0..self.edges.len()).try_for_each(|port| self.each(port, &mut act))
    }

    /// Hands a batch to everything behind an output port.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn dispatch(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        self.counters.records_out.add(batch.len() as u64);
        self.divert(port, batch)
    }

    /// As [`dispatch`](Output::dispatch), for what does not count as handed on.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn divert(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        let records = batch.len() as u64;
        let Some(edges) = self.edges.get(port) else {
            return Ok(());
        };
        let mut edges = edges.as_slice();
        while let [edge, rest @ ..] = edges {
            let both = rest.first().is_some_and(|other| edge.is_with(other));
            edges = &rest[usize::from(both)..];
            self.visit(*edge, |node, out| {
                node.counters.records_in.add(records * (1 + u64::from(both)));
                match both {
                    true => node.operator.process_both(batch, out),
                    false => node.operator.process(edge.port, batch, out),
                }
            })?;
        }
        Ok(())
    }

    /// Tells everything behind that nothing before `at` comes any more.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn watermark(&mut self, at: Watermark) -> Result {
        self.all(|node, port, out| node.operator.watermark(port, at, out))
    }

    /// Tells everything behind that this input is silent for long, or is so no longer.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn idle(&mut self, idle: bool) -> Result {
        self.all(|node, port, out| node.operator.idle(port, idle, out))
    }

    /// Tells everything behind about a split.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn split(&mut self, split: u32, state: SplitState) -> Result {
        self.all(|node, port, out| node.operator.split(port, split, state, out))
    }

    /// Lets everything behind send what it holds back.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn flush(&mut self) -> Result {
        self.all(|node, _, out| node.operator.flush(out))
    }

    /// Tells everything behind that this input has ended.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn finish(&mut self) -> Result {
        self.all(|node, _, out| {
            *node.live = node.live.saturating_sub(1);
            if *node.live > 0 {
                return Ok(());
            }
            node.operator.finish(out)
        })
    }

    /// The counters of the operator that this is the output of.
    pub fn counters(&self) -> &Counters {
        self.counters
    }
}

impl Downstream for Output<'_> {
    fn take(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        self.dispatch(port, batch)
    }
}

/// A node's parts while its output is borrowed.
struct Touched<'a> {
    operator: &'a mut dyn Operator,
    live: &'a mut usize,
    counters: &'a Counters,
}

/// Enters node `index` of `below`, whose first node has number `first`. When it returns without a
/// panic, the trace is what it was.
fn enter<T>(
    below: &mut [Node],
    first: usize,
    index: usize,
    trace: &Trace,
    act: impl FnOnce(&mut Touched<'_>, &mut Output<'_>) -> Result<T>,
) -> Result<T> {
    let (node, below) = below[index - first..].split_first_mut().expect("an edge leads to a node");
    let Node { operator, name, outputs, counters, live, .. } = node;
    let before = trace.0.replace(index);
    let mut out = Output { below, first: index + 1, edges: outputs, counters, trace };
    let mut touched = Touched { operator: &mut **operator, live, counters };
    let result = act(&mut touched, &mut out);
    trace.0.set(before);
    result.map_err(|error| match &**name {
        "" => error,
        name => error.within(name),
    })
}
