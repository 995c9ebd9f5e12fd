//! Where records are sent.

mod apart;
mod datagrams;
mod file;
mod http;
mod job;
mod log;
mod peer;
mod socket;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thalweg::time::Timestamp;

use self::apart::{Apart, unless_stopped};
use self::peer::Peer;
use super::args::{Form, Sending};
use super::stop::Stop;
use super::tape::Reel;
use crate::args::query;

/// A target, as it was named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `udp://HOST:PORT`: a datagram for each record.
    Udp(String),
    /// `unix:PATH`
    Unix(PathBuf),
    /// `http://HOST:PORT/PATH`: a POST for several records.
    Http(String),
    /// `job:nexmark-q5`: a query in this process.
    Job(String),
    /// A file.
    File(PathBuf),
    /// A new record log: a file whose name ends in `.tlog`.
    Log(PathBuf),
    /// Standard output.
    Stdout,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let with_port = |rest: &str| match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && is_port(port) => Ok(rest.to_owned()),
            _ => Err(format!("{text} names no host and port, such as {text}:9000")),
        };
        match text.split_once(':') {
            Some(("tcp", rest)) => with_port(rest.trim_start_matches("//")).map(Address::Tcp),
            Some(("udp", rest)) => with_port(rest.trim_start_matches("//")).map(Address::Udp),
            Some(("unix", rest)) => {
                // unix:///a/path and unix:a/path
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    return Err("unix: is followed by the socket's path".into());
                }
                Ok(Address::Unix(path.into()))
            }
            Some(("job", name)) => {
                let query = name.strip_prefix("nexmark-").and_then(|name| query(name).ok());
                query.map(Address::Job).ok_or_else(|| "there are job:nexmark-q0 to q22".into())
            }
            Some(("http", _)) => http::host_and_port(text).map(|_| Address::Http(text.to_owned())),
            Some(("https", _)) => Err("there is no TLS here; put a proxy before the target and \
                                       use http://"
                .into()),
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(format!("{scheme}:// is unknown; there are tcp, udp, unix and http"))
            }
            _ if text == "-" => Ok(Address::Stdout),
            _ if text.is_empty() => Err("a target is missing".into()),
            _ if text.ends_with(".tlog") => Ok(Address::Log(text.into())),
            _ => Ok(Address::File(text.into())),
        }
    }
}

/// Whether it is the number of a port that somebody may listen at.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(to) => write!(f, "tcp://{to}"),
            Address::Udp(to) => write!(f, "udp://{to}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Http(url) => f.write_str(url),
            Address::Job(query) => write!(f, "job:nexmark-{query}"),
            Address::File(path) | Address::Log(path) => write!(f, "{}", path.display()),
            Address::Stdout => f.write_str("standard output"),
        }
    }
}

/// Why records were not sent.
#[derive(Debug)]
pub struct Unsent {
    /// What went wrong.
    pub cause: String,
    /// Whether there is no use in sending more.
    pub over: bool,
    /// How many of all records that it was given the target has, where that is known; else all but
    /// those of the last batch.
    pub has: Option<u64>,
}

impl Unsent {
    /// The next records may be sent.
    pub fn now(cause: String) -> Unsent {
        Unsent { cause, over: false, has: None }
    }

    /// There is no use in sending more.
    pub fn over(cause: String) -> Unsent {
        Unsent { cause, over: true, has: None }
    }
}

/// Records that are sent together, as they are written.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// One after the other.
    pub bytes: &'a [u8],
    /// Where each ends.
    pub ends: &'a [usize],
    /// Their event times.
    pub events: &'a [Timestamp],
}

impl<'a> Batch<'a> {
    /// Each by itself.
    pub fn records(self) -> impl Iterator<Item = (Timestamp, &'a [u8])> {
        let begins = std::iter::once(&0).chain(self.ends);
        let bytes = begins.zip(self.ends).map(move |(from, end)| &self.bytes[*from..*end]);
        self.events.iter().copied().zip(bytes)
    }
}

/// One connection to a target.
pub trait Outlet: Send {
    /// Sends records; blocks while the target takes none, until it is stopped.
    ///
    /// # Errors
    /// When it is not known that all of them were sent.
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent>;

    /// All was sent.
    ///
    /// # Errors
    /// When some of it was not.
    fn finish(&mut self) -> Result<(), Unsent> {
        Ok(())
    }
}

/// On what terms a connection is made.
pub struct Terms {
    /// What comes before the first record.
    pub header: Vec<u8>,
    /// How long a peer that went away is tried again.
    pub retry: Duration,
    /// How long a peer may take nothing at the end.
    pub patience: Duration,
    /// Whether it shall stop.
    pub stop: Arc<Stop>,
}

/// Connects; where a replay goes on, to what is there.
///
/// # Errors
/// When nobody is there.
pub fn connect(
    to: &Address,
    reel: &Reel,
    sending: &Sending,
    header: Vec<u8>,
    go_on: bool,
    stop: &Arc<Stop>,
) -> anyhow::Result<Box<dyn Outlet>> {
    let terms = || {
        let (retry, patience) = (sending.retry, sending.drain_timeout);
        Terms { header: header.clone(), retry, patience, stop: stop.clone() }
    };
    let stream = |peer: Peer| -> anyhow::Result<Box<dyn Outlet>> {
        Ok(Box::new(socket::Stream::connect(peer, terms())?))
    };
    let apart = |outlet: Box<dyn Outlet>| -> anyhow::Result<Box<dyn Outlet>> {
        Ok(Box::new(Apart::new(to.to_string(), outlet, stop.clone())?))
    };
    Ok(match to {
        Address::Tcp(to) => stream(Peer::Tcp(to.clone()))?,
        Address::Unix(path) => stream(Peer::Unix(path.clone()))?,
        Address::Udp(to) => Box::new(datagrams::Datagrams::connect(to, terms())?),
        Address::Http(url) => {
            let content = match sending.format {
                Form::Json => "application/x-ndjson",
                Form::Csv => "text/csv",
                Form::Raw => "application/octet-stream",
            };
            apart(Box::new(http::Posts::new(url, content, terms())?))?
        }
        Address::Job(query) => Box::new(job::Query::start(query, &reel.shape)?),
        Address::File(path) => {
            // To open a pipe is to wait for somebody who reads it.
            let (blocks, own) = (file::may_block(path), path.clone());
            let open = move || file::Written::create(&own, header, go_on);
            if blocks {
                apart(Box::new(unless_stopped(stop, &to.to_string(), open)?))?
            } else {
                Box::new(open()?)
            }
        }
        Address::Log(path) => Box::new(log::Recorded::create(path, &reel.shape)?),
        Address::Stdout => {
            let stdout: Box<dyn Outlet> = Box::new(file::Written::stdout(header));
            if file::stdout_may_block() { apart(stdout)? } else { stdout }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_names() {
        for (text, is) in [
            ("tcp://localhost:9000", Address::Tcp("localhost:9000".into())),
            ("tcp:[::1]:9000", Address::Tcp("[::1]:9000".into())),
            ("udp://10.0.0.1:53", Address::Udp("10.0.0.1:53".into())),
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("unix:x.sock", Address::Unix("x.sock".into())),
            ("http://h/p", Address::Http("http://h/p".into())),
            ("http://u:p@[::1]:9000/p?q", Address::Http("http://u:p@[::1]:9000/p?q".into())),
            ("job:nexmark-q5", Address::Job("q5".into())),
            ("-", Address::Stdout),
            ("out/x.json", Address::File("out/x.json".into())),
            ("out/x.tlog", Address::Log("out/x.tlog".into())),
        ] {
            assert_eq!(text.parse(), Ok(is), "{text}");
        }
        for bad in [
            "",
            "tcp://localhost",
            "tcp://:9000",
            "udp://h:99999",
            "unix:",
            "tcp://h:0",
            "https://h/",
            "ftp://h/",
            "http:h/",
            "http://",
            "http:///p",
            "http://:9000/p",
            "http://h:99999/p",
            "http://h:0/",
            "http://h:x/",
            "http://h h/",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
