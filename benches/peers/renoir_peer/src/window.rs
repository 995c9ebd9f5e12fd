//! Aligned windows: Renoir's own `EventTimeWindow` starts each key's windows at that key's first
//! element, which is not what the queries need.

use renoir::operator::window::{WindowAccumulator, WindowDescription, WindowManager, WindowResult};
use renoir::operator::{Data, StreamElement, Timestamp};
use std::collections::VecDeque;
use workload::{HOP_SIZE, HOP_SLIDE, TUMBLE};

/// Windows of `size` every `slide`, aligned to 0, in milliseconds.
#[derive(Clone)]
pub struct Aligned {
    size: Timestamp,
    slide: Timestamp,
}

pub const HOP: Aligned = Aligned { size: HOP_SIZE as i64, slide: HOP_SLIDE as i64 };
pub const SLIDE: Aligned = Aligned { size: HOP_SLIDE as i64, slide: HOP_SLIDE as i64 };
pub const TUMBLING: Aligned = Aligned { size: TUMBLE as i64, slide: TUMBLE as i64 };

impl<T: Data> WindowDescription<T> for Aligned {
    type Manager<A: WindowAccumulator<In = T>> = AlignedManager<A>;
    fn build<A: WindowAccumulator<In = T>>(&self, init: A) -> AlignedManager<A> {
        AlignedManager { init, descr: self.clone(), open: VecDeque::new() }
    }
}

/// The open windows of one key.
#[derive(Clone)]
pub struct AlignedManager<A> {
    init: A,
    descr: Aligned,
    /// By start.
    open: VecDeque<(Timestamp, A)>,
}

impl<A: WindowAccumulator> AlignedManager<A> {
    /// Closes the windows whose last millisecond is not after `t`; their results carry that
    /// millisecond as timestamp.
    fn close(&mut self, t: Timestamp) -> Vec<WindowResult<A::Out>> {
        let last = self.descr.size - 1;
        let n = self.open.partition_point(|w| w.0.saturating_add(last) <= t);
        self.open
            .drain(..n)
            .map(|(start, a)| WindowResult::Timestamped(a.output(), start + last))
            .collect()
    }
}

impl<A: WindowAccumulator> WindowManager for AlignedManager<A> {
    type In = A::In;
    type Out = A::Out;
    type Output = Vec<WindowResult<A::Out>>;

    fn process(&mut self, el: StreamElement<A::In>) -> Self::Output {
        match el {
            StreamElement::Timestamped(x, t) => {
                let newest = t - t.rem_euclid(self.descr.slide);
                let mut start = newest - self.descr.size + self.descr.slide;
                let mut i = self.open.partition_point(|w| w.0 < start);
                while start <= newest {
                    if self.open.get(i).is_none_or(|w| w.0 != start) {
                        self.open.insert(i, (start, self.init.clone()));
                    }
                    self.open[i].1.process(&x);
                    i += 1;
                    start += self.descr.slide;
                }
                Vec::new()
            }
            StreamElement::Watermark(t) => self.close(t),
            StreamElement::FlushAndRestart | StreamElement::Terminate => self.close(Timestamp::MAX),
            StreamElement::Item(_) => panic!("an event-time window needs timestamps"),
            StreamElement::FlushBatch => Vec::new(),
        }
    }

    fn recycle(&self) -> bool {
        self.open.is_empty()
    }
}
