//! Records that come late for a window join.

use std::time::Duration;

use super::{Joined, SameWindow, SeenInWindow, WithLate};
use crate::api::{Keyed, Stream};
use crate::operator::{Chain, FullOuter, Inner, KeyOf, LeftOuter, Semi};
use crate::record::Record;
use crate::time::span;
use crate::window::Paned;

impl<L, CL, BL, R, CR, BR, W> Joined<Keyed<L, CL, BL>, Keyed<R, CR, BR>, SameWindow<W>>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    W: Paned,
{
    /// Keeps a window for so much event time after its end. A record of either side that comes
    /// for it within that time gives its pairs with what the window holds, with the next
    /// watermark: rows come later than without it, and none is given twice or taken back.
    ///
    /// So a row with `None` leaves only when the lateness is over. A record that is on time for
    /// the first of its windows, by the watermark of its own split less the lateness, is on time
    /// for all. The watermark behind the join is behind by the lateness, since rows have the event
    /// time of their window's last microsecond however late they are: none of them is late for
    /// what follows, and which rows there are does not depend on the number of shards.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// let at = |ms: u64| Timestamp::from_millis(ms as i64);
    /// let left = job.source(Memory::of([1_u64, 20, 2, 40]).splits(1)).event_time(at, 0.seconds());
    /// let right = job.source(Memory::of([3_u64, 40]).splits(1)).event_time(at, 0.seconds());
    /// left.key_by(|_| ())
    ///     .join(right.key_by(|_| ()))
    ///     .window(Tumbling::of(10.millis()))
    ///     .allowed_lateness(15.millis())
    ///     .inner(|left, right| (left, right))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(1, 3), (2, 3), (40, 40)]); // 2 came after 20
    /// # Ok::<(), Error>(())
    /// ```
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        let Joined { left, right, how } = self;
        Joined { left, right, how: SameWindow { lateness: span(lateness), ..how } }
    }

    /// A row for every left record of a window that holds a right record of its key. Of the right
    /// stream only that is remembered.
    pub fn semi<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>) -> O + Clone + Send + 'static,
    {
        self.seen().rows(Semi::new(f))
    }

    /// As [`inner`](Joined::inner); the second stream is the left records that came too late, the
    /// third one the right ones, with their event times, on the shards that read them. They are as
    /// [those of windows](crate::api::Windowed::aggregate_with_late).
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// # let (lefts, late_left) = Collect::new();
    /// # let (rights, late_right) = Collect::new();
    /// let at = |ms: u64| Timestamp::from_millis(ms as i64);
    /// let left = job.source(Memory::of([1_u64, 20, 2]).splits(1)).event_time(at, 0.seconds());
    /// let right = job.source(Memory::of([3_u64, 30, 25]).splits(1)).event_time(at, 0.seconds());
    /// let joined = left.key_by(|_| ()).join(right.key_by(|_| ()));
    /// let (rows, left, right) =
    ///     joined.window(Tumbling::of(10.millis())).inner_with_late(|left, right| (left, right));
    /// rows.sink(sink);
    /// left.sink(lefts);
    /// right.sink(rights);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [(1, 3)]);
    /// assert_eq!((late_left.take(), late_right.take()), (vec![2], vec![25]));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn inner_with_late<O, F>(self, f: F) -> WithLate<O, L, R>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
    {
        self.rows_and_late(Inner::new(f), true)
    }

    /// [`left`](Joined::left), with late records as
    /// [`inner_with_late`](Joined::inner_with_late) gives them.
    pub fn left_with_late<O, F>(self, f: F) -> WithLate<O, L, R>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.rows_and_late(LeftOuter::new(f), true)
    }

    /// [`full`](Joined::full), with late records as
    /// [`inner_with_late`](Joined::inner_with_late) gives them.
    pub fn full_with_late<O, F>(self, f: F) -> WithLate<O, L, R>
    where
        O: Record + Clone,
        F: FnMut(Option<L::View<'_>>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.rows_and_late(FullOuter::new(f), true)
    }

    /// [`semi`](Joined::semi), with late records as
    /// [`inner_with_late`](Joined::inner_with_late) gives them.
    pub fn semi_with_late<O, F>(self, f: F) -> WithLate<O, L, R>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>) -> O + Clone + Send + 'static,
    {
        self.seen().rows_and_late(Semi::new(f), true)
    }

    /// Remembers of the right records only that there was one.
    fn seen(self) -> Joined<Keyed<L, CL, BL>, Keyed<R, CR, BR>, SeenInWindow<W>> {
        let Joined { left, right, how } = self;
        Joined { left, right, how: SeenInWindow(how) }
    }
}
