//! Joins of two streams within windows of panes.

use std::collections::VecDeque;
use std::marker::PhantomData;

use super::spec::us;
use super::{Panes, WindowSpec};
use crate::error::Result;
use crate::operator::{Emitter, Keep, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::{Key, Record};
use crate::state::{Few, Table};
use crate::time::{Timestamp, Watermark};

/// What is kept of a key's records in a pane.
type PaneSides<L, S> = Sides<Few<L>, S>;

type PaneOf<K, L, S> = Table<K, PaneSides<L, S>>;

/// The rule for [`Punctual`](crate::operator::Punctual): a record is late once its split's
/// watermark has reached the end of the first of its windows. So each pair of records on time is
/// in all windows that hold both, whatever the batches.
pub fn in_open_window(
    spec: WindowSpec,
) -> impl FnMut(Stamp) -> Option<Timestamp> + Clone + Send + 'static {
    // The last record's pane, and from where on records of it are late.
    let (mut from, mut to, mut late_from) = (Timestamp::MAX, Timestamp::MIN, Timestamp::MIN);
    move |Stamp { at, mark }| {
        if at < from || at >= to {
            from = spec.pane_of(at);
            to = us(from, spec.pane);
            late_from = spec.first_end(from);
        }
        (mark < late_from).then_some(at)
    }
}

/// Joins the records of a key that fall into the same window; rows leave when the window closes,
/// with the event time of its last microsecond. `S` is what is kept of the right side.
pub struct WindowJoin<L, BL, R, BR, S, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    S: Keep<R>,
    P: Pairing<L, S::Kept>,
{
    by: (BL, BR),
    panes: Panes<BL::Key, PaneSides<L, S>>,
    closing: Closing<BL::Key, L, S, P, P::Out>,
    right: PhantomData<fn() -> R>,
}

impl<L, BL, R, BR, S, P> WindowJoin<L, BL, R, BR, S, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    S: Keep<R>,
    P: Pairing<L, S::Kept>,
{
    /// Joins by these keys within these windows.
    pub fn new(by: (BL, BR), spec: WindowSpec, pairing: P) -> Self {
        let panes = Panes::new(spec.pane, spec.offset);
        let (held, out) = (VecDeque::new(), Emitter::new(0));
        let closing = Closing { spec, pairing, next: None, held, out };
        WindowJoin { by, panes, closing, right: PhantomData }
    }

    /// Whether no record is remembered.
    pub fn is_empty(&self) -> bool {
        self.panes.oldest().is_none() && self.closing.held.is_empty()
    }
}

impl<L, BL, R, BR, S, P> Lifecycle for WindowJoin<L, BL, R, BR, S, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    S: Keep<R>,
    P: Pairing<L, S::Kept>,
{
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.closing.close::<R>(&mut self.panes, at, out)?;
        out.watermark(at)
    }
}

impl<L, BL, R, BR, S, P> Stage<L, 0> for WindowJoin<L, BL, R, BR, S, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    S: Keep<R>,
    P: Pairing<L, S::Kept>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: L::View<'_>, _: &mut Output<'_>) -> Result {
        Sides::of(&self.by.0, self.panes.at(stamp.at), record).left.push(L::own(record));
        Ok(())
    }
}

impl<L, BL, R, BR, S, P> Stage<R, 1> for WindowJoin<L, BL, R, BR, S, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    S: Keep<R>,
    P: Pairing<L, S::Kept>,
{
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, _: &mut Output<'_>) -> Result {
        Sides::of(&self.by.1, self.panes.at(stamp.at), record).right.keep(record);
        Ok(())
    }
}

/// Makes windows of panes and hands on their rows.
struct Closing<K, L, S, P, O> {
    spec: WindowSpec,
    pairing: P,
    /// The end of the next window, once a pane has been seen.
    next: Option<Timestamp>,
    /// The panes of the windows that are still to end, oldest first.
    held: VecDeque<(Timestamp, PaneOf<K, L, S>)>,
    out: Emitter<O>,
}

impl<K: Key, L: Record, S: 'static, P, O: Record> Closing<K, L, S, P, O> {
    /// Closes every window that ends at or before `at`.
    fn close<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        at: Watermark,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        loop {
            // While no pane is held the next window is the first one of the oldest pane.
            let first = panes.oldest().map(|pane| self.spec.first_end(pane));
            let next = if self.held.is_empty() { first } else { self.next };
            let Some(end) = next.filter(|end| *end <= at) else {
                break;
            };
            self.window::<R>(panes, end, out)?;
            self.next = Some(self.spec.next_end(end));
        }
        self.out.flush(out)
    }

    fn window<R: Record>(
        &mut self,
        panes: &mut Panes<K, PaneSides<L, S>>,
        end: Timestamp,
        out: &mut Output<'_>,
    ) -> Result
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let Closing { spec, pairing, held, out: emitter, .. } = self;
        let mut rows = Rows { pairing, emitter, at: us(end, -1) };
        while let Some((pane, mut table)) = panes.pop_before(end) {
            if spec.is_tumbling() {
                for (_, sides) in table.drain() {
                    rows.of::<L, R, S>(&[&sides], out)?;
                }
                panes.recycle(table);
            } else if spec.last_end(pane) >= end {
                // A split that was idle may bring back a pane that is older than others.
                let place = held.partition_point(|(other, _)| *other < pane);
                held.insert(place, (pane, table));
            } else {
                panes.recycle(table);
            }
        }
        let start = spec.start_of(end);
        let first = held.iter().take_while(|(pane, _)| *pane < start).count();
        for at in first..held.len() {
            for (key, sides) in held[at].1.iter() {
                let hash = crate::key::hash(key);
                let mut earlier = held.range(first..at);
                if earlier.any(|(_, pane)| pane.get(hash, |other| other == key).is_some()) {
                    continue;
                }
                let later = held.range(at + 1..);
                let later = later.filter_map(|(_, pane)| pane.get(hash, |other| other == key));
                let all: Vec<&PaneSides<L, S>> = std::iter::once(sides).chain(later).collect();
                rows.of::<L, R, S>(&all, out)?;
            }
        }
        let after = spec.next_end(end);
        while held.front().is_some_and(|(pane, _)| spec.last_end(*pane) < after) {
            if let Some((_, table)) = held.pop_front() {
                panes.recycle(table);
            }
        }
        Ok(())
    }
}

/// Where the rows of a window go.
struct Rows<'a, P, O> {
    pairing: &'a mut P,
    emitter: &'a mut Emitter<O>,
    at: Timestamp,
}

impl<P, O: Record> Rows<'_, P, O> {
    /// The rows of one key from what its panes hold.
    fn of<L, R, S>(&mut self, panes: &[&PaneSides<L, S>], out: &mut Output<'_>) -> Result
    where
        L: Record,
        R: Record,
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let Rows { pairing, emitter, at } = self;
        let lefts = || panes.iter().flat_map(|pane| pane.left.iter());
        let rights = || panes.iter().flat_map(|pane| pane.right.kept());
        for left in lefts() {
            let mut alone = true;
            for right in rights() {
                alone = false;
                let row = left.lend(|left| right.lend(|right| pairing.pair(left, right)));
                emitter.give(*at, &row, out)?;
                if P::ONCE {
                    break;
                }
            }
            if P::LEFT
                && alone
                && let Some(row) = left.lend(|left| pairing.left(left))
            {
                emitter.give(*at, &row, out)?;
            }
        }
        if P::RIGHT && lefts().next().is_none() {
            for right in rights() {
                if let Some(row) = right.lend(|right| pairing.right(right)) {
                    emitter.give(*at, &row, out)?;
                }
            }
        }
        Ok(())
    }
}
