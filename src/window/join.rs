//! Joins of two streams within windows of panes.

use std::marker::PhantomData;

use super::results::tell_behind;
use super::spec::us;
use super::{Panes, WindowSpec};
use crate::error::Result;
use crate::operator::{Fate, Keep, KeyOf, Lifecycle, Output, Pairing, Sides, Stage, Stamp};
use crate::record::Record;
use crate::state::{Loader, Saver};
use crate::time::{Timestamp, Watermark};

mod closing;
mod rows;
mod saved;
#[cfg(test)]
mod saved_tests;
use closing::{Closing, add};
use rows::PaneSides;

/// Open panes, and what has become of closed ones.
type Windows<K, L, S, P, O> = (Panes<K, PaneSides<L, S>>, Closing<K, L, S, P, O>);

/// The rule for [`Punctual`](crate::operator::Punctual): a record is late once its split's
/// watermark has reached the end of the first of its windows, `lateness` microseconds later. So
/// each pair of records on time is in all windows that hold both, whatever the batches.
pub fn in_open_window(
    spec: WindowSpec,
    lateness: i64,
) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
    // The last record's pane, and from where on records of it are late.
    let (mut from, mut to, mut late_from) = (Timestamp::MAX, Timestamp::MIN, Timestamp::MIN);
    move |Stamp { at, mark }| {
        if at < from || at >= to {
            from = spec.pane_of(at);
            to = us(from, spec.pane);
            late_from = us(spec.first_end(from), lateness);
        }
        if mark < late_from {
            Fate::Counts(at)
        } else if spec.is_between(from) {
            Fate::Unasked
        } else {
            Fate::Late
        }
    }
}

/// Joins the records of a key that fall into the same window; rows leave when the window ends,
/// with the event time of its last microsecond. `S` is what is kept of the right side.
///
/// With an allowed lateness a window is kept for so long after its end. A record that comes for it
/// meanwhile gives its pairs with the next watermark. What stays alone leaves when the lateness is
/// over, and the watermark behind the join is so far behind: no row is late for what follows.
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
    /// What shards had that were told less than another one's watermark, before the job went on
    /// with another number of shards.
    behind: Vec<Windows<BL::Key, L, S, P, P::Out>>,
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
    /// Joins by these keys within these windows; `lateness` in microseconds.
    pub fn new(by: (BL, BR), spec: WindowSpec, lateness: i64, pairing: P) -> Self {
        let panes = Panes::new(spec.pane, spec.offset);
        let closing = Closing::new(spec, lateness, pairing);
        WindowJoin { by, panes, closing, behind: Vec::new(), right: PhantomData }
    }

    /// Whether no record is remembered.
    pub fn is_empty(&self) -> bool {
        let none = self.behind.is_empty() && self.closing.is_empty();
        none && self.panes.oldest().is_none()
    }

    /// Takes up windows that have been told the same watermark.
    fn take_up(&mut self, (mut panes, closing): Windows<BL::Key, L, S, P, P::Out>) {
        self.closing.take_up::<R>(&mut self.panes, closing);
        while let Some((pane, mut table)) = panes.pop_before(Timestamp::MAX) {
            add::<_, L, R, S>(self.panes.at(pane), &mut table);
        }
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
        for (mut panes, mut closing) in std::mem::take(&mut self.behind) {
            closing.close::<R>(&mut panes, self.closing.watermark(), out)?;
            self.take_up((panes, closing));
        }
        self.closing.close::<R>(&mut self.panes, at, out)?;
        tell_behind(at, self.closing.lateness(), out)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.part::<Timestamp>("closed", |part| part.put(self.closing.watermark()))?;
        saved::save::<_, L, R, S>("open", &self.panes.iter().collect::<Vec<_>>(), to)?;
        saved::save::<_, L, R, S>("held", &self.closing.held().collect::<Vec<_>>(), to)
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let same = from.were() == from.shards();
        let mut told = vec![Timestamp::MIN; from.were()];
        from.part::<Timestamp>("closed", |shard, _, at| {
            if !same || shard == from.shard() {
                told[shard] = at;
            }
        })?;
        let empty = || told.iter().map(|_| self.closing.panes()).collect();
        let open: Vec<_> = saved::load::<_, L, R, S>("open", empty(), from)?;
        let held: Vec<_> = saved::load::<_, L, R, S>("held", empty(), from)?;
        let most = told.iter().copied().max().unwrap_or(Timestamp::MIN);
        self.closing = self.closing.empty(most);
        for (told, (mut open, mut held)) in told.into_iter().zip(open.into_iter().zip(held)) {
            let mut closing = self.closing.empty(told);
            while let Some((pane, table)) = held.pop_before(Timestamp::MAX) {
                closing.hold::<R>(&mut open, pane, table);
            }
            if told == most {
                self.take_up((open, closing));
            } else if !(open.oldest().is_none() && closing.is_empty()) {
                self.behind.push((open, closing));
            }
        }
        Ok(())
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
