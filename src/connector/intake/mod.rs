//! What sockets and HTTP share on the way in: from an I/O thread to the splits of a source.
//!
//! ```text
//! peer ═╗  I/O thread of the source          shards
//! peer ═╬▶ takes, watches, times out ─ Gate ══ came, gone, ready ══▶ split 0: bytes, rows, records
//! peer ═╝                            ─ Gate ══ datagrams, bodies ══▶ split 1: bytes, rows, records
//! ```
//!
//! A connection belongs to one split for as long as it lasts, so what it sends stays in order. The
//! thread makes or takes it and sees to its end; its bytes are read by the shard, when that has
//! nothing else to do ([`Line`]), cut into rows and decoded. Where there is nothing to read the
//! shard says so, and may sleep: the thread waits for more and wakes it. A shard that is busy reads
//! nothing: the peer's window closes, and it has to wait. Nobody else does.
//!
//! Datagrams and requests are read by the thread, whole, and handed to a split in a queue.
//!
//! # What bounds memory
//!
//! A split reads one block of at most [`SOCKET_BLOCK_BYTES`](crate::limits::SOCKET_BLOCK_BYTES) of
//! connections at a time. The queue of a split holds
//! [`SOCKET_BLOCKS`](crate::limits::SOCKET_BLOCKS) datagrams' blocks, requests or words; a place in
//! it is taken before the memory that is read into. A row that is not whole yet is kept by its
//! split, as long as it is not longer than a row may be, and all of them together not larger than
//! [`Limits::partial_bytes`]; what is beyond is one bad record, and is passed over as it comes.

mod hub;
mod line;
mod rows;
#[cfg(test)]
mod rows_tests;

mod split;
mod traffic;

use hub::Door;
pub(super) use hub::{Gate, Site, block_on, on_thread, start};
pub(super) use line::Line;
pub(super) use rows::Framing;
pub(super) use split::{IntakeSplit, Of};
pub(super) use traffic::Kept;
pub use traffic::Traffic;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::limits::{LINE_BYTES, SOCKET_BLOCKS, SOCKET_PARTIAL_BYTES};

/// What bounds a source's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a row.
    pub row_bytes: usize,
    /// Bytes of rows that are not whole yet, of all connections.
    pub partial_bytes: usize,
    /// Blocks in the queue of a split.
    pub blocks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let (row_bytes, partial_bytes) = (LINE_BYTES, SOCKET_PARTIAL_BYTES);
        Limits { row_bytes, partial_bytes, blocks: SOCKET_BLOCKS }
    }
}

/// What is in a queue.
pub(super) enum Parcel {
    /// A connection is there.
    Opened(Peer),
    /// It has something to be read, after the split had said that there was nothing.
    Ready(u64),
    /// It is gone; whether the peer closed it in good order.
    Closed(u64, bool),
    /// Datagrams, one behind the other, with the end of each and who sent it.
    Datagrams(Vec<u8>, Vec<(usize, SocketAddr)>),
    /// The body of a request.
    Request(Request),
}

impl Parcel {
    /// How many bytes it has to be read.
    fn len(&self) -> usize {
        match self {
            Parcel::Opened(_) | Parcel::Ready(_) | Parcel::Closed(..) => 0,
            Parcel::Datagrams(bytes, _) => bytes.len(),
            Parcel::Request(request) => request.body.len(),
        }
    }
}

/// Who sends, to a split.
pub(super) struct Peer {
    /// Different for all connections of the source.
    pub id: u64,
    /// How messages name it.
    pub origin: String,
    /// What is read of it.
    pub line: Arc<Line>,
}

/// A request that waits for an answer.
pub(super) struct Request {
    /// How messages name who sent it.
    pub origin: String,
    pub body: Bytes,
    /// The room that the body takes.
    pub kept: Kept,
    pub answer: oneshot::Sender<Answer>,
    /// Whether its first bad row ends it.
    pub strict: bool,
}

/// What became of a request's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Records that were taken.
    pub records: u64,
    /// Rows that could not be read.
    pub bad: u64,
    /// The first of them: its number, from 1, and what is wrong with it.
    pub first_bad: Option<(u64, String)>,
}
