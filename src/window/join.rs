//! Joins of two streams within windows of panes.

use std::marker::PhantomData;

use super::WindowSpec;
use super::results::tell_behind;
use super::spec::us;
use crate::error::Result;
use crate::operator::{Fate, Keep, KeyOf, Lifecycle, Output, Pairing, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, Loader, Saver};
use crate::time::{Timestamp, Watermark};

mod closing;
mod rows;
mod saved;
use closing::Closing;
use rows::sides_of;

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
    windows: Closing<BL::Key, L, S, P, P::Out>,
    /// What shards had that were told less than another one's watermark, before the job went on
    /// with another number of shards.
    behind: Vec<Closing<BL::Key, L, S, P, P::Out>>,
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
    /// Joins by these keys within these windows; `lateness` in microseconds. State is kept where
    /// `backend` says.
    pub fn new(
        by: (BL, BR),
        spec: WindowSpec,
        lateness: i64,
        pairing: P,
        backend: &Backend,
    ) -> Self {
        let windows = Closing::new(spec, lateness, pairing, backend);
        WindowJoin { by, windows, behind: Vec::new(), right: PhantomData }
    }

    /// Whether no record is remembered.
    pub fn is_empty(&self) -> bool {
        self.behind.is_empty() && self.windows.is_empty()
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
    fn end(&mut self, _: &mut Output<'_>) -> Result {
        self.windows.tend();
        Ok(())
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        self.settle(out)?;
        self.windows.close::<R>(at, out)?;
        tell_behind(at, self.windows.lateness(), out)
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        for mut windows in std::mem::take(&mut self.behind) {
            windows.close::<R>(self.windows.watermark(), out)?;
            self.windows.take_up::<R>(windows);
        }
        Ok(())
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.windows.save::<R>(to)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.windows.save_more::<R>(to)
    }
    fn state_bytes(&self) -> usize {
        self.windows.state_bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        let same = from.were() == from.shards();
        let mut told = vec![Timestamp::MIN; from.were()];
        from.part::<Timestamp>("closed", |shard, _, at| {
            if !same || shard == from.shard() {
                told[shard] = at;
            }
        })?;
        let most = told.iter().copied().max().unwrap_or(Timestamp::MIN);
        self.windows = self.windows.empty(most);
        for (shard, told) in told.into_iter().enumerate() {
            let mut windows = self.windows.empty(told);
            windows.load::<R>(&from.of(shard))?;
            if told == most {
                self.windows.take_up::<R>(windows);
            } else if !windows.is_empty() {
                self.behind.push(windows);
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
        sides_of(&self.by.0, self.windows.table(stamp.at), record).left.push(L::own(record));
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
        sides_of(&self.by.1, self.windows.table(stamp.at), record).right.keep(record);
        Ok(())
    }
}
