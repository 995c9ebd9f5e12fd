//! [`Joined`]: two keyed streams whose records meet by key.

use std::rc::Rc;
use std::time::Duration;

use super::keyed::ToOwner;
use super::{Keyed, Stream, local2, sending};
use crate::error::{Error, Kind};
use crate::join::{AsOfJoin, EquiJoin, IntervalJoin, TableJoin, TableSide};
use crate::operator::{
    ByValue, Chain, Exchange, FullOuter, Fused, Identity, Inner, Keep, KeyOf, LeftOuter, Operator,
    Pairing, Punctual, Seen, Semi, Stage, Stamp,
};
use crate::plan::{Flow, Make, Step};
use crate::record::{Key, Record};
use crate::state::Few;
use crate::time::{Timestamp, span};
use crate::window::{Paned, WindowJoin, in_open_window};

/// Two keyed streams, to be joined; made by [`Keyed::join`].
///
/// Closures get the left record first. Which pairs there are is said next: those of
/// one [window](Joined::window), those [between](Joined::between) two bounds on the difference of
/// their times, the [newest](Joined::as_of) right record at the time of a left one, or, without a
/// word about time, all. Each has a program in the guide's [joins](crate::guide::joins).
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// let names = job.source(Memory::of([(1_u64, "ann".to_owned()), (2, "bob".to_owned())]));
/// let sales = job.source(Memory::of([(1_u64, 30_u64), (3, 5), (1, 12)]));
/// names
///     .key_by(|(id, _)| id)
///     .join(sales.key_by(|(seller, _)| seller))
///     .inner(|(_, name), (_, price)| (name.to_owned(), price))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [("ann".to_owned(), 12), ("ann".to_owned(), 30)]);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a join does nothing until it is said what rows it gives"]
pub struct Joined<A, B> {
    left: A,
    right: B,
}

/// Two keyed streams, to be joined within windows; made by [`Joined::window`].
#[must_use = "a join does nothing until it is said what rows it gives"]
pub struct JoinedWindows<A, B, W> {
    joined: Joined<A, B>,
    windows: W,
}

/// A time relative to another, for [`Joined::between`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// So much earlier.
    Before(Duration),
    /// So much later.
    After(Duration),
}

impl Offset {
    /// Microseconds later.
    fn micros(self) -> i64 {
        match self {
            Offset::Before(by) => -span(by),
            Offset::After(by) => span(by),
        }
    }
}

/// Two keyed streams, to be joined where times are near; made by [`Joined::between`].
#[must_use = "a join does nothing until it is said what rows it gives"]
pub struct JoinBetween<A, B> {
    joined: Joined<A, B>,
    lower: i64,
    upper: i64,
}

/// Two keyed streams, to be joined with the newest; made by [`Joined::as_of`].
#[must_use = "a join does nothing until it is said what rows it gives"]
pub struct JoinAsOf<A, B> {
    joined: Joined<A, B>,
    tolerance: i64,
}

impl<L: Record, CL: Chain<Out = L>, BL: KeyOf<L>> Keyed<L, CL, BL> {
    /// Brings another stream's records with the same key together with this one's.
    ///
    /// # Errors
    /// The job does not start when the streams are of two jobs.
    pub fn join<R, CR, BR>(self, right: Keyed<R, CR, BR>) -> Joined<Self, Keyed<R, CR, BR>>
    where
        R: Record,
        CR: Chain<Out = R>,
        BR: KeyOf<R, Key = BL::Key>,
    {
        Joined { left: self, right }
    }
}

impl<L, CL, BL, R, CR, BR> Joined<Keyed<L, CL, BL>, Keyed<R, CR, BR>>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
{
    /// Adds the step: both sides go to the key's owner; with one shard they are fused into the
    /// join.
    fn step<O, S>(
        self,
        kind: &str,
        on_time: impl FnMut(Stamp) -> Option<Timestamp> + Clone + Send + 'static,
        mut stage: impl FnMut(BL, BR) -> S + Clone + Send + 'static,
    ) -> Stream<O>
    where
        O: Record,
        S: Stage<L, 0> + Stage<R, 1>,
    {
        let Joined { left, right } = self;
        let (name, plan) = (left.stream.label(kind), left.stream.plan.clone());
        let (from_left, from_right) = (left.stream.from, right.stream.from);
        if !Rc::ptr_eq(&plan, &right.stream.plan) {
            let refuse: Make = Box::new(move |_| Err(two_jobs()));
            let step = Step { name, inputs: vec![from_left], flow: Flow::Local(refuse) };
            let origin = plan.borrow_mut().add(step);
            return Stream::at(&plan, origin);
        }
        let by = (left.by.clone(), right.by.clone());
        let guarded = (by.clone(), stage.clone(), on_time.clone());
        let alone = local2((left.stream.chain.clone(), right.stream.chain.clone()), move |_| {
            let ((left, right), mut stage, on_time) = guarded.clone();
            Ok(Punctual::new(stage(left, right), on_time))
        });
        let receiver = local2((Identity::new(), Identity::new()), move |_| {
            let (left, right) = by.clone();
            Ok(stage(left, right))
        });
        let rule = on_time.clone();
        let send_left = sending(left.stream.chain, move |lanes, bells| {
            let owner = ToOwner::new(left.by.clone());
            Punctual::new(Exchange::new(owner, lanes, bells), rule.clone())
        });
        let send_right = sending(right.stream.chain, move |lanes, bells| {
            let owner = ToOwner::new(right.by.clone());
            Punctual::new(Exchange::new(owner, lanes, bells), on_time.clone())
        });
        let flow = Flow::Exchanged { senders: vec![send_left, send_right], receiver, alone };
        let step = Step { name, inputs: vec![from_left, from_right], flow };
        let origin = plan.borrow_mut().add(step);
        Stream::at(&plan, origin)
    }

    /// Joins only records that fall into the same window. Both streams need event times.
    pub fn window<W: Paned>(
        self,
        windows: W,
    ) -> JoinedWindows<Keyed<L, CL, BL>, Keyed<R, CR, BR>, W> {
        JoinedWindows { joined: self, windows }
    }

    /// Joins a left record with the right records whose event time is between `lower` and `upper`
    /// of its own, both inclusive; with `lower` after `upper` that is none. Both streams need event
    /// times.
    pub fn between(
        self,
        lower: Offset,
        upper: Offset,
    ) -> JoinBetween<Keyed<L, CL, BL>, Keyed<R, CR, BR>> {
        JoinBetween { joined: self, lower: lower.micros(), upper: upper.micros() }
    }

    /// Joins every left record with the newest right record that is not newer than itself and at
    /// most `tolerance` older, just so much included: the price that was valid when the order came.
    /// Of right records of one key and time the greatest in the order of their fields counts. Both
    /// streams need event times.
    pub fn as_of(self, tolerance: Duration) -> JoinAsOf<Keyed<L, CL, BL>, Keyed<R, CR, BR>> {
        JoinAsOf { joined: self, tolerance: span(tolerance) }
    }

    fn equi<P: Pairing<L, R>>(self, pairing: P) -> Stream<P::Out> {
        // A record that is late counts as having come on time, so that its rows are not late for
        // what follows on some shards and on time on others.
        let on_time = |Stamp { at, mark }: Stamp| Some(at.max(mark));
        self.step("join", on_time, move |left, right| EquiJoin::new((left, right), pairing.clone()))
    }

    /// A row for every pair of records with the same key, as soon as both are there; its event
    /// time is the later one's. Every record is remembered to the end: give the streams a bound,
    /// or join within windows, where they are endless.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
    {
        self.equi(Inner::new(f))
    }

    /// As [`inner`](Joined::inner), and a row with `None` for every left record whose key has no
    /// right record.
    ///
    /// That there is none is known when the input has ended: such rows leave then. Streams here
    /// are append-only, so no row is given early and taken back later (as a retraction stream
    /// does), and no watermark is handed on before the end. A job that is stopped gives none of
    /// these rows.
    pub fn left<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.equi(LeftOuter::new(f))
    }

    /// As [`left`](Joined::left), for both sides.
    pub fn full<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(Option<L::View<'_>>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.equi(FullOuter::new(f))
    }
}

/// Rows leave when the watermark of both streams has passed the window's end; their event time is
/// the window's last microsecond. A record whose split's watermark has already passed the end of
/// all its windows is late: it is counted and dropped.
impl<L, CL, BL, R, CR, BR, W> JoinedWindows<Keyed<L, CL, BL>, Keyed<R, CR, BR>, W>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    W: Paned,
{
    fn rows<S, P>(self, pairing: P) -> Stream<P::Out>
    where
        S: Keep<R>,
        P: Pairing<L, S::Kept>,
    {
        let spec = self.windows.spec();
        self.joined.step("window join", in_open_window(spec), move |left, right| {
            WindowJoin::<L, BL, R, BR, S, P>::new((left, right), spec, pairing.clone())
        })
    }

    /// A row for every pair of records of a window with the same key.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
    {
        self.rows::<Few<R>, _>(Inner::new(f))
    }

    /// As [`inner`](JoinedWindows::inner), and a row with `None` for every left record of a
    /// window that holds no right record of its key.
    pub fn left<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.rows::<Few<R>, _>(LeftOuter::new(f))
    }

    /// As [`left`](JoinedWindows::left), for both sides.
    pub fn full<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(Option<L::View<'_>>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.rows::<Few<R>, _>(FullOuter::new(f))
    }

    /// A row for every left record of a window that holds a right record of its key. Of the right
    /// stream only that is remembered.
    pub fn semi<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>) -> O + Clone + Send + 'static,
    {
        self.rows::<Seen, _>(Semi::new(f))
    }
}

/// The rule for records of which none older than the watermark is awaited.
fn not_behind(Stamp { at, mark }: Stamp) -> Option<Timestamp> {
    (at >= mark).then_some(at)
}

/// A record that is older than its split's watermark is late: it is counted and dropped. What no
/// later record can meet is forgotten.
impl<L, CL, BL, R, CR, BR> JoinBetween<Keyed<L, CL, BL>, Keyed<R, CR, BR>>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
{
    /// A row for every pair, as soon as both are there; its event time is the later one's.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
    {
        let JoinBetween { joined, lower, upper } = self;
        let pairing = Inner::new(f);
        joined.step("interval join", not_behind, move |left, right| {
            IntervalJoin::<L, BL, R, BR, _>::new((left, right), lower, upper, pairing.clone())
        })
    }
}

/// A row leaves once the watermark of both streams has passed the left record's time, which is
/// its event time. A record that is older than its split's watermark is late: it is counted and
/// dropped.
impl<L, CL, BL, R, CR, BR> JoinAsOf<Keyed<L, CL, BL>, Keyed<R, CR, BR>>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
{
    fn rows<P: Pairing<L, R>>(self, pairing: P) -> Stream<P::Out> {
        let JoinAsOf { joined, tolerance } = self;
        joined.step("as-of join", not_behind, move |left, right| {
            AsOfJoin::<L, BL, R, BR, _>::new((left, right), tolerance, pairing.clone())
        })
    }

    /// A row for every left record that has a right one.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
    {
        self.rows(Inner::new(f))
    }

    /// A row for every left record.
    pub fn left<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
    {
        self.rows(LeftOuter::new(f))
    }
}

impl<L: Record, C: Chain<Out = L>> Stream<L, C> {
    /// A row for every record, with the row of a small table that has its key, if there is one.
    /// The table goes to every shard; the records stay where they are and keep their event times.
    ///
    /// The table must end: records wait for that in memory, without a bound, so let it be small
    /// and quick to read. Of its rows with one key the newest by event time counts, of these the
    /// greatest in the order of their fields.
    ///
    /// # Errors
    /// The job does not start when the streams are of two jobs.
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
        let one_job = Rc::ptr_eq(&self.plan, &table.plan);
        let by = (ByValue::new(left_key), ByValue::new(row_key));
        let (name, chain) = (self.label("table join"), self.chain.clone());
        // A stranger's origin means nothing in this plan.
        let second = if one_job { table.broadcast().from } else { self.from };
        let make: Make = Box::new(move |site| {
            if !one_job {
                return Err(two_jobs());
            }
            let side = TableSide::<L, _, R, _, F, O>::new(by.clone(), f.clone());
            let left = Fused::new(chain.clone(), side, site.lead(0));
            Ok(Box::new(TableJoin::new(left)) as Box<dyn Operator>)
        });
        let step = Step { name, inputs: vec![self.from, second], flow: Flow::Local(make) };
        let origin = self.plan.borrow_mut().add(step);
        Stream::at(&self.plan, origin)
    }
}

fn two_jobs() -> Error {
    let what = "the streams are of two jobs; begin both at sources of the same job";
    Error::new(Kind::Plan, what)
}
