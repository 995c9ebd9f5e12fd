//! The I/O thread of a sink that posts.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::connector::Traffic;
use crate::connector::delivery::{Block, Inbox};
use crate::connector::socket::Retry;
use crate::error::{Error, Kind, Result};
use crate::limits::ANSWER;

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// Characters of an answer that an error shows.
const SHOWN: usize = 200;

/// Where it posts to, and how.
pub(super) struct Terms {
    pub url: String,
    pub host: String,
    pub port: u16,
    /// Host and port, as the URL has them.
    pub authority: String,
    pub path: String,
    /// The type of what is posted.
    pub content: &'static str,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What every body begins with.
    pub greeting: Vec<u8>,
    pub records_max: u64,
    pub bytes_max: usize,
    /// How long a record waits for others.
    pub linger: Duration,
    /// How long an answer may take.
    pub within: Duration,
    /// How long a request is sent again and again.
    pub away: Duration,
    pub traffic: Traffic,
}

/// Posts all blocks, many of them in one request.
///
/// # Errors
/// That one was refused, or that there was no answer for too long.
pub(super) async fn post_all(mut inbox: Inbox, terms: Terms) -> Result {
    let mut client = Client { connected: None, terms };
    let mut first = inbox.next().await;
    while let Some(block) = first {
        let (batch, next) = gather(&mut inbox, block, &client.terms).await;
        let greeting = std::iter::once(&client.terms.greeting);
        let parts = greeting.chain(batch.iter().map(|block| &block.bytes));
        let body: Vec<u8> = parts.flatten().copied().collect();
        client.post(Bytes::from(body), &inbox).await?;
        batch.iter().for_each(|block| inbox.delivered(block));
        first = match next {
            Some(block) => Some(block),
            None => inbox.next().await,
        };
    }
    Ok(())
}

/// What goes into one request, and a block that was taken and does not.
async fn gather(inbox: &mut Inbox, first: Block, terms: &Terms) -> (Vec<Block>, Option<Block>) {
    let (mut records, mut bytes) = (first.records, first.bytes.len());
    let mut batch = vec![first];
    let begin = Instant::now();
    while records < terms.records_max && bytes < terms.bytes_max {
        let left = terms.linger.saturating_sub(begin.elapsed());
        match timeout(left, inbox.next()).await {
            Ok(Some(block)) if records + block.records > terms.records_max => {
                return (batch, Some(block));
            }
            Ok(Some(block)) => {
                records += block.records;
                bytes += block.bytes.len();
                batch.push(block);
            }
            Ok(None) | Err(_) => break,
        }
    }
    (batch, None)
}

/// Why a request was not delivered.
enum Failed {
    /// Nobody is there.
    Away(String),
    /// It may be another time, but not before so long.
    For(String, Option<Duration>),
    /// It never will be.
    Ever(String),
}

impl Failed {
    fn now(why: impl fmt::Display) -> Failed {
        Failed::For(why.to_string(), None)
    }
}

struct Client {
    connected: Option<SendRequest<Full<Bytes>>>,
    terms: Terms,
}

impl Client {
    /// Posts a body, again and again until it is delivered.
    ///
    /// # Errors
    /// Why it never will be, or was not for too long.
    async fn post(&mut self, body: Bytes, inbox: &Inbox) -> Result {
        let mut retry = Retry::new(self.terms.away);
        let begin = retry.since();
        // Since when nobody has been there.
        let mut alone = None;
        loop {
            let kept = self.connected.is_some();
            let since = alone.unwrap_or_else(Instant::now);
            let (why, pause) = match self.try_post(&body, inbox, since).await {
                Ok(()) => {
                    self.terms.traffic.carry(body.len());
                    return Ok(());
                }
                Err(Failed::Ever(why)) => {
                    return Err(self.given_up(&why, inbox, "see what it has against them"));
                }
                Err(Failed::Away(why)) => {
                    alone = Some(since);
                    (why, None)
                }
                Err(Failed::For(why, pause)) => {
                    alone = None;
                    (why, pause)
                }
            };
            self.terms.traffic.fail();
            if kept && self.connected.is_none() {
                // The server has closed a connection that was idle: no sign that it is away.
                continue;
            }
            warn!(target: "thalweg", url = self.terms.url, why, "not delivered");
            let pause = pause.unwrap_or_default().min(self.terms.away).max(retry.next());
            let over = retry.is_over() || alone.is_some_and(|since| inbox.has_waited(since));
            let over = over
                || tokio::select! {
                    () = sleep(pause) => false,
                    // What it would find out now it knows.
                    () = inbox.waited(since), if alone.is_some() => true,
                };
            if over {
                let stopped = if inbox.is_stopped() { " and the job is stopped" } else { "" };
                let why = format!("{why}, for {:.1?}{stopped}", begin.elapsed());
                return Err(self.given_up(&why, inbox, "see to the server"));
            }
        }
    }

    /// That a request is not sent again: why, how much that leaves, and what to do.
    fn given_up(&self, why: &str, inbox: &Inbox, step: &str) -> Error {
        let (url, left) = (&self.terms.url, inbox.under_way());
        Error::new(Kind::Io, format!("{url} {why}; {left} records are not delivered, {step}"))
    }

    /// Posts a body once. Nobody has been there since then, or is waited for from then on.
    async fn try_post(
        &mut self,
        body: &Bytes,
        inbox: &Inbox,
        since: Instant,
    ) -> std::result::Result<(), Failed> {
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => tokio::select! {
                biased;
                connected = self.connect() => connected?,
                () = inbox.waited(since) => return Err(Failed::Away("can't be reached".into())),
            },
        };
        let ask = async {
            let failed = |error: hyper::Error| Failed::now(format!("gives no answer: {error}"));
            connected.ready().await.map_err(failed)?;
            let response = connected.send_request(self.request(body)).await.map_err(failed)?;
            let (head, body) = response.into_parts();
            let said = Limited::new(body, ANSWER_BYTES).collect().await.ok();
            let whole = said.is_some();
            let said = said.map(|said| said.to_bytes()).unwrap_or_default();
            Ok((Response::from_parts(head, said), whole))
        };
        let late = |_| Failed::now(format!("gives no answer within {:?}", self.terms.within));
        let (response, whole) = timeout(self.terms.within, ask).await.map_err(late)??;
        if whole {
            self.connected = Some(connected);
        }
        judge(&response)
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Full<Bytes>>, Failed> {
        let Terms { host, port, .. } = &self.terms;
        let refused = |error| Failed::Away(format!("can't be reached: {error}"));
        let stream = timeout(ANSWER, TcpStream::connect((host.as_str(), *port))).await;
        let stream =
            stream.map_err(|_| Failed::Away("can't be reached".into()))?.map_err(refused)?;
        // Only delays what is sent if it can't be had.
        let _ = stream.set_nodelay(true);
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (connected, connection) = shaken.map_err(Failed::now)?;
        self.terms.traffic.accept();
        // What ends it is seen by the next request.
        spawn_local(async move {
            let _ = connection.await;
        });
        Ok(connected)
    }

    fn request(&self, body: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.terms.path.parse().expect("it was part of a URL");
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.terms.content));
        let host = HeaderValue::from_str(&self.terms.authority);
        headers.insert(HOST, host.expect("it was part of a URL"));
        headers.extend(self.terms.headers.iter().cloned());
        request
    }
}

/// What an answer means.
fn judge(response: &Response<Bytes>) -> std::result::Result<(), Failed> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(response.body());
    let said: String = said.trim().chars().take(SHOWN).collect();
    let why = match said.is_empty() {
        true => format!("answers {status} and says no more"),
        false => format!("answers {status}: {said:?}"),
    };
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if !later.contains(&status) && !status.is_server_error() {
        return Err(Failed::Ever(why));
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let seconds: Option<u64> = seconds.and_then(|seconds| seconds.trim().parse().ok());
    Err(Failed::For(why, seconds.map(Duration::from_secs)))
}
