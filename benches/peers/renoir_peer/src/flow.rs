//! What all queries start and end with: event times, the bids, the digest.

use renoir::Stream;
use renoir::operator::{Data, Operator, StreamElement, Timestamp};
use workload::{Bid, Digest, Event};

/// What a query's stream ends in.
pub type Out = renoir::operator::sink::StreamOutput<Vec<Digest>>;

/// Event times, and a watermark about once per second of event time.
pub fn timed(
    s: Stream<impl Operator<Out = Event> + 'static>,
    workers: usize,
) -> Stream<impl Operator<Out = Event>> {
    let every = (10_000 / workers) as u32;
    let mut n = 0;
    s.add_timestamps(
        |e| e.date_time() as Timestamp,
        move |_, &t| {
            n += 1;
            if n == every {
                n = 0;
                // A watermark excludes its own time; more events of this millisecond may come.
                Some(t - 1)
            } else {
                None
            }
        },
    )
}

pub fn bids(s: Stream<impl Operator<Out = Event> + 'static>) -> Stream<impl Operator<Out = Bid>> {
    s.filter_map(|e| match e {
        Event::Bid(b) => Some(b),
        _ => None,
    })
}

/// The sink: each worker's digest.
pub fn digest<T: Data>(
    s: Stream<impl Operator<Out = T> + 'static>,
    add: impl Fn(&mut Digest, T) + Clone + Send + 'static,
) -> Out {
    s.fold_assoc(Digest::default(), add, |d, x| d.merge(x)).collect_vec()
}

/// Puts each element's timestamp into the element.
pub fn with_time<T: Data>(
    s: Stream<impl Operator<Out = T> + 'static>,
) -> Stream<impl Operator<Out = (Timestamp, T)>> {
    s.rich_map_custom(|mut g| match g.next() {
        StreamElement::Timestamped(x, t) => StreamElement::Timestamped((t, x), t),
        StreamElement::Item(_) => panic!("no timestamp"),
        StreamElement::Watermark(t) => StreamElement::Watermark(t),
        StreamElement::FlushBatch => StreamElement::FlushBatch,
        StreamElement::Terminate => StreamElement::Terminate,
        StreamElement::FlushAndRestart => StreamElement::FlushAndRestart,
    })
}
