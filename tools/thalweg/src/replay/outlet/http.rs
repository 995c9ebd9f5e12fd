//! HTTP: a POST for several records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;

use super::{Batch, Outlet, Unsent};
use crate::replay::stop::Stop;

/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it waits before it posts again, the first time; then twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(20);

/// Posts to one address, over one connection.
pub struct Posts {
    url: String,
    content: &'static str,
    agent: Agent,
    retry: Duration,
    stop: Arc<Stop>,
}

/// What came of a post.
enum Posted {
    Taken,
    /// Not now: after so long, if it says so.
    Later(String, Option<Duration>),
    Refused(String),
}

impl Posts {
    /// Bodies are of this content type.
    pub fn new(url: &str, content: &'static str, retry: Duration, stop: Arc<Stop>) -> Posts {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        Posts { url: url.to_owned(), content, agent: config.into(), retry, stop }
    }

    fn post(&self, bytes: &[u8]) -> Posted {
        let mut answer = match self.agent.post(&self.url).content_type(self.content).send(bytes) {
            Ok(answer) => answer,
            Err(error) => return Posted::Later(error.to_string(), None),
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
            429 | 502 | 503 | 504 => Posted::Later(cause, after),
            _ => Posted::Refused(cause),
        }
    }
}

impl Outlet for Posts {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let (begin, mut pause) = (Instant::now(), PAUSE);
        loop {
            match self.post(batch.bytes) {
                Posted::Taken => return Ok(()),
                Posted::Refused(cause) => {
                    let cause = format!("{} refuses records, {cause}", self.url);
                    return Err(Unsent::now(cause));
                }
                Posted::Later(cause, after) => {
                    if begin.elapsed() >= self.retry || self.stop.is_asked() {
                        let tried = begin.elapsed();
                        let url = &self.url;
                        let cause =
                            format!("{url} took nothing for {tried:.1?} (--retry): {cause}");
                        return Err(Unsent::over(cause));
                    }
                    let left = self.retry.saturating_sub(begin.elapsed());
                    self.stop.pause(after.unwrap_or(pause).min(left));
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }
}
