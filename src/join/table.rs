//! The join with a small table that every shard has.

use std::marker::PhantomData;

use super::Fields;
use crate::error::Result;
use crate::operator::{
    Chain, Emitter, Fused, KeyOf, Lifecycle, Operator, Output, Progress, Seat, SplitState, Stage,
    Stamp,
};
use crate::record::{Batch, Record};
use crate::state::Table;
use crate::time::{Timestamp, Watermark};

/// The stage that looks left records up in the table. They wait until the table is whole.
pub struct TableSide<L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
{
    by: (BL, BR),
    f: F,
    table: Table<BL::Key, (Timestamp, R)>,
    whole: bool,
    waiting: Vec<(Timestamp, L)>,
    /// The watermark of what waits.
    held: Watermark,
    out: Emitter<O>,
}

impl<L, BL, R, BR, F, O> TableSide<L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
    F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Send + 'static,
{
    /// Looks up by these keys.
    pub fn new(by: (BL, BR), f: F) -> Self {
        let (table, out) = (Table::new(), Emitter::new(0));
        let (waiting, held) = (Vec::new(), Timestamp::MIN);
        TableSide { by, f, table, whole: false, waiting, held, out }
    }

    #[inline(always)]
    fn row(&mut self, at: Timestamp, record: L::View<'_>, out: &mut Output<'_>) -> Result {
        let TableSide { by: (by, _), f, table, out: emitter, .. } = self;
        let part = by.part(record);
        let row = match table.get(BL::hash(&part), |key| BL::is(&part, key)) {
            Some((_, right)) => right.lend(|right| f(record, Some(right))),
            None => f(record, None),
        };
        emitter.give(at, &row, out)
    }

    fn put(&mut self, at: Timestamp, record: R::View<'_>) {
        let by = &self.by.1;
        let part = by.part(record);
        let (hash, new) = (BR::hash(&part), R::own(record));
        match self.table.get_mut(hash, |key| BR::is(&part, key)) {
            None => {
                self.table.insert(hash, BR::own(part), (at, new));
            }
            Some((since, old)) => {
                if (*since, Fields::of(old)) < (at, Fields::of(&new)) {
                    (*since, *old) = (at, new);
                }
            }
        }
    }

    /// The table is whole: what has waited goes on.
    fn release(&mut self, out: &mut Output<'_>) -> Result {
        self.whole = true;
        for (at, record) in std::mem::take(&mut self.waiting) {
            record.lend(|record| self.row(at, record, out))?;
        }
        self.out.flush(out)?;
        if self.held > Timestamp::MIN { out.watermark(self.held) } else { Ok(()) }
    }
}

impl<L, BL, R, BR, F, O> Lifecycle for TableSide<L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
    F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Send + 'static,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.held = at;
        if self.whole { out.watermark(at) } else { Ok(()) }
    }
}

impl<L, BL, R, BR, F, O> Stage<L> for TableSide<L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
    F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Send + 'static,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: L::View<'_>, out: &mut Output<'_>) -> Result {
        if self.whole {
            return self.row(stamp.at, record, out);
        }
        self.waiting.push((stamp.at, L::own(record)));
        Ok(())
    }
}

/// Joins the records of a chain, on port 0, with a table that comes on port 1 and is whole when
/// port 1 has ended. Of rows with one key the newest by event
/// time counts, of these the greatest in the order of their fields: arrival makes no difference.
pub struct TableJoin<C, L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
{
    left: Fused<C, TableSide<L, BL, R, BR, F, O>>,
    right: PhantomData<fn() -> R>,
}

impl<C, L, BL, R, BR, F, O> TableJoin<C, L, BL, R, BR, F, O>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
{
    /// Joins what a chain with its look-up gives.
    pub fn new(left: Fused<C, TableSide<L, BL, R, BR, F, O>>) -> Self {
        TableJoin { left, right: PhantomData }
    }
}

impl<C, L, BL, R, BR, F, O> Operator for TableJoin<C, L, BL, R, BR, F, O>
where
    C: Chain<Out = L>,
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    O: Record,
    F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Send + 'static,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.left.open(seat)
    }
    fn process(&mut self, port: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        if port == 0 {
            return self.left.process(port, batch, out);
        }
        for (at, record) in batch.records::<R>() {
            self.left.stage().put(at, record);
        }
        Ok(())
    }
    fn watermark(&mut self, port: usize, at: Watermark, out: &mut Output<'_>) -> Result {
        if port == 0 {
            return self.left.watermark(port, at, out);
        }
        if at == Timestamp::MAX { self.left.stage().release(out) } else { Ok(()) }
    }
    fn split(
        &mut self,
        port: usize,
        split: u32,
        state: SplitState,
        out: &mut Output<'_>,
    ) -> Result {
        if port == 0 { self.left.split(port, split, state, out) } else { Ok(()) }
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.left.flush(out)
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.left.poll(out)
    }
    fn ready(&mut self) -> bool {
        self.left.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.left.finish(out)
    }
}
