//! A source that takes what others post.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Ingest;
use super::server::{self, Terms};
use crate::connector::intake::{Framing, IntakeSplit, Limits, Of, start};
use crate::connector::socket::{Address, Bound};
use crate::connector::{Csv, Decode, Traffic};
use crate::error::{Error, Kind, Result};
use crate::format::FromText;
use crate::limits::{BODY_BYTES, CONNECTIONS, REQUEST};
use crate::operator::{Counts, Guarantee, OnBadRecord, Source, Split};

/// How long requests that are under way may take when the job is stopped.
const LINGER: Duration = Duration::from_secs(5);

/// A source of the rows of requests' bodies; made by [`Http::ingest`](super::Http::ingest).
///
/// It has a split a shard, and a request goes to the one with the most room. Its rows stay in
/// order; between requests there is no order, even if they come by one connection one after the
/// other: wait for the answer.
///
/// # Answers
///
/// | | |
/// |---|---|
/// | 200 | a shard has read the body, and handed its records to the operators behind |
/// | 202 | it waits in the queue of a shard for 30 s now; it will be read, unless the job ends |
/// | 400 | row so-and-so can't be read; the records before it were taken, the others were not |
/// | 404, 405, 415 | another path; not a POST; a body that is packed (`content-encoding` other than `identity`) |
/// | 408 | the body took longer than 30 s |
/// | 413 | it is longer than 8 MiB |
/// | 429 | the job does not keep up: later, and how much later, says `retry-after` |
/// | 503 | the job ends, or there are too many connections |
///
/// The body of an answer says how many records were taken: `{"records":2,"bad":0}`, or
/// `{"records":1,"bad":1,"row":2,"error":"field price: …"}`.
///
/// A 200 says that the records count, not that they are on a disk: what was taken after the last
/// checkpoint is gone if the job goes on from that, and a record counts
/// [at most once](Guarantee::AtMostOnce).
///
/// # Bad rows
///
/// The first one ends its request with 400. With [`OnBadRecord::Skip`] or
/// [`SideStream`](OnBadRecord::SideStream) they are left out and the others taken; the answer is
/// 200, with their number and what is wrong with the first. With [`Fail`](OnBadRecord::Fail) one
/// ends the job.
#[derive(Debug)]
pub struct HttpSource<D> {
    ingest: Ingest,
    decode: D,
    policy: Option<OnBadRecord>,
    limits: Limits,
    body_bytes_max: usize,
    connections_max: usize,
    within: Duration,
    ends_after: Option<u64>,
    traffic: Traffic,
    bound: Mutex<Option<Bound>>,
}

impl<D: Decode> HttpSource<D> {
    pub(super) fn new(ingest: Ingest, decode: D) -> Self {
        HttpSource {
            ingest,
            decode,
            policy: None,
            limits: Limits::default(),
            body_bytes_max: BODY_BYTES,
            connections_max: CONNECTIONS,
            within: REQUEST,
            ends_after: None,
            traffic: Traffic::default(),
            bound: Mutex::default(),
        }
    }

    /// What is done about rows that can't be read; without it the first one ends its request.
    #[must_use]
    pub fn on_bad_record(mut self, policy: OnBadRecord) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How many bytes a row may have, 1 MiB ([`LINE_BYTES`](crate::limits::LINE_BYTES)) unless
    /// said otherwise. A longer one is one bad record.
    #[must_use]
    pub fn row_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.row_bytes = bytes;
        self
    }

    /// How many bytes a body may have, 8 MiB ([`BODY_BYTES`]) unless said otherwise. A longer one
    /// is answered 413.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// How many bytes all bodies together may have that have not been read by a shard, 64 MiB
    /// ([`SOCKET_PARTIAL_BYTES`](crate::limits::SOCKET_PARTIAL_BYTES)) unless said otherwise. What
    /// would need more is answered 429.
    #[must_use]
    pub fn partial_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.partial_bytes = bytes;
        self
    }

    /// How many requests may wait for a shard, 64
    /// ([`SOCKET_BLOCKS`](crate::limits::SOCKET_BLOCKS)) unless said otherwise; at least one. One
    /// more is answered 429.
    #[must_use]
    pub fn queue_requests(mut self, requests: usize) -> Self {
        self.limits.blocks = requests;
        self
    }

    /// How many connections there may be at a time, 512 ([`CONNECTIONS`]) unless said otherwise.
    /// For one more another one is closed: one whose peer is waited for, for its head or the rest
    /// of its body, and of these the one that has been waited for longest, of the address that has
    /// the most connections; of IPv6 those of a network of 64 bits count as one. Where all wait for
    /// the job, the one more is answered 503 and closed. Both count as [refused](Traffic::refused).
    /// A connection is closed in any case when a head takes longer than 10 s
    /// ([`ANSWER`](crate::limits::ANSWER)), also the silence before it.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// How long a peer may take to send a body, 30 s ([`REQUEST`]) unless said otherwise; how long
    /// it waits for a shard to read it, before it is answered 202; and for how long it may take
    /// nothing of its answers, before the connection is closed.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Ends when so many requests have been read. Without it the source ends when the job is
    /// stopped.
    #[must_use]
    pub fn ends_after(mut self, requests: u64) -> Self {
        self.ends_after = Some(requests);
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
    /// That the address is in use or not to be had.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let bound = self.bind()?;
        let no_address = || Error::new(Kind::Io, "the system says no address");
        bound.as_ref().and_then(Bound::address).ok_or_else(no_address)
    }

    fn bind(&self) -> Result<MutexGuard<'_, Option<Bound>>> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.is_none() {
            *bound = Some(Bound::new(&Address::Tcp(self.ingest.address.clone()))?);
        }
        Ok(bound)
    }
}

impl<R: FromText> HttpSource<Csv<R>> {
    /// What stands between cells; a comma unless set.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.decode.set_delimiter(delimiter);
        self
    }

    /// Bodies do not begin with a header: cells are taken in the order of the record's fields.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.decode.set_header(false);
        self
    }
}

impl<D: Decode> Source for HttpSource<D> {
    type Record = D::Record;

    fn name(&self) -> String {
        let Ingest { address, path } = &self.ingest;
        format!("{} http {address}{path}", self.decode.name())
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<D::Record>>>> {
        let listening = self.bind()?.as_ref().map(Bound::lend).transpose()?;
        let listening = listening.expect("it was bound just above");
        let terms = Terms {
            name: format!("http {}{}", self.ingest.address, self.ingest.path),
            path: self.ingest.path.clone(),
            body_bytes: self.body_bytes_max,
            partial_bytes: self.limits.partial_bytes,
            connections_max: self.connections_max,
            within: self.within,
            ends_after: self.ends_after,
            strict: self.policy.is_none(),
        };
        let traffic = (self.traffic.clone(), LINGER);
        let doors = start("http-in", shards, self.limits, traffic, move |site| async move {
            server::serve(site, listening.open()?, terms).await
        })?;
        let split = |(number, door)| -> Box<dyn Split<D::Record>> {
            let of = (Of::Wholes, Framing::Lines);
            Box::new(IntakeSplit::new(number, door, self.decode.clone(), of, self.limits))
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
        self.policy.unwrap_or(OnBadRecord::Skip)
    }
}
