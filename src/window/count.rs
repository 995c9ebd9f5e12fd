//! Count windows: so many records of a key, in the order of arrival.

use std::fmt;

use super::Windows;
use super::check::check_count;
use super::results::Results;
use super::spec::us;
use crate::error::{Error, Kind, Result};
use crate::limits::COUNT_WINDOWS;
use crate::operator::{Aggregate, KeyOf, Lifecycle, Output, Stage, Stamp};
use crate::record::Record;
use crate::state::{Backend, Loader, PagedTable, Saver};
use crate::time::{Timestamp, Watermark};

/// Windows of a number of records of each key, whenever they happened.
///
/// They are taken in the order of arrival: within a split that is the split's own order; between
/// splits there is none, so a job whose keys come from several splits gives other windows in every
/// run. A window reaches from its least event time to just after its greatest. Nothing is late.
/// Every key keeps a little for ever, also between windows.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Memory::of([1_u64, 2, 3, 4, 5, 6, 7]).splits(1))
///     .window(CountWindow::of(3))
///     .aggregate(|ns| ns.sum(|n| n))
///     .map(|three| three.value)
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [6, 15]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindow {
    size: u64,
    slide: u64,
}

impl CountWindow {
    /// Windows of `size` records, one after the other. Records that do not fill a window when the
    /// stream ends give no result. The job does not start if `size` is 0.
    pub fn of(size: u64) -> CountWindow {
        CountWindow::sliding(size, size)
    }

    /// After every `slide` records the last `size` ones, or all if there were fewer. The job does
    /// not start if one of them is 0, or if a record would be in too many windows
    /// ([`COUNT_WINDOWS`]).
    pub fn sliding(size: u64, slide: u64) -> CountWindow {
        CountWindow { size, slide }
    }

    /// How many windows begin with a key's record number `n`, counted from 1.
    fn opened_by(self, n: u64) -> u64 {
        if n == 1 {
            return self.size / self.slide;
        }
        u64::from((n - 1).saturating_add(self.size).is_multiple_of(self.slide))
    }
}

impl fmt::Display for CountWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CountWindow { size, slide } = self;
        write!(f, "{size} records")?;
        if slide == size { Ok(()) } else { write!(f, ", every {slide}") }
    }
}

impl Windows for CountWindow {
    fn needs_event_times(&self) -> bool {
        false
    }
    fn check(&self) -> Result {
        check_count("size of the windows", self.size)?;
        check_count("slide of the windows", self.slide)?;
        let open = self.size / self.slide;
        if open <= COUNT_WINDOWS {
            return Ok(());
        }
        let what = format!(
            "each record of a key would be in {open} windows ({self}); at most {COUNT_WINDOWS} are \
             allowed: give a longer slide"
        );
        Err(Error::new(Kind::Plan, what))
    }
}

/// An open window: its least and greatest event time, what it holds.
type Open<T> = (Timestamp, Timestamp, T);

/// How many records a key has had, and its open windows, oldest first.
type Kept<T> = (u64, Vec<Open<T>>);

/// The count windows of the keys that this shard owns. A record is added to each of its windows,
/// so that the aggregate need not be one that merges.
pub struct Counted<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    by: B,
    windows: CountWindow,
    keys: PagedTable<B::Key, Kept<A::Acc>>,
    results: Results<R, B::Key, A>,
}

impl<R, B, A> Counted<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    /// Results for these windows, whose state is kept where `backend` says.
    pub fn new(by: B, aggregate: A, windows: CountWindow, backend: &Backend) -> Self {
        let (keys, results) = (PagedTable::of(backend.clone()), Results::new(aggregate));
        Counted { by, windows, keys, results }
    }
}

impl<R, B, A> Lifecycle for Counted<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    fn end(&mut self, out: &mut Output<'_>) -> Result {
        self.keys.tend();
        self.results.flush(out)
    }
    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        out.watermark(at)
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        to.begin_table::<_, _, (B::Key, Kept<A::Acc>)>("windows", &mut self.keys)
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        let keys = &mut self.keys;
        to.table::<_, _, (B::Key, Kept<A::Acc>)>("windows", keys, |part, key, kept| {
            key.lend(|key| {
                kept.lend(|kept| part.put((B::Key::shorten(key), Kept::<A::Acc>::shorten(kept))));
            });
        })
    }
    fn state_bytes(&self) -> usize {
        self.keys.bytes()
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        from.table::<_, _, (B::Key, Kept<A::Acc>)>("windows", &mut self.keys, |(key, kept)| {
            (B::Key::own(key), Kept::<A::Acc>::own(kept))
        })
    }
}

impl<R, B, A> Stage<(Timestamp, R)> for Counted<R, B, A>
where
    R: Record,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    #[inline]
    fn record(
        &mut self,
        Stamp { at, .. }: Stamp,
        (_, record): (Timestamp, R::View<'_>),
        out: &mut Output<'_>,
    ) -> Result {
        let Counted { by, windows, keys, results } = self;
        let part = by.part(record);
        let hash = B::hash(&part);
        let first = || (B::own(by.part(record)), (0, Vec::new()));
        let (n, open) = keys.entry(hash, |key| B::is(&part, key), first);
        *n += 1;
        for (first, last, acc) in open.iter_mut() {
            results.aggregate.add(acc, at, record);
            (*first, *last) = (at.min(*first), at.max(*last));
        }
        for _ in 0..windows.opened_by(*n) {
            open.push((at, at, results.aggregate.start(at, record)));
        }
        if n.is_multiple_of(windows.slide) && !open.is_empty() {
            let (first, last, acc) = open.remove(0);
            results.give(last, (first, us(last, 1)), &B::own(part), &acc, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_opened_by_its_first_record() {
        for (size, slide) in [(1, 1), (3, 3), (5, 2), (6, 2), (2, 5), (7, 3), (1, 4)] {
            let windows = CountWindow::sliding(size, slide);
            for n in 1..40_u64 {
                let first = |k: &u64| (k * slide).saturating_sub(size) + 1;
                let begin = (1..60).filter(|k| first(k) == n).count() as u64;
                assert_eq!(windows.opened_by(n), begin, "size {size}, slide {slide}, record {n}");
            }
        }
    }
}
