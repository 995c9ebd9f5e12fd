//! What one shard reads: the connections, datagrams or requests that are dealt to it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;

use tokio::sync::mpsc::error::TryRecvError;

use super::line::Read;
use super::rows::Rows;
use super::{Door, Framing, Limits, Parcel, Peer, Request};
use crate::connector::Decode;
use crate::error::Result;
use crate::limits::SOCKET_BLOCK_BYTES;
use crate::operator::{Feed, Progress, Split};
use crate::ring::Ringer;

/// So many bytes of a parcel are a step as a row is: passing over them takes about as long.
const STEP_BYTES: usize = 1 << 10;

/// So many connections are looked at in a turn, also those that have nothing at the moment. To look
/// takes a quarter of a microsecond; to be told by the thread takes ten, and that the thread gets a
/// core.
const NEAR: usize = 16;

/// A split of a source of sockets or requests.
pub(in crate::connector) struct IntakeSplit<D> {
    number: usize,
    door: Door,
    decode: D,
    kind: Of,
    framing: Framing,
    limits: Limits,
    peers: HashMap<u64, Connected<D>>,
    /// Connections to look at, by turns.
    near: VecDeque<u64>,
    /// Whether there was nothing at all when it was looked last.
    lull: bool,
    /// The memory that is read into, while there is nothing in it.
    spare: Vec<u8>,
    /// How many blocks of connections may still be read, once the job shall stop.
    last: Option<usize>,
    /// What is being read.
    current: Option<Current<D>>,
    /// Whether anything has ever come.
    heard: bool,
    /// Records read, by earlier runs of the job, too.
    read: u64,
}

/// What comes to a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Of {
    /// Bytes of connections.
    Connections,
    /// Datagrams or requests.
    Wholes,
}

/// A connection, and what was read of it.
struct Connected<D> {
    peer: Peer,
    rows: Rows<D>,
    /// Whether it is looked at.
    near: bool,
    /// Whether the thread watches it.
    watched: bool,
    /// How often in a row it had nothing.
    looks: usize,
}

/// A parcel, read up to `at`.
enum Current<D> {
    Bytes { peer: u64, bytes: Vec<u8>, at: usize },
    Datagrams { bytes: Vec<u8>, at: usize, datagram: Option<Datagram<D>>, cuts: Cuts },
    Request { request: Request, at: usize, rows: Rows<D> },
}

/// A datagram, and what was read of it.
struct Datagram<D> {
    rows: Rows<D>,
    end: usize,
    sender: Sender,
}

/// Who sent a datagram.
struct Sender(SocketAddr);

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "datagram from {}", self.0)
    }
}

type Cuts = std::vec::IntoIter<(usize, SocketAddr)>;

impl<D: Decode> IntakeSplit<D> {
    pub fn new(
        number: usize,
        door: Door,
        decode: D,
        (kind, framing): (Of, Framing),
        limits: Limits,
    ) -> Self {
        IntakeSplit {
            number,
            door,
            decode,
            kind,
            framing,
            limits,
            peers: HashMap::new(),
            near: VecDeque::new(),
            lull: false,
            spare: Vec::new(),
            last: None,
            current: None,
            heard: false,
            read: 0,
        }
    }

    fn rows(&self) -> Rows<D> {
        let traffic = self.door.hub().traffic.clone();
        // What is whole is in memory already: the copy of a row of it is none that is waited for.
        let partial_bytes = match self.kind {
            Of::Connections => self.limits.partial_bytes,
            Of::Wholes => usize::MAX,
        };
        let limits = Limits { partial_bytes, ..self.limits };
        Rows::new(self.decode.clone(), self.framing, limits, traffic)
    }

    /// Takes up the next parcel.
    fn take_up(
        &mut self,
        parcel: Parcel,
        feed: &mut Feed<'_, D::Record>,
        steps: &mut usize,
    ) -> Result {
        self.heard = true;
        self.lull = false;
        *steps = steps.saturating_sub(1 + parcel.len() / STEP_BYTES);
        self.current = match parcel {
            Parcel::Opened(peer) => {
                let rows = self.rows();
                self.near.push_back(peer.id);
                let connected = Connected { peer, rows, near: true, watched: false, looks: 0 };
                self.peers.insert(connected.peer.id, connected);
                None
            }
            Parcel::Ready(peer) => {
                if let Some(connected) = self.peers.get_mut(&peer) {
                    connected.watched = false;
                    if !std::mem::replace(&mut connected.near, true) {
                        self.near.push_back(peer);
                    }
                }
                None
            }
            Parcel::Closed(peer, whole) => {
                if let Some(mut gone) = self.peers.remove(&peer) {
                    gone.rows.end(&gone.peer.origin, whole, feed)?;
                }
                None
            }
            Parcel::Datagrams(bytes, cuts) => {
                let cuts = cuts.into_iter();
                Some(Current::Datagrams { bytes, at: 0, datagram: None, cuts })
            }
            Parcel::Request(request) => {
                let rows = self.rows().strict(request.strict);
                Some(Current::Request { request, at: 0, rows })
            }
        };
        Ok(())
    }

    /// Reads a block of a connection that has something, if one of those that are looked at does.
    /// One that does not is left to the thread when the shard has nothing else to do, also nothing
    /// to hand on: to say so takes some microseconds, of the thread too.
    fn read_near(&mut self, steps: &mut usize) -> bool {
        if self.last == Some(0) {
            self.near.clear();
        }
        for _ in 0..self.near.len().min(NEAR) {
            let Some(id) = self.near.pop_front() else { break };
            let Some(connected) = self.peers.get_mut(&id) else { continue };
            let line = &connected.peer.line;
            if connected.rows.is_over() {
                line.end(true);
                continue;
            }
            self.spare.clear();
            self.spare.reserve(SOCKET_BLOCK_BYTES);
            match line.read(&mut self.spare) {
                Read::Bytes(read) => {
                    self.near.push_back(id);
                    connected.looks = 0;
                    self.lull = false;
                    self.last = self.last.map(|blocks| blocks - 1);
                    self.door.hub().traffic.carry(read);
                    *steps = steps.saturating_sub(1 + read / STEP_BYTES);
                    let bytes = std::mem::take(&mut self.spare);
                    self.current = Some(Current::Bytes { peer: id, bytes, at: 0 });
                    return true;
                }
                Read::Nothing => {
                    connected.looks += 1;
                    if (self.lull || connected.looks > NEAR) && !connected.watched {
                        connected.watched = true;
                        line.run_dry();
                    }
                    connected.near = !connected.watched || self.near.len() < NEAR;
                    if connected.near {
                        self.near.push_back(id);
                    }
                }
                Read::End(whole) => line.end(whole),
            }
        }
        false
    }

    /// Whether connections are read: not when the thread has ended although nobody has stopped it.
    fn may_read(&self, why: TryRecvError) -> bool {
        why == TryRecvError::Empty || self.last.is_some()
    }

    /// Reads on in the parcel in hand; gives it back when there was no room for all of it.
    fn read_on(
        &mut self,
        current: Current<D>,
        feed: &mut Feed<'_, D::Record>,
        steps: &mut usize,
    ) -> Result<Option<Current<D>>> {
        match current {
            Current::Bytes { peer, bytes, mut at } => {
                if let Some(Connected { peer: from, rows, .. }) = self.peers.get_mut(&peer) {
                    at += rows.take(&from.origin, &bytes[at..], feed, steps)?;
                    if at < bytes.len() {
                        return Ok(Some(Current::Bytes { peer, bytes, at }));
                    }
                }
                self.spare = bytes;
                Ok(None)
            }
            Current::Datagrams { bytes, mut at, mut datagram, mut cuts } => {
                while feed.room() > 0 && *steps > 0 {
                    let mut next = |(end, from)| {
                        *steps -= 1;
                        Datagram { rows: self.rows(), end, sender: Sender(from) }
                    };
                    let Some(mut now) = datagram.take().or_else(|| cuts.next().map(&mut next))
                    else {
                        return Ok(None);
                    };
                    at += now.rows.take(&now.sender, &bytes[at..now.end], feed, steps)?;
                    match at < now.end {
                        true => datagram = Some(now),
                        false => now.rows.end(&now.sender, true, feed)?,
                    }
                }
                Ok(Some(Current::Datagrams { bytes, at, datagram, cuts }))
            }
            Current::Request { request, mut at, mut rows } => {
                at += rows.take(&request.origin, &request.body[at..], feed, steps)?;
                if at < request.body.len() {
                    return Ok(Some(Current::Request { request, at, rows }));
                }
                rows.end(&request.origin, true, feed)?;
                // What was taken has gone on before anybody is told so.
                feed.flush()?;
                drop(request.kept);
                // Whoever asked may be gone.
                let _ = request.answer.send(rows.answer());
                Ok(None)
            }
        }
    }
}

impl<D: Decode> Split<D::Record> for IntakeSplit<D> {
    fn open(&mut self, bell: Ringer) {
        self.door.cord.hang(&bell);
    }

    fn poll(&mut self, feed: &mut Feed<'_, D::Record>) -> Result<Progress> {
        let room = feed.room();
        // What gives no record takes time, too: bad rows, bytes that are passed over, parcels. As
        // much of it as of records, and then others have their turn.
        let mut steps = room;
        let mut busy = false;
        while feed.room() > 0 && steps > 0 {
            if let Some(current) = self.current.take() {
                busy = true;
                self.current = self.read_on(current, feed, &mut steps)?;
                continue;
            }
            match self.door.queue.try_recv() {
                Ok(parcel) => {
                    busy = true;
                    self.take_up(parcel, feed, &mut steps)?;
                }
                Err(why) if self.may_read(why) && self.read_near(&mut steps) => busy = true,
                Err(_) if busy => break,
                Err(TryRecvError::Empty) if !self.near.is_empty() && !self.lull => {
                    self.lull = true;
                    return Ok(Progress::Idle);
                }
                // Not all of them were looked at.
                Err(why) if self.may_read(why) && self.near.len() > NEAR => {
                    return Ok(Progress::Busy);
                }
                Err(TryRecvError::Empty) => return Ok(Progress::Parked),
                Err(TryRecvError::Disconnected) => {
                    // Their sockets are closed.
                    self.peers.clear();
                    return self.door.hub().outcome().map(|()| Progress::Done);
                }
            }
        }
        self.read += (room - feed.room()) as u64;
        Ok(Progress::Busy)
    }

    fn is_vacant(&self) -> bool {
        // Who sent a datagram or a request may send more; of connections it is known.
        match self.kind {
            Of::Connections => self.peers.is_empty(),
            Of::Wholes => !self.heard,
        }
    }

    fn stop(&mut self) -> bool {
        self.door.hub().close();
        self.door.queue.close();
        // What is there is read, but not for as long as a peer sends.
        self.last = Some(self.limits.blocks.max(1));
        true
    }

    fn offset(&self) -> u64 {
        self.read
    }

    fn name(&self) -> String {
        format!("what comes to split {}", self.number)
    }

    fn seek(&mut self, offset: u64) -> Result {
        // What was read after it is gone: at most once.
        self.read = offset;
        Ok(())
    }
}
