//! A connection between the thread that watches it and the shard that reads it.
//!
//! The shard reads without waiting. When there is nothing it may say so ([`Line::run_dry`]); the
//! thread then waits until there is something, and says so to the split
//! ([`Parcel::Ready`](super::Parcel::Ready)). The shard may read meanwhile: the thread looks, and
//! takes nothing, before it says anything, and what was read is not there any more. No word is
//! lost: what comes after the shard has looked is there when the thread looks.
//!
//! The shard finds the end, or that nothing can be read any more, and says that as well
//! ([`Line::end`]); it does not look again.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::sync::Notify;

/// States of a line: it may give more, it ended in good order, it was lost.
const LIVES: u8 = 0;
const ENDED: u8 = 1;
const LOST: u8 = 2;

/// A connection that a shard reads. The socket is closed when nobody holds it any more.
pub(in crate::connector) struct Line {
    socket: Arc<dyn AsFd + Send + Sync>,
    state: AtomicU8,
    /// Bytes so far.
    bytes: AtomicU64,
    /// Tells the thread that there was nothing to read.
    dry: Notify,
    /// Tells the thread that nothing is read any more.
    over: Notify,
}

/// What there was to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Nothing,
    /// Never anything more; whether the peer has closed it in good order.
    End(bool),
}

impl Line {
    pub fn new(socket: Arc<dyn AsFd + Send + Sync>) -> Line {
        let (dry, over) = (Notify::new(), Notify::new());
        Line { socket, state: AtomicU8::new(LIVES), bytes: AtomicU64::new(0), dry, over }
    }

    /// Shard: reads what is there into the room behind what is in `into`, and does not wait.
    pub(super) fn read(&self, into: &mut Vec<u8>) -> Read {
        loop {
            match recv(&self.socket, spare_capacity(into), RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Read::End(true),
                Ok((read, _)) => {
                    self.bytes.fetch_add(read as u64, Relaxed);
                    return Read::Bytes(read);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::Nothing,
                Err(_) => return Read::End(false),
            }
        }
    }

    /// Shard: there was nothing to read; the thread says when there is.
    pub(super) fn run_dry(&self) {
        self.dry.notify_one();
    }

    /// Shard: it reads nothing more; whether all is in good order.
    pub(super) fn end(&self, whole: bool) {
        self.state.store(if whole { ENDED } else { LOST }, Release);
        self.over.notify_one();
    }

    /// Thread: ready when the shard has found nothing to read.
    pub async fn dry(&self) {
        self.dry.notified().await;
    }

    /// Thread: ready when the shard reads nothing more.
    ///
    /// # Errors
    /// That the connection was lost.
    pub async fn over(&self) -> io::Result<()> {
        while self.state.load(Acquire) == LIVES {
            self.over.notified().await;
        }
        match self.state.load(Acquire) {
            LOST => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(()),
        }
    }

    /// How many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
