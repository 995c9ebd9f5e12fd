//! The I/O thread of a source of requests.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::patient::Patient;
use super::visitors::{Visit, Visitor, Visitors};
use crate::connector::intake::{Answer, Kept, Parcel, Request as Posted, Site};
use crate::connector::socket::{ACCEPT_PAUSE, Listener, Stream};
use crate::error::Result;
use crate::limits::ANSWER;

/// What is said on a connection that is one too many, before it is closed.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
                          content-length: 0\r\n\r\n";

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// How requests are taken.
pub(super) struct Terms {
    /// How messages name the source.
    pub name: String,
    pub path: String,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are not read.
    pub partial_bytes: usize,
    pub connections_max: usize,
    /// How long a body may take, the shard that reads it, and a peer to take any of its answers.
    pub within: Duration,
    /// After how many requests it is over.
    pub ends_after: Option<u64>,
    /// Whether its first bad row ends a request.
    pub strict: bool,
}

/// What the connections share.
struct Server {
    site: Rc<Site>,
    terms: Terms,
    visitors: Rc<Visitors>,
    /// How many requests may still be read.
    left: Cell<u64>,
    /// Told when no more may.
    over: Notify,
}

type Said = Response<Full<Bytes>>;

/// Takes connections until there have been as many requests as there are to be, or the job is
/// stopped, and then waits for those that are under way.
///
/// # Errors
/// None of its own.
pub(super) async fn serve(site: Rc<Site>, listener: Listener, terms: Terms) -> Result {
    let left = Cell::new(terms.ends_after.unwrap_or(u64::MAX));
    let server =
        Rc::new(Server { site, terms, visitors: Rc::default(), left, over: Notify::new() });
    let mut tasks = JoinSet::new();
    while server.left.get() > 0 {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = server.over.notified() => break,
            () = server.site.closed() => break,
        };
        // Those that have just ended make room.
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if !server.has_room().await => {
                // Whether or not it is heard.
                let _ = stream.try_write(TOO_MANY);
            }
            Ok((Stream::Tcp(stream), Some(peer))) => {
                let visit = server.visitors.enter(peer);
                tasks.spawn_local(converse(server.clone(), stream, visit));
            }
            Ok(_) => {}
            Err(error) => {
                server.site.traffic().fail();
                warn!(target: "thalweg", source = server.terms.name, %error, "no connection taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody shall be let in and then not be heard.
    drop(listener);
    server.left.set(0);
    server.over.notify_waiters();
    // To send the rest, have it read and take the answer; who has not by then is not waited for.
    let ends = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(server.terms.within.saturating_mul(3), ends).await;
    Ok(())
}

/// Answers what comes by one connection.
async fn converse(server: Rc<Server>, stream: TcpStream, visit: Visit) {
    let _open = server.site.traffic().enter();
    let peer = visit.visitor.peer;
    let service = service_fn(|request| {
        let (server, visitor) = (server.clone(), visit.visitor.clone());
        async move {
            visitor.is_awaited();
            let answer = server.answer(request, &visitor).await;
            visitor.is_awaited();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(ANSWER).max_buf_size(HEAD_BYTES);
    // A peer that has said all may still wait for the answer.
    http.half_close(true);
    let stream = TokioIo::new(Patient::new(stream, server.terms.within));
    let mut connection = pin!(http.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = visit.visitor.leaves() => return,
        () = server.ending() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(target: "thalweg", source = server.terms.name, %peer, %error, "connection lost");
    }
}

impl Server {
    /// Ready when no more requests are taken.
    async fn ending(&self) {
        let over = self.over.notified();
        if self.left.get() > 0 {
            over.await;
        }
    }

    /// Whether one more connection may be made, for which another one goes if need be.
    async fn has_room(&self) -> bool {
        let most = self.terms.connections_max;
        if self.visitors.len() < most {
            return true;
        }
        self.site.traffic().refuse();
        let made = self.visitors.make_room();
        warn!(target: "thalweg", source = self.terms.name, most, made, "too many connections");
        // The one that has to go is gone before the next one comes.
        yield_now().await;
        made
    }

    async fn answer(&self, request: Request<Incoming>, visitor: &Visitor) -> Said {
        match self.take(request, visitor).await {
            Ok(answer) if answer.bad > 0 && self.terms.strict => {
                said(StatusCode::BAD_REQUEST, answer)
            }
            Ok(answer) => said(StatusCode::OK, answer),
            Err(said) => *said,
        }
    }

    /// Reads a request and has it read by a shard.
    async fn take(
        &self,
        request: Request<Incoming>,
        visitor: &Visitor,
    ) -> Result<Answer, Box<Said>> {
        self.admit(&request)?;
        let mut kept = Kept::none(self.site.traffic().clone());
        let body = timeout(self.terms.within, self.read(request.into_body(), &mut kept));
        let late = || refused(StatusCode::REQUEST_TIMEOUT, "the body took too long");
        let body = body.await.unwrap_or_else(|_| Err(late()))?;
        self.site.traffic().carry(body.len());
        let (answer, answered) = oneshot::channel();
        let origin = format!("{} from {}", self.terms.name, visitor.peer);
        let posted = Posted { origin, body, kept, answer, strict: self.terms.strict };
        // It counts from here on, so that there are never too many.
        let left = self.left.get();
        let place = self.site.roomiest().try_place().ok_or_else(|| self.busy())?;
        if left == 0 {
            return Err(ends());
        }
        self.left.set(left - 1);
        place.put(Parcel::Request(posted));
        if left == 1 {
            self.over.notify_waiters();
            self.over.notify_one();
        }
        visitor.waits();
        match timeout(self.terms.within, answered).await {
            Ok(answer) => answer.map_err(|_| ends()),
            Err(_) => {
                let waits = json!({ "waits": true }).to_string();
                Err(Box::new(response(StatusCode::ACCEPTED, waits)))
            }
        }
    }

    /// What can be said of a request by its head.
    fn admit(&self, request: &Request<Incoming>) -> Result<(), Box<Said>> {
        if request.uri().path() != self.terms.path {
            let what = format!("records are posted to {}", self.terms.path);
            return Err(refused(StatusCode::NOT_FOUND, &what));
        }
        if request.method() != Method::POST {
            let mut said = refused(StatusCode::METHOD_NOT_ALLOWED, "records are posted");
            said.headers_mut().insert(ALLOW, "POST".parse().expect("it is a header's value"));
            return Err(said);
        }
        if is_packed(request.headers()) {
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body unpacked"));
        }
        if request.body().size_hint().lower() > self.terms.body_bytes as u64 {
            return Err(self.too_large());
        }
        if self.left.get() == 0 {
            return Err(ends());
        }
        if self.site.roomiest().room() == 0 {
            return Err(self.busy());
        }
        Ok(())
    }

    async fn read(&self, mut body: Incoming, kept: &mut Kept) -> Result<Bytes, Box<Said>> {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let torn = |_| refused(StatusCode::BAD_REQUEST, "the body is torn");
            let Ok(data) = frame.map_err(torn)?.into_data() else { continue };
            if whole.len() + data.len() > self.terms.body_bytes {
                return Err(self.too_large());
            }
            if !kept.add(data.len(), self.terms.partial_bytes) {
                return Err(self.busy());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    fn too_large(&self) -> Box<Said> {
        let what = format!("a body may have {} bytes; post fewer at once", self.terms.body_bytes);
        refused(StatusCode::PAYLOAD_TOO_LARGE, &what)
    }

    /// That there is no room, now or ever.
    fn busy(&self) -> Box<Said> {
        if self.left.get() == 0 || self.site.is_closed() {
            return ends();
        }
        self.site.traffic().refuse();
        retried(StatusCode::TOO_MANY_REQUESTS, "the job does not keep up; post it later")
    }
}

/// Whether a body is not sent as it is: `identity` says that it is, and so does nothing.
fn is_packed(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    let packs = |part: &[u8]| !part.trim_ascii().eq_ignore_ascii_case(b"identity");
    encodings.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).any(packs)
}

/// That the job takes no more.
fn ends() -> Box<Said> {
    retried(StatusCode::SERVICE_UNAVAILABLE, "the job has ended, or is about to")
}

fn retried(status: StatusCode, why: &str) -> Box<Said> {
    let mut said = refused(status, why);
    said.headers_mut().insert(RETRY_AFTER, 1.into());
    said
}

/// An answer that takes nothing. What was not read of the body is not read any more.
fn refused(status: StatusCode, why: &str) -> Box<Said> {
    let why = json!(why);
    let mut said = response(status, format!("{{\"records\":0,\"error\":{why}}}"));
    said.headers_mut().insert(CONNECTION, "close".parse().expect("it is a header's value"));
    Box::new(said)
}

/// What became of the rows, in the order in which it is read.
fn said(status: StatusCode, answer: Answer) -> Said {
    let Answer { records, bad, first_bad } = answer;
    let counts = format!("\"records\":{records},\"bad\":{bad}");
    let body = match first_bad {
        None => format!("{{{counts}}}"),
        Some((row, error)) => format!("{{{counts},\"row\":{row},\"error\":{}}}", json!(error)),
    };
    response(status, body)
}

fn response(status: StatusCode, body: String) -> Said {
    let mut response = Response::new(Full::new(Bytes::from(body + "\n")));
    *response.status_mut() = status;
    let json = "application/json".parse().expect("it is a header's value");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
