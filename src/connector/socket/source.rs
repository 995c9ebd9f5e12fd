//! Sockets that records are read from.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::address::{Address, Bound, Listener, Listening, resolve};
use super::serve::{self, Terms};
use super::{Role, Socket};
use crate::connector::intake::{Framing, IntakeSplit, Limits, Of, start};
use crate::connector::{Csv, Decode, Traffic};
use crate::error::{Error, Kind, Result};
use crate::format::FromText;
use crate::limits::{CONNECTIONS, PEER_AWAY};
use crate::operator::{Counts, Guarantee, OnBadRecord, Source, Split};

/// A source of what comes by sockets; made by [`Tcp`](super::Tcp), [`Udp`](super::Udp) and
/// [`Unix`](super::Unix).
///
/// It has a split a shard. A connection belongs to one of them, to one with the fewest when it is
/// taken, and what it sends is read in order; between two connections there is no order. Datagrams
/// belong to a split by their sender. A thread of the source's own, whatever the executor, makes
/// or takes connections and watches those that are silent; the shard reads their bytes, cuts them
/// into rows and decodes them. Datagrams are read by the thread.
///
/// # Watermarks
///
/// They are by split, as everywhere: the disorder of `event_time` is that of all connections of a
/// split together. A split without a connection holds no watermark back; one whose connections are
/// silent does until [`Job::idle_after`](../api/struct.Job.html#method.idle_after).
///
/// # Back-pressure
///
/// A shard that does not keep up reads nothing more from its connections, and their peers have to
/// wait. Of datagrams a queue fills (4 MiB), and then the system drops them.
///
/// # Peers that mean no good, or are none
///
/// A row that can't be read is counted and passed over ([`OnBadRecord::Skip`]), unless
/// [`on_bad_record`](SocketSource::on_bad_record) says otherwise: nobody outside can end the job.
/// Every limit has a method: how long a row may be, how much is kept of rows that are not whole,
/// how many connections there may be and how long one may be silent. The system asks TCP peers that
/// are silent for a minute whether they are still there.
///
/// # When the job ends early, and checkpoints
///
/// In a job that is stopped, what has come is read, up to 4 MiB a shard
/// ([`queue_blocks`](SocketSource::queue_blocks)); peers find their connections closed. What was
/// read after a checkpoint is gone when the job goes on from it: a record counts
/// [at most once](Guarantee::AtMostOnce). The socket stays bound while the job restarts; its
/// connections are closed.
#[derive(Debug)]
pub struct SocketSource<D> {
    socket: Socket,
    decode: D,
    framing: Framing,
    policy: OnBadRecord,
    limits: Limits,
    connections_max: usize,
    ends_after: Option<u64>,
    idle: Option<Duration>,
    away: Duration,
    traffic: Traffic,
    bound: Mutex<Option<Bound>>,
}

impl<D: Decode> SocketSource<D> {
    pub(super) fn new(socket: Socket, decode: D) -> Self {
        SocketSource {
            socket,
            decode,
            framing: Framing::Lines,
            policy: OnBadRecord::Skip,
            limits: Limits::default(),
            connections_max: CONNECTIONS,
            ends_after: None,
            idle: None,
            away: PEER_AWAY,
            traffic: Traffic::default(),
            bound: Mutex::default(),
        }
    }

    /// What is done about rows that can't be read; without it they are counted and passed over.
    #[must_use]
    pub fn on_bad_record(mut self, policy: OnBadRecord) -> Self {
        self.policy = policy;
        self
    }

    /// Rows are not lines: before each there are four bytes that say how many bytes it has, the
    /// highest first. In UDP every datagram has such rows.
    #[must_use]
    pub fn length_prefixed(mut self) -> Self {
        self.framing = Framing::Prefixed;
        self
    }

    /// How many bytes a row may have, 1 MiB ([`LINE_BYTES`](crate::limits::LINE_BYTES)) unless
    /// said otherwise. A longer one is one bad record, and is not kept.
    #[must_use]
    pub fn row_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.row_bytes = bytes;
        self
    }

    /// How many bytes of rows that are not whole yet are kept, of all connections together, 64 MiB
    /// ([`SOCKET_PARTIAL_BYTES`](crate::limits::SOCKET_PARTIAL_BYTES)) unless said otherwise. A row
    /// that would need more is a bad record. The memory that they lie in may be twice as much.
    #[must_use]
    pub fn partial_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.partial_bytes = bytes;
        self
    }

    /// How many blocks of up to 64 KiB of datagrams the thread may be ahead of a shard, and how
    /// many of connections a shard still reads when the job is stopped, 64
    /// ([`SOCKET_BLOCKS`](crate::limits::SOCKET_BLOCKS)) unless said otherwise; at least one.
    /// Connections are not read ahead.
    #[must_use]
    pub fn queue_blocks(mut self, blocks: usize) -> Self {
        self.limits.blocks = blocks;
        self
    }

    /// How many connections there may be at a time, 512
    /// ([`CONNECTIONS`](crate::limits::CONNECTIONS)) unless said otherwise. One more is closed as
    /// soon as it is taken, and counted ([`Traffic::refused`]).
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Ends when so many connections have come and gone; where this side connects, it does so as
    /// many times. Without it the source ends when the job is stopped. UDP has no connections.
    #[must_use]
    pub fn ends_after(mut self, connections: u64) -> Self {
        self.ends_after = Some(connections);
        self
    }

    /// Closes a connection that sends nothing for so long. Without it a peer may be silent for as
    /// long as it is there.
    #[must_use]
    pub fn idle_timeout(mut self, silence: Duration) -> Self {
        self.idle = Some(silence);
        self
    }

    /// How long a peer that this side connects to may be away, a minute
    /// ([`PEER_AWAY`](crate::limits::PEER_AWAY)) unless said otherwise. It is tried again after 50
    /// ms, then after twice as long each time up to 5 s; in the end the job fails.
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
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let bound = self.bind()?;
        bound.as_ref().and_then(Bound::address).ok_or_else(|| {
            let what = format!("{} has no address of its own to ask for", self.socket.address);
            Error::new(Kind::Plan, what)
        })
    }

    fn bind(&self) -> Result<MutexGuard<'_, Option<Bound>>> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.is_none() && self.socket.role == Role::Listens {
            *bound = Some(Bound::new(&self.socket.address)?);
        }
        Ok(bound)
    }

    fn terms(&self) -> Terms {
        Terms {
            address: self.socket.address.clone(),
            connections_max: self.connections_max,
            ends_after: self.ends_after,
            idle: self.idle,
            away: self.away,
        }
    }
}

impl<R: FromText> SocketSource<Csv<R>> {
    /// What stands between cells; a comma unless set.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.decode.set_delimiter(delimiter);
        self
    }

    /// Connections do not begin with a header: cells are taken in the order of the record's fields.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.decode.set_header(false);
        self
    }
}

impl<D: Decode> Source for SocketSource<D> {
    type Record = D::Record;

    fn name(&self) -> String {
        format!("{} {}", self.decode.name(), self.socket.address)
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<D::Record>>>> {
        let terms = self.terms();
        if self.socket.role == Role::Connects && matches!(terms.address, Address::Udp(_)) {
            let what = "a source of datagrams has nothing to connect to; Udp::listen reads them";
            return Err(Error::new(Kind::Plan, what));
        }
        if let (Role::Connects, Address::Tcp(host)) = (self.socket.role, &terms.address) {
            resolve(host)?;
        }
        let bound = self.bind()?.as_ref().map(Bound::lend).transpose()?;
        let of = match terms.address {
            Address::Udp(_) => Of::Wholes,
            Address::Tcp(_) | Address::Unix(_) => Of::Connections,
        };
        let (limits, traffic) = (self.limits, (self.traffic.clone(), Duration::ZERO));
        let doors = start("sockets-in", shards, limits, traffic, move |site| async move {
            match bound.map(Listening::open).transpose()? {
                Some(Listener::Udp(socket, _lease)) => {
                    serve::receive(site, socket, terms.address).await
                }
                Some(listener) => serve::listen(site, listener, terms).await,
                None => serve::connect(site, terms).await,
            }
        })?;
        let split = |(number, door)| -> Box<dyn Split<D::Record>> {
            let cut = (of, self.framing);
            Box::new(IntakeSplit::new(number, door, self.decode.clone(), cut, limits))
        };
        Ok(doors.into_iter().enumerate().map(split).collect())
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.traffic.counts())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    fn on_bad_record(&self) -> OnBadRecord {
        self.policy
    }
}
