//! [`Joined`]: two keyed streams whose records meet by key.

use std::rc::Rc;
use std::time::Duration;

use super::keyed::{TO_OWNER, ToOwner};
use super::{Keyed, Stream, local2, refuse, refusing, sending};
use crate::error::{Error, Kind};
use crate::join::Of;
use crate::operator::{
    Chain, Exchange, FullOuter, Identity, Inner, KeyOf, Late, LateOfBoth, LeftOuter, Pairing,
    Punctual,
};
use crate::plan::{Flow, Input, Origin, Site, Step};
use crate::record::Record;
use crate::window::{LATE_PORT, Paned};

mod how;
mod late;
mod table;
pub use how::{AsOf, Between, Ever, How, Mutual, Offset, SameWindow, SeenInWindow};

/// Two keyed streams, to be joined; made by [`Keyed::join`].
///
/// First a word about time may say which records of a key meet, then what rows are made:
/// [`inner`](Joined::inner), [`left`](Joined::left), [`full`](Joined::full) or
/// [`semi`](Joined::semi). Closures get the left record first.
///
/// | | which meet | when a row leaves | its event time | late is |
/// |---|---|---|---|---|
/// | – | all | when both are there; alone: at the end | the later one's | nothing |
/// | [`window`](Joined::window) | those of a window | at the window's end | the window's last microsecond | what came after the end of the first of its windows and the allowed lateness |
/// | [`between`](Joined::between) | those whose times are near | when both are there; alone: when none can come any more | the later one's; alone: the last time at which another could have come, or its own if that is later | what is older than the watermark |
/// | [`as_of`](Joined::as_of) | a left one with the newest right one at its time | when that time is over | the left one's | what is older than the watermark |
///
/// The ends are those of event time, when the watermark of both streams has passed them. The
/// watermark that decides what is late is that of the record's own split, so that neither the
/// number of shards nor the size of batches matters; what is late is counted and left out. What
/// no record can meet any more is forgotten.
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
pub struct Joined<A, B, H = Ever> {
    left: A,
    right: B,
    how: H,
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
        Joined { left: self, right, how: Ever }
    }
}

impl<A, B> Joined<A, B> {
    fn how<H>(self, how: H) -> Joined<A, B, H> {
        Joined { left: self.left, right: self.right, how }
    }

    /// Joins only records that fall into the same window. See
    /// [`allowed_lateness`](Joined::allowed_lateness) for those that come late.
    pub fn window<W: Paned>(self, windows: W) -> Joined<A, B, SameWindow<W>> {
        self.how(SameWindow { windows, lateness: 0 })
    }

    /// Joins a left record with the right records whose event time is between `lower` and `upper`
    /// of its own, both inclusive.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, results) = Collect::new();
    /// // Minutes at which something was ordered and at which it was sent.
    /// let orders = job.source(Memory::of([("pen".to_owned(), 1_u64), ("ink".to_owned(), 5)]));
    /// let sent = job.source(Memory::of([("ink".to_owned(), 70_u64), ("pen".to_owned(), 31)]));
    /// let minute = |n: u64| Timestamp::from_millis(n as i64 * 60_000);
    /// let orders = orders.event_time(move |(_, at)| minute(at), 1.hours());
    /// let sent = sent.event_time(move |(_, at)| minute(at), 1.hours());
    /// orders
    ///     .key_by_ref(|(what, _)| what)
    ///     .join(sent.key_by_ref(|(what, _)| what))
    ///     .between(Offset::After(0.seconds()), Offset::After(1.hours()))
    ///     .left(|(what, _), sent| (what.to_owned(), sent.map(|(_, at)| at)))
    ///     .sink(sink);
    /// # job.run()?;
    /// assert_eq!(results.sorted(), [("ink".to_owned(), None), ("pen".to_owned(), Some(31))]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn between(self, lower: Offset, upper: Offset) -> Joined<A, B, Between> {
        self.how(Between { lower, upper })
    }

    /// Joins every left record with the newest right record that is not newer than itself and at
    /// most `tolerance` older: the price that was valid when the order came. Of right records of
    /// one key and time the greatest in the order of their fields counts.
    pub fn as_of(self, tolerance: Duration) -> Joined<A, B, AsOf> {
        self.how(AsOf { tolerance })
    }
}

impl<L, CL, BL, R, CR, BR, H> Joined<Keyed<L, CL, BL>, Keyed<R, CR, BR>, H>
where
    L: Record,
    R: Record,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
{
    /// A row for every pair of records that meet. Without a word about time every record is
    /// remembered to the end: give the streams a bound, or join within windows, where they are
    /// endless.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, R::View<'_>) -> O + Clone + Send + 'static,
        H: How<Of<L, BL, R, BR, Inner<F, O>>>,
    {
        self.rows(Inner::new(f))
    }

    /// As [`inner`](Joined::inner), and a row with `None` for every left record that meets no
    /// right one.
    ///
    /// Streams are append-only, so no row is given early and taken back later (as a retraction
    /// stream does): such a row leaves when it is known that no right record can come any more.
    /// Without a word about time that is when the input has ended, and no watermark is handed on
    /// before. A job that is stopped gives no rows that were still waiting for that.
    pub fn left<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(L::View<'_>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
        H: How<Of<L, BL, R, BR, LeftOuter<F, O>>>,
    {
        self.rows(LeftOuter::new(f))
    }

    /// As [`left`](Joined::left), for both sides.
    pub fn full<O, F>(self, f: F) -> Stream<O>
    where
        O: Record + Clone,
        F: FnMut(Option<L::View<'_>>, Option<R::View<'_>>) -> O + Clone + Send + 'static,
        H: How<Of<L, BL, R, BR, FullOuter<F, O>>> + Mutual,
    {
        self.rows(FullOuter::new(f))
    }

    fn rows<P>(self, pairing: P) -> Stream<P::Out>
    where
        P: Pairing<L, R>,
        H: How<Of<L, BL, R, BR, P>>,
    {
        self.rows_and_late(pairing, false).0
    }

    /// Adds the step: both sides go to the key's owner; with one shard they are fused into the
    /// join. The late records of either side leave if they are wanted.
    fn rows_and_late<P>(self, pairing: P, wanted: bool) -> WithLate<P::Out, L, R>
    where
        P: Pairing<L, R>,
        H: How<Of<L, BL, R, BR, P>>,
    {
        let Joined { left, right, how } = self;
        let (name, plan) = (left.stream.label(H::NAME), left.stream.plan);
        if !Rc::ptr_eq(&plan, &right.stream.plan) {
            let left = Input::through(left.stream.from, &left.stream.chain);
            let rows = refuse(&plan, name, vec![left], two_jobs());
            let late = rows.from;
            return (rows, Stream::at(&plan, late), Stream::at(&plan, late));
        }
        let (checked, asked) = (how.check(), how.asked());
        let port = move |side: usize| wanted.then_some(LATE_PORT + side);
        let inputs = vec![
            Input::through(left.stream.from, &left.stream.chain),
            Input::through(right.stream.from, &right.stream.chain),
        ];
        let (left_by, right_by) = (left.by.clone(), right.by.clone());
        let chains = (left.stream.chain.clone(), right.stream.chain.clone());
        let rule = how.clone().rule();
        let stage = move |site: &Site<'_>| {
            let by = (left_by.clone(), right_by.clone());
            how.stage(by, pairing.clone(), &site.seat.backend)
        };
        let (made, on_time) = (stage.clone(), rule.clone());
        let alone = local2(chains, move |site| {
            let late = LateOfBoth::<L, R>::new(port(0), port(1));
            Ok(Punctual::new(made(site), on_time.clone(), late))
        });
        let on_time = rule.clone();
        let receiver = local2((Identity::new(), Identity::new()), move |site| {
            let late = LateOfBoth::<L, R>::new(None, None);
            Ok(Punctual::new(stage(site), on_time.clone(), late))
        });
        let on_time = rule.clone();
        let send_left = sending(left.stream.chain, TO_OWNER, move |lanes, bells| {
            let owner = ToOwner::new(left.by.clone());
            let exchange = Exchange::<L, _, false>::new(owner, lanes, bells);
            Punctual::sending(exchange, on_time.clone(), Late::<L>::new(port(0)))
        });
        let send_right = sending(right.stream.chain, TO_OWNER, move |lanes, bells| {
            let owner = ToOwner::new(right.by.clone());
            let exchange = Exchange::<R, _, false>::new(owner, lanes, bells);
            Punctual::sending(exchange, rule.clone(), Late::<R>::new(port(1)))
        });
        let senders = vec![send_left, send_right];
        let flow = checked.map_or_else(refusing, |()| Flow::Exchanged { senders, receiver, alone });
        let origin = plan.borrow_mut().add(Step { name, asked, inputs, flow, times: H::TIMES });
        let late = |side| Origin { port: LATE_PORT + side, sender: Some(side), ..origin };
        let (lefts, rights) = (Stream::at(&plan, late(0)), Stream::at(&plan, late(1)));
        (Stream::at(&plan, origin), lefts, rights)
    }
}

/// Rows, and the records of the left and the right stream that came too late.
type WithLate<O, L, R> = (Stream<O>, Stream<L>, Stream<R>);

fn two_jobs() -> Error {
    let what = "the streams are of two jobs; begin both at sources of the same job";
    Error::new(Kind::Plan, what)
}
