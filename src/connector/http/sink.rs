//! A sink that posts.

use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

use super::client::{self, Terms};
use crate::connector::Traffic;
use crate::connector::delivery::{BlockWriter, Layout, Writers, start};
use crate::connector::text::{Encode, Encoder};
use crate::error::{Error, Kind, Result};
use crate::limits::{ANSWER, PEER_AWAY, POST, SOCKET_BLOCKS};
use crate::operator::{Counts, Guarantee, Sink};
use crate::record::Record;

/// A sink that posts records, many at once; made by [`Http::post`](super::Http::post).
///
/// All shards post by one connection, one request after the other, on a thread of the sink's own. A
/// request has up to 1,000 records or about 1 MiB of what has come within 100 ms. The records of a
/// shard stay in order.
///
/// # What is tried again
///
/// A request is delivered when it was answered 2xx. It is sent again when the server can't be
/// reached, does not answer for 10 s, or answers 408, 429 or 5xx: after 50 ms, then after twice as
/// long each time up to 5 s, and not before `retry-after` says. After a minute of that
/// ([`give_up_after`](HttpSink::give_up_after)) the job fails. Any other answer fails it at once.
/// The error says how many records were not delivered.
///
/// A job that is stopped posts what is under way first, and that may take as long: a minute for a
/// server that answers that it can't now, and 5 s more
/// ([`PEER_AWAY_STOPPED`](crate::limits::PEER_AWAY_STOPPED)) for one that can't be reached. Where
/// that is too long, make `give_up_after` shorter.
///
/// # Back-pressure and guarantee
///
/// When the queue is full (4 MiB), the shards read nothing more that would come to this sink. A
/// checkpoint is made when all that came before it is delivered; so records arrive
/// [at least once](Guarantee::AtLeastOnce): again after a failure, or when an answer was lost.
#[derive(Debug)]
pub struct HttpSink<E> {
    url: String,
    encode: E,
    content: &'static str,
    headers: Vec<(String, String)>,
    records_max: u64,
    bytes_max: usize,
    linger: Duration,
    within: Duration,
    away: Duration,
    traffic: Traffic,
    /// Between the opening of the first writer and the last.
    writers: Option<Writers>,
}

impl<E> HttpSink<E> {
    pub(super) fn new(url: String, encode: E, content: &'static str) -> Self {
        HttpSink {
            url,
            encode,
            content,
            headers: Vec::new(),
            records_max: POST.0,
            bytes_max: POST.1,
            linger: POST.2,
            within: ANSWER,
            away: PEER_AWAY,
            traffic: Traffic::default(),
            writers: None,
        }
    }

    /// Sends a header with every request: `.header("authorization", "Bearer …")`. Messages do not
    /// show it.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How many records a request may have, 1,000 ([`POST`]) unless said otherwise.
    #[must_use]
    pub fn batch_records(mut self, records: u64) -> Self {
        self.records_max = records.max(1);
        self
    }

    /// After how many bytes of records no more are added to a request, 1 MiB ([`POST`]) unless said
    /// otherwise. It may have up to 64 KiB more, or one record.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// How long a record may wait for others, 100 ms ([`POST`]) unless said otherwise.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// How long the server may take for an answer, 10 s ([`ANSWER`]) unless said otherwise.
    #[must_use]
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How long a request may be sent again and again, a minute ([`PEER_AWAY`]) unless said
    /// otherwise.
    #[must_use]
    pub fn give_up_after(mut self, away: Duration) -> Self {
        self.away = away;
        self
    }

    /// What its sockets have counted, also while the job runs. A request that failed counts as one.
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    fn terms(&self, greeting: Vec<u8>) -> Result<Terms> {
        let url = &self.url;
        let refuse = |why: &str| {
            let what = format!("{url:?} can't be posted to: {why}; write it as http://host/path");
            Error::new(Kind::Plan, what)
        };
        let uri: Uri = url.parse().map_err(|_| refuse("it is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refuse("encryption needs a proxy in between")),
            Some(_) | None => return Err(refuse("it is no URL of HTTP")),
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refuse("it names no host"))?;
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        if url.contains('#') {
            return Err(refuse("nobody is told what follows a #"));
        }
        if authority.contains('@') {
            return Err(refuse("a name and password go into a header, see HttpSink::header"));
        }
        let port = match authority.strip_prefix(host) {
            Some("") => Ok(80),
            _ => uri.port_u16().filter(|&port| port > 0).ok_or("what follows the colon is no port"),
        };
        let port = port.map_err(refuse)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let header = |(name, value): &(String, String)| {
            let refuse = || Error::new(Kind::Plan, format!("{name:?} is no header, or its value"));
            let name: HeaderName = name.parse().map_err(|_| refuse())?;
            let value: HeaderValue = value.parse().map_err(|_| refuse())?;
            Ok((name, value))
        };
        Ok(Terms {
            url: url.clone(),
            // Without the brackets of an address of IPv6.
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.to_owned(),
            path: path.to_owned(),
            content: self.content,
            headers: self.headers.iter().map(header).collect::<Result<_>>()?,
            greeting,
            records_max: self.records_max,
            bytes_max: self.bytes_max,
            linger: self.linger,
            within: self.within,
            away: self.away,
            traffic: self.traffic.clone(),
        })
    }
}

impl<R: Record, E: Encode<R>> Sink<R> for HttpSink<E> {
    type Writer = BlockWriter<R, E::Encoder>;

    fn name(&self) -> String {
        format!("post {}", self.url)
    }

    fn check(&self, _: usize, _: Option<u64>) -> Result {
        self.terms(Vec::new()).map(drop)
    }

    fn open(&mut self, shard: usize, shards: usize) -> Result<Self::Writer> {
        let mut encoder = self.encode.encoder();
        if shard == 0 {
            encoder.header();
            let terms = self.terms(encoder.text().to_vec())?;
            encoder.clear();
            let run = move |inbox| client::post_all(inbox, terms);
            self.writers = Some(start("http-out", shards, SOCKET_BLOCKS, run)?);
        }
        let writers = self.writers.as_ref().expect("the first shard's writer is opened first");
        let writer = writers.writer(shard, encoder, Layout::Text);
        if shard + 1 == shards {
            // The thread shall see when the writers are gone.
            self.writers = None;
        }
        Ok(writer.with_records_max(self.records_max))
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.traffic.counts())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }
}
