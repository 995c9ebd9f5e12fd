//! [`Windowed`]: a keyed stream cut into windows.

use super::{Keyed, Stream, local, sending};
use crate::key;
use crate::operator::{Aggregate, Aggregates, ByKey, Chain, Exchange, Identity, KeyOf};
use crate::plan::Flow;
use crate::record::{InWindow, Record};
use crate::time::Timestamp;
use crate::window::{Merging, Paned, Partial, Whole, Windows};

/// A keyed stream cut into windows; an aggregate makes a stream of results of it.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Windowed<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Windows> {
    pub(super) keyed: Keyed<R, C, B>,
    pub(super) windows: W,
    /// Microseconds.
    pub(super) lateness: i64,
}

impl<R: Record, C: Chain<Out = R>, B: KeyOf<R>, W: Paned> Windowed<R, C, B, W> {
    /// One result for every key and window that has records: when the watermark passes the
    /// window's end. Aggregates that can be merged are aggregated on every shard before the
    /// partial results cross to the key's owner.
    ///
    /// See [`Aggregates`] for what there is.
    pub fn aggregate<A: Aggregate<R>>(
        self,
        of: impl FnOnce(&Aggregates<R>) -> A,
    ) -> Stream<InWindow<B::Key, A::Out>> {
        let Windowed { keyed: Keyed { stream, by }, windows, lateness } = self;
        let aggregate = of(&Aggregates::default());
        let spec = windows.spec();
        let parts = (by, aggregate.clone());
        let alone = parts.clone();
        let alone = local(stream.chain.clone(), move |_| {
            let (by, aggregate) = alone.clone();
            Ok(Whole::<R, B, A>::new(by, aggregate, spec, lateness))
        });
        let receiver = local(Identity::new(), move |_| {
            Ok(Merging::<R, B::Key, A>::new(aggregate.clone(), spec))
        });
        let send = sending(stream.chain.clone(), move |lanes, bells| {
            let (by, aggregate) = parts.clone();
            let owner = ByKey(|(key, _, _): PartialView<'_, R, B, A>| key::hash(&B::Key::own(key)));
            let exchange = Exchange::new(owner, lanes, bells);
            Partial::<R, B, A, _>::new(by, aggregate, spec, lateness, exchange)
        });
        let flow = Flow::Exchanged { senders: vec![send], receiver, alone };
        Stream::at(&stream.plan, stream.step("window", flow))
    }
}

type PartialView<'a, R, B, A> =
    <(<B as KeyOf<R>>::Key, Timestamp, <A as Aggregate<R>>::Acc) as Record>::View<'a>;
