//! Sockets that records are written to.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::{Address, Bound, resolve};
use super::send::{self, Terms};
use super::{Role, Socket};
use crate::connector::Traffic;
use crate::connector::delivery::{BlockWriter, Layout, Writers, start};
use crate::connector::text::{Encode, Encoder};
use crate::error::{Error, Kind, Result};
use crate::limits::{PEER_AWAY, SOCKET_BLOCKS};
use crate::operator::{Counts, Guarantee, Sink};
use crate::record::Record;

/// A sink that writes to a socket; made by [`Tcp`](super::Tcp), [`Udp`](super::Udp) and
/// [`Unix`](super::Unix).
///
/// All shards write to one connection, by a thread of the sink's own, in blocks of whole records.
/// It is made with the first record, and anew when it is lost. One that listens waits for a peer
/// and writes to one at a time: what comes while none is there waits, and whoever comes next gets
/// what follows.
///
/// # A slow peer
///
/// When the queue is full (4 MiB), the shards read nothing more that would come to this sink, and
/// so on up to the sources. A peer that takes nothing for a minute
/// ([`give_up_after`](SocketSink::give_up_after)) is given up: the job fails, or where it listens,
/// the connection is closed and whoever comes next is served.
///
/// # A lost one
///
/// A connection that is lost, or that the peer closes, is made anew: after 50 ms, then after twice
/// as long each time up to 5 s. The block that was being written is written again, whole, so that
/// no record is torn. When a peer to connect to is away for a minute
/// ([`give_up_after`](SocketSink::give_up_after)) the job fails.
///
/// # When the job is stopped
///
/// What is under way is written first. A peer to connect to that is away is tried for 5 s more
/// ([`PEER_AWAY_STOPPED`](crate::limits::PEER_AWAY_STOPPED)); one that is there has a minute to
/// take some of it. That is how long the end of the job may take, [`Running::join`] and the
/// dropping of a [`Running`]: where it is too long, make `give_up_after` shorter. The job then
/// fails; the error says how many records were not delivered.
///
/// [`Running`]: crate::runtime::Running
/// [`Running::join`]: crate::runtime::Running::join
///
/// # One that listens, and to which nobody comes
///
/// Nobody who comes, or does not come, ends a job whose sources have more to give: it is held back
/// for as long as it takes. When they have ended, and nobody has been there for a minute, the job
/// fails. To see that they have ended the sink takes up to 64 MiB beyond its queue
/// ([`SOCKET_AHEAD_BYTES`](crate::limits::SOCKET_AHEAD_BYTES)); sources that have more to give
/// than that have not ended.
///
/// A job that is stopped ends at once where nobody is there, and fails if there was something to
/// deliver.
///
/// # Guarantee
///
/// What the system had taken of the old connection may never have arrived, and nobody tells: with
/// or without checkpoints the guarantee is [best effort](Guarantee::BestEffort). In UDP each
/// datagram has one record, and may be lost.
#[derive(Debug)]
pub struct SocketSink<E> {
    socket: Socket,
    encode: E,
    layout: Layout,
    blocks: usize,
    away: Duration,
    traffic: Traffic,
    bound: Option<Bound>,
    /// Between the opening of the first writer and the last.
    writers: Option<Writers>,
}

impl<E> SocketSink<E> {
    pub(super) fn new(socket: Socket, encode: E) -> Self {
        let layout = match socket.address {
            Address::Udp(_) => Layout::Datagrams,
            Address::Tcp(_) | Address::Unix(_) => Layout::Text,
        };
        SocketSink {
            socket,
            encode,
            layout,
            blocks: SOCKET_BLOCKS,
            away: PEER_AWAY,
            traffic: Traffic::default(),
            bound: None,
            writers: None,
        }
    }

    /// Does not end records with a line feed, but writes four bytes before each that say how many
    /// it has, the highest first. Datagrams have their length in any case.
    #[must_use]
    pub fn length_prefixed(mut self) -> Self {
        if self.layout == Layout::Text {
            self.layout = Layout::Prefixed;
        }
        self
    }

    /// How many blocks of some 64 KiB the shards may be ahead of the peer, 64
    /// ([`SOCKET_BLOCKS`]) unless said otherwise; at least one.
    #[must_use]
    pub fn queue_blocks(mut self, blocks: usize) -> Self {
        self.blocks = blocks;
        self
    }

    /// How long a peer may be away, or take nothing, a minute ([`PEER_AWAY`]) unless said
    /// otherwise. The job then fails; a job that is stopped waits for one that takes nothing for as
    /// long, and for one that is away for 5 s at most. While its sources have more to give, a sink
    /// that listens waits for a peer for as long as it takes, and closes the connection of one that
    /// takes nothing for so long.
    #[must_use]
    pub fn give_up_after(mut self, away: Duration) -> Self {
        self.away = away;
        self
    }

    /// What its sockets have counted, also while the job runs.
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    /// Listens from now on, and not only when the job starts; gives the address: what the system
    /// chose where the port is 0. Peers that connect wait for the job.
    ///
    /// # Errors
    /// That the address is in use or not to be had; that this side does not listen, or listens at
    /// a path.
    pub fn local_addr(&mut self) -> Result<SocketAddr> {
        self.bind()?;
        self.bound.as_ref().and_then(Bound::address).ok_or_else(|| {
            let what = format!("{} has no address of its own to ask for", self.socket.address);
            Error::new(Kind::Plan, what)
        })
    }

    fn bind(&mut self) -> Result {
        if self.bound.is_none() && self.socket.role == Role::Listens {
            self.bound = Some(Bound::new(&self.socket.address)?);
        }
        Ok(())
    }

    fn start(&mut self, writers: usize, greeting: Vec<u8>) -> Result<Writers> {
        self.bind()?;
        let (address, away) = (self.socket.address.clone(), self.away);
        let terms = Terms { address, away, greeting, traffic: self.traffic.clone() };
        let bound = self.bound.as_ref().map(Bound::lend).transpose()?;
        let udp = self.layout == Layout::Datagrams;
        start("sockets-out", writers, self.blocks, move |inbox| async move {
            match udp {
                true => send::datagrams(inbox, terms).await,
                false => send::stream(inbox, bound, terms).await,
            }
        })
    }
}

impl<R: Record, E: Encode<R>> Sink<R> for SocketSink<E> {
    type Writer = BlockWriter<R, E::Encoder>;

    fn name(&self) -> String {
        format!("{} {}", self.encode.extension(), self.socket.address)
    }

    fn check(&self, _: usize, _: Option<u64>) -> Result {
        match (&self.socket.address, self.socket.role) {
            (Address::Udp(_), Role::Listens) => {
                let what = "a sink of datagrams needs a peer; Udp::connect names it";
                Err(Error::new(Kind::Plan, what))
            }
            (Address::Tcp(host) | Address::Udp(host), _) => resolve(host).map(drop),
            (Address::Unix(_), _) => Ok(()),
        }
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<Self::Writer> {
        let mut encoder = self.encode.encoder();
        if shard == 0 {
            encoder.header();
            let greeting = self.layout.laid(encoder.text())?;
            encoder.clear();
            self.writers = Some(self.start(shards, greeting)?);
        }
        let writers = self.writers.as_ref().expect("the first shard's writer is opened first");
        let writer = writers.writer(shard, encoder, self.layout);
        if shard + 1 == shards {
            // The thread shall see when the writers are gone.
            self.writers = None;
        }
        Ok(writer)
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.traffic.counts())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::BestEffort
    }
}
