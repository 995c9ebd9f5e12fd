//! How each kind of window is carried out: what runs where the records are read, what at the
//! owner of the key.

use super::super::keyed::{OfRecord, PARTIAL, TO_OWNER, ToOwner};
use super::super::{local, refusing, sending};
use crate::error::{Error, Kind, Result};
use crate::key;
use crate::operator::{Aggregate, ByKey, Chain, Exchange, Identity, KeyOf, Partition, Stage};
use crate::plan::{Flow, Site};
use crate::record::Record;
use crate::time::Timestamp;
use crate::window::{
    Again, CountWindow, Counted, Gate, Global, Merging, Paned, Partial, Rule, Running, Session,
    Sessions, Trigger, Unmerged, Whole, WindowSpec, Windows, check_early, ticks,
};

/// What is to be done in windows.
pub struct Work<C, B, A> {
    pub(super) chain: C,
    pub(super) by: B,
    pub(super) aggregate: A,
    pub(super) again: Again,
    pub(super) side: bool,
}

/// Windows that records can be aggregated in: all that there are.
pub trait Carried: Windows {
    /// The operators that do the work.
    fn flow<R, C, B, A>(self, work: Work<C, B, A>) -> Flow
    where
        R: Record,
        C: Chain<Out = R>,
        B: KeyOf<R>,
        A: Aggregate<R>;
}

impl<W: Paned> Carried for W {
    fn flow<R, C, B, A>(self, work: Work<C, B, A>) -> Flow
    where
        R: Record,
        C: Chain<Out = R>,
        B: KeyOf<R>,
        A: Aggregate<R>,
    {
        let (spec, early) = (self.spec(), work.again.early);
        if let Err(error) = check_early(spec, early) {
            return refusing(error);
        }
        let spec = spec.with_early(early);
        if !A::MERGES {
            return unmerged(spec, work);
        }
        paned(spec, work)
    }
}

/// Windows of panes: what is merged at the owner are partial results.
fn paned<R, C, B, A>(spec: WindowSpec, work: Work<C, B, A>) -> Flow
where
    R: Record,
    C: Chain<Out = R>,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    let Work { chain, by, aggregate, again, side } = work;
    let parts = (by, aggregate.clone());
    let alone = parts.clone();
    let alone = local(chain.clone(), move |site| {
        Ok(Whole::<R, B, A>::new(alone.clone(), spec, again, side, &site.seat.backend))
    });
    let receiver = local(Identity::new(), move |site| {
        let backend = &site.seat.backend;
        Ok(Merging::<R, B::Key, A>::new(aggregate.clone(), spec, again, backend))
    });
    let send = sending(chain, PARTIAL, move |lanes, bells| {
        let (by, aggregate) = parts.clone();
        let owner = ByKey(|(key, _, _): PartialView<'_, R, B, A>| key::hash(&B::Key::own(key)));
        let exchange = Exchange::new(owner, lanes, bells);
        Partial::<R, B, A, _>::new(by, aggregate, spec, again, side, exchange)
    });
    Flow::Exchanged { senders: vec![send], receiver, alone }
}

/// Windows of panes for an aggregate that can't be merged: raw records go to the owner.
fn unmerged<R, C, B, A>(spec: WindowSpec, work: Work<C, B, A>) -> Flow
where
    R: Record,
    C: Chain<Out = R>,
    B: KeyOf<R>,
    A: Aggregate<R>,
{
    let Work { chain, by, aggregate, again, side } = work;
    let to = OfRecord::<R, _>::new(ToOwner::<R, B>::new(by.clone()));
    let make = move |site: &Site<'_>| {
        let backend = &site.seat.backend;
        Ok(Unmerged::<R, B, A>::new(by.clone(), aggregate.clone(), spec, again, backend))
    };
    gated(chain, Rule::Windows(spec), (again.lateness, side), to, make)
}

/// A gate where records are read, and behind it a stage at the owner of the key.
fn gated<R, C, S, P>(
    chain: C,
    rule: Rule,
    (lateness, side): (i64, bool),
    to: P,
    make: impl Fn(&Site<'_>) -> Result<S> + Clone + Send + 'static,
) -> Flow
where
    R: Record,
    C: Chain<Out = R>,
    S: Stage<(Timestamp, R)>,
    P: Partition<(Timestamp, R)>,
{
    let alone = make.clone();
    let alone = local(chain.clone(), move |site| {
        Ok(Gate::<R, _>::new(rule, lateness, side, alone(site)?, false))
    });
    let receiver = local(Identity::<(Timestamp, R)>::new(), make);
    let send = sending(chain, TO_OWNER, move |lanes, bells| {
        let exchange = Exchange::<(Timestamp, R), _, false>::new(to.clone(), lanes, bells);
        Gate::<R, _>::new(rule, lateness, side, exchange, true)
    });
    Flow::Exchanged { senders: vec![send], receiver, alone }
}

type PartialView<'a, R, B, A> =
    <(<B as KeyOf<R>>::Key, Timestamp, <A as Aggregate<R>>::Acc) as Record>::View<'a>;

impl Carried for Session {
    fn flow<R, C, B, A>(self, work: Work<C, B, A>) -> Flow
    where
        R: Record,
        C: Chain<Out = R>,
        B: KeyOf<R>,
        A: Aggregate<R>,
    {
        let Work { chain, by, aggregate, again: Again { lateness, .. }, side } = work;
        let to = OfRecord::<R, _>::new(ToOwner::<R, B>::new(by.clone()));
        let make = move |site: &Site<'_>| {
            if !A::MERGES {
                let what = "session windows join when a record falls between them, so they need \
                            an aggregate that merges; use fold with a merge instead of fold_alone";
                return Err(Error::new(Kind::Plan, what));
            }
            let (by, aggregate, backend) = (by.clone(), aggregate.clone(), &site.seat.backend);
            Ok(Sessions::<R, B, A>::new(by, aggregate, self, lateness, backend))
        };
        gated(chain, Rule::Itself, (lateness, side), to, make)
    }
}

impl Carried for CountWindow {
    fn flow<R, C, B, A>(self, work: Work<C, B, A>) -> Flow
    where
        R: Record,
        C: Chain<Out = R>,
        B: KeyOf<R>,
        A: Aggregate<R>,
    {
        let Work { chain, by, aggregate, side, .. } = work;
        let to = OfRecord::<R, _>::new(ToOwner::<R, B>::new(by.clone()));
        let make = move |site: &Site<'_>| {
            let backend = &site.seat.backend;
            Ok(Counted::<R, B, A>::new(by.clone(), aggregate.clone(), self, backend))
        };
        gated(chain, Rule::Never, (0, side), to, make)
    }
}

impl Carried for Global {
    fn flow<R, C, B, A>(self, work: Work<C, B, A>) -> Flow
    where
        R: Record,
        C: Chain<Out = R>,
        B: KeyOf<R>,
        A: Aggregate<R>,
    {
        let every = match self.when() {
            Trigger::Every(span) if A::MERGES => {
                let again = Again { lateness: i64::MAX, totals: true, ..Again::default() };
                return paned(ticks(span), Work { again, ..work });
            }
            Trigger::Every(_) => None,
            Trigger::EveryN(n) => Some(n),
            Trigger::AtEnd => Some(0),
        };
        let Work { chain, by, aggregate, side, .. } = work;
        let to = OfRecord::<R, _>::new(ToOwner::<R, B>::new(by.clone()));
        let make = move |site: &Site<'_>| {
            let what = "a trigger of event time needs an aggregate that merges; use fold with a \
                        merge instead of fold_alone, or Trigger::every_n";
            let every = every.ok_or_else(|| Error::new(Kind::Plan, what))?;
            let backend = &site.seat.backend;
            Ok(Running::<R, B, A>::new(by.clone(), aggregate.clone(), every, backend))
        };
        gated(chain, Rule::Never, (0, side), to, make)
    }
}
