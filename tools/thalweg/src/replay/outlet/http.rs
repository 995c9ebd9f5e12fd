//! HTTP: a POST for several records.

use std::net::ToSocketAddrs;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use ureq::http::Uri;
use ureq::{Agent, Proxy};

use super::apart::unless_stopped;
use super::{Batch, Outlet, Terms, Unsent, is_port};
use crate::replay::stop::Again;

/// The port where none is said.
const PORT: u16 = 80;

/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it waits before it posts again, the first time; then twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(20);

/// The host that a URL names, and the port.
///
/// # Errors
/// When it is no URL, or there can't be such a port.
pub fn host_and_port(url: &str) -> Result<(String, u16), String> {
    let refused = || format!("{url} is no address such as http://localhost:8080/in");
    let uri: Uri = url.parse().map_err(|error| format!("{}: {error}", refused()))?;
    let whole = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let place = whole.rsplit_once('@').map_or(whole, |(_, place)| place);
    let host = uri.host().filter(|host| !host.is_empty() && uri.scheme_str() == Some("http"));
    let (host, rest) =
        host.and_then(|host| Some((host, place.strip_prefix(host)?))).ok_or_else(refused)?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => Some(PORT),
        digits => digits.filter(|digits| is_port(digits)).and_then(|digits| digits.parse().ok()),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    port.map(|port| (bare, port)).ok_or_else(refused)
}

/// Posts to one address, over one connection.
pub struct Posts {
    url: String,
    content: &'static str,
    agent: Agent,
    terms: Terms,
    /// A body that begins with a header.
    body: Vec<u8>,
}

/// What came of a post.
enum Posted {
    Taken,
    /// Not now: after so long, if it says so; and where that is counted.
    Later(String, Option<Duration>, fn(&Again) -> &AtomicU64),
    Refused(String),
}

impl Posts {
    /// Bodies are of this content type.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn new(url: &str, content: &'static str, terms: Terms) -> anyhow::Result<Posts> {
        let place = host_and_port(url).map_err(anyhow::Error::msg)?;
        let unknown = format!("cannot post to {url}");
        // Where there is a proxy, it is the one that knows.
        if Proxy::try_from_env().is_none() {
            let find = move || Ok(place.to_socket_addrs()?.next());
            let found = unless_stopped(&terms.stop, url, find).with_context(|| unknown.clone())?;
            found.with_context(|| unknown)?;
        }
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        let (url, agent) = (url.to_owned(), config.into());
        Ok(Posts { url, content, agent, terms, body: Vec::new() })
    }

    fn post(&self, bytes: &[u8]) -> Posted {
        let mut answer = match self.agent.post(&self.url).content_type(self.content).send(bytes) {
            Ok(answer) => answer,
            Err(error) => return Posted::Later(error.to_string(), None, |again| &again.lost),
        };
        let status = answer.status();
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            answer.body_mut().read_to_vec().ok();
            return Posted::Taken;
        }
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let said = answer.body_mut().with_config().limit(1 << 16).read_to_string();
        let said: String = said.unwrap_or_default().trim().chars().take(200).collect();
        let cause = format!("status {status}: {said}");
        match status.as_u16() {
            429 | 503 => Posted::Later(cause, after, |again| &again.busy),
            502 | 504 => Posted::Later(cause, after, |again| &again.gateway),
            _ => Posted::Refused(cause),
        }
    }
}

impl Outlet for Posts {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let (begin, mut pause) = (Instant::now(), PAUSE);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.extend_from_slice(&self.terms.header);
        body.extend_from_slice(batch.bytes);
        let stop = self.terms.stop.clone();
        let sent = loop {
            match self.post(&body) {
                Posted::Taken => break Ok(()),
                Posted::Refused(cause) => {
                    let cause = format!("{} refuses records, {cause}", self.url);
                    break Err(Unsent::now(cause));
                }
                Posted::Later(cause, after, counted) => {
                    if begin.elapsed() >= self.terms.retry || stop.is_asked() {
                        let tried = begin.elapsed();
                        let url = &self.url;
                        let cause =
                            format!("{url} took nothing for {tried:.1?} (--retry): {cause}");
                        break Err(Unsent::over(cause));
                    }
                    let left = self.terms.retry.saturating_sub(begin.elapsed());
                    stop.pause(after.unwrap_or(pause).min(left));
                    pause = (pause * 2).min(Duration::from_secs(1));
                    counted(&stop.again).fetch_add(1, Relaxed);
                }
            }
        };
        self.body = body;
        sent
    }
}
