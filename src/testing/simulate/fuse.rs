//! Operators that fail: before or after anything that they are called for, with an error or with a
//! panic, as user code does.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::{Error, Kind, Result};
use crate::operator::{Operator, Output, Progress, Seat, SplitState};
use crate::record::Batch;
use crate::state::{Loader, Saver};
use crate::time::Watermark;

/// What all operators of a job burn down together.
#[derive(Debug, Default)]
pub struct Fuse {
    /// It blows when it has been passed so often; never when that is 0.
    left: AtomicU64,
    /// How often it has blown.
    blown: AtomicU64,
}

impl Fuse {
    /// It blows when it is passed so-manyth time; never when that is 0.
    pub fn set(&self, passes: u64) {
        self.left.store(passes, Relaxed);
    }

    /// How often it has blown so far.
    pub fn blown(&self) -> u64 {
        self.blown.load(Relaxed)
    }

    /// Passes it. Every other time that it blows it is with a panic; no hook hears of that.
    fn pass(&self) -> Result {
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(1), Relaxed);
        if left != 1 {
            return Ok(());
        }
        if self.blown.fetch_add(1, Relaxed).is_multiple_of(2) {
            resume_unwind(Box::new("a fuse has blown"));
        }
        Err(Error::new(Kind::UserCode, "a fuse has blown"))
    }
}

/// An operator within reach of a fuse.
pub struct Fragile {
    operator: Box<dyn Operator>,
    fuse: Arc<Fuse>,
}

impl Fragile {
    /// Puts an operator within reach of a fuse.
    pub fn around(operator: Box<dyn Operator>, fuse: &Arc<Fuse>) -> Box<dyn Operator> {
        Box::new(Fragile { operator, fuse: fuse.clone() })
    }

    fn call<T>(&mut self, act: impl FnOnce(&mut dyn Operator) -> Result<T>) -> Result<T> {
        self.fuse.pass()?;
        let done = act(&mut *self.operator)?;
        self.fuse.pass()?;
        Ok(done)
    }
}

impl Operator for Fragile {
    fn open(&mut self, seat: &Seat) -> Result {
        self.call(|operator| operator.open(seat))
    }
    fn process(&mut self, port: usize, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.process(port, batch, out))
    }
    fn process_both(&mut self, batch: &Batch<'_>, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.process_both(batch, out))
    }
    fn watermark(&mut self, port: usize, at: Watermark, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.watermark(port, at, out))
    }
    fn split(
        &mut self,
        port: usize,
        split: u32,
        state: SplitState,
        out: &mut Output<'_>,
    ) -> Result {
        self.call(|operator| operator.split(port, split, state, out))
    }
    fn idle(&mut self, port: usize, idle: bool, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.idle(port, idle, out))
    }
    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.flush(out))
    }
    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        self.call(|operator| operator.poll(out))
    }
    fn ready(&mut self) -> bool {
        self.operator.ready()
    }
    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.finish(out))
    }
    fn settle(&mut self, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.settle(out))
    }
    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.call(|operator| operator.barrier(epoch, out))
    }
    fn save(&mut self, to: &mut Saver) -> Result {
        self.call(|operator| operator.save(to))
    }
    fn save_more(&mut self, to: &mut Saver) -> Result<bool> {
        self.call(|operator| operator.save_more(to))
    }
    fn load(&mut self, from: &Loader<'_>) -> Result {
        self.operator.load(from)
    }
    fn begins(&self) -> bool {
        self.operator.begins()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_fuse_blows_once_when_it_is_set() {
        let fuse = Fuse::default();
        let blows = || catch_unwind(AssertUnwindSafe(|| fuse.pass())).map(|passed| passed.is_err());
        assert!((0..9).all(|_| matches!(blows(), Ok(false))), "it was not set");
        for panics in [true, false, true] {
            fuse.set(3);
            assert!(matches!((blows(), blows()), (Ok(false), Ok(false))));
            let blown = blows();
            assert_eq!((blown.is_err(), blown.ok()), (panics, (!panics).then_some(true)));
            assert!(matches!(blows(), Ok(false)), "once");
        }
        assert_eq!(fuse.blown(), 3);
    }
}
