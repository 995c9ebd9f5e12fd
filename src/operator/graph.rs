//! The operators of one shard and how a batch goes from one to the next.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::{Counters, Downstream, Operator, SplitState};
use crate::error::{Error, Result};
use crate::record::Batch;
use crate::state::{Loader, Owner, Saver};
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
    /// What its state is kept under.
    pub kept: Owner,
    /// For each input port the last epoch that it has delivered; all when it has ended.
    ports: Vec<u64>,
    progress: Stage,
}

/// How far a node has come.
#[derive(Debug, Default)]
struct Stage {
    epoch: Cell<u64>,
    finished: Cell<bool>,
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
        let kept = Owner { step: name.clone(), asked: "".into(), input: 0 };
        let closures = Vec::new();
        let (ports, progress) = (vec![0; inputs], Stage::default());
        Node { operator, name, closures, outputs, counters, kept, ports, progress }
    }

    /// The node with another operator around its own.
    pub fn within(self, around: impl FnOnce(Box<dyn Operator>) -> Box<dyn Operator>) -> Node {
        Node { operator: around(self.operator), ..self }
    }

    /// The last epoch whose barrier it has handed on.
    pub fn epoch(&self) -> u64 {
        self.progress.epoch.get()
    }

    /// Whether nothing comes to it any more.
    pub fn has_finished(&self) -> bool {
        match *self.ports {
            [] => self.progress.finished.get(),
            _ => self.ports.iter().all(|epoch| *epoch == u64::MAX),
        }
    }

    /// Lets it and its input ports have this epoch already: the job goes on from there.
    pub fn resume(&mut self, epoch: u64) {
        self.ports.fill(epoch);
        self.progress.epoch.set(epoch);
    }

    /// Saves its state as it is, under an epoch; 0 to see whether it can be.
    ///
    /// # Errors
    /// What its operator fails with.
    pub fn save(&mut self, epoch: u64, saver: &mut Saver) -> Result {
        saver.enter(epoch, &self.kept);
        self.operator.save(saver).map_err(|error| self.named(error))?;
        self.progress.epoch.set(self.epoch().max(epoch));
        Ok(())
    }

    /// Saves more of its state as it was when the epoch began here; true when that is all.
    ///
    /// # Errors
    /// What its operator fails with.
    pub fn save_more(&mut self, epoch: u64, saver: &mut Saver) -> Result<bool> {
        saver.enter(epoch, &self.kept);
        self.operator.save_more(saver).map_err(|error| self.named(error))
    }

    /// Takes up its state.
    ///
    /// # Errors
    /// What does not fit.
    pub fn load(&mut self, from: &Loader<'_>) -> Result {
        let own = from.entered(&self.kept);
        self.operator.load(&own).map_err(|error| self.named(error))
    }

    fn named(&self, error: Error) -> Error {
        if self.name.is_empty() { error } else { error.within(&self.name) }
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

/// What all operators of a shard share.
#[derive(Debug, Default)]
pub struct Scene {
    /// Which operator the shard is in, so that a panic can be named.
    entered: Cell<usize>,
    /// Takes the state of the epoch that is being saved.
    pub saver: RefCell<Saver>,
}

impl Scene {
    /// The index of the operator that was entered last.
    pub fn last(&self) -> usize {
        self.entered.get()
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
    progress: &'a Stage,
    scene: &'a Scene,
}

impl<'a> Output<'a> {
    /// Enters node `index` of a shard: its operator and the output it has.
    pub fn enter<T>(
        nodes: &'a mut [Node],
        index: usize,
        scene: &'a Scene,
        act: impl FnOnce(&mut dyn Operator, &mut Output<'_>) -> Result<T>,
    ) -> Result<T> {
        enter(nodes, 0, index, scene, |node, out| act(&mut *node.operator, out))
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

    /// Begins an epoch at a node without inputs.
    ///
    /// # Errors
    /// What the node or an operator behind it fails with.
    pub fn begin(nodes: &'a mut [Node], index: usize, scene: &'a Scene, epoch: u64) -> Result {
        enter(nodes, 0, index, scene, |node, out| complete(node.operator, node.kept, epoch, out))
    }

    fn visit(
        &mut self,
        edge: Edge,
        act: impl FnOnce(&mut Touched<'_>, &mut Output<'_>) -> Result,
    ) -> Result {
        enter(self.below, self.first, edge.node, self.scene, act)
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
        self.progress.finished.set(true);
        self.all(|node, port, out| {
            node.deliver(port, u64::MAX, out)?;
            let ended = node.ports.iter().all(|epoch| *epoch == u64::MAX);
            if !ended {
                return Ok(());
            }
            // What a job that was stopped holds back is part of what it goes on from.
            node.operator.settle(out)?;
            node.operator.finish(out)
        })
    }

    /// Hands the barrier of an epoch to everything behind.
    ///
    /// # Errors
    /// What an operator behind fails with.
    pub fn barrier(&mut self, epoch: u64) -> Result {
        self.progress.epoch.set(epoch);
        self.all(|node, port, out| node.deliver(port, epoch, out))
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
    kept: &'a Owner,
    ports: &'a mut [u64],
    counters: &'a Counters,
}

impl Touched<'_> {
    /// An input port delivers the barrier of an epoch, or by ending all barriers. When it is the
    /// last to do so, the node's state is saved and the barrier handed on.
    fn deliver(&mut self, port: usize, epoch: u64, out: &mut Output<'_>) -> Result {
        if let Some(delivered) = self.ports.get_mut(port) {
            *delivered = epoch;
        }
        let least = self.ports.iter().copied().min().unwrap_or(u64::MAX);
        // Where all have ended the shard saves the state that is left, in its own time.
        if least == u64::MAX || least <= out.progress.epoch.get() {
            return Ok(());
        }
        complete(self.operator, self.kept, least, out)
    }
}

/// Saves an operator's state under an epoch, and hands the barrier on.
fn complete(operator: &mut dyn Operator, kept: &Owner, epoch: u64, out: &mut Output<'_>) -> Result {
    operator.settle(out)?;
    let mut saver = out.scene.saver.borrow_mut();
    saver.enter(epoch, kept);
    operator.save(&mut saver)?;
    drop(saver);
    operator.barrier(epoch, out)
}

/// Enters node `index` of `below`, whose first node has number `first`. When it returns without a
/// panic, the scene is what it was.
fn enter<T>(
    below: &mut [Node],
    first: usize,
    index: usize,
    scene: &Scene,
    act: impl FnOnce(&mut Touched<'_>, &mut Output<'_>) -> Result<T>,
) -> Result<T> {
    let (node, below) = below[index - first..].split_first_mut().expect("an edge leads to a node");
    let Node { operator, name, outputs, counters, kept, ports, progress, .. } = node;
    let before = scene.entered.replace(index);
    let mut out = Output { below, first: index + 1, edges: outputs, counters, progress, scene };
    let mut touched = Touched { operator: &mut **operator, kept, ports, counters };
    let result = act(&mut touched, &mut out);
    scene.entered.set(before);
    result.map_err(|error| match &**name {
        "" => error,
        name => error.within(name),
    })
}
