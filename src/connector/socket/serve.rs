//! The I/O thread of a source of sockets: takes connections, for shards to read, and datagrams.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::address::{Address, Listener, Stream};
use super::retry::Retry;
use crate::connector::intake::{Gate, Line, Parcel, Peer, Site};
use crate::error::{Error, Result};
use crate::limits::SOCKET_BLOCK_BYTES;

/// The pause after a connection could not be taken, for want of a file descriptor, say.
pub(in crate::connector) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most bytes of a datagram.
const DATAGRAM: usize = 64 << 10;

/// How connections are kept.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub address: Address,
    /// How many connections there may be at a time.
    pub connections_max: usize,
    /// After how many it is over.
    pub ends_after: Option<u64>,
    /// After what silence a connection is closed.
    pub idle: Option<Duration>,
    /// How long the peer may be away.
    pub away: Duration,
}

/// Takes connections until there have been as many as there are to be.
pub(super) async fn listen(site: Rc<Site>, listener: Listener, terms: Terms) -> Result {
    let terms = Rc::new(terms);
    let mut left = terms.ends_after.unwrap_or(u64::MAX);
    let mut tasks = JoinSet::new();
    while left > 0 || !tasks.is_empty() {
        let accepted = tokio::select! {
            accepted = listener.accept(), if left > 0 => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        // Those that have just ended make room.
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if tasks.len() >= terms.connections_max => {
                site.traffic().refuse();
                drop(stream);
                let most = terms.connections_max;
                warn!(target: "thalweg", address = %terms.address, most, "connection refused");
            }
            Ok((stream, peer)) => {
                left -= 1;
                let number = site.number();
                let origin = origin(&terms.address, peer, number);
                debug!(target: "thalweg", origin, "connected");
                let (site, terms) = (site.clone(), terms.clone());
                tasks
                    .spawn_local(async move { serve(&site, stream, number, origin, &terms).await });
            }
            // The peer has thought better of it.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                site.traffic().fail();
                warn!(target: "thalweg", address = %terms.address, %error, "no connection taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    Ok(())
}

/// How messages name a connection that was accepted.
fn origin(address: &Address, peer: Option<SocketAddr>, number: u64) -> String {
    match peer {
        Some(peer) => format!("{address}, connection {number} from {peer}"),
        None => format!("{address}, connection {number}"),
    }
}

/// Connects, again and again, until there have been as many connections as there are to be.
///
/// # Errors
/// That the peer was away for too long.
pub(super) async fn connect(site: Rc<Site>, terms: Terms) -> Result {
    let mut left = terms.ends_after.unwrap_or(u64::MAX);
    let mut retry = Retry::new(terms.away);
    while left > 0 {
        retry.since();
        match Stream::connect(&terms.address).await {
            Ok(stream) => {
                left -= 1;
                let number = site.number();
                info!(target: "thalweg", address = %terms.address, "connected");
                let (origin, begin) = (terms.address.to_string(), Instant::now());
                let read = serve(&site, stream, number, origin, &terms).await;
                retry.reached(read > 0 || begin.elapsed() > terms.away);
                if left > 0 {
                    site.traffic().fail();
                    warn!(target: "thalweg", address = %terms.address, "connection lost");
                    retry.pause().await;
                }
            }
            Err(error) => {
                site.traffic().fail();
                warn!(target: "thalweg", address = %terms.address, %error, "not connected");
                if retry.is_over() {
                    let (address, away) = (&terms.address, retry.since().elapsed());
                    let what =
                        format!("{address} can't be reached, for {away:.1?}; start the peer");
                    return Err(Error::led_to(&error, what));
                }
                retry.pause().await;
            }
        }
    }
    Ok(())
}

/// Has a connection read to its end; gives how many bytes came.
async fn serve(site: &Site, stream: Stream, id: u64, origin: String, terms: &Terms) -> u64 {
    let open = site.traffic().enter();
    let gate = site.idlest();
    gate.load.set(gate.load.get() + 1);
    let stream = Arc::new(stream);
    let line = Arc::new(Line::new(stream.clone()));
    if let Some(place) = gate.place().await {
        let peer = Peer { id, origin: origin.clone(), line: line.clone() };
        place.put(Parcel::Opened(peer));
        let ended = watch(gate, &stream, id, &line, terms.idle).await;
        if let Err(error) = &ended {
            debug!(target: "thalweg", origin, %error, "connection lost");
        }
        drop(stream);
        if let Some(place) = gate.place().await {
            place.put(Parcel::Closed(id, ended.is_ok()));
        }
    }
    gate.load.set(gate.load.get() - 1);
    drop(open);
    line.bytes()
}

/// Says when there is something to read, each time that the shard has found nothing, until that
/// has found the end.
///
/// # Errors
/// That the connection was lost, or was silent for too long.
async fn watch(
    gate: &Gate,
    stream: &Stream,
    id: u64,
    line: &Line,
    idle: Option<Duration>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            biased;
            ended = line.over() => return ended,
            () = line.dry() => {}
        }
        tokio::select! {
            biased;
            ended = line.over() => return ended,
            ready = until_ready(stream, idle) => ready?,
        }
        let Some(place) = gate.place().await else { return Ok(()) };
        place.put(Parcel::Ready(id));
    }
}

/// Waits until there is something to read that the shard has not read by itself.
///
/// # Errors
/// That nothing has come for too long.
async fn until_ready(stream: &Stream, idle: Option<Duration>) -> io::Result<()> {
    loop {
        let ready = stream.readable_by_others();
        let ready = match idle {
            None => ready.await,
            Some(idle) => match timeout(idle, ready).await {
                Ok(ready) => ready,
                Err(_) => return Err(ErrorKind::TimedOut.into()),
            },
        };
        match ready {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            ready => return ready,
        }
    }
}

/// Reads datagrams, as many at a time as there are.
///
/// # Errors
/// What the system says of the socket.
pub(super) async fn receive(site: Rc<Site>, socket: UdpSocket, address: Address) -> Result {
    let failed = |cause| Error::io(format_args!("reading {address}"), &cause);
    let mut packs: Vec<_> = site.gates.iter().map(Pack::new).collect();
    let mut datagram = Vec::with_capacity(DATAGRAM);
    loop {
        socket.readable().await.map_err(failed)?;
        // As much as there is, within reason: what waits in a pack shall not wait for ever.
        for _ in 0..1024 {
            datagram.clear();
            let (read, from) = match socket.try_recv_buf_from(&mut datagram) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed(error)),
            };
            site.traffic().carry(read);
            let mut hasher = DefaultHasher::new();
            from.hash(&mut hasher);
            let split = hasher.finish() % packs.len() as u64;
            if !packs[split as usize].add(&datagram, from).await {
                return Ok(());
            }
        }
        for pack in &mut packs {
            if !pack.send().await {
                return Ok(());
            }
        }
    }
}

/// Datagrams on their way to a split.
struct Pack<'a> {
    gate: &'a Gate,
    bytes: Vec<u8>,
    cuts: Vec<(usize, SocketAddr)>,
}

impl<'a> Pack<'a> {
    fn new(gate: &'a Gate) -> Self {
        Pack { gate, bytes: Vec::new(), cuts: Vec::new() }
    }

    /// Adds a datagram, behind those that leave no room for it; false when nobody reads.
    async fn add(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        let full = self.bytes.len() + datagram.len() > SOCKET_BLOCK_BYTES
            || self.cuts.len() >= SOCKET_BLOCK_BYTES / size_of::<(usize, SocketAddr)>();
        if full && !self.send().await {
            return false;
        }
        self.bytes.extend_from_slice(datagram);
        self.cuts.push((self.bytes.len(), from));
        true
    }

    /// Hands on what there is; false when nobody reads.
    async fn send(&mut self) -> bool {
        if self.cuts.is_empty() {
            return true;
        }
        let Some(place) = self.gate.place().await else { return false };
        let (bytes, cuts) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.cuts));
        place.put(Parcel::Datagrams(bytes, cuts));
        true
    }
}
