//! Where records flow: to other shards, apart, together.
//!
//! Event times travel with the records, and the watermark behind each of these is the least of
//! those that flow into it. Take event times (`event_time`) before: behind, a source's splits can
//! no longer be told apart. The records of one shard stay in order; those of several come between
//! each other in any order. Marks travel with the records, too, so what is late behind does not
//! depend on the way.

use std::rc::Rc;

use super::{Stream, local, sending};
use crate::error::{Error, Kind};
use crate::operator::{
    Broadcast, ByRange, Chain, Deal, Exchange, Forward, Fused2, Gather, Operator, Partition, Pass,
    Random, Routed, Way,
};
use crate::plan::{Flow, Input, Make, Origin, Step, Times};
use crate::record::Record;

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// Deals records out to the shards in turn (round robin), each shard those that it has.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc").shards(2);
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(4)).rebalance().map(|n| n * 10).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 10, 20, 30]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn rebalance(self) -> Stream<R> {
        self.moved("rebalance", "to the shards in turn", Deal::default())
    }

    /// Sends each record to a shard chosen at random. With the same seed a shard's records go the
    /// same ways in every run, if they come in the same order.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc").shards(2);
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(4)).shuffle(42).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn shuffle(self, seed: u64) -> Stream<R> {
        self.moved("shuffle", "at random", Random::new(seed))
    }

    /// Sends each record to every shard: behind it there are as many of it as shards.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc").shards(2);
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(2)).broadcast().sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 0, 1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn broadcast(self) -> Stream<R> {
        self.moved("broadcast", "to all shards", Broadcast)
    }

    /// Sends all records to shard 0. Those of one shard stay in order.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc").shards(2);
    /// # let (sink, results) = Collect::new();
    /// job.source(Counter::to(3)).gather().sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn gather(self) -> Stream<R> {
        self.moved("gather", "to shard 0", Gather)
    }

    /// Sends each record to the shard of the range that its key falls into. `n` bounds, in any
    /// order, make `n + 1` ranges, each with its lower bound in it; ranges lie on the shards in
    /// their order, neighbours together when there are more ranges than shards.
    /// [`bounds_of`](crate::operator::bounds_of) makes bounds of a sample of keys.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc").shards(2);
    /// # let (sink, results) = Collect::new();
    /// let bounds = bounds_of([1, 5, 9, 2], 2);
    /// job.source(Counter::to(10)).partition_by_range(|n| n, bounds).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted().len(), 10);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn partition_by_range<K, F>(self, f: F, bounds: impl Into<Vec<K>>) -> Stream<R>
    where
        K: Ord + Clone + Send + 'static,
        F: FnMut(R::View<'_>) -> K + Clone + Send + 'static,
    {
        self.moved("range", "by the key's range", ByRange::new(f, bounds.into()))
    }

    /// Materialises the records here, on the shard where they are: what clones of the stream do
    /// from here on, they do apart, and the closures so far run once for all of them. Gives a
    /// plain `Stream<R>`.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// fn squares(job: &Job) -> Stream<u64> {
    ///     job.source(Counter::to(4)).map(|n| n * n).settle()
    /// }
    /// squares(&job).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 1, 4, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn settle(self) -> Stream<R> {
        let flow = Flow::Local(local(self.chain.clone(), |_| Ok(Pass::new())));
        Stream::at(&self.plan, self.step("settle", flow))
    }

    /// The records of both streams. Its watermark is the lesser one.
    ///
    /// # Errors
    /// The job does not start when the streams are of two jobs.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let tens = job.source(Counter::to(2)).map(|n| n * 10);
    /// job.source(Counter::to(2)).union(tens).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 0, 1, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn union<D: Chain<Out = R>>(self, other: Stream<R, D>) -> Stream<R> {
        let one_job = Rc::ptr_eq(&self.plan, &other.plan);
        // A stranger's origin means nothing in this plan.
        let second = if one_job { other.from } else { self.from };
        let inputs =
            vec![Input::through(self.from, &self.chain), Input::through(second, &other.chain)];
        let chains = (self.chain.clone(), other.chain);
        let make: Make = Box::new(move |site| {
            if !one_job {
                let what = "the streams are of two jobs; unite streams that begin in one Job";
                return Err(Error::new(Kind::Plan, what));
            }
            let leads = [site.lead(0), site.lead(1)];
            Ok(Box::new(Fused2::new(chains.clone(), Pass::<R>::new(), leads)) as _)
        });
        let name = self.label("union");
        let (asked, flow, times) = (String::new(), Flow::Local(make), Times::Keeps);
        let step = Step { name, asked, inputs, flow, times };
        let origin = self.plan.borrow_mut().add(step);
        Stream::at(&self.plan, origin)
    }

    /// Two streams: the records for which `f` is true, and the others. `f` runs once a record.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let (even, odd) = job.source(Counter::to(4)).split(|n| n % 2 == 0);
    /// even.union(odd.map(|n| n * 10)).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 2, 10, 30]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn split<F>(self, mut f: F) -> (Stream<R>, Stream<R>)
    where
        F: FnMut(R::View<'_>) -> bool + Clone + Send + 'static,
    {
        let way = move |record: R::View<'_>| usize::from(!f(record));
        let [yes, no] = self.ways("split", ["true", "false"], way);
        (yes, no)
    }

    /// Several named streams: each record goes to the one that `f` names, by its name or by its
    /// number (from 0). The operator behind each stream has the way's name unless it is given
    /// another.
    ///
    /// # Errors
    /// A way that there isn't ends the job.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let way = |n| if n < 3 { "small" } else { "large" };
    /// let [small, large] = job.source(Counter::to(5)).route(["small", "large"], way);
    /// small.map(|n| n * 100).union(large).sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 3, 4, 100, 200]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn route<const N: usize, W, F>(self, names: [&'static str; N], f: F) -> [Stream<R>; N]
    where
        W: Way + 'static,
        F: FnMut(R::View<'_>) -> W + Clone + Send + 'static,
    {
        let mut names_left = names.into_iter();
        let streams = self.ways("route", names, f);
        streams.map(|stream| match names_left.next() {
            Some(name) => stream.named(name),
            None => stream,
        })
    }

    fn ways<const N: usize, W, F>(
        self,
        kind: &str,
        names: [&'static str; N],
        f: F,
    ) -> [Stream<R>; N]
    where
        W: Way + 'static,
        F: FnMut(R::View<'_>) -> W + Clone + Send + 'static,
    {
        let make =
            local(self.chain.clone(), move |_| Ok(Routed::<R, F, W>::new(&names, f.clone())));
        let origin = self.step(kind, Flow::Local(make));
        std::array::from_fn(|port| Stream::at(&self.plan, Origin { port, ..origin }))
    }

    /// Moves records to the shards that a partitioner names.
    fn moved<P: Partition<R>>(self, kind: &str, way: &'static str, by: P) -> Stream<R> {
        let send = sending(self.chain.clone(), way, move |lanes, bells| {
            Exchange::<R, P, true>::marked(by.clone(), lanes, bells)
        });
        let receiver: Make = Box::new(|_| Ok(Box::new(Forward) as Box<dyn Operator>));
        let alone = local(self.chain.clone(), |_| Ok(Pass::<R>::new()));
        let flow = Flow::Exchanged { senders: vec![send], receiver, alone };
        Stream::at(&self.plan, self.step(kind, flow))
    }
}
