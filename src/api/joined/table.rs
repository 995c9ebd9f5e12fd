//! The join with a small table that every shard has.

use std::rc::Rc;

use super::two_jobs;
use crate::api::{Stream, refuse};
use crate::join::{Of, TableJoin, TableSide};
use crate::operator::{ByValue, Chain, Fused, LeftOuter, Operator};
use crate::plan::{Flow, Input, Make, Step, Times};
use crate::record::{Key, Record};

impl<L: Record, C: Chain<Out = L>> Stream<L, C> {
    /// A row for every record, with the row of a small table that has its key, if there is one.
    /// The table goes to every shard; the records stay where they are and keep their event times.
    ///
    /// The table must end: records wait for that in memory, without a bound, so let it be small
    /// and quick to read. Of its rows with one key the newest by event time counts, of these the
    /// greatest in the order of their fields. Both streams must be of the same job.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let names = job.source(Memory::of([(0_u64, "even".to_owned()), (1, "odd".to_owned())]));
    /// job.source(Counter::to(3))
    ///     .join_table(
    ///         names,
    ///         |n| n % 2,
    ///         |(id, _)| id,
    ///         |n, row| (n, row.map_or(String::new(), |(_, name)| name.to_owned())),
    ///     )
    ///     .filter(|(_, name)| name == "even")
    ///     .map(|(n, _)| n)
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn join_table<R, D, K, FL, FR, O, F>(
        self,
        table: Stream<R, D>,
        left_key: FL,
        row_key: FR,
        f: F,
    ) -> Stream<O>
    where
        R: Record,
        D: Chain<Out = R>,
        K: Key,
        FL: Fn(L::View<'_>) -> K + Clone + Send + 'static,
        FR: Fn(R::View<'_>) -> K + Clone + Send + 'static,
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        let name = self.label("table join");
        let left = Input::through(self.from, &self.chain);
        if !Rc::ptr_eq(&self.plan, &table.plan) {
            return refuse(&self.plan, name, vec![left], two_jobs());
        }
        let (by, pairing) = ((ByValue::new(left_key), ByValue::new(row_key)), LeftOuter::new(f));
        let chain = self.chain.clone();
        let rows = table.broadcast();
        let rows = Input::through(rows.from, &rows.chain);
        let make: Make = Box::new(move |site| {
            let (by, pairing, backend) = (by.clone(), pairing.clone(), &site.seat.backend);
            let side = TableSide::<Of<L, _, R, _, _>>::new(by, pairing, backend);
            let left = Fused::new(chain.clone(), side, site.lead(0));
            Ok(Box::new(TableJoin::new(left)) as Box<dyn Operator>)
        });
        let (inputs, times) = (vec![left, rows], Times::OfFirst);
        let step = Step { name, asked: String::new(), inputs, flow: Flow::Local(make), times };
        let origin = self.plan.borrow_mut().add(step);
        Stream::at(&self.plan, origin)
    }
}
