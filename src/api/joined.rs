//! [`Joined`]: two keyed streams whose records meet by key.

use std::rc::Rc;

use super::keyed::ToOwner;
use super::{Keyed, Stream, local2, sending};
use crate::error::{Error, Kind};
use crate::join::EquiJoin;
use crate::operator::{
    Chain, Exchange, FullOuter, Identity, Inner, Keep, KeyOf, LeftOuter, Pairing, Punctual, Seen,
    Semi, Stage, Stamp,
};
use crate::plan::{Flow, Make, Step};
use crate::record::Record;
use crate::state::Few;
use crate::time::Timestamp;
use crate::window::{Paned, WindowJoin, in_open_window};

/// Two keyed streams, to be joined; made by [`Keyed::join`].
///
/// Closures get the left record first. Which pairs there are is said next: within
/// [windows](Joined::window), or, without a word about time, all of them.
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

impl<L: Record, CL: Chain<Out = L>, BL: KeyOf<L>> Keyed<L, CL, BL> {
    /// Brings another stream's records with the same key together with this one's. Both streams
    /// must be of the same job.
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
            let what = "the streams are of two jobs; begin both at sources of the same job";
            let refuse: Make = Box::new(move |_| Err(Error::new(Kind::Plan, what)));
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

    /// Joins only records that fall into the same window.
    pub fn window<W: Paned>(
        self,
        windows: W,
    ) -> JoinedWindows<Keyed<L, CL, BL>, Keyed<R, CR, BR>, W> {
        JoinedWindows { joined: self, windows }
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
