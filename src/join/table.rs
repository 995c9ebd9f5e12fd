//! The join with a small table that every shard has.

use std::collections::VecDeque;

use super::{Fields, Joint};
use crate::error::Result;
use crate::operator::{
    Chain, Emitter, Fused, KeyOf, Lifecycle, Operator, Output, Pairing, Progress, Seat, SplitState,
    Stage, Stamp,
};
use crate::record::{Batch, Record};
use crate::state::{Backend, Held, List, Lists, Loader, PagedTable, Saver};
use crate::time::{Timestamp, Watermark};

/// A left record's view.
type Left<'a, J> = <<J as Joint>::Left as Record>::View<'a>;

/// A row of the table, with its event time.
struct Row<R> {
    at: Timestamp,
    row: R,
}

impl<R: Record> Clone for Row<R> {
    fn clone(&self) -> Self {
        Row { at: self.at, row: self.row.lend(R::own) }
    }
}

impl<R: Record> Held for Row<R> {
    type As = (Timestamp, R);
    fn lend_as<T>(&self, look: impl FnOnce(<(Timestamp, R) as Record>::View<'_>) -> T) -> T {
        self.row.lend(|row| look((self.at, row)))
    }
    fn own_as((at, row): <(Timestamp, R) as Record>::View<'_>) -> Self {
        Row { at, row: R::own(row) }
    }
}

/// The parts that the table and what waits for it are saved as.
const TABLE: &str = "table";
const WAITING: &str = "waiting";

/// The stage that looks left records up in the table. They wait until the table is whole.
pub struct TableSide<J: Joint> {
    by: (J::LeftBy, J::RightBy),
    pairing: J::Pairing,
    /// No key goes.
    table: PagedTable<J::Key, Row<J::Right>>,
    whole: bool,
    shard: usize,
    /// Left records that wait, with their marks, in the order in which they came.
    waiting: Lists<(Timestamp, J::Left)>,
    /// The watermark of what waits, and whether nothing more comes for long.
    held: Watermark,
    idle: bool,
    out: Emitter<J::Out>,
}

impl<J: Joint> TableSide<J> {
    /// Looks up by these keys; the table is kept where `backend` says.
    pub fn new(by: (J::LeftBy, J::RightBy), pairing: J::Pairing, backend: &Backend) -> Self {
        let table = PagedTable::of(backend.clone());
        let waiting = Lists::of(backend.clone());
        let (held, idle, out) = (Timestamp::MIN, false, Emitter::new(0));
        TableSide { by, pairing, table, whole: false, shard: 0, waiting, held, idle, out }
    }

    #[inline(always)]
    fn row(&mut self, stamp: Stamp, record: Left<'_, J>, out: &mut Output<'_>) -> Result {
        let TableSide { by: (by, _), pairing, table, out: emitter, .. } = self;
        Self::pair(by, pairing, table, emitter, stamp, record, out)
    }

    #[inline(always)]
    fn pair(
        by: &J::LeftBy,
        pairing: &mut J::Pairing,
        table: &PagedTable<J::Key, Row<J::Right>>,
        emitter: &mut Emitter<J::Out>,
        stamp: Stamp,
        record: Left<'_, J>,
        out: &mut Output<'_>,
    ) -> Result {
        let part = by.part(record);
        let found = table.get(J::LeftBy::hash(&part), |key| J::LeftBy::is(&part, key));
        match pairing.either(record, found.map(|found| &found.row)) {
            Some(row) => row.lend(|row| emitter.pass(stamp, row, out)),
            None => Ok(()),
        }
    }

    fn put(&mut self, at: Timestamp, record: <J::Right as Record>::View<'_>) {
        let by = &self.by.1;
        let part = by.part(record);
        let (hash, new) = (J::RightBy::hash(&part), Row { at, row: J::Right::own(record) });
        let is = |key: &J::Key| J::RightBy::is(&part, key);
        match self.table.get(hash, is) {
            None => self.table.insert_new(hash, J::RightBy::own(part), new),
            // Whatever is looked at to be changed is saved again.
            Some(old) if (old.at, Fields::of(&old.row)) < (at, Fields::of(&new.row)) => {
                self.table.put(hash, J::RightBy::own(part), new);
            }
            Some(_) => {}
        }
    }

    /// The table is whole: what has waited goes on.
    fn release(&mut self, out: &mut Output<'_>) -> Result {
        if std::mem::replace(&mut self.whole, true) {
            // A job that goes on is told again.
            return Ok(());
        }
        let TableSide { by: (by, _), pairing, table, out: emitter, waiting, .. } = self;
        for (at, (mark, left)) in waiting.all() {
            Self::pair(by, pairing, table, emitter, Stamp { at, mark }, left, out)?;
        }
        self.waiting.clear();
        self.out.flush(out)?;
        if self.held > Timestamp::MIN {
            out.watermark(self.held)?;
        }
        if self.idle { out.idle(true) } else { Ok(()) }
    }
}

impl<J: Joint> Lifecycle for TableSide<J> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.shard = seat.shard;
        Ok(())
    }
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.table.tend();
        self.out.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.held = at;
        if self.whole { out.watermark(at) } else { Ok(()) }
    }
    /// What waits is still to come: nothing behind must go on without it.
    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.idle = idle;
        if self.whole { out.idle(idle) } else { Ok(()) }
    }
    /// All shards have the same table: the first one saves it, all load it.
    fn save(&mut self, to: &mut Saver) -> Result {
        if self.shard == 0 {
            to.begin_table::<_, _, J::Right>(TABLE, &mut self.table)?;
        }
        to.part::<bool>("table is whole", |part| part.put(self.whole))?;
        to.begin_lists(WAITING, &mut self.waiting)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let table = to.table::<_, _, J::Right>(TABLE, &mut self.table, |part, _, row| {
            row.row.lend(|view| part.put_at(row.at, view));
        })?;
        Ok(table && to.lists(WAITING, &mut self.waiting)?)
    }
    fn state_bytes(&self) -> usize {
        self.table.bytes() + self.waiting.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        // Nothing of it is ever cleared, so that it is read as lists are. Of what a row was in
        // older files of the chain the newest counts, as always; older versions saved all of it.
        from.lists::<J::Right>(TABLE, |_, at, row| self.put(at, row))?;
        from.part::<bool>("table is whole", |_, _, whole| self.whole |= whole)?;
        let own = |shard: usize| shard % from.shards() == from.shard();
        from.lists::<(Timestamp, J::Left)>(WAITING, |shard, at, waits| {
            if own(shard) {
                self.waiting.push(&mut List::default(), at, waits);
            }
        })?;
        // An older version saved all that waits, and its marks, at each checkpoint.
        let mut marks = VecDeque::new();
        from.part::<Timestamp>("marks of what waits", |_, _, mark| marks.push_back(mark))?;
        from.part::<J::Left>("waiting for the table", |shard, at, left| {
            let mark = marks.pop_front().unwrap_or(Timestamp::MIN);
            if own(shard) {
                self.waiting.push(&mut List::default(), at, (mark, left));
            }
        })
    }
}

impl<J: Joint> Stage<J::Left> for TableSide<J> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: Left<'_, J>, out: &mut Output<'_>) -> Result {
        if self.whole {
            return self.row(stamp, record, out);
        }
        self.waiting.push(&mut List::default(), stamp.at, (stamp.mark, record));
        Ok(())
    }
}

/// Joins the records of a chain, on port 0, with a table that comes on port 1 and is whole when
/// port 1 has ended. Of rows with one key the newest by event time counts, of these the greatest in
/// the order of their fields: arrival makes no difference.
pub struct TableJoin<C, J: Joint> {
    left: Fused<C, TableSide<J>>,
}

impl<C, J: Joint> TableJoin<C, J> {
    /// Joins what a chain with its look-up gives.
    pub fn new(left: Fused<C, TableSide<J>>) -> Self {
        TableJoin { left }
    }
}

impl<C, J> Operator for TableJoin<C, J>
where
    C: Chain<Out = J::Left>,
    J: Joint,
{
    fn open(&mut self, seat: &Seat) -> Result {
        self.left.open(seat)
    }
    fn process(&mut self, port: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        if port == 0 {
            return self.left.process(port, batch, out);
        }
        for (at, record) in batch.records::<J::Right>() {
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
    fn idle(&mut self, port: usize, idle: bool, out: &mut Output<'_>) -> Result {
        if port == 0 { self.left.idle(port, idle, out) } else { Ok(()) }
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
    fn save(&mut self, to: &mut Saver) -> Result {
        self.left.save(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.left.save_more(to)
    }
    fn state_bytes(&self) -> usize {
        self.left.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.left.load(from)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::join::Of;
    use crate::operator::{ByValue, Edge, Node, Scene};

    /// A record that pairs with one of the table.
    #[derive(Clone)]
    struct Sum;

    impl Pairing<u64, u64> for Sum {
        type Out = u64;
        fn pair(&mut self, left: u64, right: u64) -> u64 {
            left + right
        }
    }

    /// Notes what is told to it.
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Told {
        fn note(&self, what: String) -> Result {
            self.0.lock().unwrap().push(what);
            Ok(())
        }
    }

    impl Operator for Told {
        fn process(&mut self, _: usize, batch: &Batch<'_>, _: &mut Output<'_>) -> Result {
            batch.records::<u64>().try_for_each(|(_, sum)| self.note(format!("row {sum}")))
        }
        fn watermark(&mut self, _: usize, at: Watermark, _: &mut Output<'_>) -> Result {
            self.note(format!("watermark {}", at.micros()))
        }
        fn idle(&mut self, _: usize, idle: bool, _: &mut Output<'_>) -> Result {
            self.note(format!("idle {idle}"))
        }
    }

    #[test]
    fn nothing_is_idle_behind_records_that_wait_for_the_table() {
        let by = || ByValue::new(|n: u64| n);
        fn side<B: KeyOf<u64, Key = u64>>(by: (B, B)) -> TableSide<Of<u64, B, u64, B, Sum>> {
            TableSide::new(by, Sum, &Backend::Memory)
        }
        let (mut side, told) = (side((by(), by())), Arc::<Mutex<Vec<String>>>::default());
        let node = |outputs| {
            let operator: Box<dyn Operator> = Box::new(Told(told.clone()));
            Node::new("".into(), operator, 1, outputs, Default::default())
        };
        let mut nodes = vec![node(vec![vec![Edge { node: 1, port: 0 }]]), node(Vec::new())];
        let at = Timestamp::from_micros(5);
        Output::enter(&mut nodes, 0, &Scene::default(), |_, out| {
            side.put(at, 7);
            side.record(Stamp { at, mark: Timestamp::MIN }, 7, out)?;
            side.watermark(at, out)?;
            side.idle(true, out)?;
            assert_eq!(told.lock().unwrap().len(), 0);
            side.release(out)?;
            side.idle(false, out)
        })
        .unwrap();
        assert_eq!(*told.lock().unwrap(), ["row 14", "watermark 5", "idle true", "idle false"]);
    }
}
