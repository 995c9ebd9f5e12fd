//! What a process function sees whose keys are forgotten by themselves.

use super::Context;
use crate::record::{Key, Record};
use crate::time::Timestamp;

/// A [`Context`] without timers: the key, the time, the way out.
pub struct Moment<'c, 'a, K, O: Record>(&'c mut Context<'a, K, O>);

impl<'c, 'a, K: Key, O: Record> Moment<'c, 'a, K, O> {
    /// What a context is without its timers.
    pub fn of(context: &'c mut Context<'a, K, O>) -> Self {
        Moment(context)
    }

    /// See [`Context::key`].
    pub fn key(&self) -> &'a K {
        self.0.key()
    }

    /// The event time of the record.
    pub fn time(&self) -> Timestamp {
        self.0.time()
    }

    /// See [`Context::emit`].
    #[inline(always)]
    pub fn emit(&mut self, record: O::View<'_>) {
        self.0.emit(record);
    }

    /// See [`Context::emit_at`].
    #[inline(always)]
    pub fn emit_at(&mut self, at: Timestamp, record: O::View<'_>) {
        self.0.emit_at(at, record);
    }

    /// See [`Context::give`].
    #[inline(always)]
    pub fn give(&mut self, record: &O) {
        self.0.give(record);
    }

    /// See [`Context::clear`].
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
