//! What the sockets of a source or a sink have counted.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::operator::Counts;

/// What a source or a sink of sockets has counted so far; it may be read while the job runs, by any
/// thread, and thereafter.
///
/// ```
/// use thalweg::prelude::*;
///
/// let source = Tcp::listen("127.0.0.1:0").lines();
/// let traffic = source.traffic();
/// assert_eq!((traffic.open(), traffic.accepted(), traffic.bytes()), (0, 0, 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    partial: AtomicU64,
}

impl Traffic {
    /// Connections of a source that there are.
    pub fn open(&self) -> u64 {
        self.0.open.load(Relaxed)
    }

    /// Connections that there have been: that were accepted, or that this side has made.
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Relaxed)
    }

    /// Connections and requests that were refused, or had to make room, because there were too
    /// many; of a sink's datagrams those that nobody took, as far as the other system has said so.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    /// Attempts to reach a peer that have failed, requests of a sink that were not delivered,
    /// connections that could not be taken, and connections of a sink, or that a source has made,
    /// that were lost. How a peer that has connected to a source leaves is up to the peer, and is
    /// not counted here, also when it resets the connection: the row that it was in the middle of
    /// is a bad record, and counted as that ([`Report::bad`](crate::runtime::Report::bad)).
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Relaxed)
    }

    /// Bytes that were read, by a source, or written, by a sink.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }

    /// Bytes that a source keeps: of rows that are not whole yet, and of requests' bodies.
    pub fn partial_bytes(&self) -> u64 {
        self.0.partial.load(Relaxed)
    }

    /// All of it, for a report of the job.
    pub(in crate::connector) fn counts(&self) -> Counts {
        let traffic = self.clone();
        Arc::new(move || {
            vec![
                ("connections_open", traffic.open()),
                ("connections_total", traffic.accepted()),
                ("refused_total", traffic.refused()),
                ("failures_total", traffic.failed()),
                ("bytes_total", traffic.bytes()),
                ("partial_bytes", traffic.partial_bytes()),
            ]
        })
    }

    /// A connection, counted as open for as long as this is held.
    pub(in crate::connector) fn enter(&self) -> Open {
        self.0.accepted.fetch_add(1, Relaxed);
        self.0.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// A connection of a sink, which has one at a time.
    pub(in crate::connector) fn accept(&self) {
        self.0.accepted.fetch_add(1, Relaxed);
    }

    pub(in crate::connector) fn refuse(&self) {
        self.0.refused.fetch_add(1, Relaxed);
    }

    pub(in crate::connector) fn fail(&self) {
        self.0.failed.fetch_add(1, Relaxed);
    }

    pub(in crate::connector) fn carry(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Takes room for bytes that have to be kept, unless there would be more than `most`.
    pub(super) fn keep(&self, bytes: usize, most: usize) -> bool {
        let before = self.0.partial.fetch_add(bytes as u64, Relaxed);
        let fits = before + bytes as u64 <= most as u64;
        if !fits {
            self.drop_kept(bytes);
        }
        fits
    }

    /// Gives back what [`keep`](Traffic::keep) took.
    pub(super) fn drop_kept(&self, bytes: usize) {
        self.0.partial.fetch_sub(bytes as u64, Relaxed);
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(in crate::connector) struct Open(Traffic);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}

/// Bytes that are kept for as long as this is.
#[derive(Debug)]
pub(in crate::connector) struct Kept {
    traffic: Traffic,
    bytes: usize,
}

impl Kept {
    /// None so far.
    pub fn none(traffic: Traffic) -> Kept {
        Kept { traffic, bytes: 0 }
    }

    /// Takes room for more; false when there would be more than `most`.
    pub fn add(&mut self, bytes: usize, most: usize) -> bool {
        let fits = self.traffic.keep(bytes, most);
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.traffic.drop_kept(self.bytes);
    }
}
