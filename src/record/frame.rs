//! Frames: what travels through rings.

use std::any::Any;
use std::fmt;

use super::{Batch, Block, Record};
use crate::time::Watermark;

/// What a frame holds. The mesh, inboxes and outboxes know no more of it than this, so that other
/// layouts (columns, say) can travel the same rings.
pub trait Payload: Send {
    /// The records, to be read.
    fn batch(&self) -> Batch<'_>;
    /// Forgets the records, keeps the memory.
    fn clear(&mut self);
    /// The concrete payload, for the operator that fills it again.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl<R: Record> Payload for Block<R> {
    fn batch(&self) -> Batch<'_> {
        Block::batch(self)
    }
    fn clear(&mut self) {
        Block::clear(self);
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A payload under way, owned by exactly one shard at a time: it is moved through a ring and comes
/// home, emptied, through another.
pub struct Frame {
    /// No later frame of this sender has a record before it.
    pub watermark: Watermark,
    /// The records.
    pub payload: Box<dyn Payload>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} records, watermark {})", self.payload.batch().len(), self.watermark)
    }
}
