//! What windows give.

use super::spec::us;
use crate::error::Result;
use crate::operator::{Aggregate, Emitter, Output};
use crate::record::{InWindow, Key, Record};
use crate::time::{Timestamp, Watermark};

/// The output port of late records.
pub const LATE_PORT: usize = 1;

/// Hands on the watermark behind windows whose results may still come, or come again, for so many
/// microseconds after the window's end: none of them is late for what follows.
pub(super) fn tell_behind(at: Watermark, lateness: i64, out: &mut Output<'_>) -> Result {
    let behind = if at == Timestamp::MAX { at } else { us(at, -lateness) };
    if behind > Timestamp::MIN { out.watermark(behind) } else { Ok(()) }
}

/// Results on their way out.
pub(super) struct Results<R: Record, K: Key, A: Aggregate<R>> {
    pub aggregate: A,
    out: Emitter<InWindow<K, A::Out>>,
}

impl<R: Record, K: Key, A: Aggregate<R>> Results<R, K, A> {
    pub fn new(aggregate: A) -> Self {
        Results { aggregate, out: Emitter::new(0) }
    }

    /// Gives the result of the window `[start, end)`, with event time `at`.
    #[inline(always)]
    pub fn give(
        &mut self,
        at: Timestamp,
        (start, end): (Timestamp, Timestamp),
        key: &K,
        acc: &A::Acc,
        out: &mut Output<'_>,
    ) -> Result {
        let value = self.aggregate.result(acc);
        let emitter = &mut self.out;
        key.lend(|key| {
            value.lend(|value| {
                let (key, value) = (K::shorten(key), A::Out::shorten(value));
                emitter.push(at, InWindow { key, start, end, value }, out)
            })
        })
    }

    /// Hands on what has gathered.
    pub fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.out.flush(out)
    }
}
