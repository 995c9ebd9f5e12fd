//! Connectors: where records come from and where they go.
//!
//! | from | to |
//! |---|---|
//! | [`Memory`]: a vector, slices lent without a copy | [`Collect`]: a vector |
//! | [`Counter`]: numbers, as fast as can be or at a rate | [`Discard`], [`Digest`]: a checksum |
//! | [`Files`]: lines, CSV, JSON lines, plain or gzip | [`Files`]: lines, CSV, JSON lines |
//! | [`RecordLog`]: the engine's own files | [`RecordLog`] |
//! | [`nexmark`]: persons, auctions, bids | [`Stdout`] |
//! | [`Generate`]: made of numbers, [`Keys`] and [`Arrivals`] | |
//! | [`Channel`]: what threads of this process send | [`Channel`]: to a thread; [`Callback`] |
//! | `Tcp`, `Udp`, `Unix`: lines, CSV, JSON lines, messages of bytes | the same |
//! | `Http`: what others post | `Http`: posts |

mod callback;
mod channel;
mod collect;
mod cord;
mod counter;
#[cfg(not(loom))]
mod delivery;
mod digest;
mod files;
mod generator;
#[cfg(not(loom))]
mod http;
#[cfg(not(loom))]
mod intake;
pub mod log;
mod memory;
pub mod nexmark;
#[cfg(not(loom))]
mod socket;
mod stdout;
mod text;

pub use callback::{Callback, CallbackWriter};
pub use channel::{
    Channel, ChannelSink, ChannelSource, ChannelWriter, Ended, Receiver, SendError, Sender,
    TryRecvError, TrySendError,
};
pub use collect::{Collect, CollectWriter, Collected};
pub use counter::Counter;
pub use digest::{Digest, DigestWriter, Digested, Discard, Discarding};
pub(crate) use files::publish;
pub use files::{
    Csv, Decode, Decoded, FileSink, FileSource, Files, Json, Lines, Message, Messages,
};
pub use generator::{Arrivals, Generate, Generated, Keys, Pattern, Skew};
pub use log::{LogSink, LogSource, LogWriter, RecordLog};
pub use memory::{Memory, Slices};
pub use stdout::Stdout;
pub use text::{Encode, Encoder, LineText, TextWriter};
#[cfg(not(loom))]
pub use {
    delivery::BlockWriter,
    http::{Http, HttpSink, HttpSource, Ingest, Post},
    intake::Traffic,
    socket::{Socket, SocketSink, SocketSource, Tcp, Udp, Unix},
};

#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod stub;
